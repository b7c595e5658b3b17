"""A judge asked about a constitution's own tests, and refused where it cannot tell them apart."""

import asyncio
from dataclasses import replace

from constitution.problems import InputError, Problem
from constitution.schema import Constitution, Principle, PrincipleTest
from engine.generators.base import GenerationError
from engine.judging.calibration import Calibration, TestedAnswer, calibration_of
from engine.judging.judge import judge_answer
from engine.loop.asking import gathered
from engine.messages import Message
from engine.settings import LoopSettings, RoleModel, Roles

__all__ = ["calibrate", "calibrated"]

_AT_ONCE = 16
"""Answers in flight."""


async def calibrate(
    judge: RoleModel, constitution: Constitution, *, smallest_mass: float = 0.05
) -> Calibration:
    """Ask the judge about every answer of every test of the principles that need one.

    An answer that it gave no verdict on, or could not read, does not count. Raises
    GeneratorUnavailable when the judge is gone.
    """
    turn = asyncio.Semaphore(_AT_ONCE)

    async def one(
        principle: Principle, test: PrincipleTest, text: str, violating: bool
    ) -> TestedAnswer | None:
        conversation = (Message("user", test.prompt), Message("assistant", text))
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
        return TestedAnswer(principle.id, violating, verdict.probability)

    asked = [
        one(principle, test, text, violating)
        for principle in constitution.principles
        if principle.needs_judge
        for test in principle.tests
        for violating, texts in ((True, test.violating), (False, test.compliant))
        for text in texts
    ]
    return calibration_of([answer for answer in await gathered(asked) if answer])


async def calibrated(
    roles: Roles, constitution: Constitution, settings: LoopSettings
) -> tuple[Roles, Calibration | None]:
    """The roles with their judge calibrated, where its verdicts decide anything, and how; None where they
    do not.

    Raises InputError for a judge that does not tell violating from compliant answers, unless the
    settings take it anyway or a script stands in for it, and GeneratorUnavailable when it is gone.
    """
    if not settings.judges_first or not constitution.needs_judge:
        return roles, None
    mass = settings.smallest_mass
    calibration = await calibrate(roles.judge, constitution, smallest_mass=mass)
    stands_in = roles.judge.generator.spec.startswith("scripted")
    if calibration.tells_apart is False and not (settings.judge_anyway or stands_in):
        raise _blind(calibration, roles.judge)
    return replace(roles, judge=replace(roles.judge, calibration=calibration)), calibration


def _blind(calibration: Calibration, judge: RoleModel) -> InputError:
    what = (
        "cannot tell the constitution's own violating answers from its compliant ones (AUC "
        f"{calibration.auc:.2f}, 95 % interval {calibration.low:.2f} to {calibration.high:.2f})"
    )
    remedy = (
        "name a stronger model with --judge, write principles with checks, or take its verdicts as "
        "they are with --judge-anyway"
    )
    return InputError(Problem(f"judge {judge.generator.spec}", what, remedy))
