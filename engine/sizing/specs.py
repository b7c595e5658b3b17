"""Model specs as engines on the GPUs here, and servers that need GPUs of their own."""

from collections.abc import Callable, Iterable
from dataclasses import replace

from engine.generators.spec import read_spec
from engine.generators.spec_needs import servers_of
from engine.generators.vllm_platform import memory_share
from engine.sizing.gpus import GIB, Machine
from engine.sizing.serving import Engine, engine_of
from engine.sizing.sized import Sizes

__all__ = ["Name", "engines_of", "model_of", "server_notes", "unsized"]

Name = Callable[[str], str]
"""What the shape of a model is looked up by: of one that is yet to be trained, the one it starts as."""

_HERE = {"localhost", "127.0.0.1", "::1", "0.0.0.0"}


def model_of(spec: str) -> str:
    """The model that a spec names; empty for one without."""
    kind, name, _ = read_spec(spec)
    if kind == "embedded":
        return "embedded"
    return name.partition("@http")[0] if kind == "server" else name


def engines_of(specs: Iterable[str], sizes: Sizes, name: Name) -> list[Engine]:
    """The engines that these specs start on this machine; equal ones share one. Those of vLLM split a
    GPU's memory, but for one whose spec says its share."""
    opened = {spec: engine_of(spec, name(model_of(spec)), sizes) for spec in dict.fromkeys(specs)}
    engines = {spec: engine for spec, engine in opened.items() if engine is not None}
    several = sum(engine.share is not None for engine in engines.values())
    for spec, engine in engines.items():
        said = "gpu_memory_utilization" in read_spec(spec).options
        if several > 1 and engine.share is not None and not said:
            engines[spec] = replace(engine, share=memory_share(several))
    return list(engines.values())


def unsized(engines: Iterable[Engine]) -> tuple[str, ...]:
    """The models whose size is not known, which are in no sum."""
    return tuple(f"not counted: {each.model}" for each in engines if each.model.shape is None)


def server_notes(specs: Iterable[str], sizes: Sizes, machine: Machine | None) -> tuple[str, ...]:
    """What servers on this machine need besides, since they are started by somebody else."""
    notes = []
    for spec in dict.fromkeys(specs):
        kind, name, _ = read_spec(spec)
        hosts = servers_of(name) if kind == "server" else []
        here = [host for host in hosts if host.rpartition(":")[0].strip("[]") in _HERE]
        engine = engine_of(f"vllm:{model_of(spec)}", model_of(spec), sizes) if here else None
        if engine is None:
            continue
        takes = f", {engine.weights / GIB:.1f} GiB of weights," if engine.model.shape else ""
        alone = " (there is one)" if machine and machine.count == 1 else ""
        notes.append(
            f"the server at {here[0]} with {model_of(spec)}{takes} "
            f"is not counted: give it a GPU of its own{alone}"
        )
    return tuple(notes)
