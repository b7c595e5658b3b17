"""A run as numbers and as one self-contained HTML page."""

from engine.report.page import build_report
from engine.report.summary import FailureKind, PrincipleSummary, RunSummary, Spent, summarize

__all__ = [
    "FailureKind",
    "PrincipleSummary",
    "RunSummary",
    "Spent",
    "build_report",
    "summarize",
]
