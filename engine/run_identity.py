"""What makes a run the run it is, and in what two runs differ."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["Difference", "Identity", "differences"]


@dataclass(frozen=True, slots=True)
class Identity:
    """What makes a run this run: change any of it and the records would differ."""

    constitution: Mapping[str, Any]
    """name, version and hash."""
    prompts: Mapping[str, Any]
    """path, count and hash."""
    models: Mapping[str, Mapping[str, Any]]
    """Role to spec, fingerprint and sampling."""
    settings: Mapping[str, Any]

    def as_dict(self) -> dict[str, Any]:
        """For the manifest."""
        plain: dict[str, Any] = json.loads(
            json.dumps({
                "constitution": dict(self.constitution),
                "prompts": dict(self.prompts),
                "models": {role: dict(model) for role, model in self.models.items()},
                "settings": dict(self.settings),
            })
        )
        return plain


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
