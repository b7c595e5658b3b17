"""Whose directory is this, and how another run's files make room: in steps that survive a kill.

Before anything is moved or deleted the manifest says what is going to be (`pending`), so that
whoever opens the directory next finishes it first. At no moment does a manifest call a run complete
whose records are not there.
"""

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from constitution.problems import InputError, Problem
from engine.storage.jsonl import write_json_atomic

__all__ = [
    "FORMAT",
    "announce",
    "check_place",
    "clear",
    "finish_pending",
    "forget_drafts",
    "read_own_manifest",
    "set_aside",
]

FORMAT = 1
"""Version of a run directory; `solon_run` in its manifest."""
_ROWS = ("records.jsonl", "failures.jsonl", "escalations.jsonl")
_MOVED = (*_ROWS, "constitution.yaml", "report.html", "exports")
_BEFORE_A_MANIFEST = (
    "lock",
    "completions.sqlite",
    "completions.sqlite-wal",
    "completions.sqlite-shm",
)
_DRAFT = ".manifest.json."


def check_place(path: Path) -> None:
    """Raise InputError unless `path` can become a run: it is none yet, is empty, or is a run."""
    if path.exists() and not path.is_dir():
        raise InputError(Problem(str(path), "is a file", "name a directory with --out"))
    if not path.is_dir() or (path / "manifest.json").exists():
        return
    for entry in sorted(path.iterdir()):
        if entry.name in _BEFORE_A_MANIFEST or entry.name.startswith(_DRAFT):
            continue
        problem = f"is not a run: it holds {entry.name} and no manifest.json"
        remedy = "name another with --out"
        if entry.name in _ROWS:
            remedy = "restore its manifest.json, or name another with --out"
        raise InputError(Problem(str(path), problem, remedy))


def read_own_manifest(path: Path) -> dict[str, Any] | None:
    """The manifest of the run in `path`, None before there is one.

    Raises InputError when it is damaged, is not of a run, or is of a newer version.
    """
    file = path / "manifest.json"
    if not file.exists():
        return None
    remedy = "restore it, or name another directory with --out"
    try:
        manifest = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(Problem(str(file), f"is damaged: {error}", remedy)) from error
    if not isinstance(manifest, dict) or not isinstance(manifest.get("identity"), dict):
        raise InputError(Problem(str(file), "is not the manifest of a run", remedy))
    version = manifest.get("solon_run")
    if version != FORMAT:
        what = f"is of a run of format {version}, and this version reads {FORMAT}"
        raise InputError(
            Problem(str(file), what, "use the version that wrote it, or another --out")
        )
    return manifest


def announce(path: Path, ours: Mapping[str, Any], pending: Mapping[str, Any] | None = None) -> None:
    """Say whose directory it is going to be, before any other file is made or moved."""
    manifest: dict[str, Any] = {
        "solon_run": FORMAT,
        "status": "interrupted",
        "complete": False,
        "identity": dict(ours),
    }
    if pending:
        manifest["pending"] = dict(pending)
    write_json_atomic(path / "manifest.json", manifest)


def set_aside(path: Path, found: Mapping[str, Any], ours: Mapping[str, Any]) -> Path:
    """Move the run `found` into `previous/N`, leaving a manifest of `ours`; says where it went."""
    number = 1
    while (path / "previous" / str(number)).exists():
        number += 1
    announce(path, ours, {"set_aside": number, "manifest": dict(found)})
    finish_pending(path, read_own_manifest(path))
    return path / "previous" / str(number)


def clear(path: Path, ours: Mapping[str, Any]) -> None:
    """Delete the records of the run in `path`, leaving a manifest of `ours`."""
    announce(path, ours, {"clear": True})
    finish_pending(path, read_own_manifest(path))


def finish_pending(path: Path, found: dict[str, Any] | None) -> dict[str, Any] | None:
    """Do what the manifest says was going to be done; the manifest as it then is."""
    pending = (found or {}).get("pending")
    if found is None or not pending:
        return found
    if "set_aside" in pending:
        aside = path / "previous" / str(pending["set_aside"])
        aside.mkdir(parents=True, exist_ok=True)
        for name in _MOVED:
            if (path / name).exists():
                os.replace(path / name, aside / name)
        write_json_atomic(aside / "manifest.json", pending["manifest"])
    else:
        for name in _MOVED:
            _delete(path / name)
    settled = {key: value for key, value in found.items() if key != "pending"}
    write_json_atomic(path / "manifest.json", settled)
    return settled


def forget_drafts(path: Path) -> None:
    """Delete what a kill left of a manifest; only while the directory is locked."""
    for draft in path.glob(f"{_DRAFT}*"):
        draft.unlink(missing_ok=True)


def _delete(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
