"""What `solon label` does with its options: read and check all of them, run, sum up."""

from dataclasses import dataclass
from pathlib import Path

import typer
from rich.console import Console

from constitution.loader import load_constitution
from constitution.problems import InputError, Problem
from engine.generators.base import Sampling
from engine.generators.spec import open_generator
from engine.judging.records import AnswerDrop, Method
from engine.report import LabelSummary, summarize_labels
from engine.runs.directory import Mode
from engine.runs.label_run import LabelRun
from engine.settings import LabelSettings, RoleModel
from scripts.commands.label_table import print_labels
from scripts.commands.run_command import PromptOptions, execute_run, for_stakeholder
from scripts.commands.terminal import all_problems, error_console

__all__ = [
    "JudgeOptions",
    "LabelCast",
    "LabelInputs",
    "LabelSettings",
    "check_chain_of_thought",
    "label_into",
    "refuse_with_validate",
]

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


@dataclass(frozen=True, slots=True)
class LabelCast:
    """Who answers, who judges, and how answers are sampled."""

    policy: str
    judge: str
    chat_template: Path | None
    max_tokens: int
    temperature: float
    top_p: float

    def open(self) -> tuple[RoleModel, RoleModel]:
        """Policy and judge; equal specs share one generator."""
        sampling = Sampling(self.max_tokens, self.temperature, self.top_p)
        policy = open_generator(self.policy, chat_template=self.chat_template)
        judge = policy
        if self.judge != self.policy:
            judge = open_generator(self.judge, chat_template=self.chat_template)
        return RoleModel(policy, sampling), RoleModel(judge, _REASONING)


@dataclass(frozen=True, slots=True)
class LabelInputs:
    """What labelling cannot do without."""

    constitution: str
    prompts: str
    policy: str
    out: Path

    @staticmethod
    def checked(
        constitution: str | None,
        prompts: str | None,
        policy: str | None,
        out: Path | None,
        principle: str | None,
    ) -> "LabelInputs":
        """Raises InputError naming every option that is missing."""
        if principle:
            remedy = "pairs draw their own principle; add --validate FILE to try the judge on one"
            raise InputError(Problem("--principle", "is for --validate", remedy))
        if constitution and prompts and policy and out:
            return LabelInputs(constitution, prompts, policy, out)
        given = {
            "--constitution": constitution,
            "--prompts": prompts,
            "--policy": policy,
            "--out": out,
        }
        raise InputError(
            Problem(name, "is missing", "labelling needs it (--validate FILE does not)")
            for name, value in given.items()
            if not value
        )


def check_chain_of_thought(chain_of_thought: bool, method: Method) -> None:
    """Raise InputError where the judge would never be asked to reason."""
    if chain_of_thought and method != "pairwise":
        what = f"does nothing with --method {method}"
        raise InputError(Problem("--chain-of-thought", what, "add --method pairwise"))


def refuse_with_validate(**options: str | None) -> None:
    """Raise InputError naming each option given that validating a judge would not read."""
    problems = [
        Problem(f"--{name}", "is not read with --validate", "leave one of the two out")
        for name, value in options.items()
        if value
    ]
    if problems:
        raise InputError(problems)


def label_into(
    given: LabelInputs,
    columns: PromptOptions,
    cast: LabelCast,
    settings: LabelSettings,
    mode: Mode,
    window: int | None,
) -> None:
    """Check every input, then run. Exits 1 if prompts failed, 130 if interrupted; raises InputError
    if no pair has a label in the end."""
    rules, source, (policy, judge) = all_problems(
        lambda: for_stakeholder(load_constitution(given.constitution), settings.stakeholder),
        lambda: columns.open(given.prompts),
        cast.open,
    )
    console = error_console()
    run = LabelRun(given.out, source, rules, policy, judge, settings, mode=mode, window=window)
    if run.updated:
        console.print(
            "the constitution was edited: what it does not touch is re-used; the previous records "
            f"are in {run.directory.aside}"
        )

    def sum_up() -> int:
        summary = summarize_labels(given.out)
        print_labels(summary, Console())
        if summary.failure_kinds:
            return 1
        if not summary.labelled:
            raise InputError(_no_labels(given.out, summary))
        return 0

    raise typer.Exit(execute_run(run, console, sum_up))


def _no_labels(out: Path, summary: LabelSummary) -> Problem:
    if not summary.pairs:
        remedy = "raise --samples or --temperature, or see whether a principle applies"
        told = ""
        if cut := summary.answer_drops[AnswerDrop.TRUNCATED]:
            told = f": {cut:,} of {summary.answers:,} answers ran into the token limit"
            remedy = "raise --max-tokens, or add --keep-truncated"
        return Problem(str(out), f"has no pair of answers to compare{told}", remedy)
    reasons = ", ".join(
        f"{reason.replace('_', ' ')} {count:,}" for reason, count in summary.undecided.most_common()
    )
    remedy = (
        "try another --method or --judge; `solon label --validate FILE --judge SPEC` tells whether "
        "a judge is better than chance"
    )
    return Problem(str(out), f"none of {summary.pairs:,} pairs has a label ({reasons})", remedy)
