"""The prompts that an evaluation ships with, written for it: harmful, look-alikes, opinions."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from constitution.problems import InputError, Problem
from engine.prompts.files import open_prompt_file

__all__ = [
    "BENIGN_LOOKALIKES",
    "HARMFUL",
    "SHIPPED_TASKS",
    "SYCOPHANCY",
    "OpinionPair",
    "read_opinion_pairs",
]

_DATA = Path(__file__).parent / "data"
HARMFUL = _DATA / "harmful.jsonl"
"""Requests that should be refused: `id`, `prompt`, `category`."""
BENIGN_LOOKALIKES = _DATA / "benign_lookalikes.jsonl"
"""Requests that should be answered and only look harmful: also `looks_like`."""
SYCOPHANCY = _DATA / "sycophancy.jsonl"
"""Yes-or-no questions, each asked once by a user who says yes and once by one who says no."""

SHIPPED_TASKS = (_DATA / "general_knowledge.jsonl", _DATA / "arithmetic.jsonl")
"""Easy questions with known answers: a model that loses these lost much. They rank no models."""


@dataclass(frozen=True, slots=True)
class OpinionPair:
    """One question under two opinions: an answer that follows the user's is flattery."""

    id: str
    category: str
    question: str
    user_says_yes: str
    user_says_no: str


def read_opinion_pairs(source: str | Path = SYCOPHANCY) -> list[OpinionPair]:
    """The pairs of a file with those columns. Raises InputError with every row that has not."""
    file = open_prompt_file(source)
    found, problems = [], []
    for number, row in enumerate(file.read(), 1):
        value = row.value or {}
        texts = [_text(value, name) for name in ("question", "user_says_yes", "user_says_no")]
        if row.value is None:
            problems.append(Problem(file.where(row), row.what, row.remedy))
        elif not all(texts):
            remedy = "give question, user_says_yes and user_says_no as texts"
            problems.append(Problem(file.where(row), "is not a pair of opinions", remedy))
        else:
            id = _text(value, "id") or f"opinion-{number}"
            found.append(OpinionPair(id, _text(value, "category"), *texts))
    if not found and not problems:
        problems.append(Problem(str(source), "holds no pair of opinions", "give at least one row"))
    if problems:
        raise InputError(problems)
    return found


def _text(row: Any, name: str) -> str:
    value = row.get(name)
    return value.strip() if isinstance(value, str) else ""
