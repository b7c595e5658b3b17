"""`hf:NAME[:split][?option=value&...]`: what `datasets` loads, from a hub or from a folder."""

import difflib
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from constitution.problems import InputError, Problem, brief, missing
from engine.generators.model_files import HUB_NAME
from engine.prompts.arrow_files import dataset_rows
from engine.prompts.file_rows import PromptFile

__all__ = ["HUB", "HubName", "hub_dataset", "read_hub_name"]

HUB = "hf:"
_OPTIONS = ("config", "split", "revision", "data_dir", "data_files", "streaming")
_FORM = "write hf:NAME[:split][?config=..&split=..&revision=..&data_dir=..&data_files=..&streaming=true]"
_REMEDY = "check the name and its options: config, split, revision, data_dir, data_files"


@dataclass(frozen=True, slots=True)
class HubName:
    """What to load: a name on a hub or a folder, and which part of it."""

    name: str
    split: str = "train"
    config: str | None = None
    revision: str | None = None
    data_dir: str | None = None
    data_files: tuple[str, ...] = ()
    streaming: bool = False


def read_hub_name(source: str) -> HubName:
    """The parts of `hf:NAME[:split][?option=value&...]`; `data_files` may be several, with commas.

    Raises InputError for an option that there is not, has no value or is given twice.
    """
    head, _, query = source.removeprefix(HUB).partition("?")
    name, _, split = head.partition(":")
    if not name:
        raise InputError(Problem(source, "names no data set", _FORM))
    is_name = HUB_NAME.fullmatch(name) and "://" not in head
    if not is_name and not Path(name).is_dir():  # datasets reads any address
        what = f"{name!r} is neither the name of a data set on a hub nor a folder"
        raise InputError(Problem(source, what, "write hf:NAME or hf:OWNER/NAME, or the path alone"))
    options: dict[str, Any] = {"split": split} if split else {}
    for part in filter(None, query.split("&")):
        key, _, value = part.partition("=")
        options[key] = _value(source, key, unquote(value), options)
    return HubName(name, **options)


def _value(source: str, key: str, value: str, before: dict[str, Any]) -> Any:
    if key not in _OPTIONS:
        near = difflib.get_close_matches(key, _OPTIONS, 1)
        remedy = f"did you mean `{near[0]}`?" if near else f"it has: {', '.join(_OPTIONS)}"
        raise InputError(Problem(source, f"`hf` has no option `{key}`", remedy))
    if not value:
        raise InputError(Problem(source, f"option `{key}` has no value", "write key=value"))
    if key in before:
        raise InputError(Problem(source, f"the {key} is given twice", "give it once"))
    if "://" in value:
        raise InputError(
            Problem(source, f"option `{key}` is an address", "name files of the data set")
        )
    if key == "data_files":
        return tuple(filter(None, value.split(",")))
    if key == "streaming":
        if value.lower() not in ("true", "false"):
            what = f"option `streaming` is {value!r}"
            raise InputError(Problem(source, what, "write streaming=true or streaming=false"))
        return value.lower() == "true"
    return value


def hub_dataset(source: str) -> PromptFile:
    """The rows of what `source` names. Raises InputError, also for whatever datasets raises."""
    wanted = read_hub_name(source)
    try:
        from datasets import load_dataset
    except ImportError as error:
        raise missing(source, "datasets", "data") from error
    try:
        dataset = load_dataset(
            wanted.name,
            wanted.config,
            data_dir=wanted.data_dir,
            data_files=list(wanted.data_files) or None,
            split=wanted.split,
            revision=wanted.revision,
            streaming=wanted.streaming,
        )
        return dataset_rows(source, dataset, _REMEDY)
    except Exception as error:  # no such name, part or network, and files that it cannot read
        hidden = type(error).__name__ == "DatasetGenerationError" and error.__cause__
        what = f"cannot be loaded: {brief(hidden or error)}"
        folder = Path(wanted.name).is_dir()
        remedy = f"name its files alone, or {wanted.name} without hf:" if folder else _REMEDY
        raise InputError(Problem(source, what, remedy)) from error
