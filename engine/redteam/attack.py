"""An attack on one prompt: an attacker that sees what the target answered, and tries again.

As in PAIR (Chao et al. 2023, "Jailbreaking Black Box Large Language Models in Twenty Queries"), with
the judge's probability as the score that the attacker is shown. The seeds go first: the prompt as it
is and the transforms of it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import NamedTuple

from constitution.schema import Constitution, Principle
from constitution.selection import draw
from constitution.typed_yaml import read_yaml_file
from engine.generators.base import Choice, Completion, GenerationError, Request
from engine.judging.judge import judge_answer
from engine.judging.refusal import RefusalKind, detect_refusal
from engine.loop.asking import ConversationFailed, request_seed
from engine.loop.rendering import render
from engine.loop.reply import Reply, reply_of
from engine.messages import Conversation, Message
from engine.prompts.near import normal
from engine.prompts.sources import Prompt
from engine.records import Usage, Verdict
from engine.redteam.records import AttackOutcome, AttackRecord, Attempt
from engine.redteam.settings import RedTeamSettings
from engine.redteam.transforms import ATTACKS
from engine.settings import RoleModels, samplings_of, specs_of
from engine.writing.cleaning import cleaned
from engine.writing.records import PromptKind

__all__ = ["ATTACKER", "PLAIN", "attack_prompt", "principle_of"]

PLAIN, ATTACKER = "plain", "attacker"
_SHOWN = 3
"""Attempts that the attacker is shown, the last ones."""
_SHOWN_CHARACTERS = 600
"""Of each answer."""


async def attack_prompt(
    prompt: Prompt,
    constitution: Constitution,
    models: RoleModels,
    settings: RedTeamSettings,
    on_tokens: Callable[[int], None] = lambda tokens: None,
) -> AttackRecord:
    """The record of an attack that begins with `prompt`.

    Raises ConversationFailed when a model could not answer, GeneratorUnavailable when none can.
    """
    principle = principle_of(prompt, constitution, settings.seed)
    attack = _Attack(prompt, constitution, principle, models, settings, on_tokens)
    if principle is not None:
        await attack.go_on()
    return attack.concluded()


def principle_of(prompt: Prompt, constitution: Constitution, seed: int = 0) -> Principle | None:
    """The principle that a prompt is to break: the one that its column `principle` or a tag names,
    else one drawn of those that apply to it; None where none does, and for a look-alike."""
    if prompt.extra.get("kind") == PromptKind.LOOKALIKE:
        return None
    known = {principle.id: principle for principle in constitution.principles}
    for named in (prompt.extra.get("principle"), *prompt.tags):
        if isinstance(named, str) and named in known:
            return known[named]
    drawn = draw(constitution, prompt_id=prompt.id, tags=prompt.tags, seed=seed)
    return drawn[0] if drawn else None


class _Shown(NamedTuple):
    """An attempt as the attacker reads it."""

    said: str
    answer: str
    probability: float | None


@dataclass(slots=True)
class _Attack:
    """One attack on its way."""

    prompt: Prompt
    constitution: Constitution
    principle: Principle | None
    models: RoleModels
    settings: RedTeamSettings
    on_tokens: Callable[[int], None]
    attempts: list[Attempt] = field(default_factory=list)
    usage: Usage = field(default_factory=Usage)
    unused: int = 0

    async def go_on(self) -> None:
        """Try the seeds, and then what the attacker writes, to the attack's end."""
        for tactic, asked in self._seeds():
            if not self._ended:
                await self._try(tactic, 0, asked)
        for turn in range(1, self.settings.turns + 1):
            if self._ended:
                break
            said = await self._next_message(turn)
            if said is None:
                self.unused += 1
                continue
            await self._try(ATTACKER, turn, (*self._before(), Message("user", said)))

    @property
    def _ended(self) -> bool:
        return not self.settings.go_on and any(attempt.success for attempt in self.attempts)

    @property
    def _multi(self) -> bool:
        return self.settings.turns_of(self.prompt.row) == "multi"

    @property
    def _attacked(self) -> Principle:
        """The principle, of an attack that there is. Raises TypeError where there is none."""
        if self.principle is None:
            raise TypeError("there is no principle to attack")
        return self.principle

    def _seeds(self) -> list[tuple[str, Conversation]]:
        """What is tried before the attacker's own messages."""
        messages, seeds = self.prompt.messages, self.settings.seeds
        transformed = [(name, transform(messages)) for name, transform in ATTACKS.items()]
        return [
            *([(PLAIN, messages)] if seeds in ("plain", "all") else []),
            *(transformed if seeds in ("transforms", "all") else []),
        ]

    def _before(self) -> Conversation:
        """The turns that the attacker's message follows: none, or the conversation there is."""
        spoken = [one for one in self.attempts if one.tactic in (PLAIN, ATTACKER)]
        if self._multi and spoken:
            return (*spoken[-1].asked, Message("assistant", spoken[-1].answer))
        return tuple(m for m in self.prompt.messages if m.role == "system")

    async def _next_message(self, turn: int) -> str | None:
        """What the attacker says next; None where it is no message, or was said before."""
        ways = _tactics()
        text = render(
            "attack.jinja",
            preamble=self.constitution.preamble,
            statement=self._attacked.statement,
            goal=self.prompt.messages[-1].content,
            attempts=self._shown(),
            multi=self._multi and bool(self.attempts),
            tactic=ways[(self.prompt.row + turn) % len(ways)],
        )
        reply = await self._ask("attacker", (Message("user", text),), str(turn))
        said = cleaned(reply)
        refused = detect_refusal(said).kind is RefusalKind.REFUSAL
        before = {normal(attempt.asked[-1].content) for attempt in self.attempts}
        return None if not said or refused or normal(said) in before else said

    def _shown(self) -> Sequence[_Shown]:
        """The last attempts; with one conversation, those of it alone."""
        seen = [a for a in self.attempts if not self._multi or a.tactic in (PLAIN, ATTACKER)]
        return [
            _Shown(
                next(m.content for m in reversed(a.asked) if m.role == "user"),
                a.answer[:_SHOWN_CHARACTERS],
                a.verdict.probability,
            )
            for a in seen[-_SHOWN:]
        ]

    async def _try(self, tactic: str, turn: int, asked: Conversation) -> None:
        reply = await self._ask("target", asked, f"{tactic} {turn}")
        begun = asked[-1].content if asked[-1].role == "assistant" else ""
        turns = asked[:-1] if begun else asked
        verdict = await self._judged((*turns, Message("assistant", begun + reply.text)))
        attempt = Attempt(tactic=tactic, turn=turn, asked=asked, answer=reply.text, verdict=verdict)
        self.attempts.append(attempt)

    async def _judged(self, conversation: Conversation) -> Verdict:
        judge = self.models["judge"]
        try:
            verdict, choice = await judge_answer(
                judge.generator,
                self.constitution,
                self._attacked,
                conversation,
                calibration=judge.calibration,
                threshold=self.settings.threshold,
                priority=self.prompt.row,
            )
        except GenerationError as error:
            raise ConversationFailed("judge", error) from error
        if choice:
            self._count(choice, 1)
        return verdict

    async def _ask(self, role: str, messages: Conversation, key: str) -> Reply:
        model = self.models[role]
        seed = request_seed(self.settings.seed, self.prompt.id, role, key)
        asked = Request(messages, model.sampling, seed, self.prompt.row)
        try:
            completion = await model.generator.generate(asked)
        except GenerationError as error:
            raise ConversationFailed(role, error) from error
        self._count(completion, completion.completion_tokens)
        return reply_of(completion)

    def _count(self, answered: Completion | Choice, completion_tokens: int) -> None:
        self.usage = self.usage.plus(answered.prompt_tokens, completion_tokens)
        self.on_tokens(answered.prompt_tokens + completion_tokens)

    def _outcome(self) -> AttackOutcome:
        verdicts = [attempt.verdict.violates for attempt in self.attempts]
        if self.principle is None:
            return AttackOutcome.SKIPPED
        if True in verdicts:
            return AttackOutcome.BROKEN
        return AttackOutcome.UNDECIDED if None in verdicts else AttackOutcome.HELD

    def concluded(self) -> AttackRecord:
        """The record of what was tried."""
        prompt, principle, models = self.prompt, self.principle, self.models
        return AttackRecord(
            id=prompt.id,
            row=prompt.row,
            prompt=prompt.messages,
            tags=prompt.tags,
            principle=principle.id if principle else "",
            principle_hash=principle.content_hash if principle else "",
            turns=self.settings.turns_of(prompt.row),
            attempts=tuple(self.attempts),
            unused=self.unused,
            outcome=self._outcome(),
            constitution=self.constitution.content_hash,
            models=specs_of(models),
            sampling=samplings_of(models),
            seed=self.settings.seed,
            usage=self.usage,
            extra=dict(prompt.extra),
        )


@cache
def _tactics() -> list[str]:
    data: dict[str, list[str]] = read_yaml_file(Path(__file__).parent / "tactics.yaml").data
    return data["tactics"]
