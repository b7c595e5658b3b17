"""A training's directory: whose it is, how it is taken up again, and what is left when it ends.

    manifest.json  README.md  log.jsonl  model/  adapter/  checkpoints/

The manifest says what is trained before anything else is written, and `complete: true` is the last
thing written. `data/` holds tokens while training lasts.
"""

import importlib.metadata
import json
import shutil
import subprocess
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any

from constitution.problems import InputError, Problem
from engine.storage.jsonl import DirectoryLock, read_jsonl, write_json_atomic
from training.data.rows import Rows
from training.trainers.config import TrainingConfig
from training.trainers.model_card import write_model_card

__all__ = ["Output", "TrainingResult", "versions"]

FORMAT = 1
"""Version of a training's directory; `solon_training` in its manifest."""
_OWN = (
    "README.md", "adapter", "checkpoints", "data", "log.jsonl", "model", "tensorboard",
    ".model.part",
)  # fmt: skip
_NOT_IDENTITY = {
    "chat_template", "constitution", "dataset", "eval_share", "gradient_checkpointing", "judge",
    "liger", "model", "out", "push_to_hub", "reference", "report_to", "reward_model", "save_every",
    "test_dataset", "trust_remote_code", "vllm", "vllm_memory",
}  # fmt: skip
"""Settings that move no weight, or count by the content they name."""
_PACKAGES = ("accelerate", "datasets", "peft", "torch", "transformers", "trl")


@dataclass(frozen=True, slots=True)
class TrainingResult:
    """How a training ended. `dropped` counts rows by reason, over all splits.

    `metrics` may be nested; losses are means per token (SFT) or per pair.
    """

    trainer: str
    out: Path
    steps: int
    seconds: float
    rows: Mapping[str, int]
    dropped: Mapping[str, int]
    metrics: Mapping[str, Any]
    already_complete: bool = False

    @property
    def model(self) -> Path:
        """Directory of the final model."""
        return self.out / "model"


class Output:
    """The directory `config.out`, held by one training at a time. Use as a context manager.

    `identity` is what the model depends on besides the rows and the settings. Entering raises
    InputError when the directory holds another training (unless `overwrite`) or other files.
    """

    def __init__(
        self,
        trainer: str,
        config: TrainingConfig,
        rows: Rows,
        identity: Mapping[str, str],
        *,
        overwrite: bool = False,
    ) -> None:
        self.path = Path(config.out)
        self.trainer = trainer
        self.config = config
        self.rows = rows
        settings = config.model_dump(mode="json", exclude=_NOT_IDENTITY)
        self.identity = {"trainer": trainer, "rows": rows.digest, **identity, **settings}
        self.overwrite = overwrite
        self.is_main = True
        self.finished: TrainingResult | None = None
        """What an earlier run of the same training left, if it is complete."""
        self._stack = ExitStack()

    def find_finished(self) -> TrainingResult | None:
        """What the directory holds if it is this very training, complete. Needs no model library.

        Raises InputError as entering does.
        """
        found = self._check()
        return _result(self.path, found) if found and found["complete"] else None

    # Opening ------------------------------------------------------------------------------------

    def __enter__(self) -> "Output":
        from accelerate import PartialState

        processes = PartialState()
        self.is_main = processes.is_main_process
        found = self._check()
        processes.wait_for_everyone()
        if self.is_main:
            self.path.mkdir(parents=True, exist_ok=True)
            self._stack.enter_context(DirectoryLock(self.path))
        with self._stack:
            if found and found["complete"] and not self.overwrite:
                self.finished = _result(self.path, found)
            elif self.is_main:
                self._claim(found)
            processes.wait_for_everyone()
            self._stack = self._stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()

    def _check(self) -> dict[str, Any] | None:
        """The manifest of this very training, None if it starts anew. Writes nothing."""
        if self.path.exists() and not self.path.is_dir():
            raise InputError(Problem(str(self.path), "is a file", "name a directory with --out"))
        file = self.path / "manifest.json"
        if not file.exists():
            self._refuse_foreign_files()
            return None
        found = _read(file)
        if not found.get("identity") or self.overwrite:
            return None
        changed = _differences(found["identity"], self.identity)
        if not changed:
            return found
        if not found["complete"] and self.last_checkpoint is None:
            return None
        what = f"holds another training: {'; '.join(changed)}"
        remedy = "name another directory with --out, or replace it with --overwrite"
        raise InputError(Problem(str(self.path), what, remedy))

    def _refuse_foreign_files(self) -> None:
        names = [p.name for p in self.path.iterdir()] if self.path.is_dir() else []
        strange = [n for n in names if n != "lock" and not n.startswith(".manifest.json.")]
        if strange:
            what = f"is not a training: it holds {min(strange)} and no manifest.json"
            raise InputError(Problem(str(self.path), what, "name another directory with --out"))

    def _claim(self, found: dict[str, Any] | None) -> None:
        """Make room unless this training is taken up again. A kill at any step leaves nothing that
        looks complete, or like a checkpoint of this training."""
        if found is not None:
            return
        start = {"solon_training": FORMAT, "trainer": self.trainer, "complete": False}
        write_json_atomic(self.path / "manifest.json", {**start, "identity": {}})
        for name in _OWN:
            _remove(self.path / name)
        started = {**start, "started": _now(), "identity": self.identity}
        write_json_atomic(self.path / "manifest.json", started)

    # While training -----------------------------------------------------------------------------

    @property
    def checkpoints(self) -> Path:
        """Where the trainer saves its state."""
        return self.path / "checkpoints"

    @property
    def last_checkpoint(self) -> Path | None:
        """The newest whole one: the trainer writes its state's file last."""
        whole = [path.parent for path in self.checkpoints.glob("checkpoint-*/trainer_state.json")]
        return max(whole, key=lambda path: int(path.name.rpartition("-")[2]), default=None)

    @property
    def log(self) -> Path:
        """Metrics, one JSON object for a logged step."""
        return self.path / "log.jsonl"

    def logged(self, step: int, prefix: str) -> dict[str, Any]:
        """What the log says at a step under keys that begin with `prefix`."""
        found: dict[str, Any] = {}
        for line in read_jsonl(self.log) if self.log.exists() else ():
            if line["step"] == step:
                found |= {name: v for name, v in line.items() if name.startswith(prefix)}
        return found

    # The end ------------------------------------------------------------------------------------

    def complete(self, result: TrainingResult) -> None:
        """Write the card, then the manifest; the tokens are no longer needed."""
        manifest = self._manifest(result)
        write_model_card(self.path / "README.md", manifest)
        for directory in ("model", "adapter"):
            if (self.path / directory).is_dir():
                shutil.copyfile(self.path / "README.md", self.path / directory / "README.md")
        _remove(self.path / "data")
        if self.config.save_every is None:
            _remove(self.checkpoints)
        write_json_atomic(self.path / "manifest.json", manifest)

    def _manifest(self, result: TrainingResult) -> dict[str, Any]:
        started = json.loads((self.path / "manifest.json").read_bytes())
        kept = asdict(result)
        return {
            **{k: v for k, v in started.items() if k not in ("complete", "identity")},
            "finished": _now(),
            "config": self.config.model_dump(mode="json"),
            "identity": self.identity,
            "data": {"dataset": self.config.dataset, "hash": self.rows.digest},
            "constitution": self.rows.constitutions[0] if self.rows.constitutions else "",
            "constitutions": list(self.rows.constitutions),
            "git_revision": _git_revision(),
            "versions": versions(),
            **{k: kept[k] for k in ("steps", "seconds", "rows", "dropped", "metrics")},
            "complete": True,
        }


def versions() -> dict[str, str]:
    """Of Python's packages that decide what is trained."""
    found = {}
    for package in _PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def _read(file: Path) -> dict[str, Any]:
    remedy = "restore it, or name another directory with --out"
    try:
        manifest = json.loads(file.read_bytes())
    except ValueError as error:
        raise InputError(Problem(str(file), f"is damaged: {error}", remedy)) from error
    if not isinstance(manifest, dict) or manifest.get("solon_training") != FORMAT:
        raise InputError(Problem(str(file), "is not the manifest of a training", remedy))
    return manifest


def _differences(theirs: Mapping[str, Any], ours: Mapping[str, Any]) -> list[str]:
    names = dict.fromkeys([*ours, *theirs])
    return [
        f"{name} was {theirs.get(name)}, now {ours.get(name)}"
        for name in names
        if theirs.get(name) != ours.get(name)
    ]


def _result(out: Path, manifest: Mapping[str, Any]) -> TrainingResult:
    names = ("trainer", "steps", "seconds", "rows", "dropped", "metrics")
    return TrainingResult(
        out=out, already_complete=True, **{name: manifest[name] for name in names}
    )


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _git_revision() -> str | None:
    """Of this code, with `+` where it was changed since; None where it is not in a repository."""
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty=+"]
    command += ["--abbrev=40", "--exclude=*"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
