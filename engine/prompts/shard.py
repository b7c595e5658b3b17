"""A share of the prompts, by a hash of their ids: for several machines on one set of prompts."""

import re
from dataclasses import dataclass
from hashlib import blake2b

from constitution.problems import InputError, Problem

__all__ = ["Shard", "shard_number"]

_WRITTEN = re.compile(r"([0-9]{1,6})/([0-9]{1,6})")
_PERSON = b"solon shard"
"""So that this hash of an id has nothing to do with any other."""


def shard_number(prompt_id: str, of: int) -> int:
    """Which of the shards 1 to `of` the prompt with this id is in: the same in every file, in every
    process and on every machine."""
    digest = blake2b(prompt_id.encode(), digest_size=8, person=_PERSON).digest()
    return int.from_bytes(digest) % of + 1


@dataclass(frozen=True, slots=True)
class Shard:
    """One of `of` shards, counted from 1."""

    number: int
    of: int

    @classmethod
    def parse(cls, text: str) -> "Shard":
        """What `--shard` says. Raises InputError for anything but I/N with I from 1 to N."""
        remedy = "write I/N with I from 1 to N, as 1/8 to 8/8"
        written = _WRITTEN.fullmatch(text)
        if written is None:
            raise InputError(Problem("--shard", f"`{text}` is not a shard", remedy))
        number, of = int(written[1]), int(written[2])
        if not 1 <= number <= of:
            what = f"there is no shard {text}: they count from 1"
            raise InputError(Problem("--shard", what, remedy))
        return cls(number, of)

    def holds(self, prompt_id: str) -> bool:
        """Whether the prompt with this id is one of this shard's."""
        return shard_number(prompt_id, self.of) == self.number

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"
