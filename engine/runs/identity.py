"""What makes a run the run it is, and in what two runs differ."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from constitution.schema import Constitution
from engine.prompts.sources import PromptSource
from engine.settings import RoleModels

__all__ = ["Difference", "Identity", "differences", "identity_of"]


@dataclass(frozen=True, slots=True)
class Identity:
    """What makes a run this run: change any of it and the records would differ."""

    kind: str
    """What is done with each prompt: revise or label."""
    constitution: Mapping[str, Any]
    """name, version and hash."""
    prompts: Mapping[str, Any]
    """path, columns, count and hash; only the hash tells two apart."""
    models: Mapping[str, Mapping[str, Any]]
    """Role to spec, fingerprint and sampling."""
    settings: Mapping[str, Any]

    def as_dict(self) -> dict[str, Any]:
        """For the manifest."""
        plain: dict[str, Any] = json.loads(
            json.dumps({
                "kind": self.kind,
                "constitution": dict(self.constitution),
                "prompts": dict(self.prompts),
                "models": {role: dict(model) for role, model in self.models.items()},
                "settings": dict(self.settings),
            })
        )
        return plain


def identity_of(
    kind: str,
    prompts: PromptSource,
    constitution: Constitution,
    cast: RoleModels,
    settings: Mapping[str, Any],
) -> Identity:
    """The identity of a run that is about to be."""
    models: dict[str, dict[str, Any]] = {
        name: {
            "spec": role.generator.spec,
            "fingerprint": role.generator.fingerprint,
            "sampling": role.sampling.model_dump(),
        }
        for name, role in cast.items()
    }
    return Identity(
        kind=kind,
        constitution={
            "name": constitution.name,
            "version": constitution.version,
            "hash": constitution.content_hash,
        },
        prompts={
            "path": str(prompts.path),
            "columns": asdict(prompts.columns),
            "count": prompts.count,
            "hash": prompts.hash,
        },
        models=models,
        settings=settings,
    )


@dataclass(frozen=True, slots=True)
class Difference:
    """One part of the identity in which a directory's run is another."""

    what: str
    theirs: Any
    ours: Any

    def __str__(self) -> str:
        return f"{self.what} was {self.theirs}, now {self.ours}"


def differences(theirs: Mapping[str, Any], ours: Mapping[str, Any]) -> list[Difference]:
    """In what two identities, as `as_dict` gives them, differ."""
    found = []
    kind = theirs.get("kind", "revise")
    if kind != ours["kind"]:
        return [Difference("kind", kind, ours["kind"])]
    for part, key in (("constitution", "hash"), ("prompts", "hash")):
        left, right = theirs.get(part, {}), ours[part]
        if left.get(key) != right[key]:
            found.append(Difference(part, _brief(left), _brief(right)))
    found += _models(theirs.get("models", {}), ours["models"])
    left, right = theirs.get("settings", {}), ours["settings"]
    for name in sorted({*left, *right}):
        if left.get(name) != right.get(name):
            found.append(Difference(name.replace("_", " "), left.get(name), right.get(name)))
    return found


def _models(theirs: Mapping[str, Any], ours: Mapping[str, Any]) -> list[Difference]:
    """What moves answers: weights and sampling. Where a server stands, or how much memory an engine
    takes, may change between two halves of a run."""
    roles: dict[tuple[str, str, str], list[str]] = {}
    for role in ours:
        left, right = theirs.get(role) or {}, ours[role]
        if left.get("fingerprint") != right["fingerprint"]:
            same = left.get("spec") == right["spec"]
            key, what = ("fingerprint", "model fingerprint") if same else ("spec", "model")
            roles.setdefault((what, str(left.get(key)), str(right[key])), []).append(role)
        asked = left.get("sampling") or {}
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
