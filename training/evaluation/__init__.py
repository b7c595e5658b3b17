"""What training did, measured: models are asked and judged, and compared by figures with intervals.

Evaluation knows of training what its rows and manifests say, and training nothing of evaluation.
"""

from training.evaluation.config import EvaluateConfig
from training.evaluation.inputs import EvaluationInputs, open_inputs
from training.evaluation.judges.judging import Judges
from training.evaluation.questions.questionnaire import Questionnaire
from training.evaluation.results import Results, read_results
from training.evaluation.run import EvaluationRun

__all__ = [
    "EvaluateConfig",
    "EvaluationInputs",
    "EvaluationRun",
    "Judges",
    "Questionnaire",
    "Results",
    "open_inputs",
    "read_results",
]
