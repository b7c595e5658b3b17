"""Moderation endpoints of the shape of OpenAI's: POST URL/moderations, answered by scores of categories."""

import time
import urllib.error
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from constitution.problems import InputError, Problem
from constitution.reading import NotJson, finite_number
from engine.fetching import fetched_json
from engine.generators.base import GeneratorUnavailable
from engine.generators.servers.endpoint import Endpoint, endpoint_of

__all__ = ["ModerationEndpoint", "open_moderation"]

_FORM = "write `moderation:MODEL@https://HOST/v1[,category=NAME]`"
_TOGETHER, _THREADS = 16, 4
_TRIES, _PAUSE = 4, 1.0
_TIMEOUT = 60.0
_LATER = (408, 409, 425, 429, 500, 502, 503, 504)
"""Statuses after which the same request may succeed."""


def open_moderation(spec: str, rest: str) -> "ModerationEndpoint":
    """The endpoint of `MODEL@URL[,category=NAME]`; nothing is asked yet. Raises InputError.

    `$OPENAI_API_KEY` goes where it belongs, as for models behind servers.
    """
    named, _, category = rest.partition(",category=")
    model, at, url = named.partition("@")
    if not model or not at:
        raise InputError(Problem(spec, "names no moderation endpoint", _FORM))
    return ModerationEndpoint(model, endpoint_of(url), category)


@dataclass(frozen=True, slots=True)
class ModerationEndpoint:
    """The score of one category of an answer, or of its highest one."""

    model: str
    endpoint: Endpoint
    category: str = ""

    @property
    def name(self) -> str:
        """The model, and the category if one is named."""
        return f"{self.model} ({self.category or 'highest category'})"

    def probabilities(self, prompts: Sequence[str], answers: Sequence[str]) -> list[float]:
        """Answers are asked about alone, several in a request. Raises GeneratorUnavailable."""
        batches = [answers[at : at + _TOGETHER] for at in range(0, len(answers), _TOGETHER)]
        with ThreadPoolExecutor(_THREADS) as pool:
            return [score for found in pool.map(self._batch, batches) for score in found]

    def _batch(self, answers: Sequence[str]) -> list[float]:
        results = self._asked({"model": self.model, "input": list(answers)}).get("results")
        if not isinstance(results, list) or len(results) != len(answers):
            raise self._gone("did not answer with a result for each text")
        return [self._score(result) for result in results]

    def _score(self, result: Any) -> float:
        given = result.get("category_scores") if isinstance(result, dict) else None
        numbers = {k: finite_number(v) for k, v in given.items()} if isinstance(given, dict) else {}
        scores = {name: number for name, number in numbers.items() if number is not None}
        if self.category and numbers and self.category not in numbers:
            raise self._gone(f"has no category {self.category!r}; it has {', '.join(numbers)}")
        if not scores or (self.category and self.category not in scores):
            raise self._gone("gives no category_scores")
        highest = scores[self.category] if self.category else max(scores.values())
        return min(max(highest, 0.0), 1.0)

    def _asked(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """What the endpoint answers, tried again where that may help."""
        url, headers, told = self.endpoint.of("moderations"), self.endpoint.headers, ""
        for attempt in range(_TRIES):
            if attempt:
                time.sleep(_PAUSE * 2 ** (attempt - 1))
            try:
                answer = fetched_json(url, headers=headers, seconds=_TIMEOUT, body=body)
                return answer if isinstance(answer, dict) else {}
            except urllib.error.HTTPError as error:
                told = f"answered {error.code}: {error.read(500).decode(errors='replace')}"
                if error.code not in _LATER:
                    break
            except (OSError, NotJson) as error:
                told = str(error)
        raise self._gone(told)

    def _gone(self, what: str) -> GeneratorUnavailable:
        return GeneratorUnavailable(f"{self.endpoint.url} {self.endpoint.redacted(what)}")
