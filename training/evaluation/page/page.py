"""The evaluation's page: one HTML file that asks nothing of the network and runs only its own
script. What prompts and models wrote is escaped as in a run's report."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment

from constitution.word_diff import word_diff
from engine.generators.spec import kind_of
from engine.report.assets import PARTS, Asset, asset, page_environment
from engine.shares import Estimate
from training.evaluation.page.charts import (
    accuracy_change,
    capability_mean,
    full_scale,
    safety_plane,
)
from training.evaluation.page.curves import curve_drawings
from training.evaluation.page.duels import DuelTold, duels_told, wins_by_principle
from training.evaluation.page.further_tables import metric_groups, swap_groups
from training.evaluation.page.headline import headline
from training.evaluation.page.tables import (
    attack_rows,
    category_rows,
    checkpoint_groups,
    named_rows,
    probes,
    sign_rows,
    win_matrix,
)
from training.evaluation.page.wording import SETS, SMALL, Figure, figure, is_unsure, number
from training.evaluation.results import (
    AnswerVerdict,
    DuelShown,
    ModelAnswer,
    PrincipleShown,
    PromptAnswers,
    Results,
)

__all__ = [
    "OUTCOMES",
    "AnswerShown",
    "SampleShown",
    "VerdictShown",
    "evaluation_page",
    "samples_shown",
]

_HERE = Path(__file__).parent


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
            script=_script(bool(samples)),
            errors=[f for f in results.findings if f.severity == "error"],
            warnings=[f for f in results.findings if f.severity != "error"],
            broken_gates=[gate for gate in results.gates if not gate.kept],
            unproven=kind_of(results.judge) == "embedded",
            headline=headline(results),
            all_exact=bool(results.principles) and all(p.exact for p in results.principles),
            beaten={model.name: figure(results.win_over_base(model.name)) for model in models},
            groups=checkpoint_groups(results),
            principles=_principles(results),
            plane=safety_plane(models),
            wins=win_matrix(results),
            won_under=wins_by_principle(results),
            in_both_orders=any(one.position_bias is not None for one in results.pairings),
            categories={kind: category_rows(models, kind) for kind in ("harmful", "benign")},
            signs=sign_rows(models),
            attacks=attack_rows(models),
            tasks=named_rows(models, lambda model: model.capabilities),
            swaps=swap_groups(models),
            metrics=metric_groups(models),
            probes=probes(results.imported),
            curves=curve_drawings(results.curves),
            samples=samples,
            facets=_facets(samples),
        )
    )


def _facets(samples: Sequence["SampleShown"]) -> dict[str, list[str]]:
    """What answers are filtered by: principles and sets."""
    verdicts = (v for shown in samples for a in shown.answers for v in a.verdicts)
    return {
        "principles": sorted({shown.verdict.principle for shown in verdicts}),
        "sets": list(dict.fromkeys(shown.sample.set for shown in samples)),
    }


def _script(browses: bool) -> Asset:
    """Where there are no answers, nothing is filtered."""
    filters = (PARTS / "browse.js", _HERE / "evaluation.js") if browses else ()
    return asset(*filters, _HERE / "tables.js")


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


@cache
def _environment() -> Environment:
    environment = page_environment(_HERE)
    environment.filters |= {"number": number}
    environment.globals |= {
        "accuracy_change": accuracy_change,
        "bar_of": _bar,
        "capability_mean": capability_mean,
        "figure": figure,
        "outcomes": OUTCOMES,
        "sets": SETS,
        "small": SMALL,
        "unsure": is_unsure,
    }
    return environment


OUTCOMES = {
    "broken": "Broken",
    "kept": "Kept",
    "undecided": "Undecided",
    "refused": "Refused",
    "truncated": "Cut off",
    "changed": "Changed against the base",
    "fixed": "Fixed: broken by the base, kept here",
    "worsened": "Worse: kept by the base, broken here",
    "won": "Preferred to the base's",
    "lost": "The base's is preferred",
}
"""What answers are filtered by. The last two, `refused` and `truncated` are of an answer, the others also
of a verdict."""


@dataclass(frozen=True, slots=True)
class VerdictShown:
    """A verdict, and which outcomes it is one of."""

    verdict: AnswerVerdict
    outcomes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class AnswerShown:
    """An answer, its checkpoint's place among all, and its outcomes as a whole.

    It is `kept` if no principle is broken, and `broken` if one is.
    """

    answer: ModelAnswer
    color: int
    outcomes: tuple[str, ...]
    verdicts: tuple[VerdictShown, ...]
    base: str | None = None
    """What the base answered, for another checkpoint."""
    under: str = ""
    """The principle under which the two were compared."""

    @property
    def parts(self) -> list[tuple[str, bool]]:
        """Stretches of the text, and whether the base says otherwise there."""
        if self.base is None:
            return [(self.answer.text, False)]
        changes = word_diff(self.base, self.answer.text)
        return [(change.after, not change.same) for change in changes if change.after]

    @property
    def broken(self) -> int:
        """How many principles the judge says that it breaks."""
        return sum(bool(shown.verdict.violates) for shown in self.verdicts)


@dataclass(frozen=True, slots=True)
class SampleShown:
    """A prompt and its answers, in the order of the checkpoints."""

    sample: PromptAnswers
    answers: tuple[AnswerShown, ...]

    @property
    def duels(self) -> list[DuelTold]:
        """Who won each pair of answers, and why."""
        return duels_told(self.sample)

    @property
    def asked(self) -> str:
        """The last user turn."""
        turns = [turn for turn in self.sample.prompt if turn.get("role") == "user"]
        return (turns or list(self.sample.prompt) or [{}])[-1].get("content", "")


def samples_shown(samples: Sequence[PromptAnswers], models: Sequence[str]) -> list[SampleShown]:
    """Every sample, each answer compared with that of the first of `models`."""
    places = {name: place for place, name in enumerate(models)}
    found = []
    for sample in samples:
        base = next((answer for answer in sample.answers if places.get(answer.model) == 0), None)
        answers = [
            _answer(
                answer,
                places.get(answer.model, len(places)),
                None if answer is base else base,
                sample.duels,
            )
            for answer in sample.answers
        ]
        found.append(SampleShown(sample, tuple(sorted(answers, key=lambda shown: shown.color))))
    return found


def _answer(
    answer: ModelAnswer, color: int, base: ModelAnswer | None, duels: Sequence[DuelShown]
) -> AnswerShown:
    before = {v.principle: v.violates for v in base.verdicts} if base else {}
    verdicts = tuple(
        VerdictShown(v, _outcomes(v.violates, before.get(v.principle))) for v in answer.verdicts
    )
    among = {outcome for shown in verdicts for outcome in shown.outcomes}
    if "broken" in among:
        among.discard("kept")
    if answer.refusal:
        among.add("refused")
    if answer.truncated:
        among.add("truncated")
    met = next((d for d in duels if base and set(d.models) == {base.model, answer.model}), None)
    if met is not None and met.winner:
        among.add("won" if met.winner == answer.model else "lost")
    if base is not None and bool(base.refusal) != bool(answer.refusal):
        among.add("changed")
    said = base.text if base is not None else None
    under = met.principle if met is not None else ""
    outcomes = tuple(outcome for outcome in OUTCOMES if outcome in among)
    return AnswerShown(answer, color, outcomes, verdicts, said, under)


def _outcomes(violates: bool | None, before: bool | None) -> tuple[str, ...]:
    if violates is None:
        return ("undecided",)
    said = "broken" if violates else "kept"
    if before is None or before == violates:
        return (said,)
    return (said, "changed", "worsened" if violates else "fixed")
