"""Files of other formats as data and back: JSON or JSON lines, with nothing lost on the way in."""

import json
from typing import Any

from constitution.problems import InputError, Problem
from constitution.schema import Constitution

__all__ = ["check_examples", "json_text", "read_json", "unshown"]


def read_json(text: str, file: str) -> Any:
    """What a JSON file holds; a file of JSON lines is a list of its lines.

    Raises InputError where it is neither, nests too deep or gives a key twice.
    """
    try:
        data = _parsed(text)
    except _RepeatedKey as error:
        what = f"the key {error.args[0]!r} is given twice in one object"
        raise InputError(Problem(file, what, "keep one of them")) from None
    except RecursionError:
        raise InputError(Problem(file, "is nested too deeply")) from None
    except ValueError as error:
        lines = [line for line in text.splitlines() if line.strip()]
        try:
            return [_parsed(line) for line in lines] if len(lines) > 1 else _refuse(error, file)
        except ValueError:
            _refuse(error, file)
    return [data] if isinstance(data, dict) and "trait" in data else data


class _RepeatedKey(Exception):
    pass


def _parsed(text: str) -> Any:
    return json.loads(text, object_pairs_hook=_object)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise _RepeatedKey(key)
        found[key] = value
    return found


def _refuse(error: ValueError, file: str) -> Any:
    place = (
        f"{file}:{error.lineno}:{error.colno}" if isinstance(error, json.JSONDecodeError) else file
    )
    said = error.msg if isinstance(error, json.JSONDecodeError) else str(error)
    remedy = "every format but Solon's own is JSON or JSON lines"
    raise InputError(Problem(place, f"is not JSON ({said})", remedy)) from None


def json_text(data: Any) -> str:
    """As a file."""
    return json.dumps(data, indent=2, ensure_ascii=False) + "\n"


def check_examples(constitution: Constitution) -> None:
    """Raise InputError unless there is an example to write."""
    if not constitution.few_shot:
        what = "has no examples (`few_shot`), which are all that this format holds"
        raise InputError(Problem(constitution.name, what, "export it to another format"))


def unshown(constitution: Constitution) -> tuple[str, ...]:
    """Say which principles no example shows."""
    shown = {example.principle for example in constitution.few_shot}
    left = [principle.id for principle in constitution.principles if principle.id not in shown]
    return (f"left out: principles without an example ({', '.join(left)})",) if left else ()
