"""Other data, such as helpful answers, mixed into exported rows by ratio and streamed.

Training on revisions alone makes a model evasive; Bai et al. (2022, sections 3.3 and 4.3) mix
helpfulness data into both stages.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from constitution.problems import InputError, Problem
from engine.messages import to_dicts
from engine.prompts.files import open_prompt_file
from engine.prompts.rows import BadPrompt, Columns, Draft, parse_prompt
from training.data.datasets import Row

__all__ = ["Mixture", "mix_rows"]

Shape = Literal["sft", "preference", "prompt"]

_ANSWERS: dict[Shape, tuple[str, ...]] = {
    "sft": ("completion",),
    "preference": ("chosen", "rejected"),
    "prompt": (),
}


@dataclass(slots=True)
class Mixture:
    """Draws other rows in between, so that they are `ratio` of all rows (0 up to 1, exclusive).

    `drawn` counts them; `missing` those that were wanted after they had run out.
    """

    rows: Iterator[Row]
    ratio: float
    drawn: int = field(default=0, init=False)
    missing: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        if not 0 <= self.ratio < 1:
            remedy = "give the share of all rows, from 0 up to but not including 1"
            raise InputError(Problem("mix ratio", f"is {self.ratio}", remedy))

    def into(self, rows: Iterable[Row]) -> Iterator[Row]:
        """`rows` in their order, with the others spread evenly among them."""
        per_row, owed = self.ratio / (1 - self.ratio), 0.0
        for row in rows:
            yield row
            owed += per_row
            while owed >= 1 - 1e-9:
                owed -= 1
                other = next(self.rows, None)
                if other is None:
                    self.missing += 1
                else:
                    self.drawn += 1
                    yield other


def mix_rows(source: str, shape: Shape) -> Iterator[Row]:
    """Rows of a data set of other origin, in the shape and with the columns of exported rows.

    A row has `prompt` (a text or messages) and, by shape, `completion`, or `chosen` and `rejected`
    (texts, or lists of one assistant message); or `messages` that end with the answer. Raises
    InputError at the first row that has not.
    """
    file = open_prompt_file(source)
    for number, row in enumerate(file.read()):
        try:
            if row.value is None:
                raise BadPrompt(row.what, row.remedy)
            yield _mixed_row(row.value, shape, f"mix-{number}")
        except BadPrompt as bad:
            raise InputError(Problem(file.where(row), bad.what, bad.remedy)) from bad


def _mixed_row(value: Mapping[str, Any], shape: Shape, name: str) -> Row:
    columns = dict(value)
    if shape == "sft" and "completion" not in columns:
        _take_last_turn(columns)
    answers = {column: _answer(columns, column) for column in _ANSWERS[shape]}
    for column in ("completion", "chosen", "rejected"):
        columns.pop(column, None)
    if shape == "prompt":
        _take_last_turn(columns)
    draft = parse_prompt(columns, Columns())
    row: Row = {"prompt": to_dicts(draft.messages), **answers}
    row |= _provenance(draft, shape, name)
    return row if shape == "prompt" else {**row, "truncated": value.get("truncated") is True}


def _take_last_turn(columns: dict[str, Any]) -> None:
    """`messages` that end with an assistant turn become a prompt and its completion."""
    messages = columns.get("messages")
    if not isinstance(messages, list | tuple) or not messages:
        return
    last = messages[-1]
    if isinstance(last, Mapping) and last.get("role") == "assistant":
        columns.pop("prompt", None)  # says again what the messages say
        columns["messages"] = list(messages[:-1])
        columns["completion"] = last.get("content")


def _answer(columns: Mapping[str, Any], column: str) -> list[dict[str, str]]:
    if column not in columns:
        known = ", ".join(map(repr, columns))
        remedy = f"give each row a {column!r}; a prompt alone can be answered with `solon answer`"
        raise BadPrompt(f"has no {column!r}; it has {known}", remedy)
    value = columns[column]
    if isinstance(value, list | tuple) and value and isinstance(value[-1], Mapping):
        value = value[-1].get("content")
    if not isinstance(value, str) or not value.strip():
        raise BadPrompt(f"{column!r} is no text, or an empty one", "give the answer as a text")
    return [{"role": "assistant", "content": value}]


def _provenance(draft: Draft, shape: Shape, name: str) -> Row:
    """The columns that rows of a run have, saying that no constitution made this one."""
    id = draft.id or name
    if shape == "prompt":
        return {"id": id}
    origin: Row = {
        "id": id,
        "constitution": "",
        "principles": [],
        "principle_hashes": [],
        "model": "",
    }
    if shape == "sft":
        return {**origin, "unresolved": 0, "revisions": 0}
    return {"probability": 1.0, "position_bias": 0.0, "method": "given", **origin, "judge": ""}
