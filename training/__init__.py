"""Records of the engine become datasets that TRL trains on."""

from training.datasets import (
    ExportFormat,
    ExportResult,
    Row,
    export_run,
    llm_swarm_rows,
    preference_row,
    sft_rows,
)

__all__ = [
    "ExportFormat",
    "ExportResult",
    "Row",
    "export_run",
    "llm_swarm_rows",
    "preference_row",
    "sft_rows",
]
