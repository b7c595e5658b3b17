"""The loop for one conversation: answer, then critique and revise once per principle drawn.

Bai et al. 2022 (arXiv 2212.08073), section 3.1. Turns are only ever added, so each prompt is the
exact prefix of the next one and the KV cache serves it.
"""

import asyncio
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from constitution.schema import Constitution, Principle
from constitution.selection import draw
from engine.generators.base import (
    Choice,
    Completion,
    FailureReason,
    GenerationError,
    Request,
)
from engine.judging.judge import judge_answer
from engine.loop.conclusion import ConversationState, conclude
from engine.loop.hygiene import CleanedReply, clean_revision
from engine.loop.rendering import critique_request, few_shot_messages, revision_request
from engine.loop.reply import Reply, reply_of
from engine.messages import Conversation, Message
from engine.prompts.sources import Prompt
from engine.records import DropReason, Flag, Record, Round, Usage, Verdict
from engine.settings import LoopSettings, RoleModel, Roles

__all__ = ["ConversationFailed", "Step", "critique_and_revise", "request_seed"]


class ConversationFailed(Exception):
    """A role could not answer, so this conversation has no record. `stage` names the role."""

    def __init__(self, stage: str, error: GenerationError) -> None:
        self.stage = stage
        self.error = error
        super().__init__(str(error))


@dataclass(frozen=True, slots=True)
class Step:
    """Something a role just wrote, for whoever watches one conversation live."""

    role: str
    round: int
    principle: Principle | None
    said: str | Verdict
    tokens: int
    """Of the request: prompt and completion."""


def request_seed(run_seed: int, prompt_id: str, role: str, round_index: int) -> int:
    """The sampling seed of one request (32 bits): the same whenever and wherever it is asked."""
    name = f"{run_seed}\x00{prompt_id}\x00{role}\x00{round_index}".encode()
    return int.from_bytes(hashlib.blake2b(name, digest_size=4).digest())


async def critique_and_revise(
    prompt: Prompt,
    constitution: Constitution,
    roles: Roles,
    settings: LoopSettings,
    *,
    on_step: Callable[[Step], None] | None = None,
    on_text: Callable[[str, str], None] | None = None,
) -> Record:
    """Answer `prompt`, judge the answer against the principles sampled for it, and return the outcome.

    `on_step` is called with each answer, critique, revision and verdict as it comes; `on_text` with the
    role that is writing and its text so far, where the generator streams.
    Raises ConversationFailed when a role could not answer, GeneratorUnavailable when none can.
    """
    loop = _Loop(prompt, constitution, roles, settings, on_step, on_text)
    principles = draw(
        constitution,
        prompt_id=prompt.id,
        tags=prompt.tags,
        rounds=settings.rounds,
        seed=settings.seed,
        stakeholder=settings.stakeholder,
        every_principle=settings.every_principle,
    )
    if not principles:
        return loop.conclude(DropReason.NO_PRINCIPLE_APPLIES)
    await loop.answer_prompt()
    if not loop.answer:
        return loop.conclude(DropReason.EMPTY_ANSWER)
    for index, principle in enumerate(principles):
        await loop.hold_against(index, principle)
    if settings.final_check:
        await loop.check_again(principles)
    return loop.conclude()


@dataclass(frozen=True, slots=True)
class _Revised:
    """What one critique and revision came to; `conversation` includes them if accepted."""

    conversation: Conversation
    critique: str | None
    reply: CleanedReply


class _Loop:
    """One conversation on its way; `conversation` always ends with the answer that now stands."""

    def __init__(
        self,
        prompt: Prompt,
        constitution: Constitution,
        roles: Roles,
        settings: LoopSettings,
        on_step: Callable[[Step], None] | None,
        on_text: Callable[[str, str], None] | None,
    ) -> None:
        self.prompt = prompt
        self.constitution = constitution
        self.roles = roles
        self.settings = settings
        self.few_shot = few_shot_messages(constitution)
        self.conversation = prompt.messages
        self.answer = self.first_answer = ""
        self.answer_flags: tuple[Flag, ...] = ()
        self.on_step = on_step
        self.on_text = on_text
        self.principle: Principle | None = None
        self.rounds: list[Round] = []
        self.final_verdicts: tuple[Verdict, ...] = ()
        self.requests = self.prompt_tokens = self.completion_tokens = 0

    async def answer_prompt(self) -> None:
        reply = await self._ask("policy", self.roles.policy, self.conversation, 0)
        self.answer_flags = (
            *((Flag.TRUNCATED_ANSWER,) if reply.truncated else ()),
            *((Flag.REASONING_REMOVED,) if reply.reasoned else ()),
        )
        self.answer = self.first_answer = reply.text
        self.conversation = (*self.conversation, reply.turn(reply.text))

    async def hold_against(self, index: int, principle: Principle) -> None:
        """One round: judge first if asked to, then critique and revise."""
        before = None
        self.principle = principle
        if self.settings.stop_when_compliant:
            before = await self._judge(principle)
            if before.violates is False:
                self._add_round(index, principle, before=before)
                return
        revised = await self._revise(index, principle)
        self._add_round(index, principle, before=before, revised=revised)
        if revised.reply.dropped is None:
            self.answer = revised.reply.text
            self.conversation = revised.conversation

    async def check_again(self, principles: Sequence[Principle]) -> None:
        """Judge the answer that stands against every principle met, so that a later revision
        cannot silently undo an earlier one."""
        first = await self._judge(principles[0])
        rest = await asyncio.gather(
            *(self._judge(principle) for principle in principles[1:]), return_exceptions=True
        )
        for verdict in rest:
            if isinstance(verdict, BaseException):
                raise verdict
        self.final_verdicts = (first, *(v for v in rest if isinstance(v, Verdict)))

    async def _revise(self, index: int, principle: Principle) -> _Revised:
        shown = (
            *self.conversation,
            Message("user", critique_request(self.constitution, principle)),
        )
        try:
            critique = await self._ask("critic", self.roles.critic, (*self.few_shot, *shown), index)
            if not critique.text:
                return _Revised(shown, None, CleanedReply("", DropReason.EMPTY_CRITIQUE))
            ask = Message("user", revision_request(self.constitution, principle))
            shown = (*shown, critique.turn(critique.text), ask)
            revision = await self._ask(
                "reviser", self.roles.reviser, (*self.few_shot, *shown), index
            )
        except ConversationFailed as failed:
            if failed.error.reason is not FailureReason.CONTEXT_OVERFLOW:
                raise
            return _Revised(shown, None, CleanedReply("", DropReason.CONTEXT_OVERFLOW))
        reply = clean_revision(
            revision,
            prompt=self.prompt.messages,
            answer=self.answer,
            critique=critique.text,
            requests=self._requests(principle),
            longest=self.settings.longest_revision,
            keep_truncated=self.settings.keep_truncated,
        )
        if critique.truncated:
            flags = (Flag.TRUNCATED_CRITIQUE, *reply.flags)
            reply = CleanedReply(reply.text, reply.dropped, flags)
        return _Revised((*shown, revision.turn(reply.text)), critique.text, reply)

    def _requests(self, principle: Principle) -> tuple[str, ...]:
        """What critic and reviser read besides the conversation, the reply and the critique."""
        return (
            principle.statement,
            critique_request(self.constitution, principle),
            revision_request(self.constitution, principle),
            *(turn.content for turn in self.few_shot),
        )

    def _add_round(
        self,
        index: int,
        principle: Principle,
        *,
        before: Verdict | None,
        revised: _Revised | None = None,
    ) -> None:
        reply = revised.reply if revised else None
        self.rounds.append(
            Round(
                round=index,
                principle=principle.id,
                principle_hash=principle.content_hash,
                before=before,
                critique=revised.critique if revised else None,
                revision=reply.text if reply and revised and revised.critique else None,
                dropped=reply.dropped if reply else None,
                flags=reply.flags if reply else (),
            )
        )

    async def _ask(self, role: str, model: RoleModel, messages: Conversation, index: int) -> Reply:
        seed = request_seed(self.settings.seed, self.prompt.id, role, index)
        told = partial(self.on_text, role) if self.on_text else None
        request = Request(messages, model.sampling, seed, self.prompt.row, told)
        try:
            completion = await model.generator.generate(request)
        except GenerationError as error:
            raise ConversationFailed(role, error) from error
        self._count(completion, completion.completion_tokens)
        reply = reply_of(completion)
        if self.on_step:
            tokens = completion.prompt_tokens + completion.completion_tokens
            self.on_step(Step(role, index, self.principle, reply.message.content, tokens))
        return reply

    async def _judge(self, principle: Principle) -> Verdict:
        conversation = (*self.prompt.messages, Message("assistant", self.answer))
        try:
            verdict, choice = await judge_answer(
                self.roles.judge.generator,
                self.constitution,
                principle,
                conversation,
                threshold=self.settings.threshold,
                smallest_mass=self.settings.smallest_mass,
                priority=self.prompt.row,
            )
        except GenerationError as error:
            if error.reason is not FailureReason.CONTEXT_OVERFLOW:
                raise ConversationFailed("judge", error) from error
            return Verdict(
                principle=principle.id,
                principle_hash=principle.content_hash,
                violates=None,
                reason="the question is longer than the judge's context",
            )
        if choice is not None:
            self._count(choice, 1)
        if self.on_step:
            tokens = choice.prompt_tokens + 1 if choice is not None else 0
            self.on_step(Step("judge", len(self.rounds), principle, verdict, tokens))
        return verdict

    def _count(self, answered: Completion | Choice, completion_tokens: int) -> None:
        self.requests += 1
        self.prompt_tokens += answered.prompt_tokens
        self.completion_tokens += completion_tokens

    def conclude(self, drop_reason: DropReason | None = None) -> Record:
        """What came of the conversation, so far."""
        course = ConversationState(
            first_answer=self.first_answer,
            final=self.answer,
            answer_flags=self.answer_flags,
            rounds=tuple(self.rounds),
            final_verdicts=self.final_verdicts,
            usage=Usage(
                requests=self.requests,
                prompt_tokens=self.prompt_tokens,
                completion_tokens=self.completion_tokens,
            ),
            drop_reason=drop_reason,
        )
        return conclude(self.prompt, self.constitution, self.roles, self.settings.seed, course)
