"""A judge asked about a constitution's own tests, and refused where it cannot tell them apart."""

import asyncio
import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from constitution.problems import InputError, Problem
from constitution.schema import Constitution, Principle
from engine.generators.base import GenerationError
from engine.generators.facts import ENOUGH_MASS
from engine.generators.spec import kind_of
from engine.judging.calibration import Calibration, TestedAnswer, calibration_of
from engine.judging.judge import judge_answer
from engine.loop.asking import gathered
from engine.messages import Message
from engine.settings import LoopSettings, RoleModel, Roles

__all__ = ["calibrate", "calibrated", "calibrated_judge", "lasting"]

_AT_ONCE = 16
"""Answers in flight."""
_ELSEWHERE = 4
"""Other principles whose compliant answer each principle is held against."""


@dataclass(frozen=True, slots=True)
class _Question:
    """A test's answer, to be held against a principle."""

    principle: Principle
    prompt: str
    answer: str
    violating: bool
    elsewhere: bool = False


async def calibrate(
    judge: RoleModel,
    constitution: Constitution,
    *,
    smallest_mass: float = ENOUGH_MASS,
    elsewhere: bool = True,
) -> Calibration:
    """Ask the judge about every answer of every test of the principles that need one, and about some
    answers from `elsewhere`, other principles' tests.

    An answer that it gave no verdict on, or could not read, does not count. Raises
    GeneratorUnavailable when the judge is gone.
    """
    turn = asyncio.Semaphore(_AT_ONCE)

    async def one(question: _Question) -> TestedAnswer | None:
        principle = question.principle
        conversation = (Message("user", question.prompt), Message("assistant", question.answer))
        async with turn:
            try:
                verdict, choice = await judge_answer(
                    judge.generator,
                    constitution,
                    principle,
                    conversation,
                    smallest_mass=smallest_mass,
                )
            except GenerationError:
                return None
        if choice is None or verdict.probability is None:
            return None
        return TestedAnswer(
            principle.id,
            question.violating,
            verdict.probability,
            question.elsewhere,
            choice.samples,
        )

    questions = [q for q in _questions(constitution) if elsewhere or not q.elsewhere]
    answers = await gathered(map(one, questions))
    return calibration_of([answer for answer in answers if answer])


def _questions(constitution: Constitution) -> Iterator[_Question]:
    """Every answer of a principle's tests, and the first compliant one of some others' tests."""
    judged = [p for p in constitution.principles if p.needs_judge]
    tested = [p for p in constitution.principles if p.tests and p.tests[0].compliant]
    for principle in judged:
        if not principle.tests:
            continue
        for test in principle.tests:
            for violating, texts in ((True, test.violating), (False, test.compliant)):
                for text in texts:
                    yield _Question(principle, test.prompt, text, violating)
        others = sorted((p for p in tested if p.id != principle.id), key=partial(_rank, principle))
        for other in others[:_ELSEWHERE]:
            test = other.tests[0]
            yield _Question(principle, test.prompt, test.compliant[0], False, elsewhere=True)


def _rank(principle: Principle, other: Principle) -> bytes:
    """An order of other principles that stays when one is added or leaves."""
    return hashlib.blake2b(f"{principle.id}\x00{other.id}".encode(), digest_size=8).digest()


async def calibrated(
    roles: Roles,
    constitution: Constitution,
    settings: LoopSettings,
    *,
    known: Mapping[str, Any] | None = None,
    elsewhere: bool = True,
) -> tuple[Roles, Calibration | None]:
    """The roles with their judge calibrated, and how, as `calibrated_judge` says."""
    judge, calibration = await calibrated_judge(
        roles.judge, constitution, settings, known=known, elsewhere=elsewhere
    )
    return replace(roles, judge=judge), calibration


async def calibrated_judge(
    judge: RoleModel,
    constitution: Constitution,
    settings: LoopSettings,
    *,
    known: Mapping[str, Any] | None = None,
    elsewhere: bool = True,
) -> tuple[RoleModel, Calibration | None]:
    """The judge calibrated, where its verdicts decide anything, and how; None where they do not. A
    principle that was calibrated before, as the manifest says that is `known`, and is asked about as
    it was, is read as it was: no edit of another one changes what is made of its verdicts.

    Raises InputError for a judge that does not tell violating from compliant answers, unless the
    settings take it anyway or a script stands in for it, and GeneratorUnavailable when it is gone.
    """
    if not settings.judges_first or not constitution.needs_judge:
        return judge, None
    mass = settings.smallest_mass
    found = await calibrate(judge, constitution, smallest_mass=mass, elsewhere=elsewhere)
    calibration = lasting(found, constitution, known or {})
    stands_in = kind_of(judge.generator.spec) == "scripted"
    if calibration.tells_apart is False and not (settings.judge_anyway or stands_in):
        raise _blind(calibration, judge)
    return replace(judge, calibration=calibration), calibration


def lasting(
    found: Calibration, constitution: Constitution, known: Mapping[str, Any]
) -> Calibration:
    """`found` for every principle that is judged, but for those that are `known`."""
    before, shifts = known.get("made_for", {}), known.get("shifts", {})
    if found.own is None and not shifts:
        return found
    made_for = {p.id: _made_for(constitution, p) for p in constitution.principles if p.needs_judge}
    kept = {
        name: shifts[name]
        for name, made in made_for.items()
        if before.get(name) == made and name in shifts
    }
    read = {name: kept.get(name, found.shifts.get(name, found.shift)) for name in made_for}
    slope = known["slope"] if kept else found.slope
    return replace(found, shifts=read, slope=slope, made_for=made_for)


def _made_for(constitution: Constitution, principle: Principle) -> str:
    asked = f"{constitution.preamble or ''}\x00{principle.content_hash}"
    return hashlib.blake2b(asked.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()


def _blind(calibration: Calibration, judge: RoleModel) -> InputError:
    kinds = (
        (calibration.own, "from its compliant ones"),
        (calibration.elsewhere, "from answers about something else"),
    )
    told = " and ".join(
        f"{other} (AUC {found.auc:.2f}, 95 % interval {found.low:.2f} to {found.high:.2f})"
        for found, other in kinds
        if found and not found.beats_chance
    )
    remedy = (
        "name a stronger model with --judge, write principles with checks, or take its verdicts as "
        "they are with --judge-anyway"
    )
    what = f"cannot tell the constitution's own violating answers {told}"
    return InputError(Problem(f"judge {judge.generator.spec}", what, remedy))
