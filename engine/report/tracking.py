"""What a finished run or evaluation tells a tracker: its figures, and a table of samples.

Each package takes the figures as metrics of one run and the table in its own form. Where they go is the
package's own business: its environment variables say so (`WANDB_MODE`, `TRACKIO_DIR`,
`MLFLOW_TRACKING_URI`).
"""

import importlib.util
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from constitution.problems import InputError, Problem, visible
from engine.settings import Tracker

__all__ = ["PROJECT", "Tracked", "check_tracker", "track"]

PROJECT = "solon"
"""Under which every tracker keeps the runs, trainings too."""
_LONGEST = 4_000
"""Characters of a cell."""


@dataclass(frozen=True, slots=True)
class Tracked:
    """What one run reports. Figures that are not known are left out; cells are texts."""

    name: str
    settings: Mapping[str, Any]
    figures: Mapping[str, float | None]
    columns: tuple[str, ...] = ()
    rows: Sequence[Sequence[str]] = field(default=())

    @property
    def known(self) -> dict[str, float]:
        """The figures that there are."""
        given = self.figures.items()
        return {name: float(v) for name, v in given if v is not None and math.isfinite(v)}

    @property
    def cells(self) -> list[list[str]]:
        """The table, with nothing hidden in it and no cell that is too long."""
        return [[visible(cell)[:_LONGEST] for cell in row] for row in self.rows]


def check_tracker(tracker: Tracker, where: str = "--report-to") -> None:
    """Raise InputError, before anything is generated, where the tracker's package is missing."""
    if tracker != "none" and importlib.util.find_spec(tracker) is None:
        raise InputError(Problem(where, f"{tracker} is not installed", f"pip install {tracker}"))


def track(tracker: Tracker, tracked: Tracked, folder: Path) -> None:
    """Report to the tracker; what it keeps on this disk by itself is in `folder` where it can be."""
    match tracker:
        case "tensorboard":
            _tensorboard(tracked, folder / "tensorboard")
        case "wandb":
            _wandb(tracked, folder)
        case "trackio":
            _trackio(tracked)
        case "mlflow":
            _mlflow(tracked)


def _wandb(tracked: Tracked, folder: Path) -> None:
    import wandb

    run = wandb.init(
        project=PROJECT, name=tracked.name, dir=str(folder), config=dict(tracked.settings)
    )
    run.log(tracked.known)
    if tracked.rows:
        run.log({"samples": wandb.Table(columns=list(tracked.columns), data=tracked.cells)})
    run.finish()


def _trackio(tracked: Tracked) -> None:
    import trackio

    trackio.init(project=PROJECT, name=tracked.name, config=dict(tracked.settings))
    trackio.log(tracked.known)
    if tracked.rows:
        table = trackio.Table(columns=list(tracked.columns), data=tracked.cells)
        trackio.log({"samples": table})
    trackio.finish()


def _mlflow(tracked: Tracked) -> None:
    import mlflow

    mlflow.set_experiment(PROJECT)
    with mlflow.start_run(run_name=tracked.name):
        mlflow.log_dict(dict(tracked.settings), "settings.json")
        mlflow.log_metrics({_plain(name): value for name, value in tracked.known.items()})
        if tracked.rows:
            columns = zip(tracked.columns, zip(*tracked.cells, strict=True), strict=True)
            mlflow.log_table({name: list(cells) for name, cells in columns}, "samples.json")


def _plain(name: str) -> str:
    """MLflow takes letters, digits and a few marks in a metric's name."""
    return "".join(c if c.isalnum() or c in "_-./ " else "_" for c in name)


def _tensorboard(tracked: Tracked, folder: Path) -> None:
    """Its own writer, without torch: a scalar for each figure, the table as Markdown text."""
    import time

    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.plugins.text.metadata import create_summary_metadata
    from tensorboard.summary.writer.event_file_writer import EventFileWriter
    from tensorboard.util.tensor_util import make_tensor_proto

    folder.mkdir(parents=True, exist_ok=True)
    writer, now = EventFileWriter(str(folder)), time.time()
    values = [Summary.Value(tag=name, simple_value=v) for name, v in tracked.known.items()]
    if tracked.rows:
        table = make_tensor_proto([_markdown(tracked).encode()])
        about = create_summary_metadata("samples", "")
        values.append(Summary.Value(tag="samples/text_summary", metadata=about, tensor=table))
    writer.add_event(Event(wall_time=now, step=0, summary=Summary(value=values)))
    writer.close()


def _markdown(tracked: Tracked) -> str:
    rows = [tracked.columns, ["---"] * len(tracked.columns), *tracked.cells]
    return "\n".join("| " + " | ".join(map(_cell, row)) + " |" for row in rows)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")
