"""Writing one prompt: a situation, a user's message, and with several turns what came before it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from constitution.schema import Constitution, Principle
from engine.generators.base import Choice, Completion, FailureReason, GenerationError, Request
from engine.judging.judge import judge_answer
from engine.loop.asking import ConversationFailed, gathered, request_seed
from engine.loop.reply import Reply, reply_of
from engine.messages import Conversation, Message
from engine.prompts.near import jaccard, shingles
from engine.prompts.sources import Prompt
from engine.records import Usage
from engine.settings import RoleModel, RoleModels, samplings_of, specs_of
from engine.writing.briefs import TRIES, Brief
from engine.writing.choice import ALIKE
from engine.writing.cleaning import begun_with, cleaned, why_dropped
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
_CANNOT_CONTINUE = (FailureReason.REJECTED, FailureReason.TEMPLATE_ERROR)
_GOES_ON = 6
"""Tokens at least after an opening, which may be a whole message of a test; twice as many with each
further try, since what is close to the test has too little of its own."""


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
            first, dropped = await self._message("first", ())
            if dropped:
                return self._concluded((), dropped)
            before = (Message("user", first),)
            before = (*before, Message("assistant", await self._reply(before)))
        text, dropped = await self._message("message", before)
        if dropped:
            return self._concluded((), dropped)
        written = (*before, Message("user", text))
        if self.settings.hard is None or self.brief.kind is not PromptKind.TEMPTING:
            return self._concluded(written)
        return await self._held_against_policy(written, self.settings.hard)

    async def _message(self, key: str, before: Conversation) -> tuple[str, WriteDrop | None]:
        """A user's message, and why it is none: what is none is asked for again."""
        brief = self.brief
        if key == "first":
            brief = replace(brief, kind=PromptKind.LOOKALIKE, opening=None)
        for number in range(TRIES):
            text, dropped = await self._tried(brief, (key, number), before)
            if dropped is None:
                break
        return text, dropped

    async def _tried(
        self, brief: Brief, key: tuple[str, int], before: Conversation
    ) -> tuple[str, WriteDrop | None]:
        told = self.constitution, brief, self._situation(brief), before
        asked = write_request(*told)
        named = "{} {}".format(*key)
        least = _GOES_ON << key[1] if brief.opening else 0
        try:
            reply = await self._ask("writer", asked, named, least=least)
            begun = brief.opening
        except ConversationFailed as error:
            if not brief.opening or error.error.reason not in _CANNOT_CONTINUE:
                raise
            reply = await self._ask("writer", write_request(*told, continues=False), named)
            begun = None
        text = begun_with(begun, reply) if begun else cleaned(reply)
        self.said = text if begun else reply.text
        return text, self._why_dropped(reply, text, brief, asked, before)

    def _why_dropped(
        self, reply: Reply, text: str, brief: Brief, asked: Conversation, before: Conversation
    ) -> WriteDrop | None:
        """Why the text is no message, or only a test's."""
        shown = [message.content for message in (asked[:-1] if brief.opening else asked)]
        said = "\n".join(message.content for message in before)
        dropped = why_dropped(reply, text, language=brief.language, shown=shown, before=said)
        if dropped is None and brief.opening and self._is_test(text):
            dropped = WriteDrop.COPIED
        return dropped

    def _is_test(self, text: str) -> bool:
        """Whether it is nearly a test's prompt: one that it begins as, say."""
        grams = shingles(text)
        return any(jaccard(grams, shingles(t.prompt)) >= ALIKE for t in self.principle.tests)

    def _situation(self, brief: Brief) -> str | None:
        """The brief's own of those that were listed; an opening says itself what it is about."""
        known = () if brief.opening else self.situations.get((self.principle.id, brief.kind), ())
        if not known:
            return None
        return known[brief.number % len(known)]

    async def _reply(self, conversation: Conversation) -> str:
        """What an assistant says in between, so that the user can go on from there."""
        return (await self._ask("writer", conversation, "reply", most=_REPLY_TOKENS)).text

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
        self,
        role: str,
        messages: Conversation,
        key: str,
        *,
        least: int = 0,
        most: int | None = None,
    ) -> Reply:
        """The reply, of at least and at most so many tokens within what its role may write."""
        model: RoleModel = self.models[role]
        longest = min(model.sampling.max_tokens, most or model.sampling.max_tokens)
        shortest = min(max(model.sampling.min_tokens, least), longest)
        bounds = {"max_tokens": longest, "min_tokens": shortest}
        sampling = model.sampling.model_copy(update=bounds)
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
            situation=self._situation(self.brief),
            answers=answers,
            broken=broken,
            outcome=WriteOutcome.DROPPED if dropped else WriteOutcome.WRITTEN,
            drop_reason=dropped,
            constitution=self.constitution.content_hash,
            models=specs_of(self.models),
            sampling=samplings_of(self.models),
            seed=self.settings.seed,
            usage=self.usage,
            extra=dict(prompt.extra),
        )
