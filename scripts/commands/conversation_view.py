"""One conversation on the terminal, step by step, with changed words marked."""

from collections.abc import Callable

from rich.console import Console
from rich.live import Live
from rich.padding import Padding
from rich.rule import Rule
from rich.status import Status
from rich.text import Text

from constitution.word_diff import word_diff
from engine.loop.asking import Step
from engine.prompts.sources import Prompt
from engine.records import Outcome, Record, Verdict
from engine.report.wording import in_words, visible

__all__ = ["Watcher"]

_STYLES = {"policy": "bold cyan", "critic": "bold yellow", "reviser": "bold green"}
_NAMES = {"policy": "answer", "critic": "critique", "reviser": "revision"}

_TAIL = 600
"""Characters of a text being written that are shown."""


class Watcher:
    """Prints steps; remembers the principle at hand, to print its name once."""

    def __init__(self, console: Console, status: Status) -> None:
        self.console = console
        self.status = status
        self.live = _LiveText(console) if console.is_terminal else None
        self.round: int | None = None

    def begin(self, prompt: Prompt) -> None:
        """The prompt, before anything is asked."""
        if self.live:
            self.status.stop()  # what is being written takes its place
        self._say("prompt", "bold", prompt.messages[-1].content)
        self.status.update("answering")

    @property
    def on_text(self) -> Callable[[str, str], None] | None:
        """For the loop: shows what is being written, where there is a terminal."""
        return self._writing if self.live else None

    def _writing(self, role: str, text: str) -> None:
        if self.live:
            self.live(_NAMES[role], text)

    def step(self, step: Step) -> None:
        """One answer, critique, revision or verdict."""
        self.heading(step)
        if isinstance(step.said, Verdict):
            self.console.print(_verdict_line(step.said))
        else:
            self._say(_NAMES[step.role], _STYLES[step.role], step.said.strip())
        self.status.update("thinking")

    def changed(self, step: Step, before: str, after: str) -> None:
        """What a role says now, with the words marked that it did not say before."""
        self.heading(step)
        self.console.print(Text(_NAMES[step.role], style=_STYLES[step.role]))
        self._indented(_marked(before, after))

    def heading(self, step: Step) -> None:
        """The principle, when its first step is shown."""
        if self.live:
            self.live.stop()
        if step.principle is None or step.role == "judge" or step.round == self.round:
            return
        self.round = step.round
        self.console.print(Rule(Text(visible(step.principle.id), "bold"), align="left"))
        self._indented(Text(visible(step.principle.statement), style="italic"))

    def forget(self) -> None:
        """Before the conversation is shown again."""
        self.round = None
        if self.live:
            self.live.stop()

    def conclude(self, record: Record) -> None:
        """What changed between the first answer and the last, or why nothing did."""
        self.console.print(Rule(Text("outcome", "bold"), align="left"))
        for finished in record.rounds:
            if finished.dropped:
                reason = in_words(finished.dropped)
                self.console.print(f"  {finished.principle}: not used, {reason}", style="red")
        if record.outcome is not Outcome.REVISED:
            why = f": {in_words(record.drop_reason)}" if record.drop_reason else ""
            self.console.print(f"  {record.outcome}{why}")
        if record.final != record.answer:
            self._indented(_marked(record.answer, record.final))
        if record.unresolved:
            self.console.print(f"  still broken or undecided: {', '.join(record.unresolved)}")

    def _say(self, name: str, style: str, text: str) -> None:
        self.console.print(Text(name, style=style))
        self._indented(Text(visible(text) or "(nothing)"))

    def _indented(self, text: Text) -> None:
        self.console.print(Padding(text, (0, 0, 1, 2)))


class _LiveText:
    """The end of what a role is writing, on a terminal, gone once it is finished."""

    def __init__(self, console: Console) -> None:
        self._live = Live(console=console, transient=True, refresh_per_second=10)
        self._shown = False

    def __call__(self, role: str, text: str) -> None:
        """Show `text` so far."""
        if not self._shown:
            self._live.start()
            self._shown = True
        self._live.update(Text(f"{role}: {visible(text[-_TAIL:])}", "dim"))

    def stop(self) -> None:
        """Take it off the terminal."""
        if self._shown:
            self._live.stop()
            self._shown = False


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
