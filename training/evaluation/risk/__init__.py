"""A risk report for a release: what was attacked, what failed and why, and what is left."""

from training.evaluation.risk.report import risk_report, write_risk_report

__all__ = ["risk_report", "write_risk_report"]
