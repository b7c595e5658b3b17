"""A training's directory: which training owns it, how it resumes, and what is left when it ends.

    manifest.json  README.md  log.jsonl  model/  adapter/  checkpoints/

The manifest says what is trained before anything else is written, and `complete: true` is the last
thing written. `data/` holds tokens while training lasts.
"""

import os
import shutil
import subprocess
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import yaml

from constitution.problems import InputError, Problem
from constitution.reading import NotJson, parse_json, read_json
from engine.generators.model_files import is_path
from engine.report.wording import setting_rows
from engine.runs.manifest import MANIFEST, versions
from engine.runs.output import OutputDirectory, OutputKind
from engine.storage.atomic import remove, write_json_atomic
from engine.storage.jsonl import read_jsonl
from training.data.rows import Rows
from training.trainers.config import TrainingConfig
from training.trainers.publish import publish, refuse_unpublishable

__all__ = ["Output", "TrainingResult", "write_model_card"]

_FILES = (
    "README.md", "adapter", "base", "checkpoints", "data", "log.jsonl", "model", "tensorboard",
    ".model.part",
)  # fmt: skip
_TRAINING = OutputKind(
    "train", "training", _FILES, worth="checkpoints/checkpoint-*/trainer_state.json"
)
_NOT_IDENTITY = {
    "attention", "chat_template", "constitution", "dataset", "eval_share", "gradient_checkpointing",
    "judge", "keep_checkpoints", "liger", "model", "out", "push_to_hub", "reference", "report_to",
    "reward_model", "rewards", "save_every", "test_dataset", "trust_remote_code", "value_model", "vllm",
    "vllm_memory", "vllm_server", "vllm_sleep", "vllm_tensor_parallel",
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
        """What the directory holds if it is this very training, complete, and published where that is
        asked for and has not been. Needs no model library.

        Raises InputError as entering does, and where what is to be trained may not be published;
        Stopped where publishing fails.
        """
        found = self.directory.look()
        if not found or not found["complete"]:
            refuse_unpublishable(self.config)
            return None
        result = _result(self.path, found)
        first = os.environ.get("RANK", "0") == "0"
        if first and self.config.push_to_hub not in (None, found.get("published")):
            self.publish()
        return result

    def publish(self) -> None:
        """Upload the finished model where that is asked for, and note it in the manifest. Raises
        Stopped where it fails."""
        if self.config.push_to_hub is None:
            return
        publish(self.config)
        manifest = read_json(self.path / MANIFEST, dict)
        write_json_atomic(self.path / MANIFEST, {**manifest, "published": self.config.push_to_hub})

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


_DOES = {
    "sft": "Supervised fine-tuning on answers revised under a constitution.",
    "dpo": "Direct preference optimization on AI feedback under a constitution.",
    "reward-model": "A reward model of AI feedback under a constitution: one number for a "
    "conversation, higher where the answer fits the constitution better.",
    "kto": "Kahneman-Tversky optimization on good and bad answers.",
    "grpo": "Group relative policy optimization with rewards under a constitution.",
    "ppo": "Proximal policy optimization with rewards under a constitution.",
    "rloo": "REINFORCE leave-one-out with rewards under a constitution.",
}


def write_model_card(file: Path, manifest: Mapping[str, Any]) -> None:
    """Write the card of a finished training, in Hugging Face's form."""
    front = yaml.safe_dump(_front_matter(manifest), sort_keys=False, allow_unicode=True)
    file.write_text(f"---\n{front}---\n\n{_body(manifest)}", encoding="utf-8")


def _front_matter(manifest: Mapping[str, Any]) -> dict[str, Any]:
    base = str(manifest["config"]["model"])
    is_hub_name = "/" in base and not is_path(base) and not Path(base).exists()
    trainer = manifest["trainer"]
    return {
        "library_name": "transformers",
        "pipeline_tag": "text-classification" if trainer == "reward-model" else "text-generation",
        **({"base_model": base.removeprefix("hf:")} if is_hub_name else {}),
        "tags": ["constitutional-ai", "trl", trainer],
    }


def _body(manifest: Mapping[str, Any]) -> str:
    rows, dropped = manifest["rows"], manifest["dropped"]
    constitutions = ", ".join(f"`{name}`" for name in manifest["constitutions"])
    lines = [
        f"# {Path(manifest['config']['out']).name}",
        "",
        _DOES[manifest["trainer"]],
        "",
        "| | |",
        "|---|---|",
        f"| base model | `{manifest['config']['model']}` |",
        f"| rows | {rows.get('train', 0):,} to train on, {rows.get('test', 0):,} held out |",
        *(f"| rows left out | {count:,}: {reason} |" for reason, count in dropped.items()),
        f"| data | `{Path(manifest['data']['dataset']).name}` (`{manifest['data']['hash']}`) |",
        f"| constitution | {constitutions or 'none named in the rows'} |",
        f"| steps | {manifest['steps']:,} in {manifest['seconds']:,.0f} s |",
        f"| code | `{manifest['git_revision'] or 'not in a repository'}` |",
        "",
        *_table("Measured", "metric", _numbers(manifest["metrics"])),
        *_table("Settings", "setting", setting_rows(manifest["config"])),
        *_table("Versions", "package", setting_rows(manifest["versions"])),
        "## Use",
        "",
        "Trained on what models wrote and judged. Measure harm, helpfulness and over-refusal on "
        "prompts of your own before anyone relies on it. The licences of the base model and of the "
        "prompts apply.",
        "",
    ]
    return "\n".join(lines)


def _numbers(metrics: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Single figures by dotted name; lists are in the manifest."""
    found = []
    plain = {name: value for name, value in metrics.items() if not isinstance(value, list)}
    for name, text in setting_rows(plain):
        with suppress(NotJson):
            if isinstance(value := parse_json(text), int | float):
                found.append((name, f"{float(value):.4g}"))
    return found


def _table(title: str, name: str, rows: list[tuple[str, str]]) -> list[str]:
    if not rows:
        return []
    lines = [f"| {key} | {value.replace('|', chr(92) + '|')} |" for key, value in rows]
    return [f"## {title}", "", f"| {name} | |", "|---|---|", *lines, ""]
