"""The evaluation's page: one HTML file that asks nothing of the network and runs only its own
script. What prompts and models wrote is escaped as in a run's report."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment

from engine.report.assets import PARTS, asset, page_environment
from training.evaluation.page.charts import capability_mean, full_scale, safety_plane
from training.evaluation.page.shown_answers import OUTCOMES, SampleShown, samples_shown
from training.evaluation.page.tables import (
    attack_rows,
    category_rows,
    checkpoint_groups,
    named_rows,
    probes,
    sign_rows,
    win_matrix,
)
from training.evaluation.page.wording import SETS, SMALL, Figure, figure, number
from training.evaluation.results import PrincipleShown, Results
from training.stats.intervals import Estimate

__all__ = ["evaluation_page"]

_HERE = Path(__file__).parent
_UNPROVEN_JUDGE = "embedded"


def evaluation_page(results: Results) -> str:
    """The whole page. What was not measured is left out or said to be so, never shown as 0."""
    models = results.models
    samples = samples_shown(results.samples, [model.name for model in models])
    return (
        _environment()
        .get_template("evaluation.html.jinja")
        .render(
            results=results,
            models=models,
            style=asset(PARTS / "style.css", _HERE / "evaluation.css"),
            script=asset(PARTS / "browse.js", _HERE / "evaluation.js"),
            errors=[f for f in results.findings if f.severity == "error"],
            warnings=[f for f in results.findings if f.severity != "error"],
            broken_gates=[gate for gate in results.gates if not gate.kept],
            unproven=results.judge.split(":")[0] == _UNPROVEN_JUDGE,
            beaten={model.name: figure(results.win_over_base(model.name)) for model in models},
            groups=checkpoint_groups(results),
            principles=_principles(results),
            plane=safety_plane(models),
            wins=win_matrix(results),
            categories={kind: category_rows(models, kind) for kind in ("harmful", "benign")},
            signs=sign_rows(models),
            attacks=attack_rows(models),
            tasks=named_rows(models, lambda model: model.capabilities),
            probes=probes(results.imported),
            samples=samples,
            facets=_facets(samples),
        )
    )


@dataclass(frozen=True, slots=True)
class _Bar:
    """A checkpoint's rate under one principle; ends are in percent of the full bar."""

    name: str
    color: int
    figure: Figure | None
    value: float = 0.0
    low: float = 0.0
    high: float = 0.0


def _bar(name: str, color: int, estimate: Estimate | None, scale: float = 1.0) -> _Bar:
    told = figure(estimate)
    if estimate is None or told is None:
        return _Bar(name, color, None)
    ends = (estimate.value, estimate.low, estimate.high)
    value, low, high = (round(min(max(100 * end / scale, 0.0), 100.0), 2) for end in ends)
    return _Bar(name, color, told, value, low, high)


def _principles(results: Results) -> dict[str, Any]:
    """The bars of every principle that was judged: those that checks decide first, then the most
    broken; and their scale."""
    rates = [estimate for model in results.models for estimate in model.principles.values()]
    scale = full_scale(rates)
    described = {principle.id: principle for principle in results.principles}
    judged = {id for model in results.models for id in model.principles}
    rows = []
    for id in judged:
        of = [model.principles.get(id) for model in results.models]
        bars = [
            _bar(model.name, place, estimate, scale)
            for place, (model, estimate) in enumerate(zip(results.models, of, strict=True))
        ]
        worst = max(estimate.value for estimate in of if estimate is not None)
        rows.append((worst, id, described.get(id), bars))
    exact = {principle.id for principle in results.principles if principle.exact}
    rows.sort(key=lambda row: (row[1] not in exact, -row[0], row[1]))
    idle: list[PrincipleShown] = [p for p in results.principles if p.id not in judged]
    return {"scale": scale, "rows": [row[1:] for row in rows], "idle": idle}


def _facets(samples: list[SampleShown]) -> dict[str, list[str]]:
    """The values that the samples can be filtered by."""
    answers = (answer for shown in samples for answer in shown.answers)
    said = {v.verdict.principle for answer in answers for v in answer.verdicts}
    sets = dict.fromkeys(shown.sample.set for shown in samples)
    return {"principles": sorted(said), "sets": list(sets)}


@cache
def _environment() -> Environment:
    environment = page_environment(_HERE)
    environment.filters |= {"number": number}
    environment.globals |= {
        "bar_of": _bar,
        "capability_mean": capability_mean,
        "figure": figure,
        "outcomes": OUTCOMES,
        "sets": SETS,
        "small": SMALL,
    }
    return environment
