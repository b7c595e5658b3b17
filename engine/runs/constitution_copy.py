"""The constitution as a run or a guard uses it, kept in its directory."""

from pathlib import Path

from constitution.schema import Constitution
from constitution.yaml_writer import constitution_yaml
from engine.storage.atomic import replacing

__all__ = ["CONSTITUTION", "keep_constitution"]

CONSTITUTION = "constitution.yaml"


def keep_constitution(directory: Path, constitution: Constitution) -> None:
    """Write its copy whole or not at all, complete without the files it extends: it loads with the
    same hash. Raises StorageFull as `replacing` does."""
    text = constitution_yaml(constitution.model_copy(update={"extends": ()}))
    with replacing(directory / CONSTITUTION) as file:
        file.write(text.encode("utf-8"))
