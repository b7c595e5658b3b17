"""How fast models last ran on this machine: a hint for the next plan's seconds."""

from contextlib import suppress

from constitution.problems import InputError
from constitution.reading import read_json
from engine.generators.vllm_platform import cache_directory
from engine.storage.atomic import write_json_atomic

__all__ = ["expected_seconds", "remember_throughput"]

_FILE = "throughput.json"
"""Fingerprint to generated tokens a second."""
_FEWEST = 500
"""Generated tokens from which a run's pace says something."""


def remember_throughput(fingerprint: str, generated_tokens: int, seconds: float) -> None:
    """Keep a run's generated tokens per second, if it generated enough of them.

    It is a hint: where it cannot be kept, nothing is lost but the next plan's estimate.
    """
    if generated_tokens < _FEWEST:
        return
    known = _known()
    known[fingerprint] = generated_tokens / max(seconds, 1e-3)
    with suppress(OSError):
        write_json_atomic(cache_directory() / _FILE, known)


def expected_seconds(fingerprint: str, completion_tokens: int) -> float | None:
    """Seconds to generate that many tokens, at the last run's pace; None if there was none."""
    pace = _known().get(fingerprint)
    return completion_tokens / pace if pace else None


def _known() -> dict[str, float]:
    try:
        known = read_json(cache_directory() / _FILE, dict)
    except (InputError, OSError):
        return {}
    return {k: v for k, v in known.items() if isinstance(v, float)}
