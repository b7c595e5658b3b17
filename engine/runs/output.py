"""An output directory: what is in it, whether it is free or ours, and how it is resumed or replaced.

    manifest.json  lock  completions.sqlite  previous/1/...

The manifest says what the directory holds (kind, identity) before anything else is written, and
`complete: true` is the last thing written. Before files are moved or deleted it says so too
(`pending`), and whoever opens the directory next finishes that first. So at no moment does a
manifest call something complete that is not there.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any, Literal

from constitution.problems import InputError, Problem
from engine.runs.manifest import (
    FORMAT,
    MANIFEST,
    Difference,
    differences,
    own_manifest,
    read_manifest,
)
from engine.storage.atomic import DirectoryLock, check_place, remove, write_json_atomic

__all__ = ["SHARDS", "Mode", "OutputDirectory", "OutputKind"]

SHARDS = "shards"
"""A folder in an output directory, of directories that `solon gather` makes one of."""

Mode = Literal["resume", "update", "overwrite", "retry-failed"]
"""How to treat what a directory holds: `retry-failed` resumes, and tries again what failed for good."""
"""What to do with what the directory holds: go on with it, keep it in `previous/` and go on with an
edited input, or delete it."""

_BEFORE_A_MANIFEST = {
    "lock",
    "completions.sqlite",
    "completions.sqlite-wal",
    "completions.sqlite-shm",
    "worker.json",
    SHARDS,
}
"""What a directory may hold before it has a manifest; completions are looked up by content, so they
are never replaced."""


@dataclass(frozen=True, slots=True)
class OutputKind:
    """What a kind of directory holds. `noun` is what one is called; `files` are deleted or moved
    aside when another takes its place."""

    name: str
    """`kind` in the manifest."""
    noun: str
    files: tuple[str, ...] = ()
    replaces: tuple[str, ...] = ()
    """Other kinds, of the same files, that `overwrite` may replace."""
    updates: tuple[str, ...] = ()
    """The parts of the identity that `update` may change."""
    overwrites: bool = True
    worth: str | None = None
    """A glob of what makes an unfinished one worth keeping; another replaces one without it unasked.
    None: every one is."""

    @property
    def a_noun(self) -> str:
        """The noun with its article."""
        return f"{'an' if self.noun[0] in 'aeiou' else 'a'} {self.noun}"


class OutputDirectory:
    """A directory that one process at a time writes results of one identity into.

    `found` is the manifest of what is resumed, None where it starts over; `aside` is where an
    update put what was there, `replaced` the manifest of that, and `changed` the parts of the
    identity in which it was another. With `gathering` what it will hold is taken from its shards,
    and only with it is that gone on with.
    """

    def __init__(
        self,
        path: Path,
        kind: OutputKind,
        identity: Mapping[str, Any],
        mode: Mode = "resume",
        *,
        gathering: bool = False,
    ) -> None:
        self.path = path
        self.kind = kind
        self.identity: dict[str, Any] = json.loads(json.dumps(identity))
        self.mode: Mode = mode
        self.gathering = gathering
        self.found: dict[str, Any] | None = None
        self.aside: Path | None = None
        self.replaced: dict[str, Any] | None = None
        self.changed: tuple[str, ...] = ()
        self._created: str | None = None
        self._lock: DirectoryLock | None = None

    # Opening ------------------------------------------------------------------------------------

    def look(self) -> dict[str, Any] | None:
        """The manifest of what would be resumed, None where it would start over. Writes nothing.

        Raises InputError when the directory holds something else, saying what differs and which
        flag means what, or when its manifest is damaged.
        """
        self._check_place()
        found = self._own_manifest()
        if found is None or self.mode == "overwrite" or "clear" in (found.get("pending") or {}):
            return None
        self._refuse_half_gathered(found)
        changed = self._changed(found)
        if changed and not self._is_worthless(found):
            self._refuse_unless_update(changed)
        return None if changed else found

    def open(self) -> "OutputDirectory":
        """Take the directory for this process. Raises InputError as `look` does, and when another
        process holds it."""
        self._check_place()
        self.path.mkdir(parents=True, exist_ok=True)
        self._lock = DirectoryLock(self.path)
        self._lock.__enter__()
        try:
            self._claim()
        except BaseException:
            self.close()
            raise
        return self

    def _own_manifest(self) -> dict[str, Any] | None:
        return own_manifest(self.path, self.kind.a_noun, (self.kind.name, *self.kind.replaces))

    def _refuse_half_gathered(self, found: Mapping[str, Any]) -> None:
        if found.get("gathering") and not self.gathering and self.mode != "overwrite":
            what = "was being gathered from its shards when that was interrupted"
            raise InputError(Problem(str(self.path), what, f"repeat `solon gather {self.path}`"))

    def _check_place(self) -> None:
        if not (self.path / MANIFEST).is_file():
            if (self.path / SHARDS).exists() and not self.gathering:
                what = f"holds shards, which `solon gather {self.path}` makes one {self.kind.noun}"
                remedy = "finish and gather them, or name another directory with --out"
                raise InputError(Problem(str(self.path), what, remedy))
            missing = f" and no {MANIFEST}"
            check_place(self.path, self.kind.a_noun, self._may_be_there, missing)

    def _claim(self) -> None:
        for name in (MANIFEST, *self.kind.files):
            for draft in self.path.glob(f".{name}.*"):  # a kill left it
                remove(draft)
        found = self._own_manifest()
        self._refuse_half_gathered(found or {})
        found = self._finish_pending(found)
        changed = self._changed(found) if found else []
        if found is None:
            self.write("interrupted")
        elif self.mode == "overwrite" or (changed and self._is_worthless(found)):
            self._make_room({"clear": True})
        elif changed:
            self._refuse_unless_update(changed)
            number = next(n for n in count(1) if not (self.path / "previous" / str(n)).exists())
            self.aside = self.path / "previous" / str(number)
            self.replaced, self.changed = found, tuple(one.what for one in changed)
            self._make_room({"set_aside": number, "manifest": found})
        else:
            self.found = found
            self._created = found.get("created")

    def _changed(self, found: Mapping[str, Any]) -> list[Difference]:
        if found["kind"] != self.kind.name:
            return [Difference("kind", found["kind"], self.kind.name)]
        return differences(found["identity"], self.identity)

    def _is_worthless(self, found: Mapping[str, Any]) -> bool:
        worth = self.kind.worth
        return worth is not None and not found.get("complete") and not any(self.path.glob(worth))

    def _refuse_unless_update(self, changed: list[Difference]) -> None:
        can_update = all(difference.what in self.kind.updates for difference in changed)
        if can_update and self.mode == "update":
            return
        update = "--update to redo what the edit touches and keep the previous records in previous/"
        remedies = [update if can_update else "repeat its own command to resume it"]
        remedies += ["--overwrite to start over"] if self.kind.overwrites else []
        what = f"holds another {self.kind.noun}: {'; '.join(map(str, changed))}"
        remedy = f"{', '.join(remedies)}, or name another --out to leave it alone"
        raise InputError(Problem(str(self.path), what, remedy))

    # Making room --------------------------------------------------------------------------------

    def _make_room(self, pending: Mapping[str, Any]) -> None:
        self.write("interrupted", {"pending": pending})
        self._finish_pending(read_manifest(self.path))

    def _finish_pending(self, found: dict[str, Any] | None) -> dict[str, Any] | None:
        """Do what the manifest says was going to be done; the manifest as it then is."""
        pending = (found or {}).get("pending")
        if found is None or not pending:
            return found
        if "set_aside" in pending:
            aside = self.path / "previous" / str(pending["set_aside"])
            aside.mkdir(parents=True, exist_ok=True)
            for name in self.kind.files:
                if (self.path / name).exists():
                    os.replace(self.path / name, aside / name)
            write_json_atomic(aside / MANIFEST, pending["manifest"])
        else:
            for name in self.kind.files:
                remove(self.path / name)
        kept = {key: value for key, value in found.items() if key != "pending"}
        write_json_atomic(self.path / MANIFEST, kept)
        return None if "clear" in pending else kept

    @staticmethod
    def _may_be_there(name: str) -> bool:
        return name in _BEFORE_A_MANIFEST or name.startswith(f".{MANIFEST}.")

    # Writing ------------------------------------------------------------------------------------

    def write(self, status: str, facts: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Write the manifest, with `facts` in it; it calls the directory complete when `status` is
        `complete`. Returns it."""
        now = datetime.now(UTC).isoformat(timespec="seconds")
        self._created = self._created or now
        manifest = {
            "solon": FORMAT,
            "kind": self.kind.name,
            "status": status,
            "complete": status == "complete",
            "created": self._created,
            "updated": now,
            **(facts or {}),
            **({"gathering": True} if self.gathering and status != "complete" else {}),
            "identity": self.identity,
        }
        write_json_atomic(self.path / MANIFEST, manifest)
        return manifest

    def close(self) -> None:
        """Let go of the directory."""
        if self._lock is not None:
            self._lock.__exit__()

    def __enter__(self) -> "OutputDirectory":
        return self.open()

    def __exit__(self, *error: object) -> None:
        self.close()
