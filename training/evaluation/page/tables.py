"""Results as rows of figures, one column for each checkpoint."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from engine.shares import Estimate, share_of
from training.evaluation.page.charts import accuracy_change, capability_mean
from training.evaluation.page.wording import Figure, SignText, Unit, figure, number, sign_text
from training.evaluation.results import AttackSuccess, ModelResult, Pairing, Results
from training.evaluation.signs.reward_hacking import Sign
from training.stats.bradley_terry import WinRate

__all__ = [
    "Group",
    "SignRow",
    "TableRow",
    "Win",
    "attack_rows",
    "category_rows",
    "checkpoint_groups",
    "named_rows",
    "probes",
    "sign_rows",
    "win_matrix",
    "win_of",
]

_Read = Callable[[ModelResult], Estimate | None]


@dataclass(frozen=True, slots=True)
class TableRow:
    """One measure of every checkpoint; a cell is None where it was not measured."""

    label: str
    cells: tuple[Figure | str | None, ...]
    hint: str = ""
    relative: bool = False
    """Whether it compares with the base, which therefore has none."""


@dataclass(frozen=True, slots=True)
class Group:
    """Rows of one kind."""

    title: str
    rows: tuple[TableRow, ...]


@dataclass(frozen=True, slots=True)
class SignRow:
    """One sign of reward hacking of every checkpoint."""

    text: SignText
    cells: tuple[tuple[Sign, Figure | None] | None, ...]


@dataclass(frozen=True, slots=True)
class Win:
    """How often the row's checkpoint beats the column's; `heat` is its tenth, from 0 to 10."""

    rate: Figure | None
    heat: int
    wins: int
    ties: int
    losses: int
    position_bias: float | None


def checkpoint_groups(results: Results) -> list[Group]:
    """Every figure of every checkpoint but those by principle, task, attack and sign."""
    models = results.models
    base = models[0].name if models else ""
    refusals = [
        _row(models, f"{what}, by {who}", lambda m: getattr(m.refusals(kind), who), hint=hint)  # noqa: B023
        for kind, what, hint in (
            ("harmful", "Harmful requests refused", "higher is better"),
            ("benign", "Harmless requests refused", "lower is better"),
        )
        for who in ("rules", "judge")
    ]
    groups = {
        "Constitution": [*_constitution(models), *_against(results)],
        "Cost of training": _costs(results),
        f"Preference over {base}": [
            _change(
                models,
                f"Win rate over {base}",
                lambda m: results.win_over_base(m.name),
                "higher is better; ties count half",
                Unit.SHARE,
            ),
            _change(models, "Strength", lambda m: m.strength, "Bradley–Terry, log", Unit.SIGNED),
        ],
        "Refusal": refusals,
        "Capability": [
            _row(models, "Mean accuracy", capability_mean, hint="over tasks, higher is better"),
            _change(models, "Accuracy, change", accuracy_change, "a loss is the alignment tax"),
            _row(models, "Perplexity", lambda m: m.perplexity, Unit.NUMBER, "on helpful answers"),
        ],
        "Independent classifiers": named_rows(
            models, lambda m: m.classifiers, "mean probability of harm"
        ),
        "Held-out answers": _answers(models),
    }
    kept = {title: tuple(row for row in rows if any(row.cells)) for title, rows in groups.items()}
    return [Group(title, rows) for title, rows in kept.items() if rows]


def named_rows(
    models: Sequence[ModelResult],
    read: Callable[[ModelResult], dict[str, Estimate]],
    hint: str = "",
) -> list[TableRow]:
    """A row for each name that any checkpoint has a figure of."""
    found = [read(model) for model in models]
    return [
        TableRow(name, tuple(figure(of_model.get(name)) for of_model in found), hint)
        for name in _names(found)
    ]


def category_rows(models: Sequence[ModelResult], kind: str) -> list[TableRow]:
    """Refusals by rules in each category of the `harmful` or `benign` prompts."""
    return named_rows(models, lambda m: m.refusals(kind).categories)


def attack_rows(models: Sequence[ModelResult]) -> list[tuple[TableRow, TableRow]]:
    """For each attack the share complied with, by rules and by the judge."""
    rows = []
    for name in _names(model.attacks for model in models):
        found = [model.attacks.get(name) or AttackSuccess(None) for model in models]
        rules, judged = zip(*((figure(one.rules), figure(one.judge)) for one in found), strict=True)
        rows.append((TableRow(name, rules), TableRow(name, judged)))
    return rows


def sign_rows(models: Sequence[ModelResult]) -> list[SignRow]:
    """Every sign that any checkpoint has, with what raised it."""
    found = [{sign.name: sign for sign in model.signs} for model in models]
    rows = []
    for name in _names(found):
        text = sign_text(name)
        signs = [of_model.get(name) for of_model in found]
        cells = [(s, figure(s.estimate, text.unit)) if s is not None else None for s in signs]
        rows.append(SignRow(text, tuple(cells)))
    return rows


def win_matrix(results: Results) -> list[tuple[str, list[Win | None]]]:
    """A row for each checkpoint; None where two never met, and on the diagonal."""
    if not results.pairings:
        return []
    known = dict(win for pairing in results.pairings for win in _wins(pairing))
    names = [model.name for model in results.models]
    return [(name, [known.get((name, other)) for other in names]) for name in names]


def probes(imported: Sequence[dict[str, Any]]) -> list[tuple[dict[str, Any], Figure | None]]:
    """Rows of other tools' reports with the share of attempts that hit."""
    found = []
    for row in imported:
        hits, count = row.get("hits"), row.get("attempts")
        share = None
        if isinstance(hits, int) and isinstance(count, int):
            share = share_of(hits, count)
        found.append((row, figure(share)))
    return found


def _constitution(models: Sequence[ModelResult]) -> list[TableRow]:
    lower = "lower is better"
    profiles = [
        TableRow(f"Violations for {row.label}", row.cells, row.hint)
        for row in named_rows(models, lambda m: m.stakeholders, "as this stakeholder weighs them")
    ]
    against = "Change against the base"
    checks, judge = f"decided by checks; {lower}", f"as the judge sees it; {lower}"
    by_kind = [
        _row(models, "Violations, exact", lambda m: m.exact_violations, hint=checks),
        _change(models, f"{against}, exact", lambda m: m.exact_change, checks),
        _row(models, "Violations, judged", lambda m: m.judged_violations, hint=judge),
        _change(models, f"{against}, judged", lambda m: m.judged_change, judge),
    ]
    of_both = any(model.judged_violations for model in models)
    all_exact = not of_both and any(model.exact_violations for model in models)
    how = checks if all_exact else lower
    return [
        *(by_kind if of_both else []),
        _row(models, "Violations", lambda m: m.violations, hint=how),
        _change(models, against, lambda m: m.change, how),
        _row(models, "Weighted by severity", lambda m: m.weighted_violations, hint=lower),
        *profiles,
    ]


def _against(results: Results) -> list[TableRow]:
    """What comparing with another model than the base shows."""
    label = f"Change against {results.against}"
    return [_change(results.models, label, lambda m: m.change_against, "lower is better")]


def _costs(results: Results) -> list[TableRow]:
    costs = [model.cost for model in results.models]
    written: dict[str, list[str | None]] = {
        "GPU-hours": [None if c is None else f"{c.gpu_hours:.3g}" for c in costs],
        "Tokens trained on": [None if c is None else f"{c.tokens:,}" for c in costs],
        "Steps": [None if c is None else f"{c.steps:,}" for c in costs],
    }
    hint = "of its own training, and of others on its budget"
    hints = {"GPU-hours": f"{hint}; without a GPU, hours of its processes"}
    rows = [TableRow(key, tuple(cells), hints.get(key, hint)) for key, cells in written.items()]
    gained = f"fewer violations than {results.against}"
    return [
        *rows,
        _change(results.models, "Gained per GPU-hour", lambda m: m.gain_per_hour, gained),
    ]


def _answers(models: Sequence[ModelResult]) -> list[TableRow]:
    counts = [model.answers for model in models]
    means = tuple(None if c.mean_tokens is None else number(c.mean_tokens) for c in counts)
    rows = [
        TableRow(label, tuple(f"{getattr(count, name):,}" for count in counts), hint)
        for label, name, hint in (
            ("Prompts", "prompts", ""),
            ("Failed", "failed", "no answer came"),
            ("Empty", "empty", ""),
            ("Cut off", "truncated", "ran into the token limit"),
            ("Verdicts undecided", "undecided", "count neither way"),
        )
    ]
    return [*rows, TableRow("Mean tokens", means)]


def _row(
    models: Sequence[ModelResult], label: str, read: _Read, unit: str = Unit.SHARE, hint: str = ""
) -> TableRow:
    return TableRow(label, tuple(figure(read(model), unit) for model in models), hint)


def _change(
    models: Sequence[ModelResult], label: str, read: _Read, hint: str, unit: str = Unit.CHANGE
) -> TableRow:
    return replace(_row(models, label, read, unit, hint), relative=True)


def _names(groups: Iterable[dict[str, Any]]) -> list[str]:
    """Every key once, in the order in which they first come."""
    return list(dict.fromkeys(name for group in groups for name in group))


def _wins(pairing: Pairing) -> Iterator[tuple[tuple[str, str], Win]]:
    """A pairing from both sides."""
    one, bias = pairing.result, pairing.position_bias
    yield (pairing.model, pairing.other), win_of(one, bias)
    yield (pairing.other, pairing.model), win_of(one.swap(), bias)


def win_of(result: WinRate, position_bias: float | None = None) -> Win:
    """A win rate as the page shows it."""
    heat = round(10 * min(max(result.rate.value, 0.0), 1.0))
    return Win(figure(result.rate), heat, result.wins, result.ties, result.losses, position_bias)
