"""Settings that name files: marked in their class, and found in any settings by walking them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from constitution.typed_yaml import Settings
from constitution.yaml_source import Location

__all__ = ["InputFile", "NamedFile", "named_files", "with_files"]

Model = TypeVar("Model", bound=Settings)


@dataclass(frozen=True, slots=True)
class InputFile:
    """Marks a setting that names a file or a directory to read.

    Where `or_name`, what is not there may be a model's name on a hub instead; where `several`, it
    may be a pattern, or a list with commas; `words` are values that name no file. Where `function`,
    `:NAME` of what is called in it follows the file.
    """

    or_name: bool = False
    several: bool = False
    words: tuple[str, ...] = ()
    function: bool = False


@dataclass(frozen=True, slots=True)
class NamedFile:
    """A file that some settings name, and the key that does."""

    location: Location
    name: str
    mark: InputFile


def named_files(settings: Settings) -> list[NamedFile]:
    """Every file that `settings` and their sections name."""
    found: list[NamedFile] = []

    def note(file: NamedFile) -> str:
        found.append(file)
        return file.name

    with_files(settings, note)
    return found


def with_files(settings: Model, change: Callable[[NamedFile], str], at: Location = ()) -> Model:
    """The same settings, with `change` of each file that they and their sections name."""
    found: dict[str, Any] = {}
    for key, field in type(settings).model_fields.items():
        value, location = getattr(settings, key), (*at, key)
        marks = [mark for mark in field.metadata if isinstance(mark, InputFile)]
        if isinstance(value, Settings):
            found[key] = with_files(value, change, location)
        elif isinstance(value, list) and value and isinstance(value[0], Settings):
            found[key] = [
                with_files(item, change, (*location, index)) for index, item in enumerate(value)
            ]
        elif marks and value is not None:
            found[key] = _changed(value, change, marks[0], location)
    return settings.model_copy(update=found)


def _changed(value: Any, change: Callable[[NamedFile], str], mark: InputFile, at: Location) -> Any:
    """Of one name, a list of them, or names by a key."""
    if isinstance(value, list):
        return [_changed(one, change, mark, at) for one in value]
    if isinstance(value, dict):
        return {key: _changed(one, change, mark, (*at, key)) for key, one in value.items()}
    if value in mark.words:
        return value
    file, colon, function = value.rpartition(":") if mark.function else (value, "", "")
    return change(NamedFile(at, file, mark)) + colon + function
