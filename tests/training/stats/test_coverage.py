"""A sample of the table of docs/experiments.md: intervals hold the truth where figures look best."""

import math

import pytest

from scripts.bench.coverage import SCENARIOS, coverage

BY_NAME = {scenario.name: scenario for scenario in SCENARIOS}
SAMPLE = [
    ("share", 0.01, 8, 400),
    ("share, 4 answers a prompt", 0.2, 12, 400),
    ("difference in thirds", 0.1, 12, 400),
    ("skewed mean (gamma of shape)", 1.0, 12, 400),
    ("kappa, agreement", 0.97, 30, 120),
    ("alpha, 3 raters with gaps", 0.97, 30, 120),
    ("AC1, 3 raters with gaps", 0.97, 30, 120),
    ("ordinal alpha (Likert, noise)", 1.0, 30, 120),
    ("ratio of rates, over 30 %", 0.5, 12, 300),
    ("share weighed by severity", 0.1, 30, 300),
    ("AUC, sd apart", 3.0, 12, 300),
    ("rank correlation", 0.97, 12, 300),
    ("Bradley-Terry, 20 % ties", 4.0, 12, 60),
]


@pytest.mark.parametrize(("name", "truth", "prompts", "trials"), SAMPLE)
def test_the_truth_is_inside_nineteen_times_in_twenty(name, truth, prompts, trials):
    found = coverage(BY_NAME[name], prompts, truth, trials)
    assert found > 0.945 - 3 * math.sqrt(0.05 * 0.95 / trials)
