"""How much prompts differ: distinct n-grams, clusters, and which briefs are covered."""

from collections import Counter
from collections.abc import Sequence
from math import exp, log
from typing import Any

from engine.loop.shingles import words
from engine.writing.choice import last_words
from engine.writing.records import WrittenPrompt

__all__ = ["clusters", "distinct", "spread_of"]

_AXES = ("kind", "language", "turns", "style", "length", "pressure", "stakeholder")
_CLUSTERED = 2000
"""Prompts at most: their similarities are a matrix."""
_NEAR = 0.8
"""Cosine distance, on average, up to which clusters are joined."""
_SAME = 0.9
"""Cosine similarity from which two prompts are said to be nearly the same."""


def spread_of(prompts: Sequence[WrittenPrompt]) -> dict[str, Any]:
    """What there is to say of the variety of prompts, for a manifest."""
    texts = [last_words(one) for one in prompts]
    return {
        "prompts": len(prompts),
        "distinct_1": distinct(texts, 1),
        "distinct_2": distinct(texts, 2),
        "clusters": clusters(texts),
        "by_principle": dict(Counter(one.extra["principle"] for one in prompts)),
        "coverage": {
            axis: dict(Counter(str(one.extra[axis]) for one in prompts if one.extra[axis]))
            for axis in _AXES
        },
    }


def distinct(texts: Sequence[str], n: int) -> float | None:
    """Different n-grams of words over all of them (Li et al. 2016, section 5); None without any."""
    grams = [
        gram
        for text in texts
        for gram in zip(*(words(text)[start:] for start in range(n)), strict=False)
    ]
    return round(len(set(grams)) / len(grams), 4) if grams else None


def clusters(texts: Sequence[str]) -> dict[str, Any] | None:
    """Groups of prompts about the same, by the cosine of their TF-IDF vectors, joined by average
    linkage; of the first 2,000 prompts.

    `effective` is the exponential of the entropy of their sizes: as many groups of equal size would
    be as spread. `near_duplicates` is the share of prompts with another one of cosine 0.9 or more, which
    is not what they were deduplicated by. None where scikit-learn is not installed, or there are fewer than two texts.
    """
    texts = texts[:_CLUSTERED]
    try:
        from numpy import eye
        from sklearn.cluster import AgglomerativeClustering
        from sklearn.feature_extraction.text import TfidfVectorizer
    except ImportError:
        return None
    if len(texts) < 2 or not any(map(words, texts)):
        return None
    vectors = TfidfVectorizer(sublinear_tf=True, analyzer=words).fit_transform(texts).toarray()
    grouped = AgglomerativeClustering(
        None, metric="cosine", linkage="average", distance_threshold=_NEAR
    ).fit(vectors + 1e-12)
    nearest = (vectors @ vectors.T - eye(len(texts))).max(axis=1)
    sizes = Counter(grouped.labels_.tolist()).values()
    shares = [size / len(texts) for size in sizes]
    return {
        "count": len(sizes),
        "effective": round(exp(-sum(share * log(share) for share in shares)), 1),
        "largest": round(max(shares), 4),
        "near_duplicates": round(float((nearest >= _SAME).mean()), 4),
    }
