"""A small text classifier, fitted to answers that people have labelled.

It reads words and pieces of words of the answer, and of the prompt only how much the answer speaks
of the same things: the prompts of an evaluation are the same for every model, and a classifier that
knows a harmful question when it sees one says little about how it was answered. Hashed n-grams,
TF-IDF and a logistic regression (scikit-learn), saved as JSON: loading one runs no code, and it
holds no text of the answers.
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from constitution.problems import InputError, Problem, missing
from constitution.reading import read_json
from engine.storage.atomic import write_json_atomic
from training.evaluation.judges.labelled_answers import LabelledAnswers

if TYPE_CHECKING:
    from numpy import float64
    from numpy.typing import NDArray

__all__ = ["FittedClassifier", "fit_classifier", "out_of_fold", "read_classifier"]

_VERSION: Literal[1] = 1
_BUCKETS = 1 << 16
_CUTS: dict[str, tuple[int, int]] = {"word": (1, 2), "char_wb": (3, 5)}
"""Words and pairs of them, and pieces of 3 to 5 characters within words."""
_RARE = 2
"""A term in fewer answers than this is left out."""
_LIKENESS = 5.0
"""What the cosine is multiplied by: one figure among thousands of terms, it is penalised less."""
_DIGITS = 7
"""Significant ones in the file; a probability moves by less than a millionth."""
_FOLDS = 5
_FEWEST = 10
"""Prompts with an answer of either label, below which nothing can be said of a fit."""

_Bucket = Annotated[int, Field(ge=0, lt=_BUCKETS)]


class _Terms(BaseModel):
    """The buckets of one kind of term: inverse document frequency and weight of each."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    buckets: list[_Bucket]
    idf: list[float]
    weights: list[float]

    @model_validator(mode="after")
    def _belong_together(self) -> "_Terms":
        if not len(set(self.buckets)) == len(self.idf) == len(self.weights):
            raise ValueError("buckets, frequencies and weights do not belong together")
        return self


class _Saved(BaseModel):
    """A classifier's file. P(label) is the logistic function of a weighted sum."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    format: Literal["solon-classifier"] = "solon-classifier"
    version: Literal[1] = _VERSION
    name: str
    word: _Terms
    char_wb: _Terms
    likeness: float
    """Weight of the cosine of prompt and answer, as words, times `_LIKENESS`."""
    intercept: float
    report: dict[str, Any] = Field(default_factory=dict)
    """What the fit found about itself."""


@dataclass(frozen=True, slots=True)
class _Counts:
    """How often each bucket is hit: sparse matrices, one row for each answer."""

    word: Any
    char_wb: Any
    prompt: Any
    """The words of the prompts."""

    def rows(self, indices: Sequence[int]) -> "_Counts":
        return _Counts(self.word[indices], self.char_wb[indices], self.prompt[indices])


@dataclass(frozen=True, slots=True)
class FittedClassifier:
    """Weights that turn answers into probabilities; those of absent terms are 0."""

    name: str
    idf: "dict[str, NDArray[float64]]"
    weights: "NDArray[float64]"
    """Of the buckets of words, of pieces, and of the likeness of prompt and answer."""
    intercept: float

    def probabilities(self, prompts: Sequence[str], answers: Sequence[str]) -> list[float]:
        """The probability of the label for each answer. An empty prompt is none."""
        return self._of(_counts(prompts, answers)) if answers else []

    def _of(self, counts: _Counts) -> list[float]:
        logits = map(float, _features(counts, self.idf) @ self.weights + self.intercept)
        return [1 / (1 + math.exp(-x)) if x >= 0 else 1 - 1 / (1 + math.exp(x)) for x in logits]

    def write(self, path: Path, report: dict[str, Any] | None = None) -> None:
        """Save it, whole or not at all."""
        parts = {"word": self.weights[:_BUCKETS], "char_wb": self.weights[_BUCKETS:-1]}
        saved = _Saved(
            name=self.name,
            word=_terms(self.idf["word"], parts["word"]),
            char_wb=_terms(self.idf["char_wb"], parts["char_wb"]),
            likeness=float(self.weights[-1]),
            intercept=self.intercept,
            report=report or {},
        )
        write_json_atomic(path, saved.model_dump(mode="json"))


def fit_classifier(name: str, data: LabelledAnswers) -> FittedClassifier:
    """Fit to all answers. Raises InputError without scikit-learn, or for too few answers."""
    return _fit(name, *_counted(data))


def out_of_fold(data: LabelledAnswers) -> list[float]:
    """The probability that each answer has from a classifier that saw no answer to its prompt.

    By stratified cross-validation in five folds of prompts. Raises as `fit_classifier` does.
    """
    counts, labels = _counted(data)
    from sklearn.model_selection import StratifiedGroupKFold

    folds = StratifiedGroupKFold(_FOLDS, shuffle=True, random_state=0)
    found = [0.0] * len(labels)
    for seen, held_out in folds.split(labels, labels, [one.prompt_key for one in data.answers]):
        fitted = _fit("", counts.rows(seen), [labels[index] for index in seen])
        for index, probability in zip(held_out, fitted._of(counts.rows(held_out)), strict=True):
            found[index] = probability
    return found


def read_classifier(path: Path) -> FittedClassifier:
    """Raises InputError for a file that `solon judge fit` did not write, or in another version."""
    import numpy

    remedy = "name a file that `solon judge fit` wrote"
    try:
        saved = _Saved.model_validate(read_json(path, dict, remedy))
    except ValidationError as error:
        wrong = {one["loc"]: one["input"] for one in error.errors(include_url=False)}
        if ("version",) in wrong and ("format",) not in wrong:
            what = f"is a classifier of version {wrong['version',]!r}, and {_VERSION} is known"
            raise InputError(Problem(str(path), what, "fit it again")) from error
        raise InputError(Problem(str(path), "is not a fitted classifier", remedy)) from error
    _require_scikit_learn()
    idf, weights = {}, []
    for cut, terms in (("word", saved.word), ("char_wb", saved.char_wb)):
        idf[cut], weight = numpy.zeros(_BUCKETS), numpy.zeros(_BUCKETS)
        idf[cut][terms.buckets], weight[terms.buckets] = terms.idf, terms.weights
        weights.append(weight)
    joined = numpy.concatenate([*weights, [saved.likeness]])
    return FittedClassifier(saved.name, idf, joined, saved.intercept)


def _fit(name: str, counts: _Counts, labels: Sequence[bool]) -> FittedClassifier:
    """On one thread: the sums are short, and threads that wait for each other cost far more."""
    import numpy
    from sklearn.linear_model import LogisticRegression
    from threadpoolctl import threadpool_limits

    idf = {"word": _idf(counts.word), "char_wb": _idf(counts.char_wb)}
    there = numpy.concatenate([idf["word"], idf["char_wb"], [1.0]]).nonzero()[0]
    regression = LogisticRegression(C=10.0, max_iter=1000)
    with threadpool_limits(1):
        regression.fit(_features(counts, idf)[:, there], labels)
    weights = numpy.zeros(2 * _BUCKETS + 1)
    weights[there] = regression.coef_[0]
    return FittedClassifier(name, idf, weights, float(regression.intercept_[0]))


def _counts(prompts: Sequence[str], answers: Sequence[str]) -> _Counts:
    _require_scikit_learn()
    from sklearn.feature_extraction.text import HashingVectorizer

    word, pieces = (
        HashingVectorizer(
            analyzer=cut, ngram_range=lengths, n_features=_BUCKETS, norm=None, alternate_sign=False
        )
        for cut, lengths in _CUTS.items()
    )
    return _Counts(word.transform(answers), pieces.transform(answers), word.transform(prompts))


def _idf(counts: Any) -> "NDArray[float64]":
    """log((1 + answers) / (1 + answers with the term)) + 1, and 0 for what is rare."""
    import numpy

    rows, buckets = counts.shape
    with_term = numpy.bincount(counts.indices, minlength=buckets)
    idf = numpy.log((1 + rows) / (1 + with_term)) + 1
    return numpy.where(with_term >= _RARE, idf, 0.0)


def _features(counts: _Counts, idf: "dict[str, NDArray[float64]]") -> Any:
    """TF-IDF of words and of pieces, and the likeness of prompt and answer, side by side."""
    from scipy.sparse import csr_array, hstack

    word = _tfidf(counts.word, idf["word"])
    likeness = word.multiply(_tfidf(counts.prompt, idf["word"])).sum(axis=1)
    column = csr_array(_LIKENESS * likeness.reshape(-1, 1))
    return hstack([word, _tfidf(counts.char_wb, idf["char_wb"]), column]).tocsr()


def _tfidf(counts: Any, idf: "NDArray[float64]") -> Any:
    """(1 + log count) x idf, in rows of length 1."""
    import numpy
    from scipy.sparse import csr_array
    from sklearn.preprocessing import normalize

    data = (1 + numpy.log(counts.data)) * idf[counts.indices]
    return normalize(csr_array((data, counts.indices, counts.indptr), shape=counts.shape))


def _terms(idf: "NDArray[float64]", weights: "NDArray[float64]") -> _Terms:
    buckets = idf.nonzero()[0]
    idf_there, weights_there = (
        [float(f"{one:.{_DIGITS}g}") for one in values[buckets]] for values in (idf, weights)
    )
    return _Terms(buckets=buckets.tolist(), idf=idf_there, weights=weights_there)


def _counted(data: LabelledAnswers) -> tuple[_Counts, list[bool]]:
    """What a fit needs of the answers. Raises InputError for too few."""
    counts = Counter(label for label, _ in {(one.label, one.prompt_key) for one in data.answers})
    for label in (True, False):
        if counts[label] < _FEWEST:
            what = f"only {counts[label]} prompts have an answer labelled {str(label).lower()}"
            remedy = f"a fit needs {_FEWEST} of either label; see --threshold"
            raise InputError(Problem("the labels", what, remedy))
    prompts, answers = zip(*((one.question, one.answer) for one in data.answers), strict=True)
    return _counts(prompts, answers), [one.label for one in data.answers]


def _require_scikit_learn() -> None:
    try:
        import sklearn  # noqa: F401
    except ImportError as error:
        raise missing("a fitted classifier", "scikit-learn", "eval") from error
