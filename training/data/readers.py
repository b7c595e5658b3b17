"""Rows to learn from or to measure by, in the shapes of public data sets: the one reader of them.

`training.data.shapes` says what one row teaches. Answers to one prompt that are rated in rows of their
own are compared once all are read.
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any, cast

from constitution.problems import InputError, Problem
from constitution.reading import without_surrogates
from engine.messages import Conversation, Message, Role
from engine.prompts.files import FileRow, PromptFile, open_prompt_file
from engine.report.wording import reason_counts
from training.data.graded import Graded, graded_pairs, rated_answer
from training.data.shapes import ANSWERS, Example, Shape, examples, is_comparison, rated_example
from training.data.turns import BadPrompt, Turns, Unusable, calls_a_tool

__all__ = [
    "ANSWERS",
    "Comparison",
    "Shape",
    "TrainingRow",
    "is_comparison",
    "last_text",
    "read_comparisons",
    "read_training_rows",
]

_SHOWN = 20


@dataclass(frozen=True, slots=True)
class TrainingRow:
    """What a row teaches; `truncated` says that an answer ran into its token limit."""

    number: int
    """In its file, from 0."""
    example: Example
    truncated: bool
    columns: Mapping[str, Any]
    """All of the row that is not null, as it was read."""

    @property
    def prompt(self) -> Conversation:
        """What is asked, as the engine's messages, which tools have no part in."""
        turns = self.example.asked
        return tuple(Message(cast(Role, turn["role"]), turn["content"]) for turn in turns)

    @property
    def answers(self) -> tuple[str, ...]:
        """The texts of the answers, in the order of `ANSWERS`."""
        return tuple(reply["content"] for reply in self.example.replies)

    @property
    def probability(self) -> float:
        """That the first of two answers is the better."""
        return self.example.probability

    def messages(self, shape: Shape, *, reasoning: bool = False) -> dict[str, Turns]:
        """The columns in which TRL wants the prompt and the answers, each a list of messages; with
        an answer's `reasoning`, if it has any, where that is asked for."""
        hidden = set() if reasoning else {"reasoning_content"}
        answers = zip(ANSWERS[shape], self.example.replies, strict=True)
        return {
            "prompt": self.example.asked,
            **{
                column: [{n: v for n, v in reply.items() if n not in hidden}]
                for column, reply in answers
            },
        }


@dataclass(frozen=True, slots=True)
class Comparison:
    """A prompt, a reply that people found better, and one that they found worse."""

    id: str
    prompt: Conversation
    better: str
    worse: str


def read_training_rows(
    source: str, shape: Shape, dropped: Counter[str], *, tools: bool = False
) -> Iterator[TrainingRow]:
    """What the rows of a file teach, of any kind that prompts may come in, streamed.

    A ranking gives several examples, and so does a pair where thumbs are asked for. Rows that nothing
    can be learned from are counted in `dropped`, by reason; without `tools`, those that call one too.
    Raises InputError with what is wrong with rows, each thing where it occurs first, and where no row
    is left.
    """
    empty = True
    for row in _usable(open_prompt_file(source), shape, dropped):
        if not tools and calls_a_tool([*row.example.asked, *row.example.replies]):
            dropped["calls a tool"] += 1
            continue
        empty = False
        yield row
    if empty:
        what = f"has no row to use{f' ({reason_counts(dropped)})' if dropped else ''}"
        raise InputError(Problem(source, what, _how(shape)))


def read_comparisons(
    source: str, dropped: Counter[str], limit: int | None = None
) -> list[Comparison]:
    """The first `limit` usable comparisons of a file, named by their rows. Raises InputError as
    `read_training_rows` does."""
    return [
        Comparison(str(row.number), row.prompt, row.answers[0].strip(), row.answers[1].strip())
        for row in islice(read_training_rows(source, "preference", dropped), limit)
    ]


def last_text(value: Any) -> str | None:
    """A text, or the content of the last of several messages; None where there is none."""
    if isinstance(value, list | tuple) and value and isinstance(value[-1], Mapping):
        value = value[-1].get("content")
    return value if isinstance(value, str) else None


def _usable(file: PromptFile, shape: Shape, dropped: Counter[str]) -> Iterator[TrainingRow]:
    """Once a row is wrong no more are given, but what else is wrong is looked for."""
    problems: dict[str, Problem] = {}
    rated = _Rated()
    for number, line in enumerate(file.read()):
        try:
            rows = rated.taken(line, number) if shape == "preference" else None
            rows = _parsed(line, shape, number, dropped) if rows is None else rows
        except Unusable as unusable:
            dropped[str(unusable)] += 1
        except BadPrompt as bad:
            remedy = bad.remedy or (_how(shape) if bad.what.startswith("has no") else "")
            problems.setdefault(bad.what, Problem(file.where(line), bad.what, remedy))
            if len(problems) == _SHOWN:
                break
        else:
            if not problems:
                yield from rows
    if problems:
        raise InputError(problems.values())
    yield from rated.compared(dropped)


def _parsed(line: FileRow, shape: Shape, number: int, dropped: Counter[str]) -> list[TrainingRow]:
    if line.value is None:
        raise BadPrompt(line.what, line.remedy)
    found = []
    for example in examples(line.value, shape):
        try:
            found.append(_row(example, line.value, number))
        except Unusable as unusable:
            dropped[str(unusable)] += 1
    return found


def _row(example: Example, columns: Mapping[str, Any], number: int) -> TrainingRow:
    """Raises BadPrompt or Unusable for answers that cannot be learned from."""
    texts = [reply["content"] for reply in example.replies]
    if len(texts) == 2 and example.replies[0] == example.replies[1]:
        raise Unusable("chosen and rejected are the same")
    if any(without_surrogates(text) != text for text in texts):
        raise BadPrompt("an answer holds half a surrogate pair", "re-save the row")
    given = {name: value for name, value in columns.items() if value is not None}
    truncated = given.get("truncated", False)
    if not isinstance(truncated, bool):
        raise BadPrompt(f"'truncated' is {truncated!r}", "give true or false")
    return TrainingRow(number, example, truncated, given)


@dataclass(slots=True)
class _Rated:
    """Rows that rate one answer each, kept until every answer to a prompt is known."""

    rows: dict[str, list[tuple[Graded, TrainingRow]]] = field(default_factory=dict)

    def taken(self, line: FileRow, number: int) -> list[TrainingRow] | None:
        """An empty list if the row is one of these, else None."""
        if line.value is None or is_comparison(line.value):
            return None
        graded = rated_answer(line.value)
        if graded is None:
            return None
        row = _row(rated_example(line.value, graded), line.value, number)
        key = json.dumps(row.example.asked, sort_keys=True)
        answer = Graded(row.answers[0], graded.grade)
        self.rows.setdefault(key, []).append((answer, row))
        return []

    def compared(self, dropped: Counter[str]) -> Iterator[TrainingRow]:
        """The pairs of each prompt, under the row of the better answer."""
        for rated in self.rows.values():
            by_text = {graded.answer: row for graded, row in reversed(rated)}
            try:
                pairs = graded_pairs([graded for graded, _ in rated])
            except Unusable as unusable:
                dropped[str(unusable)] += len(rated)
                continue
            for pair in pairs:
                better, worse = by_text[pair.chosen], by_text[pair.rejected]
                replies = (*better.example.replies, *worse.example.replies)
                yield replace(
                    better,
                    example=replace(
                        better.example, replies=replies, margin=pair.margin, weight=pair.weight
                    ),
                    truncated=better.truncated or worse.truncated,
                )


def _how(shape: Shape) -> str:
    if shape == "unpaired":
        return "give `prompt`, `completion` and `label` (true or false), or pairs"
    how = f"`solon export --format trl-{shape}` writes such rows"
    return f"{how}, and `solon answer` answers prompts" if shape == "sft" else how
