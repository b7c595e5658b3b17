"""A run as numbers and as one self-contained HTML page."""

from engine.report.label_summary import LabelSummary, PrincipleLabels, summarize_labels
from engine.report.page import build_report
from engine.report.summary import FailureKind, PrincipleSummary, RunSummary, summarize

__all__ = [
    "FailureKind",
    "LabelSummary",
    "PrincipleLabels",
    "PrincipleSummary",
    "RunSummary",
    "build_report",
    "summarize",
    "summarize_labels",
]
