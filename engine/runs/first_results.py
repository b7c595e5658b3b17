"""The first conversations of a run: where they all fail alike, so would the others."""

from engine.generators.base import FailureReason, GeneratorUnavailable
from engine.records import Failure

__all__ = ["FirstResults"]

_OF_THE_PROMPT = (FailureReason.CONTENT_FILTER, FailureReason.CONTEXT_OVERFLOW)
"""Reasons that say nothing of the next prompt."""
_ENOUGH = 20
"""Conversations that must not all fail at one stage for one reason."""


class FirstResults:
    """What a process has seen until something other than one kind of failure came."""

    def __init__(self) -> None:
        self._alike = 0
        self._kind: tuple[str, str] | None = None
        self._mixed = False

    def note(self, result: object) -> None:
        """Raises GeneratorUnavailable once the first conversations have all failed alike."""
        if self._mixed:
            return
        if not isinstance(result, Failure):
            self._mixed = True
            return
        if result.reason in _OF_THE_PROMPT:
            return
        kind = (result.stage, result.reason)
        self._mixed = self._kind not in (None, kind)
        self._kind, self._alike = kind, self._alike + 1
        if self._alike == _ENOUGH and not self._mixed:
            raise GeneratorUnavailable(
                f"the first {_ENOUGH} conversations all failed alike ({result.stage}: "
                f"{result.reason}: {result.message}); mend the cause, then try them again with "
                "--retry-failed"
            )
