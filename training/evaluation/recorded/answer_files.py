"""Answers that were made elsewhere, by prompt: rows, runs of Solon, and what other tools write.

rows                 JSON lines, JSON, CSV, Parquet: a prompt (or messages that end with its answer), and
                     `answer`, `response`, `output`, `completion` or `final`; also Solon's own records
Inspect              a log: .eval, or .json with `samples`
promptfoo            its results as JSON: {"results": {"results": [{"prompt", "vars", "response"}]}}
OpenAI evals         JSON lines of events; those of type `sampling` have `prompt` and `sampled`
"""

import io
import lzma
import struct
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from constitution.problems import InputError, Problem
from constitution.reading import json_of, read_bytes, read_json
from engine.prompts.files import open_prompt_file

__all__ = ["RecordedAnswer", "Turns", "read_answers"]

Turns: TypeAlias = tuple[tuple[str, str], ...]
"""Who said what, in order."""

_ANSWER = ("final", "answer", "response", "output", "completion", "generated_text", "text")
_PROMPT = ("prompt", "question", "instruction", "input", "query")
_NO_ARCHIVE = (
    zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error, EOFError, NotImplementedError,
    OSError, RuntimeError, ValueError,
)  # fmt: skip
"""What zipfile raises for damaged bytes, methods of compression that it lacks, and passwords."""
_MOST_BYTES = 2**30
"""Of one member of an archive once it is decompressed."""
_REMEDY = (
    "give rows with `prompt` and `answer`, a run of Solon, or results of Inspect, promptfoo or "
    "OpenAI's evals"
)


@dataclass(frozen=True, slots=True)
class RecordedAnswer:
    """One answer; of its prompt what the file says: its id, all its turns, or both."""

    text: str
    id: str = ""
    turns: Turns = ()
    is_bare: bool = False
    """Whether the file gives a text for a prompt: there may have been turns before it."""


def read_answers(path: Path) -> list[RecordedAnswer]:
    """Every answer in a file, or in the directory of a run. Raises InputError where it holds none."""
    path = path / "records.jsonl" if path.is_dir() else path
    if path.suffix == ".eval":
        found = [*_inspect(_archive(path))]
    elif path.suffix == ".json":
        found = [*_whole(read_json(path, object, _REMEDY), path)]
    else:
        found = [*_rows(path)]
    if not found:
        raise InputError(Problem(str(path), "holds no answers that are known here", _REMEDY))
    return found


def _whole(data: Any, path: Path) -> Iterator[RecordedAnswer]:
    """A JSON file: whose it is shows in its keys."""
    results = data.get("results") if isinstance(data, dict) else None
    results = results.get("results") if isinstance(results, dict) else results
    if isinstance(data, dict) and isinstance(data.get("samples"), list):
        yield from _inspect(data["samples"])
    elif isinstance(results, list):
        yield from _promptfoo(results)
    else:
        yield from _rows(path)


def _rows(path: Path) -> Iterator[RecordedAnswer]:
    file = open_prompt_file(path)
    for row in file.read():
        if row.value is None:
            raise InputError(Problem(file.where(row), row.what, row.remedy))
        if row.value.get("type") == "sampling" and isinstance(row.value.get("data"), dict):
            yield from _sampled(row.value)
        elif found := _row(row.value):
            yield found


def _row(row: Mapping[str, Any]) -> RecordedAnswer | None:
    prompt: Any = next((row[key] for key in _PROMPT if row.get(key) not in (None, "")), None)
    answer: Any = next((row[key] for key in _ANSWER if isinstance(row.get(key), str)), None)
    turns = row.get("messages")
    if answer is None and isinstance(turns, list) and turns:
        *prompt, last = turns
        answer = _content(last) if _role(last) == "assistant" else None
    elif prompt is None and isinstance(turns, list):
        prompt = turns
    if not isinstance(answer, str):
        return None
    system = row.get("system")
    if isinstance(prompt, str) and isinstance(system, str) and system:
        prompt = [{"role": "system", "content": system}, {"role": "user", "content": prompt}]
    return _recorded(answer.strip(), row.get("id"), prompt)


def _sampled(event: Mapping[str, Any]) -> Iterator[RecordedAnswer]:
    """Of OpenAI's evals: the first of what was sampled."""
    data = event["data"]
    sampled = data.get("sampled")
    text = sampled[0] if isinstance(sampled, list) and sampled else sampled
    if isinstance(text, str):
        yield _recorded(text.strip(), event.get("sample_id"), data.get("prompt"))


def _promptfoo(rows: Iterable[Any]) -> Iterator[RecordedAnswer]:
    """The prompt as it was sent, or the only variable of its test."""
    for row in rows:
        response = row.get("response") if isinstance(row, dict) else None
        output = response.get("output") if isinstance(response, dict) else None
        if not isinstance(output, str):
            continue
        given = row.get("vars")
        values = given.values() if isinstance(given, dict) else ()
        texts = [value for value in values if isinstance(value, str)]
        sent = row.get("prompt")
        raw = str(sent.get("raw") or "") if isinstance(sent, dict) else str(sent or "")
        prompt = texts[0] if len(texts) == 1 else raw
        yield _recorded(output.strip(), None, prompt)


def _inspect(samples: Iterable[Any]) -> Iterator[RecordedAnswer]:
    for sample in samples:
        output = sample.get("output") if isinstance(sample, dict) else None
        choices = output.get("choices") if isinstance(output, dict) else None
        first = choices[0] if isinstance(choices, list) and choices else None
        if isinstance(first, dict):
            text = _content(first.get("message"))
            yield _recorded(text, sample.get("id"), sample.get("input"))


def _archive(path: Path) -> Iterator[Any]:
    """The samples of an Inspect log, which is a zip archive of JSON files."""
    try:
        with zipfile.ZipFile(io.BytesIO(read_bytes(path, _REMEDY))) as archive:
            for info in archive.infolist():
                if info.filename.startswith("samples/") and info.filename.endswith(".json"):
                    with archive.open(info) as member:
                        content = member.read(_MOST_BYTES)
                    yield json_of(content, path / info.filename, dict, _REMEDY)
    except _NO_ARCHIVE as error:
        raise InputError(Problem(str(path), f"is not an Inspect log: {error}", _REMEDY)) from error


def _recorded(text: str, id: Any, prompt: Any) -> RecordedAnswer:
    """Of a prompt that is a text or turns; one in which no user speaks is not known."""
    id = "" if id is None else str(id)
    if isinstance(prompt, str):
        return RecordedAnswer(text, id, (("user", prompt),) if prompt else (), is_bare=True)
    given = prompt if isinstance(prompt, list) else []
    turns = tuple((_role(turn), _content(turn)) for turn in given)
    return RecordedAnswer(text, id, turns if any(role == "user" for role, _ in turns) else ())


def _role(turn: Any) -> str:
    return str(turn.get("role")) if isinstance(turn, dict) else ""


def _content(turn: Any) -> str:
    """The text of a turn, whose content may come in parts."""
    content = turn.get("content") if isinstance(turn, dict) else None
    if isinstance(content, list):
        parts = (part.get("text") for part in content if isinstance(part, dict))
        content = "".join(text for text in parts if isinstance(text, str))
    return content.strip() if isinstance(content, str) else ""
