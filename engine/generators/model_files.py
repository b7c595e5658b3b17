"""Where the files of a model are that is named by a directory or by its name on the hub."""

import re
from pathlib import Path

from constitution.problems import InputError, Problem
from constitution.reading import read_json
from engine.generators.servers.endpoint import without_password

__all__ = [
    "HUB_NAME",
    "base_of",
    "is_adapter",
    "is_path",
    "local_name",
    "located_model",
    "model_folder",
    "model_within",
]

HUB_NAME = re.compile(r"[\w-][\w.-]*(/[\w-][\w.-]*)?")
"""A name, or an owner and a name: of a model or a data set on a hub."""
_CONFIG, _ADAPTER = "config.json", "adapter_config.json"
_REMEDY = "give a directory with config.json, weights and tokenizer, or a hub's name"


def is_path(name: str) -> bool:
    """Whether it cannot be a hub's name (`org/name`), and so must be there."""
    return name.startswith(("/", ".", "~")) or name.count("/") > 1


def model_within(path: Path) -> Path:
    """The directory of a model, or of an adapter: `path`, or the `model/` that a training left in it."""
    inner = path / "model"
    return inner if _is_model(inner) and not _is_model(path) else path


def _is_model(path: Path) -> bool:
    return (path / _CONFIG).is_file() or (path / _ADAPTER).is_file()


def local_name(model: str) -> str:
    """What transformers loads: a directory or a hub's name. `embedded` is converted if need be."""
    if model == "embedded":
        from engine.generators.embedded import embedded_model

        return str(embedded_model())
    path = Path(model).expanduser()
    return str(model_within(path)) if path.exists() else model.removeprefix("hf:")


def located_model(spec: str, name: str) -> str:
    """The directory or the hub's name of the model that a spec names. Raises InputError at once for
    what is not a model's directory and cannot be a hub's name."""
    path = Path(name).expanduser()
    if is_path(name) and not path.exists():
        raise InputError(Problem(without_password(spec), f"there is no {path}", _REMEDY))
    inner = model_within(path)
    if inner.is_dir():
        model_folder(spec, str(inner), _REMEDY)
    return name if inner == path else str(inner)


def model_folder(spec: str, path: str, remedy: str) -> Path:
    """The directory of a spec's model. Raises InputError, with the remedy, where it holds none."""
    folder = Path(path).expanduser()
    if not (folder / _CONFIG).is_file():
        raise InputError(Problem(without_password(spec), f"{folder} has no {_CONFIG}", remedy))
    return folder


def is_adapter(model: str) -> bool:
    """Whether it is a directory that holds an adapter alone."""
    return (Path(local_name(model)) / _ADAPTER).exists()


def base_of(path: str) -> str:
    """The model that an adapter's directory is for; any other is its own.

    What a training on an adapter left in `base/` moves with it. Raises InputError for an adapter that
    names none.
    """
    adapter = Path(path) / _ADAPTER
    base = read_json(adapter, dict).get("base_model_name_or_path") if adapter.exists() else path
    if not isinstance(base, str):
        remedy = "restore the file that training wrote"
        raise InputError(Problem(str(adapter), "names no base_model_name_or_path", remedy))
    beside = Path(path).parent / Path(base).name
    moved = base.endswith("/base") and not Path(base).exists() and beside.is_dir()
    return str(beside) if moved else base
