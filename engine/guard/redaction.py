"""What must not be kept is taken out of what is written down; what is answered stays as it is."""

from collections.abc import Iterable
from typing import Any

from constitution.checks import compiled
from constitution.reading import without_surrogates

__all__ = ["DEFAULT_PATTERNS", "REDACTED", "Redactor"]

REDACTED = "[redacted]"
DEFAULT_PATTERNS = (
    r"[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,8}",  # an e-mail address
    r"\b(?:\d[ -]?){12,18}\d\b",  # the number of a card
    r"\b(?:sk|pk|rk|ghp|gho|glpat|hf|xox[abprs]|solon)[-_][\w-]{16,200}",  # a key of an API
    r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b",
    r"(?i)\bbearer\s+[\w.~+/-]{16,500}=*",
    r"\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]{8,}",  # a JSON web token
)
"""RE2 expressions, of which every match is taken out."""


class Redactor:
    """Takes matches of RE2 expressions out of texts. Raises ValueError for one that is none."""

    def __init__(self, patterns: Iterable[str] = DEFAULT_PATTERNS) -> None:
        self._pattern = compiled("|".join(f"(?:{pattern})" for pattern in patterns) or "$.")

    def text(self, text: str) -> str:
        """`text` with `[redacted]` in place of each match, and no half surrogate pair."""
        return str(self._pattern.sub(REDACTED, without_surrogates(text)))

    def value(self, value: Any) -> Any:
        """The same of every text within what will be JSON; keys stay."""
        match value:
            case str():
                return self.text(value)
            case dict():
                return {key: self.value(one) for key, one in value.items()}
            case list() | tuple():
                return [self.value(one) for one in value]
        return value
