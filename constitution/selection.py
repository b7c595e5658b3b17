"""Which principles a prompt meets, in which round: weighted rendezvous hashing.

Every candidate gets a score from a hash of (seed, prompt id, round, principle id) and its weight;
the highest wins (Thaler & Ravishankar 1998, "Using name-based mappings to increase hit rates").
With `-weight / log(u)` as the score, u uniform in (0, 1), each candidate wins with probability
proportional to its weight (Schindelhauer & Schomaker 2005, the logarithmic method).

Nothing but ids and weights enters, so editing a principle's text moves no draw, adding the n-th
principle moves about one draw in n, and removing one moves only its own.
"""

from collections.abc import Collection, Mapping, Sequence
from hashlib import blake2b
from math import log

from constitution.schema import Constitution, Principle

__all__ = ["applicable", "draw", "draw_profile"]

_BUCKET = 2.0**-52


def draw(
    constitution: Constitution,
    *,
    prompt_id: str,
    tags: Sequence[str] = (),
    rounds: int = 1,
    seed: int = 0,
    stakeholder: str | Mapping[str, float] | None = None,
) -> tuple[Principle, ...]:
    """The principles that `prompt_id` meets, one per round, none twice.

    There are fewer than `rounds` when fewer apply. `stakeholder` names a profile, or maps profiles to
    shares from which each prompt draws its own. Raises KeyError for a profile that the constitution does not have.
    """
    profile = draw_profile(stakeholder, prompt_id=prompt_id, seed=seed)
    candidates = applicable(constitution, tags, profile)
    drawn: list[Principle] = []
    for index in range(min(rounds, len(candidates))):
        place = _place(f"{seed}\x00{prompt_id}\x00{index}\x00")
        scores = [_score(place, principle.id, weight) for principle, weight in candidates]
        drawn.append(candidates.pop(scores.index(max(scores)))[0])
    return tuple(drawn)


def draw_profile(
    stakeholder: str | Mapping[str, float] | None, *, prompt_id: str, seed: int = 0
) -> str | None:
    """The stakeholder profile of one prompt: the one named, or one drawn in proportion to shares.

    Raises ValueError when no share is positive.
    """
    if not isinstance(stakeholder, Mapping):
        return stakeholder
    names = [name for name, share in stakeholder.items() if share > 0]
    if not names:
        raise ValueError("no stakeholder has a share above 0")
    place = _place(f"{seed}\x00{prompt_id}\x00profile\x00")
    return max(names, key=lambda name: _score(place, name, stakeholder[name]))


def applicable(
    constitution: Constitution, tags: Collection[str] | None, stakeholder: str | None
) -> list[tuple[Principle, float]]:
    """The principles that a prompt with these tags (None: with any) can meet, in file order, and
    their weights as the profile has them, none 0. Raises KeyError for a profile that the
    constitution does not have."""
    weights: Mapping[str, float] = {}
    if stakeholder is not None:
        weights = constitution.stakeholders[stakeholder].weights
    found = []
    for principle in constitution.principles:
        scope = principle.applies_to
        if scope.tags and tags is not None and set(scope.tags).isdisjoint(tags):
            continue
        if scope.stakeholders and stakeholder not in scope.stakeholders:
            continue
        weight = weights.get(principle.id, principle.weight)
        if weight > 0:
            found.append((principle, weight))
    return found


def _place(key: str) -> blake2b:
    """What is drawn for, hashed once for all candidates."""
    return blake2b(key.encode("utf-8", "surrogatepass"), digest_size=8)


def _score(place: blake2b, name: str, weight: float) -> float:
    """A positive score; u is the middle of one of 2**52 buckets, so that it is never 0 or 1."""
    hashed = place.copy()
    hashed.update(name.encode())
    uniform = ((int.from_bytes(hashed.digest()) >> 12) + 0.5) * _BUCKET
    return -weight / log(uniform)
