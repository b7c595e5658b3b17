"""YAML to Constitution."""

import json
from pathlib import Path

import yaml

from constitution.problems import InputError, Problem
from constitution.schema import Constitution

__all__ = ["load_constitution", "shipped_constitutions"]

_LIBRARY = Path(__file__).parent / "library"


def shipped_constitutions() -> tuple[str, ...]:
    """Names that `load_constitution` knows."""
    return tuple(sorted(path.stem for path in _LIBRARY.glob("*.yaml")))


def load_constitution(source: str | Path) -> Constitution:
    """Read a constitution from a file, or a shipped one by name."""
    path = _LIBRARY / f"{source}.yaml" if source in shipped_constitutions() else Path(source)
    if not path.exists():
        raise InputError(Problem(str(path), "no such file"))
    return Constitution.model_validate_json(
        json.dumps(yaml.safe_load(path.read_text(encoding="utf-8")))
    )
