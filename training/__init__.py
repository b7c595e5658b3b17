"""Records of the engine become datasets that TRL trains on."""

from training.data.datasets import Row, llm_swarm_rows, preference_row, prompt_row, sft_rows
from training.data.export import ExportFormat, ExportOptions, ExportResult, export_run

__all__ = [
    "ExportFormat",
    "ExportOptions",
    "ExportResult",
    "Row",
    "export_run",
    "llm_swarm_rows",
    "preference_row",
    "prompt_row",
    "sft_rows",
]
