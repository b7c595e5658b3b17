"""Comparisons whose better reply is known: what a judge is validated on."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

from constitution.problems import InputError, Problem
from engine.messages import Conversation
from engine.prompts.files import FileRow, open_prompt_file
from engine.prompts.rows import BadPrompt, Columns, parse_prompt

__all__ = ["Comparison", "read_comparisons"]

_TURN = re.compile(r"(?:\A|\n\n)\s*(Human|Assistant):")
_TRANSCRIPTS = ("text_correct", "text_incorrect")
_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Comparison:
    """A prompt, a reply that people found better, and one that they found worse."""

    id: str
    prompt: Conversation
    better: str
    worse: str


def read_comparisons(source: str, limit: int | None = None) -> list[Comparison]:
    """The comparisons of a file, in its order: every kind of file that prompts may come in.

    A row has `prompt`, `chosen` and `rejected` as preference rows do; or two whole transcripts,
    `\\n\\nHuman: ...\\n\\nAssistant: ...`, that differ in the last reply: `text_correct` and
    `text_incorrect`, or `chosen` and `rejected` without a prompt. Raises InputError with every row
    that has not.
    """
    file = open_prompt_file(source)
    found, problems = [], []
    for number, row in enumerate(islice(file.read(), limit)):
        try:
            found.append(_comparison(row, str(number)))
        except BadPrompt as bad:
            problems.append(Problem(file.where(row), bad.what, bad.remedy))
        if len(problems) == _SHOWN:
            break
    if not found and not problems:
        problems.append(Problem(source, "holds no comparisons", "give at least one row"))
    if problems:
        raise InputError(problems)
    return found


def _comparison(row: FileRow, name: str) -> Comparison:
    if row.value is None:
        raise BadPrompt(row.what, row.remedy)
    value = row.value
    if all(isinstance(value.get(column), str) for column in _TRANSCRIPTS):
        return _of_transcripts(value, _TRANSCRIPTS, name)
    for column in ("chosen", "rejected"):
        if column not in value:
            remedy = "a comparison has `prompt`, `chosen` and `rejected`"
            raise BadPrompt(f"has no {column!r}", remedy)
    if "prompt" not in value and isinstance(value["chosen"], str):
        return _of_transcripts(value, ("chosen", "rejected"), name)
    prompt = parse_prompt({"prompt": value.get("prompt")}, Columns()).messages
    return _checked(name, prompt, _reply(value, "chosen"), _reply(value, "rejected"))


def _of_transcripts(value: Mapping[str, Any], columns: tuple[str, str], name: str) -> Comparison:
    better, worse = (_turns(value[column], column) for column in columns)
    if better[:-1] != worse[:-1]:
        what = f"{columns[0]!r} and {columns[1]!r} differ before their last reply"
        raise BadPrompt(what, "give transcripts of one conversation")
    prompt = parse_prompt({"prompt": better[:-1]}, Columns()).messages
    return _checked(name, prompt, better[-1]["content"], worse[-1]["content"])


def _turns(transcript: Any, column: str) -> list[dict[str, str]]:
    parts = _TURN.split(transcript) if isinstance(transcript, str) else []
    roles = {"Human": "user", "Assistant": "assistant"}
    turns = [
        {"role": roles[speaker], "content": said.strip()}
        for speaker, said in zip(parts[1::2], parts[2::2], strict=True)
    ]
    if len(turns) < 2 or turns[-1]["role"] != "assistant":
        remedy = "a transcript reads Human: ..., Assistant: ..., with blank lines between"
        raise BadPrompt(f"{column!r} is no transcript that ends with the assistant", remedy)
    return turns


def _reply(value: Mapping[str, Any], column: str) -> str:
    reply = value[column]
    if isinstance(reply, list | tuple) and reply and isinstance(reply[-1], Mapping):
        reply = reply[-1].get("content")
    if not isinstance(reply, str) or not reply.strip():
        raise BadPrompt(f"{column!r} is no text, or an empty one", "give the reply as a text")
    return reply.strip()


def _checked(name: str, prompt: Conversation, better: str, worse: str) -> Comparison:
    if not better or not worse:
        raise BadPrompt("a reply is empty", "drop the row: there is nothing to compare")
    return Comparison(name, prompt, better, worse)
