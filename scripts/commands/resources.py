"""What a plan says of GPUs: memory per stage, hours and money; for a machine here or elsewhere."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.sizing.gpus import Machine
    from engine.sizing.sized import Sizes
    from engine.sizing.stages import StageResources

__all__ = ["OnGpu", "Price", "machine_to_plan_for", "print_resources", "refuse_without_plan"]

OnGpu = Annotated[
    str | None,
    typer.Option(
        "--gpu",
        metavar="GPU",
        help='With --plan: plan for this machine ("H100-80GB x8", "L4", "NAME-48GB"), also where it is '
        "not; a model's config.json that is not here is asked for on the hub.",
    ),
]
Price = Annotated[
    float | None,
    typer.Option("--price", min=0, help="With --plan: what a GPU costs an hour, for the bill."),
]


def refuse_without_plan(plan: bool, gpu: str | None, price: float | None) -> None:
    """Raise InputError for options that nothing would read."""
    from constitution.problems import InputError, Problem

    given = [("--gpu", gpu), ("--price", price)]
    problems = [
        Problem(name, "is read with --plan alone", "add --plan, or take it out")
        for name, value in given
        if value is not None and not plan
    ]
    if problems:
        raise InputError(problems)


def machine_to_plan_for(gpu: str | None) -> "Machine | None":
    """The machine that `--gpu` names, else this one's GPUs, if it has any."""
    from engine.sizing.gpus import machine_here, read_machine

    return read_machine(gpu) if gpu is not None else machine_here()


def print_resources(
    found: "Sequence[StageResources]",
    sizes: "Sizes",
    machine: "Machine | None",
    price: float | None,
    say: "Callable[[str], None]",
) -> None:
    """A line for each model and stage, and one for all of them.

    Raises InputError with a line for each stage that cannot run on the machine.
    """
    from engine.report.wording import duration
    from engine.sizing.gpus import GIB
    from engine.sizing.stages import refuse_unfit

    for model in sizes.found.values():
        say(str(model))
    if machine is None:
        say("memory on each GPU, estimated (no GPU here: --gpu NAME says whether it fits)")
    else:
        say(
            f"memory on each GPU, estimated, of {machine} ({machine.gpu.memory / GIB:.1f} GiB each)"
        )
    for each in found:
        several = f" on each of {each.need.gpus} GPUs" if each.need.gpus > 1 else ""
        took = "" if each.hours is None else f"; at most about {duration(3600 * each.hours)}"
        if each.need.parts:
            say(f"{each.stage}: {each.need}{several}{took}")
    for note in dict.fromkeys(note for each in found for note in each.need.notes):
        stages = ", ".join(each.stage for each in found if note in each.need.notes)
        say(f"{stages}: {note}")
    if machine is not None:
        say(_bill(found, machine, price))
    refuse_unfit(found, machine)


def _bill(found: "Sequence[StageResources]", machine: "Machine", price: float | None) -> str:
    """All hours, in which all GPUs of the machine are held."""
    unknown = [each.stage for each in found if each.hours is None and each.need.parts]
    if not found or len(unknown) == len(found):
        return (
            "GPU-hours: not known (without a number of prompts, a model's size or the GPU's peak)"
        )
    hours = machine.count * sum(each.hours or 0 for each in found)
    without = f", without {', '.join(unknown)}" if unknown else ""
    costs = "" if price is None else f", {hours * price:,.2f} at {price:g} each"
    return f"GPU-hours: about {hours:,.1f} at most{costs}{without}"
