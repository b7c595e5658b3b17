"""Capability tasks from local files, and the alignment tax: what training cost of them."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Literal

from constitution.problems import InputError, Problem
from engine.prompts.files import open_prompt_file
from engine.prompts.rows import BadPrompt
from training.evaluation.questions.task_rows import Item, parse_item
from training.stats.intervals import Estimate, mean_of_independent, paired_difference

__all__ = ["Item", "Task", "alignment_tax", "read_task"]

SHOWN_PROBLEMS = 20
_SPLITS = frozenset(("test", "train", "validation", "valid", "val", "dev", "eval"))
_Scores = Mapping[str, Mapping[str, float]]


@dataclass(frozen=True, slots=True)
class Task:
    """Questions of one kind: letters to choose from, or answers in words (`exact_match`)."""

    name: str
    kind: Literal["multiple_choice", "exact_match"]
    items: tuple[Item, ...]


def read_task(
    source: str | Path, limit: int | None = None, seed: int = 0, *, name: str | None = None
) -> Task:
    """The questions of a file, or `limit` of them drawn by `seed`, in the order of the file.

    A row has `question` (or `prompt`), `answer`, and perhaps `choices` (or columns A, B, ..., or
    lines `A. ...` in the question), `id` and `system`. A larger limit keeps what a smaller one
    drew. Raises InputError with every row that is not a question of the file's kind.
    """
    file = open_prompt_file(source)
    items: list[Item] = []
    problems: list[Problem] = []
    seen: dict[str, str] = {}
    for number, row in enumerate(file.read(), 1):
        where = file.where(row)
        try:
            if row.value is None:
                raise BadPrompt(row.what, row.remedy)
            given = row.value.get("id")
            id = str(number if given in (None, "") else given)
            item = parse_item(row.value, id)
        except BadPrompt as bad:
            problems.append(Problem(where, bad.what, bad.remedy))
            continue
        if seen.setdefault(id, where) != where:
            problems.append(Problem(where, f"the id {id!r} is also that of {seen[id]}"))
        items.append(item)
    problems += _mixed(str(source), items)
    if not items and not problems:
        problems.append(Problem(str(source), "holds no question", "give at least one row"))
    if problems:
        raise InputError(_shown(str(source), problems))
    kind: Literal["multiple_choice", "exact_match"]
    kind = "multiple_choice" if items[0].choices else "exact_match"
    return Task(name or _name(Path(source)), kind, tuple(_drawn(items, limit, seed)))


def alignment_tax(scores: _Scores, base: _Scores) -> Estimate | None:
    """How much of the base's mean accuracy over tasks was lost, as a difference of shares.

    Scores are by task, then item; only items that both answered count, and each task weighs the
    same however many it has. None if no task has such an item.
    """
    found = [
        difference
        for task, before in base.items()
        if (difference := paired_difference(before, scores.get(task, {}))) is not None
    ]
    return mean_of_independent(found, sum(lost.count for lost in found))


def _mixed(source: str, items: Sequence[Item]) -> Iterable[Problem]:
    """A file holds one kind of question: accuracy by letter and by text are two figures."""
    kinds = Counter(bool(item.choices) for item in items)
    if len(kinds) > 1:
        what = f"holds {kinds[True]} questions with choices and {kinds[False]} without"
        yield Problem(source, what, "put them into two files")


def _shown(source: str, problems: list[Problem]) -> list[Problem]:
    rest = len(problems) - SHOWN_PROBLEMS
    more = [Problem(source, f"and {rest} more problems")] if rest > 0 else []
    return problems[:SHOWN_PROBLEMS] + more


def _name(path: Path) -> str:
    """The file's name, or its folder's where the file is called after a split."""
    return path.resolve().parent.name if path.stem.lower() in _SPLITS else path.stem


def _drawn(items: Sequence[Item], limit: int | None, seed: int) -> Sequence[Item]:
    if limit is None or limit >= len(items):
        return items
    ranked = sorted(items, key=lambda item: blake2b(f"{seed} {item.id}".encode()).digest())
    chosen = {item.id for item in ranked[:limit]}
    return [item for item in items if item.id in chosen]
