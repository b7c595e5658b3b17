"""Which principles a prompt meets, in which round: weighted rendezvous hashing.

Every candidate gets a score from a hash of (seed, prompt id, round, principle id) and its weight;
the highest wins (Thaler & Ravishankar 1998, "Using name-based mappings to increase hit rates").
With `-weight / log(u)` as the score, u uniform in (0, 1), each candidate wins with probability
proportional to its weight (Schindelhauer & Schomaker 2005, the logarithmic method).

Nothing but ids and weights enters, so editing a principle's text moves no draw, adding the n-th
principle moves about one draw in n, and removing one moves only its own.
"""

import hashlib
import math
from collections.abc import Mapping, Sequence

from constitution.schema import Constitution, Principle

__all__ = ["draw", "draw_profile"]

_SCALE = 2.0**-64


def draw(
    constitution: Constitution,
    *,
    prompt_id: str,
    tags: Sequence[str] = (),
    rounds: int = 1,
    seed: int = 0,
    stakeholder: str | Mapping[str, float] | None = None,
    every_principle: bool = False,
) -> tuple[Principle, ...]:
    """The principles that `prompt_id` meets, one per round, none twice.

    There are fewer than `rounds` when fewer apply; with `every_principle` all that apply come in
    file order. `stakeholder` names a profile, or maps profiles to shares from which each prompt
    draws its own. Raises KeyError for a profile that the constitution does not have.
    """
    if isinstance(stakeholder, Mapping):
        stakeholder = draw_profile(stakeholder, prompt_id=prompt_id, seed=seed)
    candidates = _candidates(constitution, frozenset(tags), stakeholder)
    if every_principle:
        return tuple(principle for principle, _ in candidates)
    drawn: list[Principle] = []
    for index in range(min(rounds, len(candidates))):
        key = f"{seed}\x00{prompt_id}\x00{index}\x00"
        scores = [_score(key + principle.id, weight) for principle, weight in candidates]
        drawn.append(candidates.pop(scores.index(max(scores)))[0])
    return tuple(drawn)


def draw_profile(shares: Mapping[str, float], *, prompt_id: str, seed: int = 0) -> str:
    """The stakeholder profile of one prompt, drawn in proportion to `shares`.

    Raises ValueError when no share is positive.
    """
    key = f"{seed}\x00{prompt_id}\x00profile\x00"
    return max(
        (name for name, share in shares.items() if share > 0),
        key=lambda name: _score(key + name, shares[name]),
    )


def _candidates(
    constitution: Constitution, tags: frozenset[str], stakeholder: str | None
) -> list[tuple[Principle, float]]:
    weights: Mapping[str, float] = {}
    if stakeholder is not None:
        weights = constitution.stakeholders[stakeholder].weights
    found = []
    for principle in constitution.principles:
        scope = principle.applies_to
        if scope.tags and tags.isdisjoint(scope.tags):
            continue
        if scope.stakeholders and stakeholder not in scope.stakeholders:
            continue
        weight = weights.get(principle.id, principle.weight)
        if weight > 0:
            found.append((principle, weight))
    return found


def _score(key: str, weight: float) -> float:
    """A positive score; u is the middle of its hash bucket, so that its logarithm is finite."""
    digest = hashlib.blake2b(key.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    uniform = (int.from_bytes(digest) + 0.5) * _SCALE
    return -weight / math.log(min(uniform, 1 - 2.0**-53))
