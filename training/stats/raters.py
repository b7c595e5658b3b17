"""How far raters of the same things agree beyond chance, with 95 % intervals over prompts.

Cohen's kappa for two raters; Krippendorff's alpha and Gwet's AC1 for any number, where not all have
rated everything. Kappa and alpha fall towards 0 where nearly everything is of one kind, however much
raters agree; AC1 does not.
"""

from collections.abc import Callable, Hashable, Sequence
from typing import TYPE_CHECKING, Literal, TypeAlias

from engine.shares import Estimate

if TYPE_CHECKING:
    from numpy import float64
    from numpy.typing import NDArray

    Floats: TypeAlias = NDArray[float64]

__all__ = [
    "Level",
    "Ratings",
    "cohen_kappa",
    "gwet_ac1",
    "kappa_estimate",
    "krippendorff_alpha",
]

Ratings: TypeAlias = Sequence[Sequence[Hashable]]
"""Of each thing, what those said who rated it."""
Level = Literal["nominal", "ordinal"]

_UNSEEN = 1.0
"""Pairs of ratings, of all kinds alike, that a table is smoothed with."""
_DRAWS = 2000
_FEWEST_RATED = 12
"""Prompts below which agreement beyond chance has no interval: of 8 all may well be of one kind."""
_ENDS = (0.025, 0.975)


def cohen_kappa(left: Sequence[Hashable], right: Sequence[Hashable]) -> float | None:
    """Agreement beyond chance of two raters of the same things (Cohen 1960): 1 is perfect, 0 that
    of two who guess. None without any, or where both always say the same one thing."""
    if not left:
        return None
    count = len(left)
    agreed = sum(a == b for a, b in zip(left, right, strict=True)) / count
    by_chance = sum(left.count(label) * right.count(label) for label in set(left)) / count**2
    return None if by_chance == 1 else (agreed - by_chance) / (1 - by_chance)


def kappa_estimate(
    left: Sequence[Hashable], right: Sequence[Hashable], prompts: Sequence[str] | None = None
) -> Estimate | None:
    """Cohen's kappa with the interval of `_smoothed`, which is never a point; None where it is not
    defined."""
    kappa = cohen_kappa(left, right)
    if kappa is None:
        return None
    kinds = _kinds([left, right])
    size = len(kinds)
    cells = [kinds[a] * size + kinds[b] for a, b in zip(left, right, strict=True)]
    every = range(size * size)
    return _smoothed(
        kappa,
        [_one_hot(cell, size * size) for cell in cells],
        [_one_hot(cell, size * size) for cell in every],
        prompts,
        lambda weights, things: _kappas((weights @ things).reshape(-1, size, size)),
    )


def krippendorff_alpha(
    ratings: Ratings, prompts: Sequence[str] | None = None, level: Level = "nominal"
) -> Estimate | None:
    """Krippendorff's alpha (2011, "Computing Krippendorff's alpha-reliability"), with the interval of
    `_smoothed`. None where fewer than two things have two ratings, or all of them are the same.

    `ordinal` ratings are numbers, further apart the more of those given lie between them.
    """
    import numpy

    kinds = _kinds(ratings, in_order=level == "ordinal")
    shared = [at for at, of_it in enumerate(ratings) if len(of_it) > 1]
    if len(shared) < 2:
        return None
    counts = [_counts(ratings[at], kinds) for at in shared]
    table = numpy.sum([_coincidences(of_it) for of_it in counts], axis=0)
    alpha = _alpha(table, level)
    if alpha is None:
        return None
    size = len(kinds)

    return _smoothed(
        alpha,
        [_coincidences(of_it).ravel() for of_it in counts],
        [_coincidences(pair).ravel() for pair in _pairs(size)],
        [prompts[at] for at in shared] if prompts else None,
        lambda weights, things: _alphas(weights, things.reshape(-1, size, size), level),
    )


def gwet_ac1(ratings: Ratings, prompts: Sequence[str] | None = None) -> Estimate | None:
    """Gwet's AC1 (2008, British Journal of Mathematical and Statistical Psychology 61, section 4),
    with the interval of `_smoothed`. None where nothing has two ratings, or only one kind exists."""
    import numpy

    kinds = _kinds(ratings)
    size = len(kinds)
    if size < 2 or not any(len(of_it) > 1 for of_it in ratings):
        return None
    rated = [at for at, of_it in enumerate(ratings) if of_it]
    parts = [_ac1_parts(_counts(ratings[at], kinds)) for at in rated]
    value = float(_ac1s(numpy.sum(parts, axis=0)[None])[0])
    return _smoothed(
        value,
        parts,
        [_ac1_parts(pair) for pair in _pairs(size)],
        [prompts[at] for at in rated] if prompts else None,
        lambda weights, things: _ac1s(weights @ things),
    )


def _smoothed(
    value: float,
    parts: "Sequence[Floats]",
    smoothing: "Sequence[Floats]",
    prompts: Sequence[str] | None,
    statistic: "Callable[[Floats, Floats], Floats]",
) -> Estimate:
    """The middle 95 % of a statistic of weighted things (draws, things) and (things, parts), in the
    Bayesian bootstrap (Rubin 1981).

    A prompt's things weigh as it does, which is drawn. Pairs of ratings of every kind, `_UNSEEN` in
    all, are drawn with them: for two raters this is a Dirichlet posterior of their table, and as of a
    share without a miss its ends stay off the edge.
    """
    import numpy

    names = prompts if prompts is not None else [str(at) for at in range(len(parts))]
    _, place = numpy.unique(names, return_inverse=True)
    count = int(place.max()) + 1
    if count < _FEWEST_RATED:
        return Estimate.unbounded(value, count)
    sums = numpy.zeros((count, len(parts[0])))
    numpy.add.at(sums, place, numpy.stack(parts))
    random = numpy.random.default_rng(0)
    drawn = random.standard_exponential((_DRAWS, count))
    unseen = random.standard_gamma(_UNSEEN / len(smoothing), (_DRAWS, len(smoothing)))
    weights = numpy.hstack([drawn, unseen * (len(parts) / count)])
    found = statistic(weights, numpy.vstack([sums, numpy.stack(smoothing)]))
    low, high = numpy.nanquantile(found, _ENDS)
    return Estimate.around(value, (float(low), float(high)), count)


def _kappas(tables: "Floats") -> "Floats":
    """Of tables (n, kinds, kinds)."""
    import numpy

    shares = tables / tables.sum(axis=(1, 2), keepdims=True)
    agreed = numpy.trace(shares, axis1=1, axis2=2)
    chance = (shares.sum(axis=1) * shares.sum(axis=2)).sum(axis=1)
    return numpy.asarray((agreed - chance) / (1 - chance))


def _alpha(table: "Floats", level: Level) -> float | None:
    """Of a table of coincidences, exactly: pairs are drawn without replacement."""
    totals = table.sum(axis=0)
    whole = totals.sum()
    distances = _distances(totals[None], level)[0]
    by_chance = float((totals[:, None] * totals * distances).sum())
    if by_chance == 0:
        return None
    return 1 - float((table * distances).sum()) * float(whole - 1) / by_chance


def _alphas(weights: "Floats", things: "Floats", level: Level) -> "Floats":
    """Of weights (n, things) of tables of coincidences (things, kinds, kinds).

    By chance are pairs of ratings of two things: with those of one, of which there are many where
    things are few, disagreement by chance would seem less than it is, and alpha too low.
    """
    import numpy

    size = things.shape[1]
    tables = (weights @ things.reshape(len(things), -1)).reshape(-1, size, size)
    of_each = things.sum(axis=1)
    own = (of_each[:, :, None] * of_each[:, None, :]).reshape(len(things), -1)
    totals = tables.sum(axis=1)
    pairs = totals[:, :, None] * totals[:, None, :] - (weights**2 @ own).reshape(-1, size, size)
    distances = _distances(totals, level)
    seen = (tables * distances).sum(axis=(1, 2)) / tables.sum(axis=(1, 2))
    by_chance = (pairs * distances).sum(axis=(1, 2)) / pairs.sum(axis=(1, 2))
    return numpy.asarray(1 - seen / by_chance)


def _distances(totals: "Floats", level: Level) -> "Floats":
    """Squared distances of kinds (n, kinds, kinds), of their totals (n, kinds)."""
    import numpy

    size = totals.shape[1]
    if level == "nominal":
        return numpy.broadcast_to(1 - numpy.eye(size), (len(totals), size, size))
    middles = totals.cumsum(axis=1) - totals / 2
    return numpy.asarray((middles[:, :, None] - middles[:, None, :]) ** 2)


def _coincidences(counts: "Floats") -> "Floats":
    """The pairs of one thing's ratings, each rating in as many as one."""
    import numpy

    return numpy.asarray((numpy.outer(counts, counts) - numpy.diag(counts)) / (counts.sum() - 1))


def _ac1_parts(counts: "Floats") -> "Floats":
    """Of one thing: whether it has two ratings, the share of pairs that agree, and of each kind."""
    import numpy

    raters = counts.sum()
    pairs = raters * (raters - 1)
    agreed = float((counts * (counts - 1)).sum() / pairs) if pairs else 0.0
    return numpy.concatenate([[float(pairs > 0), agreed], counts / raters])


def _ac1s(sums: "Floats") -> "Floats":
    """Of sums of `_ac1_parts` (n, 2 + kinds)."""
    import numpy

    shares = sums[:, 2:] / sums[:, 2:].sum(axis=1, keepdims=True)
    chance = (shares * (1 - shares)).sum(axis=1) / (shares.shape[1] - 1)
    return numpy.asarray((sums[:, 1] / sums[:, 0] - chance) / (1 - chance))


def _kinds(ratings: Ratings, *, in_order: bool = False) -> dict[Hashable, int]:
    """The place of each kind of rating."""
    found = dict.fromkeys(rating for of_it in ratings for rating in of_it)
    ordered = sorted(found, key=lambda rating: float(str(rating))) if in_order else list(found)
    return {rating: place for place, rating in enumerate(ordered)}


def _counts(of_it: Sequence[Hashable], kinds: dict[Hashable, int]) -> "Floats":
    import numpy

    places = [kinds[rating] for rating in of_it]
    return numpy.bincount(places, minlength=len(kinds)).astype(float)


def _pairs(size: int) -> "list[Floats]":
    """Two ratings of every kind and every other."""
    return [_one_hot(a, size) + _one_hot(b, size) for a in range(size) for b in range(size)]


def _one_hot(place: int, size: int) -> "Floats":
    import numpy

    row = numpy.zeros(size)
    row[place] = 1.0
    return row
