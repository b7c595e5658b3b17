"""Files that settings name are found wherever they stand: alone, in lists, and by a key."""

from typing import Annotated

from pydantic import Field

from constitution.typed_yaml import Settings
from engine.input_files import InputFile, named_files, with_files


class Inner(Settings):
    file: Annotated[str | None, InputFile()] = "inner"


class Named(Settings):
    one: Annotated[str | None, InputFile(words=("none",))] = None
    many: Annotated[list[str], InputFile(words=("none",))] = Field(default=[])
    by_name: Annotated[dict[str, str], InputFile()] = Field(default={})
    other: str = "no file"
    inner: Inner = Inner()


def test_every_file_is_found_with_its_key():
    named = Named(one="a", many=["b", "none", "c"], by_name={"x": "d", "y": "e"})
    assert [(file.location, file.name) for file in named_files(named)] == [
        (("one",), "a"),
        (("many",), "b"),
        (("many",), "c"),
        (("by_name", "x"), "d"),
        (("by_name", "y"), "e"),
        (("inner", "file"), "inner"),
    ]


def test_every_file_is_changed_and_nothing_else():
    named = Named(one="none", many=["b", "none"], by_name={"x": "d"})
    changed = with_files(named, lambda file: f"here/{file.name}")
    assert changed.one == "none"
    assert changed.many == ["here/b", "none"]
    assert changed.by_name == {"x": "here/d"}
    assert changed.other == "no file"
    assert changed.inner.file == "here/inner"


def test_what_names_no_file_has_none():
    assert [file.name for file in named_files(Named(inner=Inner(file=None)))] == []
