"""Where the files of a model are that is named by a directory or by its name on the hub."""

from pathlib import Path

from constitution.problems import InputError, Problem
from engine.generators.servers.endpoint import without_password

__all__ = ["model_folder"]


def model_folder(spec: str, path: str, remedy: str) -> Path:
    """The directory of a spec's model. Raises InputError, with the remedy, where it holds none."""
    folder = Path(path).expanduser()
    if not (folder / "config.json").is_file():
        raise InputError(Problem(without_password(spec), f"{folder} has no config.json", remedy))
    return folder
