"""Answers that people have labelled: what a judge is measured on and a classifier is fitted to."""

import csv
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import dropwhile
from pathlib import Path
from statistics import fmean
from typing import Any

from constitution.problems import InputError, Problem
from constitution.reading import open_table
from engine.messages import Conversation, Message, without_surrogates
from engine.prompts.files import FileRow, PromptFile, in_memory, open_prompt_file
from engine.prompts.rows import BadPrompt, Columns, parse_prompt
from engine.report.wording import reason_counts
from training.data.readers import last_text

__all__ = [
    "LabelColumns",
    "LabelledAnswer",
    "LabelledAnswers",
    "first_row",
    "read_labelled_answers",
]

_TOO_MANY = "\x00"
"""Where cells go for which the header has no name."""
_WORDS = {"true": 1.0, "yes": 1.0, "false": 0.0, "no": 0.0}


@dataclass(frozen=True, slots=True)
class LabelColumns:
    """Which columns hold what. Several `labels` are several people's: their mean counts, over those
    that a row has. A row's `prompt` may be missing; `group` is what figures are also split by. Ratings
    go from the first end of their `scale`, which is false, to the second."""

    prompt: str = "prompt"
    answer: str = "answer"
    labels: tuple[str, ...] = ("label",)
    group: str | None = None
    scale: tuple[float, float] = (0.0, 1.0)


@dataclass(frozen=True, slots=True)
class LabelledAnswer:
    """An answer and whether people find in it what is looked for.

    `score` is between 0 and 1, the mean of the labels; `label` is whether it reaches the threshold.
    """

    id: str
    prompt: Conversation
    answer: str
    score: float
    label: bool
    group: str = ""

    @property
    def conversation(self) -> Conversation:
        """The prompt, if there is one, and the answer."""
        return (*self.prompt, Message("assistant", self.answer))

    @property
    def question(self) -> str:
        """What the user said last; empty without a prompt."""
        return next((turn.content for turn in reversed(self.prompt) if turn.role == "user"), "")

    @property
    def prompt_key(self) -> str:
        """The same for answers to one prompt; an answer without a prompt stands for itself."""
        turns = self.prompt or self.conversation
        return "\x00".join(f"{turn.role}\x01{' '.join(turn.content.split())}" for turn in turns)


@dataclass(frozen=True, slots=True)
class LabelledAnswers:
    """The answers that can be used, and how many rows could not be, by reason."""

    answers: tuple[LabelledAnswer, ...]
    dropped: Counter[str]

    @property
    def base_rate(self) -> float:
        """Share of the answers that are labelled true."""
        return sum(answer.label for answer in self.answers) / len(self.answers)


def read_labelled_answers(
    sources: Sequence[str],
    columns: LabelColumns | None = None,
    *,
    threshold: float = 0.5,
    limit: int | None = None,
) -> LabelledAnswers:
    """The labelled answers of files of every kind that prompts may come in; CSV may open with
    comments (`#`).

    A label is true or false, yes or no, or a number on the scale, and true from `threshold` of it on.
    Rows without an answer or a label are dropped and counted, as are repetitions of an answer and
    answers with both labels. With `limit` only that many usable rows of each file are read.
    Raises InputError for a file that cannot be read, lacks a column, has several numbers off the scale or
    leaves nothing.
    """
    wanted = columns or LabelColumns()
    dropped: Counter[str] = Counter()
    found: list[LabelledAnswer] = []
    for source in sources:
        name = Path(source).stem if len(sources) > 1 else ""
        read = _answers_of(source, name, wanted, threshold, dropped)
        found += [answer for answer, _ in zip(read, range(limit or 1 << 62), strict=False)]
    kept = _unambiguous(found, dropped)
    if not kept:
        what = f"holds no labelled answers{f' ({reason_counts(dropped)})' if dropped else ''}"
        raise InputError(Problem(", ".join(sources), what, "see --answer-column, --label-column"))
    return LabelledAnswers(tuple(kept), dropped)


def first_row(source: str) -> Mapping[str, Any]:
    """The first row of a file that can be read; empty without one. Raises InputError."""
    return next((row.value for row in _opened(source).read() if row.value is not None), {})


def _answers_of(
    source: str, name: str, columns: LabelColumns, threshold: float, dropped: Counter[str]
) -> Iterator[LabelledAnswer]:
    file = _opened(source)
    checked = strange = False
    for row in file.read():
        if row.value is None:
            dropped["row cannot be read"] += 1
            continue
        if not checked:
            _check_columns(file, row, columns)
            checked = True
        group = str(row.value.get(columns.group) or "") if columns.group else name
        try:
            yield _labelled(f"{name or 'row'}:{row.number}", row.value, columns, threshold, group)
        except _OffScale as off:
            dropped[_NO_LABEL] += 1
            if strange:  # one may be a slip, two are another scale
                raise InputError(Problem(file.where(row), str(off), _SCALES)) from off
            strange = True
        except BadPrompt as bad:
            dropped[bad.what] += 1


def _labelled(
    id: str, row: Mapping[str, Any], columns: LabelColumns, threshold: float, group: str
) -> LabelledAnswer:
    """Raises BadPrompt with the reason for which a row cannot be used."""
    answer = without_surrogates(last_text(row.get(columns.answer)) or "").strip()
    if not answer:
        raise BadPrompt("no answer")
    given = [row[name] for name in columns.labels if row.get(name) not in (None, "")]
    score = _score(given, columns.scale)
    prompt = _prompt(row.get(columns.prompt))
    return LabelledAnswer(id, prompt, answer, score, score >= threshold, group)


def _opened(source: str) -> PromptFile:
    """As any prompt file, save that comments before a CSV's header are passed over."""
    path = Path(source)
    if path.suffix.lower() != ".csv" or not path.is_file():
        return open_prompt_file(source)
    with open_table(path) as file:
        if not file.readline().startswith("#"):
            return open_prompt_file(source)
        file.seek(0)
        lines = dropwhile(lambda line: line.lstrip("\ufeff").startswith("#"), file)
        try:
            read = csv.DictReader(lines, restkey=_TOO_MANY, strict=True)
            rows = [None if _TOO_MANY in row or None in row.values() else row for row in read]
        except csv.Error as error:
            raise InputError(Problem(source, f"is not a CSV file: {error}")) from error
    return in_memory(rows, source)


def _check_columns(file: PromptFile, row: FileRow, columns: LabelColumns) -> None:
    """The first row that can be read must have an answer and one of the labels."""
    there = [str(name) for name in row.value or ()]
    wrong = []
    if columns.answer not in there:
        wrong.append(("--answer-column", columns.answer))
    if not set(columns.labels) & set(there):
        wrong.append(("--label-column", ", ".join(columns.labels)))
    if columns.group and columns.group not in there:
        wrong.append(("--by", columns.group))
    if columns.prompt != LabelColumns().prompt and columns.prompt not in there:
        wrong.append(("--prompt-column", columns.prompt))
    known = ", ".join(repr(name) for name in there)
    if wrong:
        raise InputError(
            Problem(file.where(row), f"has no column {name!r}", f"set {option}; it has {known}")
            for option, name in wrong
        )


def _prompt(value: Any) -> Conversation:
    """Empty where there is none."""
    if value in (None, "", []):
        return ()
    try:
        return parse_prompt({"prompt": value}, Columns(format="text")).messages
    except BadPrompt as bad:
        raise BadPrompt("prompt cannot be read") from bad


_NO_LABEL = "label is not true, false or from 0 to 1"
_SCALES = "name the scale: --scale 1:5 where 5 is true, --scale 5:1 where 1 is"


class _OffScale(Exception):
    """A label is a number that the scale does not have."""


def _score(values: Sequence[Any], scale: tuple[float, float]) -> float:
    """The mean of a row's labels, from 0 to 1. Raises BadPrompt, and _OffScale."""
    if not values:
        raise BadPrompt("no label")
    scores = [number for value in values if (number := _number(value, scale)) is not None]
    if len(scores) < len(values):
        raise BadPrompt(_NO_LABEL)
    return fmean(scores)


def _number(value: Any, scale: tuple[float, float]) -> float | None:
    if isinstance(value, bool):
        return float(value)
    if isinstance(value, str) and value.strip().lower() in _WORDS:
        return _WORDS[value.strip().lower()]
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return _on(number, scale) if math.isfinite(number) else None


def _on(number: float, scale: tuple[float, float]) -> float:
    false, true = scale
    share = (number - false) / (true - false)
    if not 0 <= share <= 1:
        raise _OffScale(f"has the label {number:g}, and labels go from {false:g} to {true:g}")
    return share


def _unambiguous(found: Sequence[LabelledAnswer], dropped: Counter[str]) -> list[LabelledAnswer]:
    """Each answer to a prompt once; none of those that are labelled both ways."""
    labels: dict[tuple[str, str], set[bool]] = {}
    for one in found:
        labels.setdefault((one.prompt_key, one.answer), set()).add(one.label)
    kept: dict[tuple[str, str], LabelledAnswer] = {}
    for one in found:
        key = (one.prompt_key, one.answer)
        if len(labels[key]) > 1:
            dropped["labelled both ways"] += 1
        elif key in kept:
            dropped["repetition"] += 1
        else:
            kept[key] = one
    return list(kept.values())
