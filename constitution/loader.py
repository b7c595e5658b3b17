"""YAML to Constitution: `extends` merged in, and every error reported at once."""

import contextlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import ValidationError

from constitution.problems import InputError, Problem, closest
from constitution.python_checks import PythonCheckError, imported, python_checks_allowed
from constitution.reading import open_regular
from constitution.schema import Constitution, Principle
from constitution.validation import (
    duplicate_problems,
    reference_problems,
    schema_problems,
    validated,
)
from constitution.yaml_source import MAX_BYTES, YamlSource, decode, read_yaml, shown

__all__ = [
    "constitution_files",
    "constitution_path",
    "load_constitution",
    "load_constitution_text",
    "load_for_judging",
    "shipped_constitutions",
]

_LIBRARY = Path(__file__).parent / "library"
_SUFFIXES = (".yaml", ".yml")
"""Of a file that another may extend: nothing else is opened because a file says so."""
_TOP = ("name", "extends", "principles", "stakeholders", "preamble", "few_shot")


def shipped_constitutions() -> tuple[str, ...]:
    """Names that `load_constitution` knows."""
    return tuple(sorted(path.stem for path in _LIBRARY.glob("*.yaml")))


def load_constitution(source: str | Path) -> Constitution:
    """Read a constitution from a file, or a shipped one by name, with its parents merged in.

    Raises InputError with every problem of the file and of those it extends.
    """
    if "\n" in str(source):
        what, remedy = "this is text, not the name of a file", "use load_constitution_text"
        raise InputError(Problem(shown(source), what, remedy))
    return _Loading().load(_found(source, Path()))


def load_for_judging(source: str | Path) -> Constitution:
    """`load_constitution` for what runs its checks: functions that they name are imported.

    Raises InputError also for those that may not run, or cannot be imported.
    """
    loaded = load_constitution(source)
    problems = []
    for principle in loaded.principles:
        try:
            if principle.check and principle.check.python:
                imported(principle.check.python)
        except PythonCheckError as error:
            what = f"the check of {principle.id}: {error}"
            remedy = "if you trust its code, add --allow-python-checks"
            problems.append(Problem(str(source), what, "" if python_checks_allowed() else remedy))
    if problems:
        raise InputError(problems)
    return loaded


def constitution_path(source: str | Path) -> Path:
    """The file that `load_constitution` starts with: a shipped one by name, or the path itself."""
    return _found(source, Path())


def constitution_files(source: str | Path) -> tuple[Path, ...]:
    """The files that `load_constitution` reads, the named one among them, right or wrong."""
    loading, path = _Loading(), _found(source, Path())
    with contextlib.suppress(InputError):
        loading.load(path)
    return tuple(dict.fromkeys([Path(os.path.abspath(path)), *map(Path, loading.loaded)]))


def load_constitution_text(text: str, where: str = "constitution") -> Constitution:
    """Read a constitution from YAML text.

    `where` stands for the file in messages, and what it extends is looked for in its folder. Raises
    InputError as `load_constitution` does.
    """
    return _Loading().load_text(text, Path(where))


@dataclass
class _Loading:
    """One call: the problems so far, files already read, and the chain of those being read."""

    problems: list[Problem] = field(default_factory=list)
    loaded: dict[str, Constitution | None] = field(default_factory=dict)
    chain: list[str] = field(default_factory=list)

    def load(self, path: Path) -> Constitution:
        """The whole constitution of a file. Raises InputError."""
        return self._finished(self._file(path, None))

    def load_text(self, text: str, path: Path) -> Constitution:
        """The same from text that stands for a file."""
        self.chain.append(os.path.abspath(path))
        return self._finished(self._merged(read_yaml(text, str(path)), path))

    def _finished(self, constitution: Constitution | None) -> Constitution:
        if constitution is None or self.problems:
            raise InputError(_in_order(self.problems))
        return constitution

    def _file(self, path: Path, named_at: str | None) -> Constitution | None:
        """A file with its parents, read once however often it is extended; None if it is wrong."""
        place = os.path.abspath(path)
        if place in self.chain:
            names = [Path(one).name for one in (*self.chain[self.chain.index(place) :], place)]
            what = f"this file extends itself: {' -> '.join(names)}"
            self.problems.append(Problem(named_at or str(path), what, "take one of them away"))
            return None
        if place not in self.loaded:
            self.chain.append(place)
            self.loaded[place] = None
            try:
                source = read_yaml(decode(_read(path, named_at), str(path)), str(path))
                if named_at is not None:
                    _check_parent(source, path, named_at)
                self.loaded[place] = self._merged(source, path)
            except InputError as error:
                self.problems += error.problems
            self.chain.pop()
        return self.loaded[place]

    def _merged(self, source: YamlSource, path: Path) -> Constitution | None:
        """The constitution of a file, its parents merged in; None if any of them is wrong."""
        before = len(self.problems)
        self.problems += source.problems
        self.problems += duplicate_problems(source)
        own = None
        try:
            own = validated(source.data)
        except ValidationError as error:
            self.problems += schema_problems(source, error)
        asked = [self._file(parent, where) for parent, where in _parents(source, path)]
        parents = [parent for parent in asked if parent is not None]
        if len(parents) == len(asked):
            self.problems += reference_problems(source, parents)
            if len(self.chain) == 1:
                self.problems += _no_principles(source, parents)
        if own is None or len(self.problems) > before:
            return None
        whole = _merged_in_order((*parents, own))
        if len(self.chain) == 1:
            self.problems += _nothing_to_draw(source, whole)
        return whole


def _merged_in_order(constitutions: Sequence[Constitution]) -> Constitution:
    """Parents first, child last: the child's name, version and description.

    A principle replaces an earlier one of its id, whole and in its place; so does a stakeholder
    profile. The last preamble and refusal given stand. Examples follow one another, none twice. The result
    extends nothing: it is complete, and its hash does not depend on how it was split into files.
    """
    principles: dict[str, Principle] = {}
    for constitution in constitutions:
        principles |= {principle.id: principle for principle in constitution.principles}
    preambles = [constitution.preamble for constitution in constitutions if constitution.preamble]
    refusals = [constitution.refusal for constitution in constitutions if constitution.refusal]
    stakeholders = [constitution.stakeholders for constitution in constitutions]
    examples = [example for constitution in constitutions for example in constitution.few_shot]
    return constitutions[-1].model_copy(
        update={
            "extends": (),
            "preamble": preambles[-1] if preambles else None,
            "refusal": refusals[-1] if refusals else None,
            "principles": tuple(principles.values()),
            "stakeholders": {name: one for each in stakeholders for name, one in each.items()},
            "few_shot": tuple(dict.fromkeys(examples)),
        }
    )


def _found(name: str | Path, folder: Path) -> Path:
    """A shipped constitution, or a file relative to `folder`."""
    return _LIBRARY / f"{name}.yaml" if name in shipped_constitutions() else folder / name


def _parents(source: YamlSource, path: Path) -> Iterator[tuple[Path, str]]:
    """What a file extends, each with where it says so."""
    names = source.data.get("extends") if isinstance(source.data, dict) else None
    names = [names] if isinstance(names, str) else names  # wrong, but what is meant is clear
    for index, name in enumerate(names if isinstance(names, list) else ()):
        if isinstance(name, str) and name.strip():
            yield _found(name.strip(), path.parent), source.where(("extends", index))


def _check_parent(source: YamlSource, path: Path, named_at: str) -> None:
    """Raise InputError for another kind of file, before any message quotes what is in it."""
    if not isinstance(source.data, dict) or source.data.keys().isdisjoint(_TOP):
        what = f"{shown(str(path))} is not a constitution"
        raise InputError(Problem(named_at, what, "name a file with `name:` and `principles:`"))


def _read(path: Path, named_at: str | None) -> bytes:
    """At most a little more than MAX_BYTES. Raises InputError, at `named_at` if that is given."""
    subject = f"{shown(str(path))} " if named_at else ""
    where = named_at or str(path)
    if named_at and path.suffix not in _SUFFIXES and path.exists():
        what = f"{subject}does not end in {' or '.join(_SUFFIXES)}"
        raise InputError(Problem(where, what, "name a constitution"))
    try:
        with open_regular(path) as file:
            return file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        what = f"there is no file {shown(str(path), 200)}" if named_at else "no such file"
        raise InputError(Problem(where, what, _alike(path))) from None
    except IsADirectoryError:
        what, remedy = f"{subject}is a folder, not a file", _alike(path / "x")
        raise InputError(Problem(where, what, remedy)) from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        what = f"{subject}cannot be read: {getattr(error, 'strerror', None) or error}"
        raise InputError(Problem(where, what, "is it a file that you may read?")) from None


def _alike(path: Path) -> str:
    """The shipped constitution or neighbouring file that was probably meant; or what there is."""
    files: list[Path] = []
    with contextlib.suppress(OSError, ValueError):
        files = sorted(p for p in path.parent.iterdir() if p.suffix in _SUFFIXES)
    shipped = shipped_constitutions()
    names = dict(zip(shipped, shipped, strict=True)) | {file.stem: file.name for file in files}
    meant = closest(path.stem, names)
    if meant:
        return f"did you mean {names[meant]!r}?"
    there = f"shipped are {', '.join(shipped)}"
    if files:
        there += f"; in that folder are {', '.join(file.name for file in files[:8])}"
    return there


def _no_principles(source: YamlSource, parents: Sequence[Constitution]) -> Iterator[Problem]:
    """Not when the key is mistyped or has no value: the schema reports that."""
    data = source.data if isinstance(source.data, dict) else {"principles": None}
    missing = data.get("principles", []) == [] and not any(
        closest(key, ["principles"]) for key in data.keys() - {"principles"}
    )
    if missing and not any(parent.principles for parent in parents):
        where = source.where(("principles",), key=True)
        yield Problem(where, "there are no principles", "list one or more under `principles:`")


def _nothing_to_draw(source: YamlSource, constitution: Constitution) -> Iterator[Problem]:
    """Profiles, and the constitution itself, under which every principle has weight 0."""
    weights = {principle.id: principle.weight for principle in constitution.principles}
    if not any(weights.values()):
        where = source.where(("principles",), key=True)
        yield Problem(where, "every principle has weight 0", "give one a weight above 0")
        return
    for name, stakeholder in constitution.stakeholders.items():
        if not any((weights | stakeholder.weights).values()):
            where = source.where(("stakeholders", name), key=True)
            what = f"stakeholder {name!r} gives every principle weight 0"
            yield Problem(where, what, "give one a weight above 0")


def _in_order(problems: Sequence[Problem]) -> list[Problem]:
    """Without repeats, file by file as they were met, each by line and column."""
    files: dict[str, int] = {}

    def place(problem: Problem) -> tuple[int, int, int]:
        name, *numbers = problem.where.rsplit(":", 2)
        line, column = map(int, numbers) if len(numbers) == 2 else (0, 0)
        return files.setdefault(name, len(files)), line, column

    return sorted(dict.fromkeys(problems), key=place)
