"""One way to say that an input is wrong: where, what, and how to fix it."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

__all__ = ["InputError", "Problem", "Stopped", "all_problems"]


@dataclass(frozen=True, slots=True)
class Problem:
    """One error in an input, in one line."""

    where: str
    """`file:line:column`, `file:row 12`, or the name of an option."""
    what: str
    remedy: str = ""

    def __str__(self) -> str:
        line = f"{self.where}: {self.what}"
        return f"{line}; {self.remedy}" if self.remedy else line


class InputError(Exception):
    """The user's input is wrong; every problem found is listed. The command line exits with 2."""

    def __init__(self, problems: Problem | Iterable[Problem]) -> None:
        self.problems = (problems,) if isinstance(problems, Problem) else tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class Stopped(Exception):
    """Work could not go on, and nothing of what was finished is lost. The command line prints the
    message and exits with `exit_code`."""

    exit_code = 1


def all_problems(*steps: Callable[[], Any]) -> list[Any]:
    """The result of each step; raises one InputError with the problems of all of them."""
    results: list[Any] = []
    problems: list[Problem] = []
    for step in steps:
        try:
            results.append(step())
        except InputError as error:
            problems += error.problems
    if problems:
        raise InputError(problems)
    return results
