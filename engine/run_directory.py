"""A run's files: what they are, whose run it is, and how it is taken up again.

    manifest.json  constitution.yaml  records.jsonl  failures.jsonl  escalations.jsonl
    completions.sqlite  previous/1/...  report.html

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
from hashlib import blake2b
from pathlib import Path
from typing import Any, Literal, TextIO

import yaml

from constitution.problems import InputError, Problem
from constitution.schema import Constitution
from engine.completion_cache import CompletionCache
from engine.jsonl_store import DirectoryLock, JsonlStore, write_json_atomic
from engine.records import Failure, Outcome, Record
from engine.run_identity import Difference, Identity, differences

__all__ = ["Done", "Mode", "RunDirectory"]

Mode = Literal["resume", "update", "overwrite"]
_KEPT_BESIDE = ("records.jsonl", "failures.jsonl", "escalations.jsonl", "constitution.yaml")


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

    def __init__(self, path: Path, identity: Identity, constitution: Constitution) -> None:
        self.path = path
        self.identity = identity
        self.constitution = constitution
        self.totals: Counter[str] = Counter()
        self.usage: Counter[str] = Counter()
        self.done = Done(array("Q"))
        self.aside: Path | None = None
        """Where an update put the previous records."""
        self._created: str | None = None
        self._lock: DirectoryLock | None = None

    # Opening ------------------------------------------------------------------------------------

    def open(self, mode: Mode = "resume") -> "RunDirectory":
        """Take the directory: new, resumed, updated to an edited constitution, or overwritten."""
        self._check_place()
        self.path.mkdir(parents=True, exist_ok=True)
        self._lock = DirectoryLock(self.path)
        self._lock.__enter__()
        try:
            self._settle(mode)
        except BaseException:
            self._lock.__exit__(None, None, None)
            raise
        return self

    def _check_place(self) -> None:
        if self.path.exists() and not self.path.is_dir():
            raise InputError(Problem(str(self.path), "is a file", "name a directory with --out"))
        if self.path.is_dir() and not (self.path / "manifest.json").exists():
            names = (p.name for p in self.path.iterdir())
            foreign = [name for name in names if not name.startswith(_OURS)]
            if foreign:
                problem = f"is not a run: it holds {foreign[0]} and no manifest.json"
                raise InputError(Problem(str(self.path), problem, "name another with --out"))

    def _settle(self, mode: Mode) -> None:
        found = self.manifest() if mode != "overwrite" else None
        ours = self.identity.as_dict()
        differing = differences(found.get("identity", {}), ours) if found else []
        if differing and mode != "overwrite":
            self._refuse_unless_update(differing, mode)
            self._set_aside()
            found = None
        elif mode == "overwrite":
            for name in (*_KEPT_BESIDE, "manifest.json", "report.html"):
                (self.path / name).unlink(missing_ok=True)
            found = None
        self.cache = CompletionCache(self.path / "completions.sqlite")
        self.records = JsonlStore(self.path / "records.jsonl")
        self.failures = JsonlStore(self.path / "failures.jsonl")
        self._take_up(found or {})
        self.escalations = JsonlStore(self.path / "escalations.jsonl")

    def _refuse_unless_update(self, differences: list[Difference], mode: Mode) -> None:
        only_constitution = all(d.what == "constitution" for d in differences)
        if mode == "update" and only_constitution:
            return
        told = "; ".join(map(str, differences))
        remedy = (
            "--update generates what the edit touches and keeps the previous records beside, "
            "--overwrite starts anew, another --out leaves this run alone"
            if only_constitution
            else "repeat the run's own command to resume it, --overwrite to discard its records, "
            "or name another --out"
        )
        raise InputError(Problem(str(self.path), f"holds another run: {told}", remedy))

    def _set_aside(self) -> None:
        number = 1
        while (self.path / "previous" / str(number) / "manifest.json").exists():
            number += 1
        aside = self.path / "previous" / str(number)
        aside.mkdir(parents=True, exist_ok=True)
        for name in (*_KEPT_BESIDE, "report.html", "manifest.json"):
            if (self.path / name).exists():
                os.replace(self.path / name, aside / name)
        self.aside = aside

    def _take_up(self, found: Mapping[str, Any]) -> None:
        """Learn what is done; escalations are written anew from the records, since a kill may have
        come between the two; failures that may succeed now are forgotten."""
        done = array("Q")
        with _rewritten(self.path / "escalations.jsonl") as escalations:
            for row in self.records.read():
                done.append(Done.digest(row["id"]))
                self.totals[row["outcome"]] += 1
                if row["escalate"]:
                    escalations.write(json.dumps(row, ensure_ascii=False) + "\n")
                    self.totals["escalated"] += 1
        with _rewritten(self.path / "failures.jsonl") as failures:
            for row in self.failures.read():
                if not row["retryable"]:
                    failures.write(json.dumps(row, ensure_ascii=False) + "\n")
                    done.append(Done.digest(row["id"]))
                    self.totals["failed"] += 1
        self.failures.close()
        self.failures = JsonlStore(self.path / "failures.jsonl")
        self.done = Done(done)
        self.usage.update(found.get("usage", {}))
        self._created = found.get("created")

    # Writing ------------------------------------------------------------------------------------

    def add(self, result: Record | Failure) -> None:
        """Put one finished conversation on disk. Raises StorageFull when the disk is."""
        if isinstance(result, Failure):
            self.failures.append(result.model_dump_json())
            self.totals["failed"] += 1
            return
        line = result.model_dump_json()
        self.records.append(line)
        self.totals[result.outcome] += 1
        if result.escalate:
            self.escalations.append(line)
            self.totals["escalated"] += 1

    def write_manifest(self, status: str, *, created: str, versions: Mapping[str, str]) -> None:
        """Write what the run is and where it stands; `complete` when every prompt has its row."""
        self._created = self._created or created
        outcomes = {outcome.value: self.totals[outcome] for outcome in Outcome}
        manifest = {
            "solon_run": 1,
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
                "escalated": self.totals["escalated"],
            },
            "usage": dict(self.usage),
            "versions": dict(versions),
            "identity": self.identity.as_dict(),
        }
        for store in (self.records, self.failures, self.escalations):
            store.sync()
        write_json_atomic(self.path / "manifest.json", manifest)

    def write_constitution(self) -> None:
        """Keep the constitution as it was used, `extends` merged in."""
        data = self.constitution.model_dump(mode="json", exclude_defaults=True, exclude={"extends"})
        text = yaml.safe_dump(data, sort_keys=False, allow_unicode=True, width=100)
        (self.path / "constitution.yaml").write_text(text, encoding="utf-8")

    def manifest(self) -> dict[str, Any] | None:
        """The manifest on disk, if there is one."""
        path = self.path / "manifest.json"
        if not path.exists():
            return None
        try:
            manifest: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            remedy = "restore it, or start anew with --overwrite or another --out"
            raise InputError(Problem(str(path), f"is damaged: {error}", remedy)) from error
        return manifest

    def close(self) -> None:
        """Flush and let go of the directory."""
        try:
            self.cache.close()
            for store in (self.records, self.failures, self.escalations):
                store.close()
        finally:
            if self._lock is not None:
                self._lock.__exit__(None, None, None)


_OURS = (*_KEPT_BESIDE, "completions.sqlite", "previous", "report.html", "lock")


@contextlib.contextmanager
def _rewritten(path: Path) -> Iterator[TextIO]:
    """A file to write in place of `path`; it takes its place, whole, when the block ends."""
    partial = path.with_name(path.name + ".partial")
    with partial.open("w", encoding="utf-8") as file:
        yield file
    os.replace(partial, path)
