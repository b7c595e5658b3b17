"""A run's files: what they are, whose run it is, and how it is taken up again.

    manifest.json  constitution.yaml  records.jsonl  failures.jsonl  escalations.jsonl
    completions.sqlite  previous/1/...  report.html

A run revises or labels; the manifest says which, and only a revision is ever escalated.
The manifest says what the run is (its identity) before the first record is written and how it ended
after the last one; `complete` is the last thing written.
"""

import contextlib
import json
import os
from array import array
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any, Literal, TextIO

import yaml

from constitution.problems import InputError, Problem
from constitution.schema import Constitution
from engine.judging.records import LabelOutcome, LabelRecord
from engine.records import Failure, Outcome, Record
from engine.runs.identity import Difference, Identity, differences
from engine.runs.takeover import (
    FORMAT,
    announce,
    check_place,
    clear,
    finish_pending,
    forget_drafts,
    read_own_manifest,
    set_aside,
)
from engine.storage.completion_cache import CompletionCache
from engine.storage.jsonl import DirectoryLock, JsonlStore, write_json_atomic

__all__ = ["LABEL", "REVISE", "Done", "Mode", "RunDirectory", "RunKind"]

Mode = Literal["resume", "update", "overwrite"]


@dataclass(frozen=True, slots=True)
class RunKind:
    """What a run's records are: their outcomes, and whether some of them wait for a person."""

    name: Literal["revise", "label"]
    outcomes: tuple[str, ...]
    escalates: bool


REVISE = RunKind("revise", tuple(Outcome), escalates=True)
LABEL = RunKind("label", tuple(LabelOutcome), escalates=False)


class Done:
    """Ids already finished, 8 bytes each. Two ids collide once in 10^7 runs of a million."""

    def __init__(self, ids: "array[int]") -> None:
        self._ids = array("Q", sorted(ids))

    @staticmethod
    def digest(prompt_id: str) -> int:
        """64 bits of an id."""
        return int.from_bytes(blake2b(prompt_id.encode(), digest_size=8).digest())

    def __contains__(self, prompt_id: str) -> bool:
        digest = self.digest(prompt_id)
        at = bisect_left(self._ids, digest)
        return at < len(self._ids) and self._ids[at] == digest

    def __len__(self) -> int:
        return len(self._ids)


class RunDirectory:
    """One run's directory, held by one process at a time. Use as a context manager.

    Raises InputError when it holds another run (saying what differs and which flag means what),
    when another process holds it, or when a file in it is damaged beyond its last line.
    """

    def __init__(
        self, path: Path, kind: RunKind, identity: Identity, constitution: Constitution
    ) -> None:
        self.path = path
        self.kind = kind
        self.identity = identity
        self.constitution = constitution
        self.totals: Counter[str] = Counter()
        self.usage: Counter[str] = Counter()
        self.done = Done(array("Q"))
        self.aside: Path | None = None
        """Where an update put the previous records."""
        self.complete = False
        """Whether the manifest found says so, and the rows agree."""
        self.escalations: JsonlStore | None = None
        """Of a kind of run that escalates."""
        self._created: str | None = None
        self._lock: DirectoryLock | None = None

    # Opening ------------------------------------------------------------------------------------

    def open(self, mode: Mode = "resume") -> "RunDirectory":
        """Take the directory: new, resumed, updated to an edited constitution, or overwritten."""
        check_place(self.path)
        self.path.mkdir(parents=True, exist_ok=True)
        self._lock = DirectoryLock(self.path)
        self._lock.__enter__()
        try:
            self._settle(mode)
        except BaseException:
            self._lock.__exit__(None, None, None)
            raise
        return self

    def _settle(self, mode: Mode) -> None:
        forget_drafts(self.path)
        found = finish_pending(self.path, read_own_manifest(self.path))
        ours = self.identity.as_dict()
        differing = differences(found["identity"], ours) if found else []
        if found and mode == "overwrite":
            clear(self.path, ours)
            found = None
        elif found and differing:
            self._refuse_unless_update(differing, mode)
            self.aside = set_aside(self.path, found, ours)
            found = None
        elif not found:
            announce(self.path, ours)
        self.cache = CompletionCache(self.path / "completions.sqlite")
        self.records = JsonlStore(self.path / "records.jsonl")
        self.failures = JsonlStore(self.path / "failures.jsonl")
        self._take_up(found or {})
        if self.kind.escalates:
            self.escalations = JsonlStore(self.path / "escalations.jsonl")

    def _refuse_unless_update(self, differing: list[Difference], mode: Mode) -> None:
        only_constitution = all(d.what == "constitution" for d in differing)
        if mode == "update" and only_constitution:
            return
        told = "; ".join(map(str, differing))
        remedy = (
            "--update generates what the edit touches and keeps the previous records beside, "
            "--overwrite starts anew, another --out leaves this run alone"
            if only_constitution
            else "repeat the run's own command to resume it, --overwrite to discard its records, "
            "or name another --out"
        )
        raise InputError(Problem(str(self.path), f"holds another run: {told}", remedy))

    def _take_up(self, found: Mapping[str, Any]) -> None:
        """Learn what is done; escalations are written anew from the records, since a kill may have
        come between the two; failures that may succeed now are forgotten."""
        self.usage.update(found.get("usage", {}))
        self._created = found.get("created")
        done = array("Q")
        fields = ("id", "outcome", "constitution", *(("escalate",) if self.kind.escalates else ()))
        with self._escalations_anew() as escalations:
            for row in self._own_rows(self.records, fields):
                self._refuse_foreign(row)
                done.append(Done.digest(row["id"]))
                self.totals[row["outcome"]] += 1
                if escalations and row["escalate"]:
                    escalations.write(json.dumps(row, ensure_ascii=False) + "\n")
                    self.totals["escalated"] += 1
        lasting = [
            row
            for row in self._own_rows(self.failures, ("id", "retryable"))
            if not row["retryable"]
        ]
        done.extend(Done.digest(row["id"]) for row in lasting)
        self.totals["failed"] = len(lasting)
        self.done = Done(done)
        totals = found.get("totals", {})
        rows = self.totals["failed"] + sum(self.totals[outcome] for outcome in self.kind.outcomes)
        whole = rows == totals.get("records", 0) + totals.get("failed", 0)
        self.complete = bool(found.get("complete")) and whole
        if found.get("complete") and not whole:
            write_json_atomic(
                self.path / "manifest.json", {**found, "status": "interrupted", "complete": False}
            )
        self._keep_failures(lasting)

    def _escalations_anew(self) -> contextlib.AbstractContextManager[TextIO | None]:
        if not self.kind.escalates:
            return contextlib.nullcontext()
        return _rewritten(self.path / "escalations.jsonl")

    def _keep_failures(self, lasting: list[dict[str, Any]]) -> None:
        """Only these stay in failures.jsonl; the others are tried again."""
        self.failures.close()
        with _rewritten(self.path / "failures.jsonl") as failures:
            for row in lasting:
                failures.write(json.dumps(row, ensure_ascii=False) + "\n")
        self.failures = JsonlStore(self.path / "failures.jsonl")

    def _own_rows(self, store: JsonlStore, fields: tuple[str, ...]) -> Iterator[dict[str, Any]]:
        for number, row in enumerate(store.read(), 1):
            missing = [name for name in fields if name not in row]
            if missing:
                remedy = "restore the line or delete it: the run then makes it again"
                what = f"is not a row of this run: it has no `{missing[0]}`"
                raise InputError(Problem(f"{store.path}, row {number}", what, remedy))
            yield row

    def _refuse_foreign(self, row: Mapping[str, Any]) -> None:
        if row["constitution"] != self.identity.constitution["hash"]:
            what = f"holds a record made with another constitution ({row['constitution']})"
            remedy = "restore the run's own files, or name another --out"
            raise InputError(Problem(str(self.records.path), what, remedy))

    # Writing ------------------------------------------------------------------------------------

    def add(self, result: Record | LabelRecord | Failure) -> None:
        """Put one finished conversation on disk. Raises StorageFull when the disk is."""
        if isinstance(result, Failure):
            self.failures.append(result.model_dump_json())
            self.totals["failed"] += 1
            return
        line = result.model_dump_json()
        self.records.append(line)
        self.records.sync()
        self.totals[result.outcome] += 1
        if self.escalations and isinstance(result, Record) and result.escalate:
            self.escalations.append(line)
            self.totals["escalated"] += 1

    def write_manifest(self, status: str, *, created: str, versions: Mapping[str, str]) -> None:
        """Write what the run is and where it stands; `complete` when every prompt has its row."""
        self._created = self._created or created
        outcomes = {str(outcome): self.totals[outcome] for outcome in self.kind.outcomes}
        escalated = {"escalated": self.totals["escalated"]} if self.kind.escalates else {}
        manifest = {
            "solon_run": FORMAT,
            "kind": self.kind.name,
            "status": status,
            "complete": status == "complete",
            "created": self._created,
            "updated": created,
            "constitution": dict(self.identity.constitution),
            "prompts": dict(self.identity.prompts),
            "models": {role: model["spec"] for role, model in self.identity.models.items()},
            "settings": dict(self.identity.settings),
            "totals": {
                "records": sum(outcomes.values()),
                **outcomes,
                "failed": self.totals["failed"],
                **escalated,
            },
            "usage": dict(self.usage),
            "versions": dict(versions),
            "identity": self.identity.as_dict(),
        }
        for store in self._stores():
            store.sync(now=True)
        write_json_atomic(self.path / "manifest.json", manifest)

    def write_constitution(self) -> None:
        """Keep the constitution as it was used, `extends` merged in."""
        data = self.constitution.model_dump(mode="json", exclude_defaults=True, exclude={"extends"})
        text = yaml.safe_dump(data, sort_keys=False, allow_unicode=True, width=100)
        (self.path / "constitution.yaml").write_text(text, encoding="utf-8")

    def _stores(self) -> Iterator[JsonlStore]:
        yield from (self.records, self.failures)
        if self.escalations:
            yield self.escalations

    def close(self) -> None:
        """Flush and let go of the directory."""
        try:
            self.cache.close()
            for store in self._stores():
                store.close()
        finally:
            if self._lock is not None:
                self._lock.__exit__(None, None, None)


@contextlib.contextmanager
def _rewritten(path: Path) -> Iterator[TextIO]:
    """A file to write in place of `path`; it takes its place, whole, when the block ends."""
    partial = path.with_name(path.name + ".partial")
    with partial.open("w", encoding="utf-8") as file:
        yield file
    os.replace(partial, path)
