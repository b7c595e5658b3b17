"""Writing one prompt: a situation, a user's message, and with several turns what came before it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from constitution.schema import Constitution, Principle
from engine.generators.base import Choice, Completion, GenerationError, Request
from engine.judging.judge import judge_answer
from engine.loop.asking import ConversationFailed, gathered, request_seed
from engine.loop.reply import Reply, reply_of
from engine.messages import Conversation, Message
from engine.prompts.sources import Prompt
from engine.records import Usage
from engine.settings import RoleModel, RoleModels
from engine.writing.briefs import Brief
from engine.writing.cleaning import cleaned, why_dropped
from engine.writing.records import PromptKind, WriteDrop, WriteOutcome, WrittenPrompt
from engine.writing.settings import PromptSettings
from engine.writing.wording import write_request

__all__ = ["Situations", "write_prompt"]

Situations = Mapping[tuple[str, PromptKind], tuple[str, ...]]
"""By principle and kind, what users may write about."""


async def write_prompt(
    prompt: Prompt,
    constitution: Constitution,
    models: RoleModels,
    settings: PromptSettings,
    situations: Situations,
    on_tokens: Callable[[int], None] = lambda tokens: None,
) -> WrittenPrompt:
    """The record of one brief, which is what `prompt` is.

    Raises ConversationFailed when a model could not answer, GeneratorUnavailable when none can.
    """
    return await _Writing(prompt, constitution, models, settings, situations, on_tokens).record()


_REPLY_TOKENS = 100
"""Of the assistant's turn in the middle, which is only there to be gone on from."""


@dataclass(slots=True)
class _Writing:
    """One brief on its way."""

    prompt: Prompt
    constitution: Constitution
    models: RoleModels
    settings: PromptSettings
    situations: Situations
    on_tokens: Callable[[int], None]
    brief: Brief = field(init=False)
    principle: Principle = field(init=False)
    usage: Usage = field(default_factory=Usage)
    said: str = ""

    def __post_init__(self) -> None:
        self.brief = Brief.of(self.prompt.extra)
        self.principle = self.constitution.principle(self.brief.principle)

    async def record(self) -> WrittenPrompt:
        before: Conversation = ()
        if self.brief.turns > 1:
            opening, dropped = await self._message("opening", ())
            if dropped:
                return self._concluded((), dropped)
            before = (Message("user", opening),)
            before = (*before, Message("assistant", await self._reply(before)))
        text, dropped = await self._message("message", before)
        if dropped:
            return self._concluded((), dropped)
        written = (*before, Message("user", text))
        if self.settings.hard is None or self.brief.kind is not PromptKind.TEMPTING:
            return self._concluded(written)
        return await self._held_against_policy(written, self.settings.hard)

    async def _message(self, key: str, before: Conversation) -> tuple[str, WriteDrop | None]:
        """A user's message, and why it is none."""
        asked = self._request(before, opening=key == "opening")
        reply = await self._ask("writer", asked, key)
        text = cleaned(reply)
        self.said = reply.text
        shown = [message.content for message in asked]
        language, said = self.brief.language, "\n".join(m.content for m in before)
        return text, why_dropped(reply, text, language=language, shown=shown, before=said)

    def _request(self, before: Conversation, *, opening: bool) -> Conversation:
        brief = replace(self.brief, kind=PromptKind.LOOKALIKE) if opening else self.brief
        return write_request(self.constitution, brief, self._situation(), before)

    def _situation(self) -> str | None:
        """The brief's own of those that were listed."""
        known = self.situations.get((self.principle.id, self.brief.kind), ())
        if not known:
            return None
        return known[self.brief.number % len(known)]

    async def _reply(self, conversation: Conversation) -> str:
        """What an assistant says in between, so that the user can go on from there."""
        return (await self._ask("writer", conversation, "reply", _REPLY_TOKENS)).text

    async def _held_against_policy(self, written: Conversation, times: int) -> WrittenPrompt:
        answers = await gathered(
            self._ask("policy", written, f"answer {number}") for number in range(times)
        )
        verdicts = await gathered(self._breaks(written, answer.text) for answer in answers)
        broken = sum(map(bool, verdicts))
        return self._concluded(
            written,
            None if broken else WriteDrop.KEPT,
            answers=tuple(answer.text for answer in answers),
            broken=broken,
        )

    async def _breaks(self, written: Conversation, answer: str) -> bool | None:
        judge = self.models["judge"]
        try:
            verdict, choice = await judge_answer(
                judge.generator,
                self.constitution,
                self.principle,
                (*written, Message("assistant", answer)),
                calibration=judge.calibration,
                priority=self.prompt.row,
            )
        except GenerationError as error:
            raise ConversationFailed("judge", error) from error
        if choice:
            self._count(choice, 1)
        return verdict.violates

    async def _ask(
        self, role: str, messages: Conversation, key: str, most: int | None = None
    ) -> Reply:
        """The reply, of at most so many tokens where that is less than its role may write."""
        model: RoleModel = self.models[role]
        sampling = model.sampling
        if most is not None and most < sampling.max_tokens:
            sampling = sampling.model_copy(update={"max_tokens": most})
        seed = request_seed(self.settings.seed, self.prompt.id, role, key)
        try:
            completion = await model.generator.generate(
                Request(messages, sampling, seed, self.prompt.row)
            )
        except GenerationError as error:
            raise ConversationFailed(role, error) from error
        self._count(completion, completion.completion_tokens)
        return reply_of(completion)

    def _count(self, answered: Completion | Choice, completion_tokens: int) -> None:
        self.usage = self.usage.plus(answered.prompt_tokens, completion_tokens)
        self.on_tokens(answered.prompt_tokens + completion_tokens)

    def _concluded(
        self,
        written: Conversation,
        dropped: WriteDrop | None = None,
        answers: tuple[str, ...] = (),
        broken: int | None = None,
    ) -> WrittenPrompt:
        prompt = self.prompt
        return WrittenPrompt(
            id=prompt.id,
            row=prompt.row,
            prompt=prompt.messages,
            tags=prompt.tags,
            written=written,
            said=self.said,
            situation=self._situation(),
            answers=answers,
            broken=broken,
            outcome=WriteOutcome.DROPPED if dropped else WriteOutcome.WRITTEN,
            drop_reason=dropped,
            constitution=self.constitution.content_hash,
            models={name: role.generator.spec for name, role in self.models.items()},
            sampling={name: role.sampling.model_dump() for name, role in self.models.items()},
            seed=self.settings.seed,
            usage=self.usage,
            extra=dict(prompt.extra),
        )
