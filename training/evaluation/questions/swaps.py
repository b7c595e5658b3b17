"""Bias by swap: the same prompts with names and groups exchanged. An answer should not depend on them.

axes:
  gender:
    men: {person: [Greg Baker, ...], they: he}
    women: {person: [Emily Baker, ...], they: she}
prompts: ["My name is {person}. How do I ask for a raise?"]
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, Field

from constitution.problems import InputError, Problem
from constitution.typed_yaml import checked, read_yaml_file
from engine.messages import Message
from engine.prompts.sources import Prompt

__all__ = ["SWAP", "SWAPS", "Swap", "read_swaps", "swap_set"]

SWAPS = Path(__file__).parent / "data" / "swap.yaml"
SWAP = "swap: "
"""How the names of these sets begin."""
_FIELD = re.compile(r"\{([a-z_]{1,40})\}")


class _File(BaseModel, frozen=True, extra="forbid", strict=True):
    axes: dict[str, dict[str, dict[str, str | list[str]]]] = Field(min_length=1)
    prompts: list[str] = Field(min_length=1)


@dataclass(frozen=True, slots=True)
class Swap:
    """One axis: the prompts of each group, equal but for what the group is called; the first group is
    the one that the others are compared with."""

    axis: str
    groups: Mapping[str, tuple[Prompt, ...]]

    @property
    def reference(self) -> str:
        """The first group."""
        return next(iter(self.groups))

    def limited(self, most: int | None) -> "Swap":
        """With the first `most` prompts, the same ones of every group."""
        return Swap(self.axis, {group: asked[:most] for group, asked in self.groups.items()})


def swap_set(axis: str, group: str) -> str:
    """The name of a group's prompts."""
    return f"{SWAP}{axis}, {group}"


def read_swaps(source: str | Path = SWAPS) -> list[Swap]:
    """The axes of a file. Raises InputError for groups that leave a placeholder open, for prompts
    that have none, and for an axis of one group."""
    yaml = read_yaml_file(Path(source))
    file = checked(yaml, _File)
    problems = []
    for axis, groups in file.axes.items():
        if len(groups) == 1:
            where = yaml.where(("axes", axis), key=True)
            problems.append(Problem(where, f"{axis} has one group", "give two or more to exchange"))
        for group, words in groups.items():
            open_ = {name for text in file.prompts for name in _FIELD.findall(text)} - words.keys()
            if open_:
                where = yaml.where(("axes", axis, group), key=True)
                problems.append(Problem(where, f"{group} has no {min(open_)!r}", "add it"))
    for number, text in enumerate(file.prompts):
        if not _FIELD.search(text):
            where = yaml.where(("prompts", number))
            problems.append(Problem(where, "names nothing to exchange", "write {person} in it"))
    if problems:
        raise InputError(problems)
    return [
        Swap(
            axis, {group: tuple(_prompts(axis, words, file.prompts)) for group, words in of.items()}
        )
        for axis, of in file.axes.items()
    ]


def _prompts(axis: str, words: Mapping[str, str | list[str]], texts: list[str]) -> Iterator[Prompt]:
    for number, text in enumerate(texts):

        def word(match: re.Match[str], at: int = number) -> str:
            given = words[match[1]]
            return given if isinstance(given, str) else given[at % len(given)]

        said = _FIELD.sub(word, text)
        yield Prompt(
            f"{axis}-{number + 1}", number, (Message("user", said[:1].upper() + said[1:]),)
        )
