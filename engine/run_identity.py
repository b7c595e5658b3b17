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
    for part in ("models", "settings"):
        left, right = theirs.get(part, {}), ours[part]
        for name in sorted({*left, *right}):
            if left.get(name) != right.get(name):
                label = f"--{name}" if part == "models" else name.replace("_", " ")
                found += _differing(label, left.get(name), right.get(name))
    return found


def _brief(part: Mapping[str, Any]) -> str:
    name = part.get("name") or part.get("path") or "none"
    return f"{name} ({part.get('hash', '?')})"


def _differing(label: str, left: Any, right: Any) -> list[Difference]:
    if isinstance(left, Mapping) and isinstance(right, Mapping):
        keys = sorted(k for k in {*left, *right} if left.get(k) != right.get(k))
        if "spec" in keys and "fingerprint" in keys:
            keys.remove("fingerprint")
        return [Difference(f"{label} {key}", left.get(key), right.get(key)) for key in keys]
    return [Difference(label, left, right)]
