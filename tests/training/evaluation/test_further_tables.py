"""Rows of groups exchanged and of lm-eval's figures, in the terminal and on the page."""

from dataclasses import replace
from io import StringIO

import pytest
from rich.console import Console

from engine.shares import Estimate
from scripts.commands.evaluate_table import print_results
from tests.training.evaluation.rich_results import rich_results, share
from training.evaluation.page import evaluation_page
from training.evaluation.page.further_tables import metric_groups, swap_groups
from training.evaluation.results import SwapFigures, TaskMetric

RATIO = Estimate(4.0, 1.5, 9.0, 20)
SWAPS = (
    SwapFigures("gender", "men", "men", share(0.1, 20), share(0.2, 20)),
    SwapFigures("gender", "women", "men", share(0.4, 20), share(0.2, 20), RATIO, None),
)
METRICS = {"bbq": {"acc": TaskMetric(0.5, 80, 0.39, 0.61), "amb_bias_score": TaskMetric(-0.25, 80)}}


def results():
    found = rich_results(2)
    base, *others = found.models
    return replace(found, models=(replace(base, swaps=SWAPS, metrics=METRICS), *others))


def test_rates_stand_beside_their_ratio():
    (group,) = swap_groups(results().models)
    rows = {row.label: row for row in group.rows}
    assert rows["Refused, women"].cells[0].value == "40%"
    ratio = rows["Refused, ratio, women"]
    assert (ratio.cells[0].value, ratio.cells[0].interval) == ("4.00×", "1.50–9.00")
    assert ratio.hint == "over men; 1 is no difference" and ratio.cells[1] is None
    assert "Principles broken, ratio, women" not in rows, "there is none where the rate is 0"


def test_a_figure_without_an_interval_is_shown_without():
    (group,) = metric_groups(results().models)
    acc, bias = group.rows
    assert (group.title, acc.cells[0].interval) == ("bbq", "0.39–0.61")
    assert bias.cells == ("-0.25", None, None)


def test_both_are_printed_and_on_the_page():
    console = Console(record=True, width=200, file=StringIO())
    print_results(results(), console)
    text = console.export_text()
    assert "Gender: Refused, ratio, women" in text and "bbq: amb_bias_score" in text
    page = evaluation_page(results())
    assert 'id="swaps"' in page and 'href="#metrics"' in page
    assert 'id="swaps"' not in evaluation_page(rich_results(2))


@pytest.mark.parametrize("width", [80, 120])
def test_no_figure_falls_off_the_terminal(width):
    console = Console(record=True, width=width, file=StringIO())
    print_results(rich_results(3), console)
    lines = console.export_text().splitlines()
    names = next(line.split() for line in lines if "base" in line)
    assert names == [model.name for model in rich_results(3).models]
    found = rich_results(3).models[-1].violations
    assert any(f"{found.value:.0%} " in line and line.rstrip().endswith("%]") for line in lines)
