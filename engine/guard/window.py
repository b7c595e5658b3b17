"""What of an answer may leave while it is still being written."""

__all__ = ["StreamWindow"]


class StreamWindow:
    """The text of one answer as it grows. A stretch leaves once it has been screened with a whole
    window of text after it, so that nothing up to `size` characters long that breaks a principle
    leaves in part.

    It decides nothing and asks nobody: `due` is what must be screened now, `passed` and `alarm` say
    what came of it, and `release` is what may leave. After an alarm nothing does until the whole
    answer has been screened.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.alarmed = False
        self._text = ""
        self._passed = ""
        self._released = 0

    def grow(self, text: str) -> None:
        """The answer so far. One that no longer begins with what was screened raises the alarm."""
        if not text.startswith(self._passed):
            self.alarmed = True
        self._text = text

    def due(self) -> str | None:
        """The beginning of the answer that is to be screened, up to a space; None until another
        window is full."""
        seen = len(self._passed)
        if self.alarmed or len(self._text) - seen < self.size:
            return None
        end = max(self._text.rfind(" "), self._text.rfind("\n")) + 1
        return self._text[: end if end > seen else len(self._text)]

    def passed(self, screened: str) -> None:
        """That this beginning, as `due` gave it, breaks nothing."""
        self._passed = screened

    def alarm(self) -> None:
        """That it may break something."""
        self.alarmed = True

    def release(self) -> str:
        """What may leave now and has not yet; empty if nothing may."""
        end = len(self._passed) - self.size
        if self.alarmed or end <= self._released:
            return ""
        piece = self._passed[self._released : end]
        self._released = end
        return piece
