"""A training's directory: which training owns it, how it resumes, and what is left when it ends.

    manifest.json  README.md  log.jsonl  model/  adapter/  checkpoints/

The manifest says what is trained before anything else is written, and `complete: true` is the last
thing written. `data/` holds tokens while training lasts.
"""

import shutil
import subprocess
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from constitution.problems import InputError, Problem
from engine.runs.manifest import MANIFEST, versions
from engine.runs.output import OutputDirectory, OutputKind
from engine.storage.atomic import remove
from engine.storage.jsonl import read_jsonl
from training.data.rows import Rows
from training.trainers.config import TrainingConfig
from training.trainers.model_card import write_model_card

__all__ = ["Output", "TrainingResult"]

_FILES = (
    "README.md", "adapter", "checkpoints", "data", "log.jsonl", "model", "tensorboard",
    ".model.part",
)  # fmt: skip
_TRAINING = OutputKind(
    "train", "training", _FILES, worth="checkpoints/checkpoint-*/trainer_state.json"
)
_NOT_IDENTITY = {
    "chat_template", "constitution", "dataset", "eval_share", "gradient_checkpointing", "judge",
    "liger", "model", "out", "push_to_hub", "reference", "report_to", "reward_model", "save_every",
    "test_dataset", "trust_remote_code", "vllm", "vllm_memory",
}  # fmt: skip
"""Settings that move no weight, or count by the content they name."""


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
        self.directory = OutputDirectory(
            self.path,
            _TRAINING,
            {"trainer": trainer, "rows": rows.digest, **identity, **settings},
            "overwrite" if overwrite else "resume",
        )
        self.is_main = True
        self.finished: TrainingResult | None = None
        """What an earlier run of the same training left, if it is complete."""
        self._stack = ExitStack()

    def find_finished(self) -> TrainingResult | None:
        """What the directory holds if it is this very training, complete. Needs no model library.

        Raises InputError as entering does.
        """
        found = self.directory.look()
        return _result(self.path, found) if found and found["complete"] else None

    def __enter__(self) -> "Output":
        from accelerate import PartialState

        processes = PartialState()
        self.is_main = processes.is_main_process
        self.finished = self.find_finished()
        processes.wait_for_everyone()
        with ExitStack() as stack:
            if self.is_main:
                stack.enter_context(self.directory)
            processes.wait_for_everyone()
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

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
        kept = asdict(result)
        facts = {
            "trainer": self.trainer,
            "config": self.config.model_dump(mode="json"),
            "data": {"dataset": self.config.dataset, "hash": self.rows.digest},
            "constitution": self.rows.constitutions[0] if self.rows.constitutions else "",
            "constitutions": list(self.rows.constitutions),
            "git_revision": _git_revision(),
            "versions": versions(),
            **{k: kept[k] for k in ("steps", "seconds", "rows", "dropped", "metrics")},
        }
        write_model_card(self.path / "README.md", facts)
        for directory in ("model", "adapter"):
            if (self.path / directory).is_dir():
                shutil.copyfile(self.path / "README.md", self.path / directory / "README.md")
        remove(self.path / "data")
        if self.config.save_every is None:
            remove(self.checkpoints)
        self.directory.write("complete", facts)


def _result(out: Path, manifest: Mapping[str, Any]) -> TrainingResult:
    names = ("trainer", "steps", "seconds", "rows", "dropped", "metrics")
    if missing := [name for name in names if name not in manifest]:
        what = f"is damaged: it has no `{missing[0]}`"
        remedy = "restore it, or replace the training with --overwrite"
        raise InputError(Problem(str(out / MANIFEST), what, remedy))
    return TrainingResult(out=out, already_complete=True, **{n: manifest[n] for n in names})


def _git_revision() -> str | None:
    """Of this code, with `+` where it was changed since; None where it is not in a repository."""
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty=+"]
    command += ["--abbrev=40", "--exclude=*"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
