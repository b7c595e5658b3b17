"""Several answers to a prompt, rated or ranked, as pairs to prefer by.

Every two answers of which one is graded higher make a pair, once; equal grades say nothing. The pairs
of a prompt weigh 1 together, as in Ouyang et al. (2022, section 3.5), however many answers it has. A
difference of ratings is the pair's margin (Touvron et al. 2023, section 3.2.2); ranks have none.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from training.data.turns import BadPrompt, Unusable

__all__ = ["Graded", "Pair", "answer_in", "graded_answers", "graded_pairs", "rated_answer"]

_ANSWER = ("completion", "response", "answer", "output", "text", "generation", "content")
_LISTS = ("completions", "responses", "answers", "outputs", "generations", "candidates")
_RATINGS = ("rating", "score", "fine-grained_score", "overall_score")
_RANKS = ("rank", "ranking")
_CHOICES = ("better_response_id", "choice", "winner", "better", "preference", "preferred")
_SUFFIXES = (("0", "1"), ("1", "2"), ("a", "b"), ("A", "B"), ("j", "k"))
_REMEDY = "give each answer a `rating` (the higher the better) or a `rank` (1 is the best)"


@dataclass(frozen=True, slots=True)
class Graded:
    """An answer as a row holds it, and its grade: the higher, the better. `rated` says that
    differences of grades have a meaning, as those of ranks have not."""

    answer: Any
    grade: float
    rated: bool = True


@dataclass(frozen=True, slots=True)
class Pair:
    """Two answers, the first the better one, and what the pair counts among those of its prompt."""

    chosen: Any
    rejected: Any
    margin: float | None
    weight: float


def graded_pairs(answers: list[Graded]) -> list[Pair]:
    """Every preference among the answers once, weighing 1 in all. Raises Unusable if there is none."""
    found = [
        (first, second) if first.grade > second.grade else (second, first)
        for first, second in combinations(answers, 2)
        if first.grade != second.grade and first.answer != second.answer
    ]
    if not found:
        raise Unusable("no answer is graded above another")
    weight = 1 / len(found)
    return [
        Pair(b.answer, w.answer, b.grade - w.grade if b.rated and w.rated else None, weight)
        for b, w in found
    ]


def graded_answers(row: Mapping[str, Any]) -> list[Graded] | None:
    """The graded answers of a row that holds several: in a list, or numbered; None of any other.

    Raises BadPrompt where they are not graded.
    """
    for name in _LISTS:
        if isinstance(row.get(name), list | tuple):
            return _listed(row, name)
    for names in ("response", "answer", "completion", "output", "summary", "conversation"):
        for suffixes in _SUFFIXES:
            columns = [f"{names}_{suffix}" for suffix in suffixes]
            if all(column in row for column in columns):
                return _numbered(row, columns, suffixes)
    return None


def rated_answer(row: Mapping[str, Any]) -> Graded | None:
    """The one answer of a row that rates it; None of any other row."""
    answer = answer_in(row)
    grade = next((row[n] for n in (*_RATINGS, "label") if n in row), None)
    if answer is None or isinstance(grade, bool) or (number := _number(grade)) is None:
        return None
    return Graded(answer, number)


def answer_in(row: Mapping[str, Any]) -> Any:
    """The answer of a row or of an item that has one, by the names that it may have; None without."""
    return next((row[name] for name in _ANSWER if row.get(name) is not None), None)


def _listed(row: Mapping[str, Any], name: str) -> list[Graded]:
    """Grades stand in the items, or in a list beside them. Answers without one are left out."""
    items = row[name]
    for columns, rated in ((_RATINGS, True), (_RANKS, False)):
        for one in columns:
            grades = row.get(f"{one}s", row.get(one))
            if isinstance(grades, list | tuple):
                if len(grades) != len(items):
                    what = f"has {len(items)} {name} and {len(grades)} grades"
                    raise BadPrompt(what, _REMEDY)
                return _kept(zip(map(_unwrapped, items), grades, strict=True), rated)
            if any(isinstance(item, Mapping) and one in item for item in items):
                graded = ((_unwrapped(item), _get(item, one)) for item in items)
                return _kept(graded, rated)
    raise BadPrompt(f"{name!r} are not graded", _REMEDY)


def _numbered(
    row: Mapping[str, Any], columns: list[str], suffixes: tuple[str, str]
) -> list[Graded]:
    answers = [row[column] for column in columns]
    for names, rated in ((_RATINGS, True), (_RANKS, False)):
        for name in names:
            grades = [row.get(f"{name}_{suffix}") for suffix in suffixes]
            if None not in grades:
                return _kept(zip(answers, grades, strict=True), rated)
    strength = _number(
        row.get("preference_strength")
    )  # HelpSteer: below 0, the first is the better
    if strength is not None:
        return [Graded(answers[0], 0.0), Graded(answers[1], strength)]
    chosen = next((str(row[name]) for name in _CHOICES if name in row), None)
    named = [
        {suffix, column, f"model_{suffix}"}
        for suffix, column in zip(suffixes, columns, strict=True)
    ]
    better = [chosen in names for names in named]
    if chosen is None or (not any(better) and "tie" not in chosen.lower()):
        what = f"{columns[0]!r} and {columns[1]!r} are not graded"
        raise BadPrompt(
            what, f"{_REMEDY}, or name the better one ({', '.join(columns)}) as `choice`"
        )
    return [Graded(a, float(b), rated=False) for a, b in zip(answers, better, strict=True)]


def _kept(graded: Any, rated: bool) -> list[Graded]:
    sign = 1 if rated else -1
    return [
        Graded(answer, sign * number, rated)
        for answer, grade in graded
        if answer is not None and (number := _number(grade)) is not None
    ]


def _unwrapped(item: Any) -> Any:
    """The answer within an item of a list, which may have more to say of it."""
    is_message = isinstance(item, Mapping) and ("role" in item or "from" in item)
    return answer_in(item) if isinstance(item, Mapping) and not is_message else item


def _get(item: Any, name: str) -> Any:
    return item.get(name) if isinstance(item, Mapping) else None


def _number(value: Any) -> float | None:
    """None where nobody graded: nothing, `N/A`, or not a number."""
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None
