"""How long an attack goes on, and with what it begins."""

from typing import Literal

from pydantic import Field

from constitution.typed_yaml import Settings
from engine.redteam.records import Turns
from engine.redteam.transforms import ATTACKS
from engine.setting_fields import JudgeAnyway, Seed, Threshold

__all__ = ["RedTeamSettings"]


class RedTeamSettings(Settings):
    """An attack on one prompt: seeds first, then the attacker from the best of them, until the target
    breaks the principle or the turns are used up."""

    seeds: Literal["plain", "transforms", "all"] = Field(
        default="plain",
        description="What is tried first: the prompt as it is, the six transforms of it, or both.",
    )
    turns: int = Field(
        default=5, ge=0, description="Messages of the attacker at most; 0 tries the seeds alone."
    )
    mode: Literal["single", "multi", "both"] = Field(
        default="both",
        description="Start a new conversation with each message, go on with the same, or one for every "
        "other prompt.",
    )
    go_on: bool = Field(
        default=False,
        description="Use up all seeds and turns though the principle is broken, to compare tactics.",
    )
    threshold: Threshold = 0.5
    judge_anyway: JudgeAnyway = False
    seed: Seed = 0

    def most_calls(self, prompts: int) -> dict[str, int]:
        """The most calls of each role for so many prompts."""
        seeds = {"plain": 1, "transforms": len(ATTACKS), "all": 1 + len(ATTACKS)}[self.seeds]
        attempts = prompts * (seeds + self.turns)
        return {"target": attempts, "attacker": prompts * self.turns, "judge": attempts}

    def turns_of(self, row: int) -> Turns:
        """How the attacker goes about a prompt."""
        if self.mode == "both":
            return "multi" if row % 2 else "single"
        return self.mode
