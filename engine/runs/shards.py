"""A run in shards: each an ordinary run of its share of the prompts, in `OUT/shards/I`.

Where `OUT` is on a network, a shard is worked on in a directory of a local disk instead, since a
database cannot be kept on the former, and its rows are copied to `OUT/shards/I` as it goes.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

from constitution.problems import InputError, Problem
from engine.prompts.shard import Shard
from engine.prompts.sources import PromptSource
from engine.runs.finished_shards import begun_shards
from engine.runs.manifest import MANIFEST
from engine.runs.output import SHARDS
from engine.runs.scratch import ScratchCopy, forget_worker
from engine.storage.atomic import check_place

__all__ = ["RunPlace"]


@dataclass(frozen=True, slots=True)
class RunPlace:
    """Where a run is kept: `out`, or as one shard of it, which may be worked on in `scratch`."""

    out: Path
    shard: Shard | None = None
    scratch: Path | None = None

    @classmethod
    def parse(cls, out: str | Path, shard: str | None, scratch: str | Path | None) -> "RunPlace":
        """What `--out`, `--shard` and `--scratch` say. Raises InputError for a wrong shard."""
        if scratch is not None and shard is None:
            what = "is for one shard of a run"
            remedy = "add --shard I/N (1/1 for all of it), or leave it out"
            raise InputError(Problem("--scratch", what, remedy))
        part = Shard.parse(shard) if shard is not None else None
        return cls(Path(out), part, Path(scratch) if scratch is not None else None)

    @property
    def home(self) -> Path:
        """Where what was finished is kept."""
        return self.out if self.shard is None else self.out / SHARDS / str(self.shard.number)

    @property
    def directory(self) -> Path:
        """Where the run is worked on: another one for each `out`, wherever that is mounted."""
        if self.scratch is None:
            return self.home
        digest = blake2b(str(self.home.absolute()).encode(), digest_size=4).hexdigest()
        return self.scratch / f"{self.out.name}-{self.home.name}-{digest}"

    @property
    def of(self) -> int | None:
        """How many shards there are."""
        return None if self.shard is None else self.shard.of

    def prompts(self, source: PromptSource) -> PromptSource:
        """Those of `source` that belong here."""
        return source if self.shard is None else source.part(self.shard)

    @contextmanager
    def open(
        self, on_problem: Callable[[str], None] = lambda told: None, *, cache: bool = False
    ) -> Iterator[Path]:
        """The directory to work in, copied to where it is kept until the block ends.

        `on_problem` is called when a copy fails that is tried again; `cache` as of ScratchCopy. Raises
        InputError where `out` holds something else than shards, or those of another number, or where
        another process works on this one.
        """
        if self.shard is not None:
            self._check_out(self.shard.of)
        if self.scratch is not None:
            with ScratchCopy(self.home, self.directory, on_problem=on_problem, cache=cache):
                yield self.directory
            return
        if self.shard is not None:
            forget_worker(self.home)
        yield self.directory

    def _check_out(self, of: int) -> None:
        if (self.out / SHARDS).is_dir():
            other = next((one for one in begun_shards(self.out) if one.shard.of != of), None)
            if other is not None:
                what = f"is one of {other.shard.of} shards, and this would be one of {of}"
                remedy = f"write --shard I/{other.shard.of}, or name another directory with --out"
                raise InputError(Problem(str(other.path), what, remedy))
            return
        remedy = "name another directory with --out, or leave --shard or --ray out"
        if (self.out / MANIFEST).is_file():
            raise InputError(Problem(str(self.out), "holds a run that is not in shards", remedy))
        check_place(self.out, "a directory of shards", lambda name: name == "lock")
