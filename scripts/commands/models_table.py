"""What was found out about models, as a table."""

from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from constitution.problems import visible
from engine.generators.facts import ModelFacts
from scripts.commands.terminal import figures_table

__all__ = ["print_facts"]


def print_facts(console: Console, facts: Sequence[ModelFacts]) -> None:
    """A line for each model, and one for each thing that was learned of how to ask it."""
    table = figures_table("model", "context", "system", "thinks", "verdicts")
    for found in facts:
        table.add_row(
            Text(visible(found.spec.partition("?")[0])),
            f"{found.context:,}" if found.context else "?",
            found.system,
            "yes" if found.reasons else "no",
            found.verdicts or "",
        )
    console.print(table)
    for found in facts:
        for note in found.notes:
            name = visible(found.spec.partition("?")[0])
            console.print(Text(f"{name} {visible(note)}", "dim"), soft_wrap=True)
