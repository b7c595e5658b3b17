"""A share of the prompts, by a hash of their ids: for several machines on one set of prompts."""

import re
from array import array
from collections import Counter
from dataclasses import dataclass
from hashlib import blake2b, sha256

from constitution.problems import InputError, Problem

__all__ = ["Shard", "Shares", "shard_number"]

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


class Shares:
    """In which of `of` shards each row of a file is, and a hash of each shard's rows, so that a shard is
    read without parsing the others. 2 bytes a row, 4 with more than 65,535 shards."""

    def __init__(self, of: int) -> None:
        self.sizes: Counter[int] = Counter()
        self._of = of
        self._rows = array("H" if of < 1 << 16 else "I")
        self._hashes = {number: sha256() for number in range(1, of + 1)}

    def add(self, prompt_id: str, canonical: bytes) -> None:
        """The next row, whose content is `canonical`."""
        number = shard_number(prompt_id, self._of)
        self.sizes[number] += 1
        self._rows.append(number)
        self._hashes[number].update(canonical)

    def holds(self, number: int, row: int) -> bool:
        """Whether the row, counted from 0, is in this shard."""
        return row < len(self._rows) and self._rows[row] == number

    def hash(self, number: int) -> str:
        """Of the rows of this shard."""
        return self._hashes[number].hexdigest()
