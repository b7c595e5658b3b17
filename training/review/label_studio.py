"""Label Studio: tasks and the labeling configuration to import, and verdicts from its exports.

Of its exports JSON and JSON-MIN can be read. Tasks hold plain text: nothing in a reply is markup.
"""

import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from constitution.problems import InputError, Problem
from engine.storage.atomic import write_json_atomic
from training.review.items import Queue, ShownItem
from training.review.review import Vote

__all__ = ["FILES", "is_label_studio", "read_label_studio", "write_label_studio"]

TASKS, CONFIG = "tasks.json", "labeling_config.xml"
FILES = (TASKS, CONFIG)

_SIDES = {"left": "A", "right": "B"}


def write_label_studio(directory: Path, queue: Queue, items: Sequence[ShownItem]) -> None:
    """Write `tasks.json`, and `labeling_config.xml` for the project's labeling interface.

    Tasks have the names of the configuration's `$variables`; JSON-MIN overwrites an `id`.
    """
    tasks = []
    for item in items:
        names = ("response",) if len(item.replies) == 1 else ("response_a", "response_b")
        shown = {"item": item.id, "prompt": item.prompt, "principles": item.principles}
        tasks.append({"data": shown | dict(zip(names, item.replies, strict=True))})
    write_json_atomic(directory / TASKS, tasks)
    shutil.copyfile(Path(__file__).with_name(f"labeling_{queue}.xml"), directory / CONFIG)


def is_label_studio(row: Mapping[str, Any]) -> bool:
    """Whether `row` is a task of a JSON export or a line of a JSON-MIN one."""
    return "annotations" in row or "annotation_id" in row


def read_label_studio(path: Path, rows: Sequence[Mapping[str, Any]]) -> Iterator[Vote]:
    """A vote for each annotation, in the order of time; one that was skipped or says nothing has no
    verdict.

    Raises InputError for tasks that were not exported by Solon, and for other labels than ours.
    """
    found: list[tuple[str, Vote]] = []
    for number, row in enumerate(rows, start=1):
        where = f"{path}:task {number}"
        if "annotation_id" in row:
            found.append((_time(row), _vote(where, row.get("item"), row.get("annotator"), row)))
            continue
        item = (row.get("data") or {}).get("item")
        for annotation in row["annotations"] or ():
            given = {} if annotation.get("was_cancelled") else _by_control(annotation)
            vote = _vote(where, item, annotation.get("completed_by"), given)
            found.append((_time(annotation), vote))
    yield from (vote for _, vote in sorted(found, key=lambda timed: timed[0]))


def _time(annotation: Mapping[str, Any]) -> str:
    """When it was last changed (ISO 8601, in UTC), which orders as text does."""
    return str(annotation.get("updated_at") or annotation.get("created_at") or "")


def _by_control(annotation: Mapping[str, Any]) -> dict[str, Any]:
    """The results of an annotation as JSON-MIN has them, by the control they come from."""
    found: dict[str, Any] = {}
    for result in annotation.get("result") or ():
        value = result.get("value") or {}
        name = result.get("from_name")
        if name == "better":
            found[name] = [value]
        elif name in ("equal", "verdict", "rating"):
            found[name] = value.get("choices")
        elif name == "comment":
            found[name] = value.get("text")
    return found


def _vote(where: str, item: object, reviewer: object, given: Mapping[str, Any]) -> Vote:
    """A reviewer is a number, or an e-mail address where the export gives users whole."""
    if not isinstance(item, str):
        remedy = "import verdicts on tasks that `solon export --format label-studio` wrote"
        raise InputError(Problem(where, "has no 'item' in its data", remedy))
    if isinstance(reviewer, Mapping):
        reviewer = reviewer.get("email") or reviewer.get("id")
    named = "" if reviewer is None else str(reviewer)
    return Vote(item, named, _verdict(where, given), _text(given.get("comment")))


def _verdict(where: str, given: Mapping[str, Any]) -> str | None:
    """A choice of "equal" outweighs a side that was clicked before."""
    if choice := _text(given.get("verdict") or given.get("rating") or given.get("equal")):
        return choice
    regions = given.get("better")
    if not regions:
        return None
    selected = regions[0].get("selected") if isinstance(regions[0], Mapping) else regions[0]
    if selected not in _SIDES:
        remedy = "use the labeling configuration that was exported with the tasks"
        raise InputError(Problem(where, f"'better' is {selected!r}, not left or right", remedy))
    return _SIDES[selected]


def _text(value: object) -> str:
    if isinstance(value, Mapping):
        value = value.get("text") or value.get("choices")
    if isinstance(value, list):
        return "\n".join(map(str, value))
    return value if isinstance(value, str) else ""
