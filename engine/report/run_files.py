"""What a run directory holds, read one line at a time: a run may have a million records."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from constitution.problems import InputError, Problem
from engine.judging.records import LabelRecord
from engine.records import AnswerRecord, Failure, Record
from engine.storage.jsonl import numbered_jsonl

__all__ = [
    "PrincipleText",
    "read_answer_records",
    "read_failures",
    "read_label_records",
    "read_principle_texts",
    "read_records",
]

_Row = TypeVar("_Row", bound=BaseModel)
_NAMES: Mapping[type[BaseModel], str] = {
    Record: "record",
    LabelRecord: "label record",
    AnswerRecord: "answer record",
    Failure: "failure",
}


@dataclass(frozen=True, slots=True)
class PrincipleText:
    """What a report says of a principle."""

    statement: str = ""
    severity: str = ""


def read_records(run_dir: Path) -> Iterator[Record]:
    """Records in the order they were written. A torn last line, which resuming repairs, is left out.

    Raises InputError, with the line, for a line that is not a record.
    """
    return _rows(run_dir / "records.jsonl", Record)


def read_label_records(run_dir: Path) -> Iterator[LabelRecord]:
    """Records of a label run, in the order they were written. Raises as `read_records` does."""
    return _rows(run_dir / "records.jsonl", LabelRecord)


def read_answer_records(run_dir: Path) -> Iterator[AnswerRecord]:
    """Records of an answer run, in the order they were written. Raises as `read_records` does."""
    return _rows(run_dir / "records.jsonl", AnswerRecord)


def read_failures(run_dir: Path) -> Iterator[Failure]:
    """Failures in the order they were written. Raises as `read_records` does."""
    return _rows(run_dir / "failures.jsonl", Failure)


def read_principle_texts(run_dir: Path) -> dict[str, PrincipleText]:
    """Principle id to its words, from the run's copy of the constitution.

    A report only decorates its numbers with them, so a copy that is missing or that another
    version wrote costs the words and not the report.
    """
    path = run_dir / "constitution.yaml"
    try:
        document = yaml.safe_load(path.read_bytes()) if path.is_file() else None
    except yaml.YAMLError:
        return {}
    principles = document.get("principles") if isinstance(document, dict) else None
    listed = principles if isinstance(principles, list) else ()
    found = [item for item in listed if isinstance(item, dict) and "id" in item]
    return {str(item["id"]): _principle_text(item) for item in found}


def _principle_text(item: Mapping[str, Any]) -> PrincipleText:
    return PrincipleText(str(item.get("statement", "")), str(item.get("severity", "medium")))


def _rows(path: Path, row: type[_Row]) -> Iterator[_Row]:
    if not path.is_file():
        return
    for number, line in numbered_jsonl(path):
        try:
            yield row.model_validate(line)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            field = ".".join(str(part) for part in first["loc"])
            what = f"is not a {_NAMES[row]} ({field}: {first['msg']})"
            remedy = "restore the file, or run again into an empty directory"
            raise InputError(Problem(f"{path}:{number}", what, remedy)) from error
