"""The loop for one conversation: answer, find what it breaks, criticise, revise, and keep what is better.

Bai et al. 2022 (arXiv 2212.08073), section 3.1, with a judge that says which principle is worth a
critique and whether a revision earns its place.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from constitution.schema import Constitution, Principle
from constitution.selection import applicable, draw, draw_profile
from engine.loop.acceptance import (
    Verdicts,
    answers_as_well,
    badness,
    newly_broken,
    refusal,
    speaks_to,
    worst,
)
from engine.loop.asking import Asking, ConversationFailed, Step, gathered
from engine.loop.conclusion import ConversationState, conclude
from engine.loop.critiques import critique_drop
from engine.loop.framing import Asked, Framing
from engine.loop.hygiene import CleanedReply, clean_revision
from engine.loop.reply import Reply, reply_of
from engine.messages import Conversation
from engine.prompts.sources import Prompt
from engine.records import DropReason, Flag, Record, Round, Verdict
from engine.settings import LoopSettings, Roles

__all__ = ["critique_and_revise"]


async def critique_and_revise(
    prompt: Prompt,
    constitution: Constitution,
    roles: Roles,
    settings: LoopSettings,
    *,
    answer: str | None = None,
    verdicts: Sequence[Verdict] = (),
    on_step: Callable[[Step], None] | None = None,
    on_text: Callable[[str, str], None] | None = None,
) -> Record:
    """Answer `prompt`, hold the answer against the constitution, and return the outcome. Where
    there is an `answer` already, the policy is not asked for one, nor the judge about it where there
    are `verdicts` on every principle that it is held against.

    `on_step` is called with each answer, critique, revision and verdict as it comes; `on_text` with
    the role that is writing and its text so far, where the generator streams.
    Raises ConversationFailed when a role could not answer, GeneratorUnavailable when none can.
    """
    asking = Asking(prompt, constitution, roles, settings, on_step, on_text)
    loop = _Loop(asking, _principles(prompt, constitution, settings))
    return await loop.run(answer, verdicts)


def _principles(
    prompt: Prompt, constitution: Constitution, settings: LoopSettings
) -> list[tuple[Principle, float]]:
    """The principles that a prompt is held against, and their weights."""
    seed, stakeholder = settings.seed, settings.stakeholder
    profile = draw_profile(stakeholder, prompt_id=prompt.id, seed=seed)
    apply = applicable(constitution, prompt.tags, profile)
    if settings.select != "random":
        return apply
    weights = {principle.id: weight for principle, weight in apply}
    drawn = draw(
        constitution,
        prompt_id=prompt.id,
        tags=prompt.tags,
        rounds=settings.rounds,
        seed=seed,
        stakeholder=profile,
    )
    return [(principle, weights[principle.id]) for principle in drawn]


@dataclass(slots=True)
class _Candidate:
    """A revision and what the judge says of it; it is kept if `dropped` is None."""

    reply: CleanedReply
    turns: Conversation
    """The conversation that ends with it."""
    verdicts: Verdicts
    dropped: DropReason | None
    reasoning: str | None
    """What the reviser thought before."""


class _Loop:
    """One conversation on its way; `conversation` always ends with the answer that now stands."""

    def __init__(self, asking: Asking, principles: Sequence[tuple[Principle, float]]) -> None:
        self.asking = asking
        self.settings = asking.settings
        self.weighted = principles
        self.principles = [principle for principle, _ in principles]
        self.framing = Framing(asking.constitution, asking.settings)
        self.conversation = asking.prompt.messages
        self.answer = self.first_answer = ""
        self.answer_flags: tuple[Flag, ...] = ()
        self.answer_reasoning: str | None = None
        self.first_verdicts: tuple[Verdict, ...] = ()
        self.verdicts: Verdicts = {}
        """Of the answer that stands; empty where it has not been judged."""
        self.rounds: list[Round] = []

    async def run(self, answer: str | None, verdicts: Sequence[Verdict] = ()) -> Record:
        """From the prompt, and an answer and verdicts on it if there are any, to the record."""
        if not self.principles:
            return self._concluded(DropReason.NO_PRINCIPLE_APPLIES)
        await self._answer_prompt(answer)
        if not self.answer:
            return self._concluded(DropReason.EMPTY_ANSWER)
        if self.settings.judges_first:
            known = {verdict.principle: verdict for verdict in verdicts}
            all_known = known.keys() >= {principle.id for principle in self.principles}
            self.verdicts = known if all_known else await self._judged(self.answer)
            self.first_verdicts = tuple(self.verdicts.values())
        while principle := self._next():
            self.asking.round, self.asking.principle = len(self.rounds), principle
            await self._hold_against(principle)
        self.asking.round = len(self.rounds)
        if self.settings.final_check and not self.verdicts:
            self.verdicts = await self._judged(self.answer)
        return self._concluded()

    def _next(self) -> Principle | None:
        """The principle to criticise now, if any is left."""
        tried = [r.principle for r in self.rounds]
        if self.settings.select == "targeted":
            left = len(tried) < self.settings.rounds
            return worst(self.weighted, self.verdicts, tried) if left else None
        return next(
            (
                principle
                for principle in self.principles
                if principle.id not in tried
                and (self.settings.accept == "always" or self.verdicts[principle.id].violates)
            ),
            None,
        )

    async def _answer_prompt(self, answer: str | None) -> None:
        if answer is None:
            reply = await self.asking.say("policy", self.conversation, 0)
        else:
            reply = reply_of(answer)
        self.answer_flags = (
            *((Flag.TRUNCATED_ANSWER,) if reply.truncated else ()),
            *((Flag.REASONING_REMOVED,) if reply.reasoned else ()),
        )
        self.answer_reasoning = reply.reasoning
        self.answer = self.first_answer = reply.text
        self.conversation = (*self.conversation, reply.turn(reply.text))

    async def _hold_against(self, principle: Principle) -> None:
        """One round: a critique, and the best of the revisions that follow from it."""
        flags: tuple[Flag, ...] = ()
        said: Reply | None = None
        try:
            asked, said, dropped = await self._criticise(principle)
            flags = (Flag.TRUNCATED_CRITIQUE,) if said.truncated else ()
            if dropped:
                self._add_round(principle, said, dropped=dropped)
                return
            candidate = await self._best_revision(principle, asked, said)
        except ConversationFailed as failed:
            if not failed.overflowed:
                raise
            self._add_round(principle, said, dropped=DropReason.CONTEXT_OVERFLOW, flags=flags)
            return
        self._add_round(principle, said, candidate, flags=(*flags, *candidate.reply.flags))
        if candidate.dropped is None:
            self.answer = candidate.reply.text
            self.conversation = candidate.turns
            self.verdicts = candidate.verdicts

    async def _criticise(self, principle: Principle) -> tuple[Asked, Reply, DropReason | None]:
        """What was asked and answered, and why nothing follows from it. A check's own words are the
        critique where no judge reads the principle, and some framings ask for none."""
        known = self.verdicts.get(principle.id)
        broken = bool(known and known.violates)
        asked = self.framing.critic(principle, self.conversation, broken=broken)
        if known and known.failed:
            return asked, reply_of(" ".join(known.failed)), None
        if not self.framing.criticises:
            return asked, reply_of(""), None
        said = await self.asking.say("critic", asked.messages, principle.id)
        return asked, said, critique_drop(said, principle)

    async def _best_revision(
        self, principle: Principle, asked: Asked, critique: Reply
    ) -> _Candidate:
        """Of `candidates` revisions, the best of those that can be kept, else the first. Whether one
        speaks to the user is asked of the best by its verdicts, and of the next where it does not."""
        request = self.framing.reviser(principle, self.conversation, asked, critique)
        keys = [principle.id, *(f"{principle.id} {n}" for n in range(2, self._candidates + 1))]
        found = await gathered(self._candidate(principle, request, critique, key) for key in keys)
        if self.settings.accept == "always":
            return found[0]
        better = [one for one in found if one.dropped is None]
        for one in sorted(better, key=lambda one: badness(one.verdicts, principle)):
            if await self._answers_as_well(one.reply.text):
                return one
            one.dropped = DropReason.DOES_NOT_ANSWER
        return found[0]

    @property
    def _candidates(self) -> int:
        return self.settings.candidates if self.settings.accept == "better" else 1

    async def _candidate(
        self, principle: Principle, request: Asked, critique: Reply, key: str
    ) -> _Candidate:
        said = await self.asking.say("reviser", request.messages, key)
        reply = clean_revision(
            said,
            prompt=self.asking.prompt.messages,
            answer=self.answer,
            critique=critique.text,
            requests=request.wording,
            longest=self.settings.longest_revision,
            keep_truncated=self.settings.keep_truncated,
        )
        turn = said.turn(reply.text)
        if self.framing.continues:
            turns = (*request.messages, turn)
        else:
            turns = (*self.asking.prompt.messages, turn)
        if reply.dropped:
            return _Candidate(reply, turns, {}, reply.dropped, said.reasoning)
        verdicts = await self._judged(reply.text) if self.settings.judges_first else {}
        dropped = None
        if self.settings.accept == "better":
            margin = self.settings.margin
            dropped = refusal(principle, self.verdicts, verdicts, margin=margin)
        return _Candidate(reply, turns, verdicts, dropped, said.reasoning)

    async def _answers_as_well(self, revision: str) -> bool:
        """Whether a revision speaks to the user as the answer that stands does."""
        if not self.asking.constitution.needs_judge:
            return speaks_to(self.asking.prompt.messages, self.answer, revision)
        before = await self.asking.answers_user(self.answer)
        after = await self.asking.answers_user(revision)
        return answers_as_well(before, after)

    async def _judged(self, reply: str) -> Mapping[str, Verdict]:
        verdicts = await self.asking.verdicts(self.principles, reply)
        return {verdict.principle: verdict for verdict in verdicts}

    def _add_round(
        self,
        principle: Principle,
        critique: Reply | None,
        candidate: _Candidate | None = None,
        *,
        dropped: DropReason | None = None,
        flags: tuple[Flag, ...] = (),
    ) -> None:
        verdicts = candidate.verdicts if candidate else {}
        self.rounds.append(
            Round(
                round=len(self.rounds),
                principle=principle.id,
                principle_hash=principle.content_hash,
                before=self.verdicts.get(principle.id),
                critique=(critique and critique.text) or None,
                critique_reasoning=critique.reasoning if critique else None,
                revision=candidate.reply.text if candidate else None,
                revision_reasoning=candidate.reasoning if candidate else None,
                after=verdicts.get(principle.id),
                broke=newly_broken(self.verdicts, verdicts),
                dropped=candidate.dropped if candidate else dropped,
                flags=flags,
            )
        )

    def _concluded(self, drop_reason: DropReason | None = None) -> Record:
        """What came of the conversation, so far."""
        state = ConversationState(
            first_answer=self.first_answer,
            final=self.answer,
            answer_flags=self.answer_flags,
            answer_reasoning=self.answer_reasoning,
            first_verdicts=self.first_verdicts,
            rounds=tuple(self.rounds),
            final_verdicts=tuple(self.verdicts.values()),
            usage=self.asking.usage,
            drop_reason=drop_reason,
        )
        asking = self.asking
        return conclude(asking.prompt, asking.constitution, asking.roles, self.settings, state)
