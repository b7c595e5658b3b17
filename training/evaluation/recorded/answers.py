"""A model of which only answers are known: they are judged and compared like any other's."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from engine.generators.base import (
    Capacity,
    Choice,
    Completion,
    FailureReason,
    GenerationError,
    Request,
    Score,
)
from engine.loop.answer import Answer
from engine.messages import Conversation
from engine.prompts.sources import Prompt
from training.evaluation.questions.answering import ModelOutputs
from training.evaluation.questions.questionnaire import HELD_OUT, Questionnaire
from training.evaluation.recorded.answer_files import RecordedAnswer, read_answers

__all__ = ["RecordedModel", "open_recorded"]

MISSING = "no answer in the file"


@dataclass(frozen=True, slots=True, eq=False)
class RecordedModel:
    """Stands where a generator does; nothing can be asked of it, so it has no probabilities."""

    spec: str
    fingerprint: str
    by_prompt: dict[str, str] = field(repr=False)
    by_id: dict[str, str] = field(repr=False)
    capacity: Capacity = field(default_factory=Capacity)

    def outputs(self, questionnaire: Questionnaire) -> ModelOutputs:
        """Its answers to the held-out prompts, and to those of the other sets that it answered."""
        outputs = ModelOutputs()
        for name, prompts in questionnaire.answered_sets().items():
            found = {prompt.id: self._answer(prompt) for prompt in prompts}
            if name == HELD_OUT or any(answer.failed is None for answer in found.values()):
                outputs.answers[name] = found
                outputs.failures[MISSING] += sum(a.failed is not None for a in found.values())
        return outputs

    def _answer(self, prompt: Prompt) -> Answer:
        said = [message.content for message in prompt.messages if message.role == "user"]
        text = self.by_prompt.get(_key(said[-1]) if said else "")
        text = self.by_id.get(prompt.id) if text is None else text
        if text is None:
            return Answer(prompt, "", failed=MISSING)
        return Answer(prompt, text)

    async def start(self) -> None:
        """Nothing to load."""

    async def close(self) -> None:
        """Nothing to release."""

    async def generate(self, request: Request) -> Completion:
        """Raises GenerationError."""
        raise GenerationError(FailureReason.REJECTED, f"{self.spec} holds answers, and no model")

    async def choose(
        self, messages: Conversation, choices: tuple[str, ...], *, priority: int = 0
    ) -> Choice:
        """Raises GenerationError."""
        raise GenerationError(FailureReason.REJECTED, f"{self.spec} holds answers, and no model")

    async def score(self, messages: Conversation, *, priority: int = 0) -> Score:
        """Raises GenerationError."""
        raise GenerationError(FailureReason.REJECTED, f"{self.spec} holds answers, and no model")


def open_recorded(file: str) -> RecordedModel:
    """The model whose answers are in `file`; of several to one prompt the first counts. An answer is
    found by its prompt's text, or by its id where the file has no text. Raises InputError."""
    answers = read_answers(Path(file))
    by_prompt = _first((_key(one.prompt), one) for one in answers if one.prompt)
    by_id = _first((one.id, one) for one in answers if one.id and not one.prompt)
    content = json.dumps([by_prompt, by_id], sort_keys=True).encode("utf-8", "backslashreplace")
    digest = hashlib.sha256(content).hexdigest()[:16]
    return RecordedModel(f"answers:{file}", f"answers:{digest}", by_prompt, by_id)


def _first(pairs: Iterable[tuple[str, RecordedAnswer]]) -> dict[str, str]:
    found: dict[str, str] = {}
    for key, answer in pairs:
        found.setdefault(key, answer.text)
    return found


def _key(text: str) -> str:
    """A text without what files differ by: white space."""
    return " ".join(text.split())
