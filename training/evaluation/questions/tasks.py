"""Capability tasks from local files, and the alignment tax: what training cost of them.

Rows with choices are asked for a letter, whose probability is read off; the others are answered in
words, of which the final answer counts.
"""

import re
import string
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from hashlib import blake2b
from pathlib import Path
from typing import Any, Literal

from constitution.problems import InputError, Problem
from constitution.reading import NotJson, parse_json
from engine.loop.reply import reply_of
from engine.messages import Conversation, Message
from engine.prompts.files import open_prompt_file
from engine.prompts.rows import BadPrompt
from engine.shares import Estimate
from training.stats.intervals import mean_of_independent, paired_difference

__all__ = ["Item", "Task", "alignment_tax", "parse_item", "read_task"]

_LETTER_ONLY = "Answer with the letter of the right option only."
_SHOW_WORK = 'Think step by step. End with a line that holds "####" and the final number alone.'
_SHORT_ANSWER = 'End with a line that holds "####" and the final answer alone.'
_QUESTIONS = ("question", "prompt", "problem", "input")
_CHOICES = ("choices", "options")
_ANSWERS = ("answer", "answerKey", "target", "label")
_FEWEST = 2
_LETTERED = re.compile(r"^([A-Z])[.):][ \t]+", re.MULTILINE)
_NUMBER = re.compile(r"(?:(?<![\w)])-)?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?|(?<![\w)])-?\.\d+")
_FINAL = re.compile(r"####|\banswer\s*(?:is|:)", re.IGNORECASE)
_WORD = re.compile(r"\w+")
_ARTICLES = frozenset(("a", "an", "the"))


@dataclass(frozen=True, slots=True)
class Item:
    """One question. `answer` is a letter where there are `choices`, else a number or a text."""

    id: str
    messages: Conversation
    answer: str
    choices: tuple[str, ...] = ()

    @property
    def letters(self) -> tuple[str, ...]:
        """What a model chooses from: one letter for each choice, from A on."""
        return tuple(string.ascii_uppercase[: len(self.choices)])

    def score_choice(self, probabilities: Sequence[float]) -> float:
        """1 if the right letter is the most probable, 0 if not; letters that tie share the 1."""
        most = max(probabilities)
        best = [letter for letter, p in zip(self.letters, probabilities, strict=True) if p == most]
        return 1 / len(best) if self.answer in best else 0.0

    def score_text(self, text: str) -> float:
        """1 if the final answer in `text` is the right one, else 0.

        Of a number that is what follows `####`, else the last number. Of words, case, punctuation
        and articles aside (Rajpurkar et al. 2016, section 6.1), it is the whole reply, its last
        line, or what follows `####`, "answer:" or "the answer is".
        """
        said = reply_of(text).text
        right = _number(self.answer)
        if right is not None:
            marked = _NUMBER.search(said.rpartition("####")[2]) if "####" in said else None
            found = [marked[0]] if marked else _NUMBER.findall(said)
            return float(bool(found) and _number(found[-1]) == right)
        lines = said.splitlines() or [""]
        finals = (said, lines[-1], _FINAL.split(said)[-1], _FINAL.split(lines[-1])[-1])
        return float(_plain(self.answer) in map(_plain, finals))


def parse_item(row: Mapping[str, Any], id: str) -> Item:
    """The item of one row. Raises BadPrompt."""
    question = _text(_first(row, _QUESTIONS))
    if not question:
        raise BadPrompt("has no question", f"give it as {' or '.join(_QUESTIONS[:2])}")
    answer = _first(row, _ANSWERS)
    if answer is None or not _text(answer):
        raise BadPrompt("has no answer", f"give it as {' or '.join(_ANSWERS[:2])}")
    system = _text(row.get("system"))
    before = (Message("system", system),) if system else ()
    question, choices, labels = _choices(row, question, _text(answer))
    if choices:
        letter = _letter(answer, choices, labels)
        lettered = zip(string.ascii_uppercase, choices, strict=False)
        listed = "\n".join(f"{letter}. {text}" for letter, text in lettered)
        asked = f"{question}\n\n{listed}\n\n{_LETTER_ONLY}"
        return Item(id, (*before, Message("user", asked)), letter, choices)
    final = _text(answer).rpartition("####")[2].strip()
    how = _SHORT_ANSWER if _number(final) is None else _SHOW_WORK
    return Item(id, (*before, Message("user", f"{question}\n\n{how}")), final)


def _choices(
    row: Mapping[str, Any], question: str, answer: str
) -> tuple[str, tuple[str, ...], tuple[str, ...]]:
    """The question alone, its choices and what the row calls them; none if it has no choices."""
    given = _first(row, _CHOICES)
    if isinstance(given, str):
        try:
            given = parse_json(given)
        except NotJson:
            raise BadPrompt("its choices are not JSON", 'write ["first", "second"]') from None
    labels: Sequence[Any] = ()
    if isinstance(given, dict):
        labels, given = given.get("label") or (), given.get("text")
    if given is None:
        columns = [letter for letter in string.ascii_uppercase if letter in row]
        given = [row[letter] for letter in columns if row[letter] not in (None, "")] or None
    if given is None:
        return _listed_in(question, answer)
    if not isinstance(given, list) or not _FEWEST <= len(given) <= len(string.ascii_uppercase):
        raise BadPrompt("its choices are not a list of 2 to 26", 'write ["first", "second"]')
    texts = tuple(_text(choice) for choice in given)
    if not all(texts):
        raise BadPrompt("has an empty choice", "write it or leave it out")
    if labels and len(labels) != len(texts):
        raise BadPrompt(f"has {len(texts)} choices and {len(labels)} labels", "give one for each")
    return question, texts, tuple(map(_text, labels))


def _listed_in(question: str, answer: str) -> tuple[str, tuple[str, ...], tuple[str, ...]]:
    """Choices written into the question as lines `A. ...`, if the answer is one of the letters."""
    marks = list(_LETTERED.finditer(question))
    starts = [at for at, mark in enumerate(marks) if mark[1] == "A"]
    if not starts or answer not in tuple(string.ascii_uppercase):
        return question, (), ()
    run = [
        mark
        for mark, letter in zip(marks[starts[-1] :], string.ascii_uppercase, strict=False)
        if mark[1] == letter
    ]
    ends = [mark.start() for mark in run[1:]] + [len(question)]
    texts = [question[mark.end() : end].strip() for mark, end in zip(run, ends, strict=True)]
    if len(texts) < _FEWEST or not all(texts):
        return question, (), ()
    return question[: run[0].start()].strip(), tuple(texts), ()


def _letter(answer: Any, choices: tuple[str, ...], labels: tuple[str, ...]) -> str:
    """The letter of the right choice, from a letter, a label, a place from 0 on, or its text."""
    letters = string.ascii_uppercase[: len(choices)]
    text = _text(answer)
    if labels:
        places = {at for at, label in enumerate(labels) if label == text}
    elif len(text) == 1 and text.upper() in letters:
        places = {letters.index(text.upper())}
    else:
        places = {at for at, choice in enumerate(choices) if choice == text}
        if isinstance(answer, int) and not isinstance(answer, bool):
            places = {answer} & set(range(len(choices)))
        elif text.isdecimal() and int(text) < len(choices):
            places.add(int(text))
    if len(places) > 1:
        raise BadPrompt(f"the answer {text!r} may be two of its choices", "give the letter")
    if not places:
        remedy = f"give a letter from {letters[0]} to {letters[-1]}, or the place from 0 on"
        raise BadPrompt(f"the answer {text[:40]!r} is none of its choices", remedy)
    return letters[places.pop()]


def _first(row: Mapping[str, Any], columns: Sequence[str]) -> Any:
    return next((row[name] for name in columns if row.get(name) not in (None, "")), None)


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value.strip()
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else ""


def _number(text: str) -> Decimal | None:
    """`text` as a number, if it is one alone; signs of money and separators aside."""
    bare = text.strip().rstrip(".").replace("$", "").strip()
    return Decimal(bare.replace(",", "")) if _NUMBER.fullmatch(bare) else None


def _plain(text: str) -> str:
    """Words in lower case without punctuation and articles; the text itself if it has no words."""
    words = [word for word in _WORD.findall(text.lower()) if word not in _ARTICLES]
    return " ".join(words) or text.strip()


SHOWN_PROBLEMS = 20
_SPLITS = frozenset(("test", "train", "validation", "valid", "val", "dev", "eval"))
Kind = Literal["multiple_choice", "exact_match"]
_Scores = Mapping[str, Mapping[str, float]]


@dataclass(frozen=True, slots=True)
class Task:
    """Questions of one kind: letters to choose from, or answers in words (`exact_match`)."""

    name: str
    kind: Kind
    items: tuple[Item, ...]


def read_task(source: str | Path, limit: int | None = None, seed: int = 0) -> Task:
    """The questions of a file, or `limit` of them drawn by `seed`, in the order of the file.

    A row has `question` (or `prompt`), `answer`, and perhaps `choices` (or columns A, B, ..., or
    lines `A. ...` in the question), `id` and `system`. A larger limit keeps what a smaller one
    drew. The task is called as the file is, or its folder where that is called after a split.
    Raises InputError with every row that is not a question of the file's kind: accuracy by letter
    and by text are two figures.
    """
    file, path = open_prompt_file(source), Path(source)
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
    kinds = Counter(bool(item.choices) for item in items)
    if len(kinds) > 1:
        what = f"holds {kinds[True]} questions with choices and {kinds[False]} without"
        problems.append(Problem(str(source), what, "put them into two files"))
    if not items and not problems:
        problems.append(Problem(str(source), "holds no question", "give at least one row"))
    if problems:
        rest = len(problems) - SHOWN_PROBLEMS
        more = [Problem(str(source), f"and {rest} more problems")] if rest > 0 else []
        raise InputError(problems[:SHOWN_PROBLEMS] + more)
    kind: Kind = "multiple_choice" if items[0].choices else "exact_match"
    name = path.resolve().parent.name if path.stem.lower() in _SPLITS else path.stem
    return Task(name, kind, tuple(_drawn(items, limit, seed)))


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


def _drawn(items: Sequence[Item], limit: int | None, seed: int) -> Sequence[Item]:
    if limit is None or limit >= len(items):
        return items
    ranked = sorted(items, key=lambda item: blake2b(f"{seed} {item.id}".encode()).digest())
    chosen = {item.id for item in ranked[:limit]}
    return [item for item in items if item.id in chosen]
