"""What `solon try` shows while one conversation goes through the loop."""

from rich.console import Console
from rich.padding import Padding
from rich.rule import Rule
from rich.status import Status
from rich.text import Text

from constitution.loader import load_constitution
from constitution.problems import InputError, Problem, Stopped
from constitution.schema import Constitution
from engine.critique_revise import ConversationFailed, Step, critique_and_revise
from engine.prompts import Prompt, prompts_from
from engine.records import Outcome, Record, Verdict
from engine.report.word_diff import word_diff
from engine.report.wording import visible
from engine.settings import LoopSettings, Roles
from scripts.commands.revise_run import Cast, for_stakeholder
from scripts.commands.terminal import (
    all_problems,
    error_console,
    output_console,
    run_interruptibly,
)

__all__ = ["try_prompt"]

_STYLES = {"policy": "bold cyan", "critic": "bold yellow", "reviser": "bold green"}
_NAMES = {"policy": "answer", "critic": "critique", "reviser": "revision"}


def try_prompt(constitution: str, text: str, cast: Cast, settings: LoopSettings) -> None:
    """Run one conversation and print each step as it comes. Raises InputError, also when the
    conversation itself could not be finished."""
    loaded: Constitution
    roles: Roles
    loaded, prompts, roles = all_problems(
        lambda: for_stakeholder(load_constitution(constitution), settings.stakeholder),
        lambda: list(prompts_from([text])),
        cast.open,
    )
    status = error_console().status("starting the model")
    watcher = _Watcher(output_console(), status)
    with status:
        try:
            record = run_interruptibly(
                _run(prompts[0], loaded, roles, settings, watcher), status.stop
            )
        except ConversationFailed as failed:
            raise InputError(Problem(f"the {failed.stage}", str(failed))) from failed
        except Stopped as stopped:  # nothing is kept of one conversation: there is no resuming
            raise InputError(Problem("the model", str(stopped))) from stopped
    watcher.conclude(record)


async def _run(
    prompt: Prompt,
    constitution: Constitution,
    roles: Roles,
    settings: LoopSettings,
    watcher: "_Watcher",
) -> Record:
    try:
        for generator in roles.generators:
            await generator.start()
        watcher.begin(prompt)
        return await critique_and_revise(
            prompt, constitution, roles, settings, on_step=watcher.step
        )
    finally:
        for generator in roles.generators:
            await generator.close()


class _Watcher:
    """Prints steps; remembers the principle at hand, to print its name once."""

    def __init__(self, console: Console, status: Status) -> None:
        self.console = console
        self.status = status
        self.round: int | None = None

    def begin(self, prompt: Prompt) -> None:
        """The prompt, before anything is asked."""
        self._say("prompt", "bold", prompt.messages[-1].content)
        self.status.update("answering")

    def step(self, step: Step) -> None:
        """One answer, critique, revision or verdict."""
        if step.principle is not None and step.role != "judge" and step.round != self.round:
            self.round = step.round
            self.console.print(Rule(Text(visible(step.principle.id), "bold"), align="left"))
            self._indented(Text(visible(step.principle.statement), style="italic"))
        if isinstance(step.said, Verdict):
            self.console.print(_verdict_line(step.said))
        else:
            self._say(_NAMES[step.role], _STYLES[step.role], step.said.strip())
        self.status.update("thinking")

    def conclude(self, record: Record) -> None:
        """What changed between the first answer and the last, or why nothing did."""
        self.console.print(Rule(Text("outcome", "bold"), align="left"))
        for finished in record.rounds:
            if finished.dropped:
                reason = finished.dropped.replace("_", " ")
                self.console.print(f"  {finished.principle}: not used, {reason}", style="red")
        if record.outcome is not Outcome.REVISED:
            why = f": {record.drop_reason.replace('_', ' ')}" if record.drop_reason else ""
            self.console.print(f"  {record.outcome}{why}")
            return
        self._indented(_marked(record.answer, record.final))
        if record.unresolved:
            self.console.print(f"  still broken or undecided: {', '.join(record.unresolved)}")

    def _say(self, name: str, style: str, text: str) -> None:
        self.console.print(Text(name, style=style))
        self._indented(Text(visible(text) or "(nothing)"))

    def _indented(self, text: Text) -> None:
        self.console.print(Padding(text, (0, 0, 1, 2)))


def _verdict_line(verdict: Verdict) -> Text:
    if verdict.violates is None:
        told = f"  judge  {verdict.principle}: no verdict, {verdict.reason}"
        return Text(visible(told), style="magenta")
    word = "broken" if verdict.violates else "kept"
    line = f"  judge  {verdict.principle}: {word} (probability {verdict.probability:.2f})"
    return Text(visible(line), style="red" if verdict.violates else "green")


def _marked(before: str, after: str) -> Text:
    """`after` with new words green and lost words struck through."""
    text = Text()
    for change in word_diff(before, after):
        if change.same:
            text.append(visible(change.after))
        else:
            text.append(visible(change.before), "red strike")
            text.append(visible(change.after), "bold green")
    return text
