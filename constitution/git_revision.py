"""A constitution as git has it: `HEAD~2:rules/bank-desk.yaml`, its parents from the same commit."""

import posixpath
import subprocess
from dataclasses import astuple
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory

from constitution.loader import load_constitution, shipped_constitutions
from constitution.problems import InputError, Problem
from constitution.schema import Constitution
from constitution.yaml_source import decode, read_yaml

__all__ = ["load_revision"]

_REMEDY = "name a file, a shipped constitution, or REV:PATH with the path from the root"


def load_revision(source: str) -> Constitution:
    """A file, a shipped name, or `REV:PATH` as `git show` takes it; a file of that name comes first.

    Raises InputError as `load_constitution` does, and where git has no such file.
    """
    revision, colon, path = source.partition(":")
    if not (colon and revision and path) or Path(source).exists():
        return load_constitution(source)
    if revision.startswith("-"):
        what = f"{revision!r} is an option of git, not a revision"
        raise InputError(Problem(source, what, _REMEDY))
    path = _from_the_root(path, source)
    with TemporaryDirectory() as folder:
        try:
            _check_out(revision, path, Path(folder), source)
            return load_constitution(Path(folder, path))
        except InputError as error:
            raise InputError([_renamed(one, folder, revision) for one in error.problems]) from None


def _check_out(revision: str, path: str, folder: Path, source: str) -> None:
    """Write one file of a commit below `folder`, and those that it extends."""
    place = Path(folder, path)
    if place.exists():
        return
    shown = ("show", "--no-textconv", "--end-of-options", f"{revision}:{path}")
    content = _git(*shown, source=source)
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(content)
    data = read_yaml(decode(content, str(place)), str(place)).data
    names = data.get("extends") if isinstance(data, dict) else None
    for name in names if isinstance(names, list) else ():
        if not isinstance(name, str) or name.strip() in shipped_constitutions():
            continue
        parent = posixpath.normpath(PurePosixPath(path).parent / name.strip())
        if not parent.startswith(("../", "/")):
            _check_out(revision, parent, folder, f"{source} (which extends {name.strip()})")


def _from_the_root(path: str, source: str) -> str:
    """A path that starts with `./` or `../` is relative to this folder, as in git."""
    if not path.startswith(("./", "../")):
        return posixpath.normpath(path)
    prefix = _git("rev-parse", "--show-prefix", source=source).decode().strip()
    return posixpath.normpath(posixpath.join(prefix, path))


def _git(*arguments: str, source: str) -> bytes:
    command = ("git", "--no-pager", *arguments)
    try:
        finished = subprocess.run(command, capture_output=True, check=False, timeout=60)
    except (OSError, ValueError, subprocess.TimeoutExpired) as error:
        raise InputError(Problem(source, f"git cannot be asked ({error})", _REMEDY)) from error
    if finished.returncode:
        said = finished.stderr.decode(errors="replace").strip().splitlines() or ["nothing"]
        told = said[0].removeprefix("fatal: ").removesuffix(".")
        raise InputError(Problem(source, f"git says: {told}", _REMEDY))
    return finished.stdout


def _renamed(problem: Problem, folder: str, revision: str) -> Problem:
    """`REV:path` where the message has a place of the temporary folder."""
    return Problem(*(text.replace(f"{folder}/", f"{revision}:") for text in astuple(problem)))
