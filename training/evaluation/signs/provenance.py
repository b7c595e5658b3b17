"""What a checkpoint was trained on, from the manifests that training leaves beside models."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from constitution.problems import InputError, Problem
from engine.generators.spec import read_spec
from engine.prompts.files import open_prompt_file
from engine.runs.manifest import read_manifest

__all__ = ["TrainingRows", "training_cost", "training_rows"]

_DEEPEST = 50
"""Checkpoints trained from checkpoints: more than that is a circle."""


@dataclass(frozen=True, slots=True)
class TrainingRows:
    """The row files that checkpoints were trained on, and their prompts, streamed."""

    files: tuple[Path, ...]
    reward_judges: frozenset[str] = frozenset()
    """Specs of the judges that rewarded online training."""

    def prompts(self) -> Iterator[str]:
        """The last user turn of each row."""
        for row in self._rows():
            turns = row.get("prompt")
            if isinstance(turns, str):
                yield turns
            elif isinstance(turns, list) and turns and isinstance(turns[-1], dict):
                yield str(turns[-1].get("content", ""))

    def judges(self) -> set[str]:
        """Specs of the judges that the training listened to."""
        return {str(row["judge"]) for row in self._rows() if row.get("judge")} | self.reward_judges

    def _rows(self) -> Iterator[Mapping[str, Any]]:
        for path in self.files:
            with suppress(InputError):
                for row in open_prompt_file(path).read():
                    if row.value is not None:
                        yield row.value


def training_rows(specs: Iterable[str], files: Iterable[Path] = ()) -> TrainingRows:
    """The rows of the models that `specs` name and of those they were trained from, as far as
    manifests and rows are still there, and those of `files`. Raises InputError if one is missing."""
    named = [path / "train.jsonl" if path.is_dir() else path for path in files]
    if missing := [path for path in named if not path.is_file()]:
        remedy = "name files of training rows"
        raise InputError(Problem(str(path), "is missing", remedy) for path in missing)
    rows = dict.fromkeys(path.resolve() for path in named)
    judges = set()
    for spec in specs:
        for config in _configs(spec):
            dataset = Path(str(config.get("dataset", "")))
            path = dataset / "train.jsonl" if dataset.is_dir() else dataset
            if path.suffix == ".jsonl" and path.is_file():
                rows.setdefault(path.resolve())
            listed = [reward.get("judge") for reward in config.get("rewards") or ()]
            judges |= {judge for judge in (config.get("judge"), *listed) if isinstance(judge, str)}
    return TrainingRows(tuple(rows), frozenset(judges))


def training_cost(spec: str) -> dict[str, float] | None:
    """What the training of a model took, with those before it that drew on the same budget, as its
    manifest says: `gpu_hours`, `tokens`, `steps`. None where there is none."""
    model = Path(read_spec(spec).name)
    named = model.is_dir() and model != Path()
    metrics = ((_manifest(model) if named else None) or {}).get("metrics") or {}
    cost = metrics.get("cost")
    if not isinstance(cost, dict):
        return None
    before = cost.get("before") or {}
    names = ("gpu_hours", "tokens", "steps")
    return {name: float(cost.get(name, 0)) + float(before.get(name, 0)) for name in names}


def _configs(spec: str) -> Iterator[dict[str, Any]]:
    """The settings that made a model, and the model it was made from, and so on."""
    model: Any = read_spec(spec).name
    for _ in range(_DEEPEST):
        manifest = _manifest(Path(model)) if isinstance(model, str) and model else None
        if manifest is None:
            return
        config = manifest["config"]
        yield config
        model = config.get("model")


def _manifest(model: Path) -> dict[str, Any] | None:
    """The manifest of a training beside a model, or in its own directory."""
    for folder in (model, model.parent):
        try:
            manifest = read_manifest(folder) or {}
        except (OSError, InputError):
            continue
        if isinstance(manifest.get("config"), dict):
            return dict(manifest)
    return None
