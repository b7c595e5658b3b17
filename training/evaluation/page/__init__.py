"""An evaluation as one self-contained HTML page, a sibling of a run's report."""

from training.evaluation.page.page import evaluation_page

__all__ = ["evaluation_page"]
