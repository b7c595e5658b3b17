"""`solon label --validate`: how often a judge prefers the better of two replies."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import TypeAdapter
from rich.console import Console

from constitution.problems import InputError, Problem, all_problems
from constitution.schema import Constitution
from engine.generators.base import Sampling
from engine.generators.spec import open_generator
from engine.judging.records import Method
from engine.report.wording import percent
from engine.settings import RoleModel
from engine.storage.atomic import write_json_atomic
from scripts.commands.kept_judge import only_principle, started_judge
from scripts.commands.terminal import (
    error_console,
    output_console,
    run_interruptibly,
)
from training.data.comparisons import Comparison, read_comparisons
from training.evaluation.judges.validation import (
    HELPFUL_HONEST_HARMLESS,
    JudgeFigures,
    Validation,
    validate_judge,
)

__all__ = ["validate_into"]

_REASONING = Sampling(max_tokens=256, temperature=0.0)
"""How a judge writes its chain of thought: a label should not depend on luck."""


@dataclass(frozen=True, slots=True)
class JudgeOptions:
    """A judge and how it is asked."""

    spec: str
    chat_template: Path | None
    method: Method
    ensemble: int
    chain_of_thought: bool
    seed: int

    def open(self) -> RoleModel:
        """The judge. Raises InputError when its spec is none."""
        return RoleModel(open_generator(self.spec, chat_template=self.chat_template), _REASONING)


_EVERY = 50
"""Comparisons between two lines of progress."""
_SENTENCES = {
    "better": "The judge is better than chance: the whole interval is above 50 %.",
    "worse": "The judge is worse than chance: it prefers the worse reply more often.",
    "unclear": "The judge cannot be told from chance: the interval holds 50 %.",
}


def validate_into(
    out: Path | None,
    file: str,
    limit: int | None,
    constitution: str | None,
    principle: str | None,
    options: JudgeOptions,
) -> None:
    """Ask the judge about the comparisons of `file` and print its figures.

    With `out` its answers are kept there, so that a repetition asks nothing again, and the figures
    are written to `judge.json`.
    """
    rules, comparisons, judge = all_problems(
        lambda: _rules(constitution, principle),
        lambda: read_comparisons(file, limit),
        options.open,
    )
    validation = Validation(
        rules, options.method, options.ensemble, options.chain_of_thought, options.seed
    )
    console = error_console()
    console.print(f"{judge.generator.spec} judges {len(comparisons):,} comparisons")

    def on_progress(done: int) -> None:
        if done % _EVERY == 0 and done < len(comparisons):
            console.print(f"{done:,}/{len(comparisons):,} comparisons")

    work = _figures(out, comparisons, judge, validation, on_progress)
    figures = run_interruptibly(work, lambda: console.print("stopping"))
    _print(figures, output_console())
    if out:
        told = {
            **TypeAdapter(JudgeFigures).dump_python(figures, mode="json"),
            "file": file,
            "judge": judge.generator.spec,
            "method": options.method,
            "constitution": rules.content_hash,
        }
        write_json_atomic(out / "judge.json", told)


def _rules(constitution: str | None, principle: str | None) -> Constitution:
    """The principles to ask about. Raises InputError for a principle that is not there."""
    if constitution:
        return only_principle(constitution, principle)
    known = HELPFUL_HONEST_HARMLESS.principles[0].id
    if principle not in (None, known):
        what = f"without --constitution there is no principle `{principle}`"
        raise InputError(Problem("--principle", what, f"add --constitution, or name {known}"))
    return HELPFUL_HONEST_HARMLESS


async def _figures(
    out: Path | None,
    comparisons: list[Comparison],
    judge: RoleModel,
    validation: Validation,
    on_progress: Callable[[int], None],
) -> JudgeFigures:
    async with started_judge(judge.generator, out) as generator:
        asked = replace(judge, generator=generator)
        return await validate_judge(comparisons, asked, validation, on_progress)


def _print(figures: JudgeFigures, console: Console) -> None:
    low, high = figures.interval
    console.print(
        f"accuracy       {percent(figures.accuracy)} of {figures.decided:,} comparisons decided "
        f"(95 % interval {low:.0%} to {high:.0%})"
    )
    if figures.neither:
        console.print(f"               {figures.neither:,} with neither reply preferred, each half")
    if figures.auc is not None:
        console.print(f"AUC            {figures.auc:.2f}")
    if figures.position_bias is not None:
        console.print(
            f"position bias  {figures.position_bias:+.2f} (0 is none, 1 always the reply shown first)"
        )
    told = ", ".join(f"{r.replace('_', ' ')} {n:,}" for r, n in figures.undecided.most_common())
    console.print(f"undecided      {figures.undecided.total():,}{f' ({told})' if told else ''}")
    console.print(
        _SENTENCES[figures.against_chance] if figures.decided else "The judge gave no answer."
    )
