"""How fast a model last ran on this machine, so that a plan can say how long a run will take."""

import json
from contextlib import suppress

from engine.generators.vllm_platform import cache_directory
from engine.runs.run import Progress
from engine.storage.atomic import write_json_atomic

__all__ = ["expected_seconds", "remember_throughput"]

_FILE = "throughput.json"
_FEWEST = 500
"""Generated tokens from which a run's pace says something."""


def remember_throughput(fingerprint: str, progress: Progress) -> None:
    """Keep this run's generated tokens per second, if it generated enough of them.

    It is a hint: where it cannot be kept, nothing is lost but the next plan's estimate.
    """
    if progress.generated_tokens < _FEWEST:
        return
    known = _known()
    known[fingerprint] = progress.generated_tokens / max(progress.seconds, 1e-3)
    with suppress(OSError):
        write_json_atomic(cache_directory() / _FILE, known)


def expected_seconds(fingerprint: str, completion_tokens: int) -> float | None:
    """Seconds to generate so many tokens, at the last run's pace; None if there was none."""
    pace = _known().get(fingerprint)
    return completion_tokens / pace if pace else None


def _known() -> dict[str, float]:
    try:
        known = json.loads((cache_directory() / _FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    if not isinstance(known, dict):
        return {}
    return {k: v for k, v in known.items() if isinstance(v, float)}
