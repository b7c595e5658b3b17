"""An evaluation in the terminal: a line for each figure, a column for each model."""

from collections.abc import Callable, Iterable, Mapping
from typing import TypeAlias

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from engine.report.wording import visible
from training.evaluation.results import ModelResult, Results
from training.stats.intervals import Estimate

__all__ = ["print_results"]

_Read: TypeAlias = Callable[[ModelResult], Estimate | None]
_SIGN_NAMES = 3


def print_results(results: Results, console: Console) -> None:
    """The table, the reasons to doubt it, and the gates."""
    table = Table(box=SIMPLE_HEAD, collapse_padding=True, pad_edge=False, header_style="bold")
    table.add_column("")
    for model in results.models:
        table.add_column(Text(visible(model.name)), justify="right")
    for name, cells in _rows(results):
        if any(cell not in ("", "-") for cell in cells):
            table.add_row(name, *(Text(visible(cell)) for cell in cells))
    console.print(table)
    console.print(
        visible(
            f"{results.prompt_count:,} held-out prompts, judged by {results.judge}; base: "
            f"{results.models[0].name}; in brackets 95 % intervals"
        ),
        highlight=False,
        markup=False,
    )
    _print_signs(results, console)
    _print_findings(results, console)
    _print_gates(results, console)


def _rows(results: Results) -> list[tuple[str, list[str]]]:
    models = results.models
    return [
        *_safety(results),
        *(
            _row(name, models, _of("capabilities", name))
            for name in _names(model.capabilities for model in models)
        ),
        _row("alignment tax", models, lambda m: m.tax, _points),
        _row("perplexity", models, lambda m: m.perplexity, _plain),
        *(
            _row(name, models, _of("classifiers", name))
            for name in _names(model.classifiers for model in models)
        ),
        ("tokens", [_tokens(model) for model in models]),
        ("cut off", [_count(model.answers.truncated, model) for model in models]),
        ("verdicts not given", [str(model.answers.undecided or "-") for model in models]),
        ("without an answer", [_count(_missing(model), model) for model in models]),
        ("signs of hacking", [_signs(model) for model in models]),
    ]


def _safety(results: Results) -> list[tuple[str, list[str]]]:
    models = results.models
    return [
        _row("breaks a principle", models, lambda m: m.violations),
        _row("  change from base", models, lambda m: m.change, _points),
        _row("  by severity", models, lambda m: m.weighted_violations),
        *(
            _row(f"  as {name}", models, _of("stakeholders", name))
            for name in models[0].stakeholders
        ),
        ("wins over base", [_win(results, model.name) for model in models]),
        _row("strength", models, lambda m: m.strength, _plain),
        _row("refuses harmful", models, lambda m: m.harmful.rules if m.harmful else None),
        _row("  says the judge", models, lambda m: m.harmful.judge if m.harmful else None),
        _row("refuses harmless", models, lambda m: m.benign.rules if m.benign else None),
        _row("  says the judge", models, lambda m: m.benign.judge if m.benign else None),
        *(
            _row(f"complies: {name}", models, _attacked(name))
            for name in _names(model.attacks for model in models)
        ),
    ]


def _row(
    name: str,
    models: tuple[ModelResult, ...],
    read: _Read,
    written: Callable[[float], str] = lambda value: f"{value:.0%}",
) -> tuple[str, list[str]]:
    return name, [_estimate(read(model), written) for model in models]


def _of(field: str, name: str) -> _Read:
    """Reads one entry of a model's figures by name."""

    def read(model: ModelResult) -> Estimate | None:
        entries: Mapping[str, Estimate] = getattr(model, field)
        return entries.get(name)

    return read


def _attacked(name: str) -> _Read:
    return lambda model: model.attacks[name].rules if name in model.attacks else None


def _estimate(found: Estimate | None, written: Callable[[float], str]) -> str:
    if found is None:
        return "-"
    return f"{written(found.value)} [{written(found.low)}, {written(found.high)}]"


def _points(value: float) -> str:
    return f"{100 * value:+.0f}"


def _plain(value: float) -> str:
    return f"{value:.2f}"


def _names(groups: Iterable[Mapping[str, object]]) -> list[str]:
    return list(dict.fromkeys(name for group in groups for name in group))


def _win(results: Results, name: str) -> str:
    base = results.models[0].name
    for pair in results.pairings:
        if (pair.model, pair.other) == (base, name):
            rate = pair.result.rate
            return f"{1 - rate.value:.0%} [{1 - rate.high:.0%}, {1 - rate.low:.0%}]"
    return "-"


def _tokens(model: ModelResult) -> str:
    mean = model.answers.mean_tokens
    return "-" if mean is None else f"{mean:.0f}"


def _missing(model: ModelResult) -> int:
    return model.answers.failed + model.answers.empty


def _count(count: int, model: ModelResult) -> str:
    return f"{count / model.answers.prompts:.0%}" if count and model.answers.prompts else "-"


def _signs(model: ModelResult) -> str:
    flagged = [sign.name.replace("_", " ") for sign in model.signs if sign.flagged]
    return ", ".join(flagged[:_SIGN_NAMES]) + (", ..." if len(flagged) > _SIGN_NAMES else "") or "-"


def _print_signs(results: Results, console: Console) -> None:
    for model in results.models:
        for sign in model.signs:
            if sign.flagged:
                line = visible(f"{model.name}: {sign.told}")
                console.print(line, style="yellow", highlight=False, markup=False)


def _print_findings(results: Results, console: Console) -> None:
    for finding in results.findings:
        style = "red" if finding.severity == "error" else "yellow"
        remedy = f"; {finding.remedy}" if finding.remedy else ""
        line = visible(f"{finding.severity} {finding.code}: {finding.message}{remedy}")
        console.print(line, style=style, highlight=False, markup=False, soft_wrap=True)


def _print_gates(results: Results, console: Console) -> None:
    for gate in results.gates:
        measured = "not measured" if gate.measured is None else f"{gate.measured:.3f}"
        line = visible(f"gate {gate.metric} of {gate.model}: {measured}, {gate.bound}")
        state = "kept" if gate.kept else "BROKEN"
        style = "green" if gate.kept else "red"
        console.print(f"{line}: {state}", style=style, highlight=False, markup=False)
