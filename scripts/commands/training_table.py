"""The last words of `solon train`: what was trained, and the held-out figures before and after."""

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

from engine.report.wording import decimal, duration, percent
from training.trainers.output import TrainingResult

__all__ = ["print_training"]

_SHOWN = {
    "loss": "loss on held-out rows",
    "mean_token_accuracy": "tokens predicted right",
    "rewards/accuracies": "pairs ranked right",
    "rewards/margins": "reward margin",
    "accuracy": "pairs ranked right",
    "margin": "reward margin",
    "reward": "reward",
    "kl": "KL from the reference",
}
"""Figures worth a line, by their names in the manifest, and what to call them."""


def print_training(result: TrainingResult, console: Console) -> None:
    """A small table, and where everything is."""
    if result.already_complete:
        console.print(f"{result.out}: complete already; nothing to do", soft_wrap=True)
    metrics = result.metrics
    before, after = metrics.get("before", {}), metrics.get("after", {})
    table = Table(box=None, pad_edge=False, show_header=bool(before))
    table.add_column("")
    table.add_column("before", justify="right")
    table.add_column("after", justify="right")
    for name, label in _SHOWN.items():
        if name in after:
            table.add_row(label, decimal(before.get(name)) if before else "", _number(after[name]))
    for label, value in _reward_model(metrics.get("held_out_pairs", {})):
        table.add_row(label, "", value)
    if table.row_count:
        console.print(table)
    rows = result.rows
    console.print(
        f"{result.steps:,} steps in {duration(result.seconds)} on {rows.get('train', 0):,} rows, "
        f"{metrics.get('tokens_per_second', 0):,.0f} tokens/s; "
        f"training loss {_number(metrics.get('train_loss'))}"
    )
    for reason, count in result.dropped.items():
        console.print(f"{count:,} rows left out: {reason}")
    console.print(f"{result.model if result.model.is_dir() else result.out}", soft_wrap=True)


def _number(value: Any) -> str:
    return decimal(float(value)) if isinstance(value, int | float) else decimal(None)


def _reward_model(report: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The report on held-out pairs in words."""
    if not report:
        return []
    length = report["length_correlation"]
    return [
        (f"accuracy on {report['pairs']:,} held-out pairs", percent(report["accuracy"])),
        ("calibration error (0 is best)", _number(report["calibration_error"])),
        ("cross-entropy with the judge", _number(report["cross_entropy"])),
        ("reward and length, Spearman", _number(length["spearman"])),
        ("reward and length, Pearson", _number(length["pearson"])),
        ("prefers the longer answer", percent(report["prefers_longer"])),
        ("the judge preferred it", percent(report["judge_prefers_longer"])),
    ]
