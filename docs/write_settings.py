"""Writes the page of every configuration file's keys, from the classes that read them.

python docs/write_settings.py docs/settings.md
"""

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic.fields import FieldInfo

from constitution.typed_yaml import Settings, section_of
from engine.guard.settings import ServeConfig
from engine.redteam.config import RedTeamConfig
from engine.runs.config import AnswerConfig, LabelConfig, LoopConfig, LoopTestConfig, ReviseConfig
from engine.settings import AnswerSettings
from engine.writing.config import PromptsConfig
from scripts.commands.judge_config import CalibrateConfig, FitConfig
from training.data.split import SplitConfig
from training.evaluation.config import EvaluateConfig
from training.monitor.monitor import MonitorConfig
from training.recipe.schema import Recipe
from training.trainers.best_of_n import BestOfNConfig
from training.trainers.config import (
    DPOTrainingConfig,
    GRPOTrainingConfig,
    KTOTrainingConfig,
    PPOTrainingConfig,
    RewardModelConfig,
    RLOOTrainingConfig,
    SFTTrainingConfig,
    TrainingConfig,
)
from training.trainers.reward_config import Reward

__all__ = ["settings_page"]

_FILES: dict[str, type[Settings]] = {
    "solon prompts --config FILE": PromptsConfig,
    "solon redteam --config FILE": RedTeamConfig,
    "solon try --config FILE": LoopConfig,
    "solon revise --config FILE": ReviseConfig,
    "solon label --config FILE": LabelConfig,
    "solon answer --config FILE": AnswerConfig,
    "solon split --config FILE": SplitConfig,
    "solon constitution test --config FILE": LoopTestConfig,
    "solon judge fit --config FILE": FitConfig,
    "solon judge calibrate --config FILE": CalibrateConfig,
    "solon evaluate --config FILE": EvaluateConfig,
    "solon serve --config FILE": ServeConfig,
    "solon monitor --config FILE": MonitorConfig,
    "solon train TRAINER --config FILE": TrainingConfig,
    "solon train sft": SFTTrainingConfig,
    "solon train dpo": DPOTrainingConfig,
    "solon train reward-model": RewardModelConfig,
    "solon train kto": KTOTrainingConfig,
    "solon train grpo": GRPOTrainingConfig,
    "solon train rloo": RLOOTrainingConfig,
    "solon train ppo": PPOTrainingConfig,
    "an entry of `rewards`": Reward,
    "solon best-of-n --config FILE": BestOfNConfig,
    "solon run RECIPE": Recipe,
}
_SAID_AT_THE_TOP = {*AnswerSettings.model_fields, "stakeholder"}
"""Of a recipe; its sections have them from there."""
_HEAD = """# Configuration files

Written by `make docs` from the classes that read these files. A key with a dot is one of a section:
`sampling.max_tokens` is `max_tokens` under `sampling:`. An unknown key, a wrong type or a value out of
range is refused, all of them at once, each with its line. Every trainer has the keys of
`solon train TRAINER`; below them are those that one has besides, or with another default.
"""


def settings_page() -> str:
    """The page, in Markdown: a table of keys for each kind of file."""
    return "\n".join([_HEAD, *(_section(name, kind) for name, kind in _FILES.items())])


def _section(name: str, kind: type[Settings]) -> str:
    rows = [_row(key, field) for key, field in _leaves(kind) if not _is_at_the_top(kind, key)]
    if issubclass(kind, TrainingConfig) and kind is not TrainingConfig:
        shared = {_row(key, field) for key, field in _leaves(TrainingConfig)}
        rows = [row for row in rows if row not in shared]
    table = "\n".join(["| key | default | |", "|---|---|---|", *rows])
    return f"## {name}\n\n{table}\n"


def _row(key: str, field: FieldInfo) -> str:
    return f"| `{key}` | {_default(field)} | {_cell(_told(field))} |"


def _is_at_the_top(kind: type[Settings], key: str) -> bool:
    return kind is Recipe and "." in key and key.rpartition(".")[2] in _SAID_AT_THE_TOP


def _leaves(kind: type[Settings], prefix: str = "") -> Iterator[tuple[str, FieldInfo]]:
    """Each key with its field; the keys of a section follow its name, with the section's defaults."""
    for name, field in kind.model_fields.items():
        section = section_of(field)
        if section is None or not _is_always_there(field):
            yield f"{prefix}{name}", field
        if section is None:
            continue
        for key, inner in _leaves(section, f"{prefix}{name}."):
            default = getattr(field.default, key.rpartition(".")[2], inner.default)
            if inner.is_required() and not _is_always_there(field):
                default = _Needed(key.rpartition(".")[0])
            yield key, FieldInfo.merge_field_infos(inner, default=default)


def _is_always_there(field: FieldInfo) -> bool:
    """Whether a section is one, and may not be null or a plain value in its place."""
    return isinstance(field.annotation, type)


@dataclass(frozen=True)
class _Needed:
    """In place of a default: the key has none, and its section may be left out."""

    section: str


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    if isinstance(value, _Needed):
        return f"required in `{value.section}`"
    return f"`{json.dumps(value, default=str)}`"


def _told(field: FieldInfo) -> str:
    """The description, and the values that there are to choose from."""
    choices = _choices(field.annotation)
    return " ".join(filter(None, [field.description, f"One of {choices}." if choices else ""]))


def _choices(annotation: Any) -> str:
    values = [value for value in getattr(annotation, "__args__", ()) if isinstance(value, str)]
    return ", ".join(f"`{value}`" for value in values)


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(settings_page(), encoding="utf-8")
