"""The shards of a run, all there, all finished, and all of one run."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from constitution.problems import InputError, Problem
from engine.prompts.shard import Shard
from engine.runs.manifest import differences, own_manifest
from engine.runs.output import SHARDS

__all__ = ["FinishedShard", "begun_shards", "finished_shards"]

_KINDS = ("revise", "label", "answer", "evaluate")
_SHOWN = 5


@dataclass(frozen=True, slots=True)
class FinishedShard:
    """One shard that has done all of its prompts."""

    path: Path
    shard: Shard
    manifest: Mapping[str, Any]

    @property
    def kind(self) -> str:
        """Of what it holds: `revise`, `label`, `answer` or `evaluate`."""
        return str(self.manifest["kind"])

    @property
    def identity(self) -> Mapping[str, Any]:
        """What its rows depend on."""
        identity: Mapping[str, Any] = self.manifest["identity"]
        return identity

    @property
    def whole_identity(self) -> dict[str, Any]:
        """That of the run it is a part of."""
        return {key: value for key, value in self.identity.items() if key != "shard"}

    @property
    def remedy(self) -> str:
        """What to do about a shard that is not as it should be."""
        return f"run it again with --shard {self.shard}"


def finished_shards(out: Path) -> list[FinishedShard]:
    """All shards in `out`, in their order.

    Raises InputError, in one line, where there are none, or some are missing or unfinished, or not
    of the same run: another constitution, model, setting, set of prompts or number of shards.
    """
    shards = sorted(begun_shards(out), key=lambda one: one.shard.number)
    if not shards:
        remedy = "run a command with --shard I/N and this --out first"
        raise InputError(Problem(str(out), "holds no shards", remedy))
    first = shards[0]
    for other in shards[1:]:
        if unlike := _unlike(first, other):
            what = f"is not of the same run as {first.path.name}: {unlike}"
            raise InputError(Problem(str(other.path), what, "run it again as the others were"))
    there = {one.shard.number: one for one in shards}
    missing = [n for n in range(1, first.shard.of + 1) if n not in there]
    unfinished = [n for n, one in there.items() if not one.manifest.get("complete")]
    if missing or unfinished:
        lacking = [_listed(missing, "missing"), _listed(unfinished, "unfinished")]
        what = f"of {first.shard.of} shards {' and '.join(filter(None, lacking))}"
        number = (missing or unfinished)[0]
        remedy = f"run their commands again (--shard {number}/{first.shard.of})"
        raise InputError(Problem(str(out / SHARDS), what, remedy))
    return shards


def begun_shards(out: Path) -> Iterator[FinishedShard]:
    """Those that are there, finished or not. Raises InputError for what says to be another's."""
    folder = out / SHARDS
    for path in folder.iterdir() if folder.is_dir() else ():
        manifest = own_manifest(path, "a shard", _KINDS) if path.is_dir() else None
        if manifest is None:
            continue  # not begun: it is missing
        told = manifest["identity"].get("shard")
        try:
            shard = Shard.parse(str(told))
        except InputError:
            shard = None
        if shard is None or str(shard.number) != path.name:
            what = f"is not shard {path.name} of a run (its manifest says `{told}`)"
            raise InputError(Problem(str(path), what, "move it out of there"))
        yield FinishedShard(path, shard, manifest)


def _unlike(first: FinishedShard, other: FinishedShard) -> str:
    """In what two shards are not of the same run."""
    if other.kind != first.kind:
        return f"it is of `solon {other.kind}`, and that one of `solon {first.kind}`"
    if other.shard.of != first.shard.of:
        return f"it is one of {other.shard.of} shards, and that one of {first.shard.of}"
    unlike = differences(first.whole_identity, other.whole_identity)
    return "; ".join(f"{one.what} is {one.ours}, and there {one.theirs}" for one in unlike)


def _listed(numbers: list[int], word: str) -> str:
    if not numbers:
        return ""
    more = f" and {len(numbers) - _SHOWN} more" if len(numbers) > _SHOWN else ""
    names = ", ".join(map(str, numbers[:_SHOWN]))
    return f"{len(numbers)} {'is' if len(numbers) == 1 else 'are'} {word} ({names}{more})"
