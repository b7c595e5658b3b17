"""`solon label`: a policy's answers, paired and compared by a judge."""

from typing import TYPE_CHECKING

from scripts.commands import options as o

if TYPE_CHECKING:
    from engine.runs.config import LabelConfig

__all__ = ["label"]


def _config() -> "type[LabelConfig]":
    from engine.runs.config import LabelConfig

    return LabelConfig


@o.configured(_config)
def label(config: "LabelConfig", update: o.Update = False, overwrite: o.Overwrite = False) -> None:
    """Sample answers, pair them, and record which of each pair fits the constitution better."""
    from scripts.commands.label_run import label_into
    from scripts.commands.run_command import run_mode

    label_into(config, run_mode(update=update, overwrite=overwrite))
