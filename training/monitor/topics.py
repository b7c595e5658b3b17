"""What users ask about, and whether they ask for something new."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from constitution.problems import missing

__all__ = ["Topics"]

_QUANTILE = 0.05
"""Of held-out prompts of the baseline, that are as unlike the others as what counts as new."""
_MOST_FEATURES = 20_000
_WORDS = 4
_ROUNDING = 1e-9


@dataclass(frozen=True, slots=True)
class Topics:
    """Clusters of the baseline's prompts (k-means on TF-IDF), each named by its heaviest words."""

    names: tuple[str, ...]
    held_out: tuple[bool, ...]
    """Of the baseline's prompts, in their order: whether each did not say what is known."""
    _vectorizer: Any
    _clusters: Any
    _known: Any
    _least: float

    @classmethod
    def of(cls, prompts: Sequence[str], count: int, seed: int = 0) -> "Topics":
        """Found in the baseline's prompts. Half of them say what is known, the other half how unlike
        that a prompt is that is not new. Raises InputError where scikit-learn is missing."""
        try:
            from numpy.random import default_rng
            from sklearn.cluster import KMeans
            from sklearn.feature_extraction.text import TfidfVectorizer
            from threadpoolctl import threadpool_limits
        except ImportError as error:
            leave_out = ", or leave it out with --topics 0"
            raise missing("--topics", "scikit-learn", "eval", leave_out) from error
        vectorizer = TfidfVectorizer(sublinear_tf=True, max_features=_MOST_FEATURES)
        vectors = vectorizer.fit_transform(prompts)
        distinct = {(row.indices.tobytes(), row.data.tobytes()) for row in vectors}
        clusters = KMeans(n_clusters=min(count, len(distinct)), n_init=4, random_state=seed)
        # On so little, threads wait for each other longer than they work.
        with threadpool_limits(1):
            clusters.fit(vectors)
        words = vectorizer.get_feature_names_out()
        names = [
            " ".join(words[at] for at in center.argsort()[::-1][:_WORDS])
            for center in clusters.cluster_centers_
        ]
        held_out = default_rng(seed).permutation(len(prompts)) % 2 == 1
        known = vectors[~held_out]
        found = sorted(_similarity(vectors[held_out], known))
        least = found[int(_QUANTILE * len(found))] if found else 0.0
        return cls(tuple(names), tuple(held_out.tolist()), vectorizer, clusters, known, least)

    def of_prompts(self, prompts: Sequence[str]) -> list[str]:
        """The topic of each."""
        if not prompts:
            return []
        from threadpoolctl import threadpool_limits

        with threadpool_limits(1):
            found = self._clusters.predict(self._vectorizer.transform(prompts))
        return [self.names[at] for at in found]

    def new(self, prompts: Sequence[str]) -> list[bool]:
        """Whether each is less like what is known than all but one in twenty were."""
        if not prompts:
            return []
        vectors = self._vectorizer.transform(prompts)
        least = self._least - _ROUNDING
        return [similarity < least for similarity in _similarity(vectors, self._known)]


def _similarity(vectors: Any, known: Any) -> list[float]:
    """The cosine of each with the one that it is most like."""
    if not vectors.shape[0]:
        return []
    return [float(one) for one in (vectors @ known.T).max(axis=1).toarray().ravel()]
