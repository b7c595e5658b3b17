"""Prompts: what a run reads. Files are streamed, checked whole before anything is spent."""

import hashlib
import re
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from copy import copy
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from constitution.problems import InputError, Problem
from engine.prompts.files import FileRow, PromptFile, in_memory, open_prompt_file
from engine.prompts.plain_values import Replaced
from engine.prompts.rows import (
    BadPrompt,
    Columns,
    Draft,
    Prompt,
    PromptFormat,
    missing_column,
    parse_prompt,
)
from engine.prompts.shard import Shard, Shares, shard_number

__all__ = ["Prompt", "PromptSource", "open_prompts", "prompts_from"]

SHOWN_PROBLEMS = 20
SHOWN_ALIKE = 3
_CONTENT_ID = re.compile(r"([0-9a-f]{16})(-\d+)?")


def open_prompts(
    source: str | Path,
    *,
    prompt_column: str | None = None,
    id_column: str | None = None,
    tags_column: str | None = None,
    prompt_format: PromptFormat | None = None,
    limit: int | None = None,
    shards: int | None = None,
) -> "PromptSource":
    """The prompts of one or several files, a saved data set, `hf:NAME[:split]` or standard input,
    read once and found in order.

    Args:
        source: .jsonl, .ndjson, .json, .csv, .tsv (also .gz and .zst), .parquet, a folder,
            `hf:NAME[:split][?options]` or `-`; several as a pattern or with commas between.
        prompt_column: where the prompt is, if not in `prompt` or `messages`.
        id_column: where the id is, if not in `id`; without one, it is a hash of the messages.
        tags_column: where the tags are, if not in `tags`.
        prompt_format: how to read a text that is a conversation; without one it is refused.
        limit: read only that many rows.
        shards: note on the way in which of so many each row is, for `part`.

    Raises InputError with everything that is wrong, each by line or row.
    """
    if limit is not None and limit < 1:
        raise InputError(Problem("limit", f"is {limit}", "give 1 or more"))
    columns = Columns(prompt_column, id_column, tags_column, prompt_format)
    return PromptSource(open_prompt_file(source), columns, limit, shards)


class PromptSource:
    """Checked prompts of one file, streamed again by each iteration; memory does not grow with rows
    but for 8 bytes each during the check, which building one does, and 2 to know their shards.

    `hash` covers every column of every prompt, and neither the file's format nor column names.
    Rows without an id get `Draft.content_id`, and "-2", "-3" where the same prompt came before.
    Of a `part`, `count` and what is streamed are those of its `shard`; `whole` counts all of them.
    """

    def __init__(
        self,
        file: PromptFile,
        columns: Columns | None = None,
        limit: int | None = None,
        shards: int | None = None,
    ) -> None:
        self.path = file.name
        self.columns = columns or Columns()
        self._file = file
        self._limit = limit
        self._repeated: frozenset[int] = frozenset()
        self.replaced = Replaced()
        """How many values JSON cannot hold, and what they became."""
        self.shard: Shard | None = None
        self._shares: dict[int, Shares] = {}
        self._sizes: dict[int, Counter[int]] = {}
        self._check_header()
        self.count, self.hash = self._check_rows(shards)
        self.whole = self.count

    @property
    def files(self) -> tuple[Path, ...]:
        """The files that each iteration reads; none for a data set or rows in memory."""
        return self._file.files

    def part(self, shard: Shard) -> "PromptSource":
        """The prompts of one shard, each with the id and the row that it has among all of them.

        Reads the file once more for a number of shards that was not counted when it was opened, or
        where prompts are repeated. Raises InputError as iterating does.
        """
        if shard.of not in self._sizes:
            self._sizes[shard.of] = Counter(shard_number(p.id, shard.of) for p in self._every())
        part = copy(self)
        part.shard, part.count = shard, self._sizes[shard.of][shard.number]
        return part

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[Prompt]:
        """Raises InputError, at the latest after the last row, if the file is no longer the one
        that was checked."""
        shard = self.shard
        if shard is None:
            return self._every()
        if shares := self._shares.get(shard.of):
            return self._read(shares.hash(shard.number), partial(shares.holds, shard.number))
        return (prompt for prompt in self._every() if shard.holds(prompt.id))

    def _every(self) -> Iterator[Prompt]:
        return self._read(self.hash, lambda row: True)

    def _read(self, hash: str, holds: Callable[[int], bool]) -> Iterator[Prompt]:
        """The rows that are held, which together had this hash when they were checked."""
        numbering, digest = _Numbering(self._repeated), hashlib.sha256()
        for index, row in enumerate(self._rows()):
            if not holds(index):
                continue
            try:
                draft = _parse(row, self.columns)
                digest.update(draft.canonical)
            except BadPrompt as bad:
                what = f"{bad.what}: the file changed while it was being read"
                raise InputError(Problem(self._file.where(row), what)) from bad
            yield numbering.prompt(draft, index)
        if digest.hexdigest() != hash:
            remedy = "put the file back as it was to resume, or start over with another --out"
            raise InputError(Problem(self.path, "changed while it was being read", remedy))

    def _rows(self) -> Iterator[FileRow]:
        return islice(self._file.read(), self._limit)

    def _check_header(self) -> None:
        if not self._file.columns:
            return
        problem = missing_column(self._file.columns, self.columns)
        if problem is not None:
            raise InputError(Problem(self.path, problem.what, problem.remedy))

    def _check_rows(self, shards: int | None) -> tuple[int, str]:
        """Count and hash, from one pass; a second one only if two rows may share an id."""
        problems, shares = _Problems(self.path), Shares(shards) if shards else None
        digest, ids, given = hashlib.sha256(), array("Q"), False
        nulls = texts = 0
        for row in self._rows():
            nulls, texts = nulls + row.replaced.nulls, texts + row.replaced.texts
            try:
                draft = _parse(row, self.columns)
                digest.update(draft.canonical)
            except BadPrompt as bad:
                problems.add(self._file.where(row), bad)
                continue
            given = given or draft.id is not None
            id = draft.id or draft.content_id
            ids.append(_id_digest(id))
            if shares:
                shares.add(id, draft.canonical)
        self.replaced, self._repeated = Replaced(nulls, texts), _repeated(ids)
        if shards and shares and not self._repeated:  # those are numbered, and have other ids
            self._shares[shards], self._sizes[shards] = shares, shares.sizes
        if given and self._repeated:
            self._check_ids(problems)
        if not ids and not problems.count:
            problems.add(self.path, BadPrompt("holds no prompts", "give at least one row"))
        problems.raise_any()
        return len(ids), digest.hexdigest()

    def _check_ids(self, problems: "_Problems") -> None:
        """Tell true duplicates from digests that happen to be equal."""
        numbering, seen = _Numbering(self._repeated), dict[str, FileRow]()
        for row in self._rows():
            try:
                prompt = numbering.prompt(_parse(row, self.columns), 0)
            except BadPrompt:
                continue  # reported in the first pass
            if _id_digest(prompt.id) not in self._repeated:
                continue
            first = seen.setdefault(prompt.id, row)
            if first is not row:
                what = f"the id {prompt.id!r} is also that of {self._file.where(first)}"
                problems.add(self._file.where(row), BadPrompt(what, "give each row its own"))


def prompts_from(items: Iterable[str | Mapping[str, Any] | Prompt]) -> Iterator[Prompt]:
    """Prompts from texts, rows as files have them, or prompts, numbered as they come.

    Raises InputError at the first that is none, or whose id came before.
    """
    numbering, seen = _Numbering(None), set[str]()
    for index, item in enumerate(items):
        where = f"prompts[{index}]"
        if isinstance(item, Prompt):
            prompt = item
        else:
            row = next(in_memory([item]).read())
            columns = Columns(format="text" if isinstance(item, str) else None)
            try:
                prompt = numbering.prompt(_parse(row, columns), index)
            except BadPrompt as bad:
                raise InputError(Problem(where, bad.what, bad.remedy)) from bad
        if prompt.id in seen:
            raise InputError(Problem(where, f"the id {prompt.id!r} came before"))
        seen.add(prompt.id)
        yield prompt


class _Numbering:
    """Ids for drafts; only `repeated` digests need counting (None: any may be repeated)."""

    def __init__(self, repeated: frozenset[int] | None) -> None:
        self._repeated = repeated
        self._seen: dict[str, int] = {}

    def prompt(self, draft: Draft, index: int) -> Prompt:
        id = draft.id or self._numbered(draft.content_id)
        return Prompt(id, index, draft.messages, draft.tags, draft.extra)

    def _numbered(self, id: str) -> str:
        if self._repeated is not None and _id_digest(id) not in self._repeated:
            return id
        times = self._seen[id] = self._seen.get(id, 0) + 1
        return id if times == 1 else f"{id}-{times}"


class _Problems:
    """The first problems found, few of a kind, and how many there were."""

    def __init__(self, path: str) -> None:
        self.count = 0
        self._path = path
        self._shown: list[Problem] = []

    def add(self, where: str, bad: BadPrompt) -> None:
        self.count += 1
        alike = sum(problem.what == bad.what for problem in self._shown)
        if len(self._shown) < SHOWN_PROBLEMS and alike < SHOWN_ALIKE:
            self._shown.append(Problem(where, bad.what, bad.remedy))

    def raise_any(self) -> None:
        """Raise InputError if anything was added."""
        rest = self.count - len(self._shown)
        if rest:
            self._shown.append(Problem(self._path, f"and {rest} more problems"))
        if self._shown:
            raise InputError(self._shown)


def _parse(row: FileRow, columns: Columns) -> Draft:
    if row.value is None:
        raise BadPrompt(row.what, row.remedy)
    return parse_prompt(row.value, columns)


def _id_digest(id: str) -> int:
    """64 bits of an id; one made from content, numbered or not, keeps the bits it has."""
    made = _CONTENT_ID.fullmatch(id)
    if made:
        return int(made[1], 16)
    return int.from_bytes(hashlib.blake2b(id.encode(), digest_size=8).digest())


def _repeated(digests: "array[int]") -> frozenset[int]:
    ordered = array("Q", sorted(digests))
    return frozenset(
        one for one, other in zip(ordered, islice(ordered, 1, None), strict=False) if one == other
    )
