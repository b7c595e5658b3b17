"""A run that answers: prompts and a model's own answers to them, in a directory."""

import json
from pathlib import Path
from typing import Any

from engine.loop.answer import answer_for_training
from engine.messages import assistant
from engine.prompts.sources import PromptSource
from engine.records import AnswerOutcome, AnswerRecord
from engine.runs.directory import ANSWER, ANSWERS
from engine.runs.output import Mode
from engine.runs.run import Run, RunSpec
from engine.settings import AnswerSettings, RoleModel
from engine.storage.atomic import replacing
from engine.storage.jsonl import read_jsonl

__all__ = ["AnswerRun", "write_answers"]


class AnswerRun(Run[AnswerRecord]):
    """A run that only answers. Raises as Run does.

    Its answers are written once more as rows to train on, `prompt` and `completion`, to the file
    `answers`, whole or not at all, when every prompt has its record.
    """

    def __init__(
        self,
        out: Path,
        prompts: PromptSource,
        model: RoleModel,
        settings: AnswerSettings,
        *,
        mode: Mode = "resume",
        window: int | None = None,
    ) -> None:
        spec = RunSpec(
            kind=ANSWER,
            prompts=prompts,
            constitution=None,
            models={"policy": model},
            settings=settings,
            work=lambda models: (
                lambda prompt, on_tokens: answer_for_training(
                    prompt, models["policy"], settings, on_tokens
                )
            ),
            expected_tokens=2 * model.sampling.max_tokens,
        )
        super().__init__(out, spec, mode, window)
        self.answers = out / ANSWERS

    @property
    def complete(self) -> bool:
        """Whether every prompt has its record already, and the answers are there to train on."""
        return super().complete and self.answers.is_file()

    def finish(self) -> None:
        """Write the rows to train on."""
        write_answers(self.directory.path)


def write_answers(run: Path) -> None:
    """Write the rows to train on of the answers in a directory, whole or not at all."""
    with replacing(run / ANSWERS) as file:
        for record in read_jsonl(run / "records.jsonl"):
            if record["outcome"] == AnswerOutcome.ANSWERED:
                file.write(_row(record))


def _row(record: dict[str, Any]) -> bytes:
    row = {
        "id": record["id"],
        "prompt": record["prompt"],
        "completion": assistant(record["answer"]),
        "truncated": record["truncated"],
    }
    text = json.dumps(row, ensure_ascii=False, separators=(",", ":"))
    return text.encode("utf-8", "backslashreplace") + b"\n"
