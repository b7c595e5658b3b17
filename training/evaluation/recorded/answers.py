"""A model of which only answers are known: they are judged and compared like any other's."""

import hashlib
import json
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
from training.evaluation.questions.questionnaire import ATTACK, HELD_OUT, Questionnaire
from training.evaluation.recorded.answer_files import RecordedAnswer, Turns, read_answers

__all__ = ["RecordedModel", "open_recorded"]

MISSING = "no answer in the file"


@dataclass(frozen=True, slots=True)
class _Found:
    """Texts of answers, each by what says which prompt it is of; of several the first."""

    by_conversation: dict[tuple[str, Turns], str] = field(default_factory=dict)
    """By id, also under no id, and all turns."""
    by_id: dict[tuple[str, str], str] = field(default_factory=dict)
    """By id and what the user said last, which is empty where the file has no prompt."""
    by_text: dict[str, str] = field(default_factory=dict)
    """By the text of the prompt where the file gives no other turn."""

    def add(self, answer: RecordedAnswer) -> None:
        turns = tuple((role, _key(text)) for role, text in answer.turns)
        last = _last_said(turns)
        for id in dict.fromkeys((answer.id, "")) if turns else ():
            self.by_conversation.setdefault((id, turns), answer.text)
        if answer.id:
            self.by_id.setdefault((answer.id, last), answer.text)
        if answer.is_bare and last:
            self.by_text.setdefault(last, answer.text)

    def exact(self, prompt: Prompt) -> str | None:
        """The answer to this very conversation; of several that of its id."""
        turns = _turns(prompt)
        own = self.by_conversation.get((prompt.id, turns))
        return self.by_conversation.get(("", turns)) if own is None else own

    def of(self, prompt: Prompt) -> str | None:
        """That, else what has its id and nothing that contradicts it, else what was answered to its
        text, if a user's one turn is all that it asks."""
        turns = _turns(prompt)
        last, roles = _last_said(turns), [role for role, _ in turns if role != "system"]
        found = (
            self.exact(prompt),
            self.by_id.get((prompt.id, last)),
            self.by_id.get((prompt.id, "")),
            self.by_text.get(last) if roles == ["user"] else None,
        )
        return next((text for text in found if text is not None), None)


@dataclass(frozen=True, slots=True, eq=False)
class RecordedModel:
    """Stands where a generator does; nothing can be asked of it, so it has no probabilities."""

    spec: str
    fingerprint: str
    found: _Found = field(repr=False)
    capacity: Capacity = field(default_factory=Capacity)

    def outputs(self, questionnaire: Questionnaire) -> ModelOutputs:
        """Its answers to the held-out prompts, and to those of the other sets that it answered."""
        outputs = ModelOutputs()
        for name, prompts in questionnaire.answered_sets().items():
            of = self.found.exact if name.startswith(ATTACK) else self.found.of
            found = {prompt.id: _answer(prompt, of(prompt)) for prompt in prompts}
            if name == HELD_OUT or any(answer.failed is None for answer in found.values()):
                outputs.answers[name] = found
                outputs.failures[MISSING] += sum(a.failed is not None for a in found.values())
        return outputs

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
    """The model whose answers are in `file`; of several to one prompt the first counts.

    An answer is found by the whole conversation before it; a prompt that was not attacked also by
    its id, unless the user said something else last, and by its text where the file has no more than
    that and the user said nothing before. Raises InputError.
    """
    answers = read_answers(Path(file))
    found = _Found()
    for answer in answers:
        found.add(answer)
    content = json.dumps([(one.id, one.turns, one.text) for one in answers])
    digest = hashlib.sha256(content.encode()).hexdigest()[:16]
    return RecordedModel(f"answers:{file}", f"answers:{digest}", found)


def _answer(prompt: Prompt, text: str | None) -> Answer:
    return Answer(prompt, "", failed=MISSING) if text is None else Answer(prompt, text)


def _turns(prompt: Prompt) -> Turns:
    return tuple((message.role, _key(message.content)) for message in prompt.messages)


def _last_said(turns: Turns) -> str:
    """What the user said last."""
    return next((text for role, text in reversed(turns) if role == "user"), "")


def _key(text: str) -> str:
    """A text without what files differ by: white space."""
    return " ".join(text.split())
