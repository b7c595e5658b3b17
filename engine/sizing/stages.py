"""Stages that load models: what each takes, how long it takes, and which cannot run."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from constitution.problems import InputError
from engine.generators.spec import runs_here
from engine.runs.plan import Plan
from engine.sizing.gpus import Machine
from engine.sizing.need import Need, refusal
from engine.sizing.pace import Work, gpu_hours
from engine.sizing.serving import serving_need
from engine.sizing.sized import Sizes
from engine.sizing.specs import Name, engines_of, model_of, server_notes, unsized

__all__ = [
    "StageResources",
    "TokenSum",
    "Tokens",
    "hours_of",
    "refuse_unfit",
    "revision_resources",
    "serving_stage",
    "tokens_by_model",
]

Tokens = Mapping[str, tuple[float, float, float]]
"""Model to the tokens that it reads, writes and is trained on."""


@dataclass(frozen=True, slots=True)
class StageResources:
    """What one stage needs, and its hours on one GPU; None where they are not known."""

    stage: str
    need: Need
    gpu_hours: float | None = None

    @property
    def hours(self) -> float | None:
        """Of waiting for it: its GPUs work side by side."""
        return None if self.gpu_hours is None else self.gpu_hours / self.need.gpus


def refuse_unfit(found: Iterable[StageResources], machine: Machine | None) -> None:
    """Raise InputError with a line for each stage that cannot run on the machine, if there is one."""
    if machine is None:
        return
    refused = [refusal(each.stage, each.need, machine) for each in found]
    if problems := [problem for problem in refused if problem]:
        raise InputError(problems)


def serving_stage(
    specs: Iterable[str], sizes: Sizes, machine: Machine | None, name: Name = str
) -> Need | None:
    """Of the engines that these specs start at once; None where they start none and nothing is to be
    said of servers."""
    specs = list(specs)
    engines = engines_of(specs, sizes, name)
    need = serving_need(engines, machine)
    notes = need.notes + unsized(engines) + server_notes(specs, sizes, machine)
    return replace(need, notes=notes) if engines or notes else None


def revision_resources(
    plan: Plan, specs: Mapping[str, str], sizes: Sizes, machine: Machine | None
) -> list[StageResources]:
    """What a planned run needs; `specs` are of its roles."""
    need = serving_stage(specs.values(), sizes, machine)
    hours = hours_of(tokens_by_model(plan, specs), sizes, machine)
    return [StageResources("revise", need, hours)] if need else []


class TokenSum:
    """Tokens by model, of what is computed on the GPUs here: servers have their own."""

    def __init__(self) -> None:
        self._found: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0, 0.0])

    def add(self, spec: str, read: float, written: float, trained: float = 0.0) -> None:
        """What the model of a spec reads, writes and is trained on."""
        if runs_here(spec):
            found = self._found[model_of(spec)]
            for place, tokens in enumerate((read, written, trained)):
                found[place] += tokens

    @property
    def tokens(self) -> Tokens:
        """What was added."""
        return {name: (each[0], each[1], each[2]) for name, each in self._found.items()}


def tokens_by_model(plan: Plan, specs: Mapping[str, str], scale: float = 1.0) -> Tokens:
    """What a planned run reads and writes, shared out among its models by their calls."""
    work, calls = TokenSum(), max(1, sum(plan.calls.values()))
    for role, spec in specs.items():
        share = scale * plan.calls.get(role, 0) / calls
        work.add(spec, share * plan.prompt_tokens, share * plan.completion_tokens)
    return work.tokens


def hours_of(
    tokens: Tokens | None, sizes: Sizes, machine: Machine | None, name: Name = str
) -> float | None:
    """Hours of one GPU; None where tokens, a model's size or the GPU's peak are not known."""
    if machine is None or tokens is None:
        return None
    work = []
    for model, amounts in tokens.items():
        shape = sizes.of(name(model)).shape
        if shape is None:
            return None
        work.append(Work(shape, *amounts))
    return gpu_hours(work, machine.gpu.peak)
