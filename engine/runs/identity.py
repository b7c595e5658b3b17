"""What makes a run the run it is, and in what two runs differ."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from constitution.schema import Constitution
from engine.prompts.sources import PromptSource
from engine.settings import RoleModels

__all__ = ["Difference", "differences", "identity_of"]

_BY_HASH = ("constitution", "prompts")


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
        "count": prompts.count,
        "hash": prompts.hash,
    }
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
