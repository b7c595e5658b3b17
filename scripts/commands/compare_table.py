"""A comparison of models in the terminal."""

from collections.abc import Mapping
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

__all__ = ["print_comparison"]

_FEW = 100
"""Prompts below which a difference is more likely chance than training."""


def print_comparison(table: Mapping[str, Any], console: Console) -> None:
    """A line for each model of a comparison's `table.json`, and what to make of them."""
    shown = Table(box=SIMPLE_HEAD, collapse_padding=True, pad_edge=False, header_style="bold")
    shown.add_column("model")
    for name in ("breaks a principle", "wins over base", "tokens", "cut off", "empty"):
        shown.add_column(name, justify="right")
    for row in table["models"]:
        shown.add_row(
            row["name"],
            _share(row["violation_rate"], row["violation_interval"]),
            _share(row["win_rate"], row["win_interval"]),
            "-" if row["mean_tokens"] is None else f"{row['mean_tokens']:.0f}",
            _share(row["truncated"]),
            _share(row["empty"]),
        )
    console.print(shown)
    count, base = table["prompts"]["count"], table["models"][0]["name"]
    console.print(
        f"{count:,} held-out prompts, {table['principles_per_prompt']} principles each, judged by "
        f"{table['judge']}; base: {base}; in brackets 95 % intervals",
        highlight=False,
    )
    for row in table["models"]:
        _tell_missing(row, console)
    if count < _FEW:
        console.print(
            f"With {count:,} prompts only large differences are more than chance.", highlight=False
        )


def _tell_missing(row: Mapping[str, Any], console: Console) -> None:
    for key, what in (("failed", "prompts without an answer"), ("undecided", "verdicts not given")):
        if row[key]:
            console.print(f"  {row['name']}: {row[key]:,} {what}", highlight=False)


def _share(share: float | None, interval: list[float] | None = None) -> str:
    if share is None:
        return "-"
    if interval is None:
        return f"{share:.0%}"
    return f"{share:.0%} \\[{interval[0]:.0%}, {interval[1]:.0%}]"
