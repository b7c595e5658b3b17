"""Rows to learn from or to measure by, in the shapes of public data sets: the one reader of them.

An answer is a text, or messages that continue the prompt or repeat it. Without a `prompt`, all
before the last turn is the prompt: of `messages`, of whole conversations under `chosen` and
`rejected` (UltraFeedback), or of transcripts (`\\n\\nHuman: ... \\n\\nAssistant: ...`, HH-RLHF). Of
several turns only the last is the answer. A null counts as a column that is not there.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Literal

from constitution.problems import InputError, Problem
from constitution.reading import without_surrogates
from engine.messages import Conversation, assistant, to_dicts
from engine.prompts.files import FileRow, PromptFile, open_prompt_file
from engine.prompts.rows import BadPrompt, Columns, parse_prompt
from engine.report.wording import reason_counts

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

Shape = Literal["sft", "preference", "prompt"]
ANSWERS: dict[Shape, tuple[str, ...]] = {
    "sft": ("completion",),
    "preference": ("chosen", "rejected"),
    "prompt": (),
}
_TRANSCRIPTS = ("text_correct", "text_incorrect")
"""What the HHH evaluation calls its chosen and rejected transcripts."""
_SPEAKERS = {"Human:": "user", "Assistant:": "assistant"}
_AS_TEXT = Columns(format="text")
_SHOWN = 20

Turns = list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class TrainingRow:
    """A prompt and its answers, in the order of `ANSWERS`; `truncated` says that one of them ran
    into its token limit, `probability` that the first of two is the better."""

    number: int
    """In its file, from 0."""
    prompt: Conversation
    answers: tuple[str, ...]
    truncated: bool
    probability: float
    columns: Mapping[str, Any]
    """All of the row that is not null, as it was read."""

    def messages(self, shape: Shape) -> dict[str, Any]:
        """The columns in which TRL wants the prompt and the answers, each a list of messages."""
        answers = zip(ANSWERS[shape], self.answers, strict=True)
        return {
            "prompt": to_dicts(self.prompt),
            **{column: assistant(text) for column, text in answers},
        }


@dataclass(frozen=True, slots=True)
class Comparison:
    """A prompt, a reply that people found better, and one that they found worse."""

    id: str
    prompt: Conversation
    better: str
    worse: str


class _Unusable(Exception):
    """Why nothing can be learned from a row that is otherwise in order."""


def read_training_rows(source: str, shape: Shape, dropped: Counter[str]) -> Iterator[TrainingRow]:
    """The rows of a file of any kind that prompts may come in, streamed.

    Those that nothing can be learned from are reason_counts in `dropped`, by reason. Raises InputError
    with what is wrong with rows, each thing where it occurs first, and where no row is left.
    """
    empty = True
    for row in _usable(open_prompt_file(source), shape, dropped):
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


def is_comparison(row: Mapping[str, Any]) -> bool:
    """Whether a row has a better and a worse answer."""
    return any(set(names) <= row.keys() for names in (ANSWERS["preference"], _TRANSCRIPTS))


def last_text(value: Any) -> str | None:
    """A text, or the content of the last of several messages; None where there is none."""
    if isinstance(value, list | tuple) and value and isinstance(value[-1], Mapping):
        value = value[-1].get("content")
    return value if isinstance(value, str) else None


def _usable(file: PromptFile, shape: Shape, dropped: Counter[str]) -> Iterator[TrainingRow]:
    """Once a row is wrong no more are given, but what else is wrong is looked for."""
    problems: dict[str, Problem] = {}
    for number, line in enumerate(file.read()):
        try:
            row = _parsed(line, shape, number)
        except _Unusable as unusable:
            dropped[str(unusable)] += 1
        except BadPrompt as bad:
            problems.setdefault(bad.what, Problem(file.where(line), bad.what, bad.remedy))
            if len(problems) == _SHOWN:
                break
        else:
            if not problems:
                yield row
    if problems:
        raise InputError(problems.values())


def _parsed(line: FileRow, shape: Shape, number: int) -> TrainingRow:
    if line.value is None:
        raise BadPrompt(line.what, line.remedy)
    given = {name: value for name, value in line.value.items() if value is not None}
    before, answers = _split(given, line.value, shape)
    if not all(answer.strip() for answer in answers):
        raise _Unusable("empty answer")
    if len(answers) == 2 and answers[0] == answers[1]:
        raise _Unusable("chosen and rejected are the same")
    if any(without_surrogates(answer) != answer for answer in answers):
        raise BadPrompt("an answer holds half a surrogate pair", "re-save the row")
    truncated = given.get("truncated", False)
    if not isinstance(truncated, bool):
        raise BadPrompt(f"'truncated' is {truncated!r}", "give true or false")
    asked = {"prompt": before, "system": given.get("system")}
    return TrainingRow(
        number=number,
        prompt=parse_prompt(asked, _AS_TEXT).messages,
        answers=answers,
        truncated=truncated,
        probability=_probability(given) if shape == "preference" else 1.0,
        columns=given,
    )


def _split(
    given: Mapping[str, Any], row: Mapping[str, Any], shape: Shape
) -> tuple[Any, tuple[str, ...]]:
    """What is asked, as the column of a prompt may hold it, and the answers."""
    prompt, columns = given.get("prompt"), ANSWERS[shape]
    if shape == "prompt" and prompt is None and is_comparison(row):
        return _split(given, row, "preference")[0], ()
    if shape == "prompt":
        asked = given.get("messages", prompt)
        if asked is None:
            raise _missing("prompt", row, "prompt")
        if _is_messages(asked):
            _refuse_tools(asked)
            asked = asked[:-1] if asked[-1].get("role") == "assistant" else asked
        return asked, ()
    if set(_TRANSCRIPTS) <= given.keys():
        prompt, columns = None, _TRANSCRIPTS
    elif shape == "sft" and "completion" not in row and "messages" in given:
        prompt, columns = None, ("messages",)
    for column in columns:
        if column not in row:
            raise _missing(column, row, shape)
    whole = [_conversation(prompt, given.get(column), column, row) for column in columns]
    if any(_said(turns[:-1]) != _said(whole[0][:-1]) for turns in whole):
        raise _Unusable(f"{columns[0]} and {columns[1]} differ before their last turn")
    return whole[0][:-1], tuple(turns[-1]["content"] for turns in whole)


def _conversation(prompt: Any, value: Any, column: str, row: Mapping[str, Any]) -> Turns:
    """The prompt and one answer, which may repeat the prompt, turn by turn."""
    if value is None:
        raise _Unusable("empty answer")
    turns = list(value) if _is_messages(value) else _transcript(value) if prompt is None else None
    if turns is None and not isinstance(value, str):
        raise BadPrompt(f"{column!r} is not an answer", "give a text, or messages")
    if turns is None and prompt is None:
        remedy = "a transcript reads Human: ..., Assistant: ..., with blank lines between"
        what = f"has no 'prompt', and {column!r} is not a transcript that ends with the assistant"
        raise BadPrompt(f"{what}; it has {', '.join(map(repr, row))}", remedy)
    turns = assistant(value) if turns is None else turns
    _refuse_tools(turns)
    if prompt is not None:
        if _is_messages(prompt):
            _refuse_tools(prompt)
        asked = to_dicts(parse_prompt({"prompt": prompt}, _AS_TEXT).messages)
        repeats = turns[0].get("role") in ("system", "user")
        system = asked[:1] if asked[0]["role"] == "system" != turns[0].get("role") else []
        turns = [*(system if repeats else asked), *turns]
    if turns[-1].get("role") != "assistant" or last_text(turns) is None:
        what = f"{column!r} does not end with the assistant's answer"
        raise BadPrompt(what, "drop the turns behind it")
    return turns


def _transcript(text: Any) -> Turns | None:
    """The turns, each after a blank line; None where the text does not begin and end so."""
    if not isinstance(text, str):
        return None
    turns: list[tuple[str, list[str]]] = []
    blank = True
    for line in text.split("\n"):
        here = line.lstrip()
        speaker = next((name for name in _SPEAKERS if blank and here.startswith(name)), None)
        blank = not here
        if speaker:
            turns.append((_SPEAKERS[speaker], [here[len(speaker) :]]))
        elif turns:
            turns[-1][1].append(line)
        elif not blank:
            return None
    if len(turns) < 2 or turns[-1][0] != "assistant":
        return None
    return [{"role": role, "content": "\n".join(said).strip()} for role, said in turns]


def _is_messages(value: Any) -> bool:
    filled = isinstance(value, list | tuple) and bool(value)
    return filled and all(isinstance(turn, Mapping) for turn in value)


def _refuse_tools(turns: Sequence[Mapping[str, Any]]) -> None:
    if any(turn.get("tool_calls") or turn.get("role") == "tool" for turn in turns):
        raise _Unusable("calls a tool")


def _said(turns: Turns) -> list[tuple[Any, Any]]:
    return [(turn.get("role"), turn.get("content")) for turn in turns]


def _probability(given: Mapping[str, Any]) -> float:
    """The judge's that `chosen` is the better; rows of other origin may leave it out."""
    value = given.get("probability", 1.0)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        remedy = "give the judge's probability that `chosen` is the better, from 0 to 1"
        raise BadPrompt(f"'probability' is {value!r}", remedy)
    return float(value)


def _missing(column: str, row: Mapping[str, Any], shape: Shape) -> BadPrompt:
    known = ", ".join(map(repr, row)) or "none"
    return BadPrompt(f"has no {column!r}; it has {known}", _how(shape))


def _how(shape: Shape) -> str:
    how = f"`solon export --format trl-{shape}` writes such rows"
    return f"{how}, and `solon answer` answers prompts" if shape == "sft" else how
