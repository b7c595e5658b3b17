"""What a stage takes of each GPU, by part, and whether that is there."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from constitution.problems import Problem
from engine.sizing.gpus import GIB, Machine

__all__ = ["Need", "refusal"]


@dataclass(frozen=True, slots=True)
class Need:
    """Bytes by part on the fullest of the `gpus` that the stage uses at once.

    `problems` are what cannot work however much memory there is, each with its remedy; `remedies`
    gives what would fit, when asked; `notes` say what is not in the sum.
    """

    parts: Mapping[str, float] = field(default_factory=dict)
    gpus: int = 1
    problems: tuple[tuple[str, str], ...] = ()
    remedies: Callable[[Machine], Sequence[str]] = lambda machine: ()
    notes: tuple[str, ...] = ()

    @property
    def total(self) -> float:
        """Bytes of all parts."""
        return sum(self.parts.values())

    def fits(self, machine: Machine) -> bool:
        """Whether the machine has the memory and as many GPUs."""
        enough = self.total <= machine.gpu.memory and self.gpus <= machine.count
        return enough and not self.problems

    def __str__(self) -> str:
        if len(self.parts) == 1:
            return f"{self.total / GIB:.1f} GiB ({next(iter(self.parts))})"
        inside = ", ".join(f"{name} {size / GIB:.1f}" for name, size in self.parts.items())
        return f"{self.total / GIB:.1f} GiB ({inside})"


def refusal(stage: str, need: Need, machine: Machine) -> Problem | None:
    """Why the stage cannot run on the machine and what would fit, in one line; None if it can."""
    if need.fits(machine):
        return None
    whats = [what for what, _ in need.problems]
    remedies = [remedy for _, remedy in need.problems if remedy]
    if need.gpus > machine.count:
        whats.append(f"needs {need.gpus} GPUs where there are {machine.count}")
    if need.total > machine.gpu.memory:
        there = f"{machine.gpu.memory / GIB:.1f} GiB of {machine.gpu.name}"
        whats.append(f"takes {need} of the {there}")
    remedies += need.remedies(machine)
    told = f"fits with {', or '.join(dict.fromkeys(remedies))}" if remedies else ""
    return Problem(stage, " and ".join(whats), told or "take a smaller model or a larger GPU")
