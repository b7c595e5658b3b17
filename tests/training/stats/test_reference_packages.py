"""Figures against the packages that the field knows, on a hundred random draws each.

Kappa, the area and Bradley-Terry against scikit-learn, which the extra `eval` brings, and alpha against
krippendorff, which only tests need. irrCAC asks for an old scipy: AC1 is compared with it where somebody has
installed it (`pip install --no-deps irrCAC`), and in `test_raters` with its definition.
"""

import random
from collections import Counter
from itertools import combinations

import pytest

from training.stats.agreement import area_under_curve
from training.stats.bradley_terry import Duel, bradley_terry
from training.stats.raters import cohen_kappa, gwet_ac1, krippendorff_alpha

DRAWS = range(100)
CLOSE = {"rel": 0.0, "abs": 1e-9}


def rated(random, raters, kinds):
    """Things by rater, some of them passed over (None)."""
    rows = []
    for _ in range(random.randint(8, 60)):
        truth = random.randint(1, kinds)
        said = [truth if random.random() < 0.6 else random.randint(1, kinds) for _ in range(raters)]
        rows.append([one if random.random() < 0.8 else None for one in said])
    return rows


def given(rows):
    return [[one for one in row if one is not None] for row in rows]


def test_kappa():
    metrics = pytest.importorskip("sklearn.metrics")
    for seed in DRAWS:
        pairs = [row for row in rated(random.Random(seed), 2, 2 + seed % 4) if None not in row]
        left, right = zip(*pairs, strict=True)
        assert cohen_kappa(left, right) == pytest.approx(
            metrics.cohen_kappa_score(left, right), **CLOSE
        )


def test_the_area_with_ties():
    metrics = pytest.importorskip("sklearn.metrics")
    for seed in DRAWS:
        draw = random.Random(seed)
        labels = [True, False] + [draw.random() < 0.3 for _ in range(draw.randint(2, 80))]
        scores = [round(draw.gauss(label, 1), 1 + seed % 3) for label in labels]
        sides = ([s for s, label in zip(scores, labels, strict=True) if label is side]
                 for side in (True, False))  # fmt: skip
        assert area_under_curve(*sides) == pytest.approx(
            metrics.roc_auc_score(labels, scores), **CLOSE
        )


@pytest.mark.parametrize("level", ["nominal", "ordinal"])
def test_alpha_with_gaps(level):
    krippendorff = pytest.importorskip("krippendorff")
    for seed in DRAWS:
        rows = rated(random.Random(seed), 2 + seed % 4, 2 + seed % 4)
        table = [[float("nan") if one is None else one for one in rater]
                 for rater in zip(*rows, strict=True)]  # fmt: skip
        expected = krippendorff.alpha(reliability_data=table, level_of_measurement=level)
        assert krippendorff_alpha(given(rows), level=level).value == pytest.approx(
            expected, **CLOSE
        )


def test_ac1_with_gaps():
    raw = pytest.importorskip("irrCAC.raw")
    pandas = pytest.importorskip("pandas")
    for seed in DRAWS:
        kinds = 2 + seed % 4
        rows = [r for r in rated(random.Random(seed), 2 + seed % 4, kinds) if any(r)]
        table = pandas.DataFrame(rows, dtype=float)
        found = sorted({one for row in given(rows) for one in row})
        expected = raw.CAC(table, categories=found, digits=15).gwet()["est"]["coefficient_value"]
        assert gwet_ac1(given(rows)).value == pytest.approx(expected, **CLOSE)


def test_bradley_terry_is_a_logistic_regression_with_its_prior():
    """Half a win for either side of each pair that met; the strengths of all models but the first."""
    linear = pytest.importorskip("sklearn.linear_model")
    for seed in DRAWS:
        draw = random.Random(seed)
        models = [f"m{at}" for at in range(2 + seed % 5)]
        truth = [draw.gauss(0, 1.5) for _ in models]
        duels = []
        for one, other in combinations(range(len(models)), 2):
            for at in range(draw.randint(8, 30)):
                won = draw.random() < 1 / (1 + 2.718281828 ** (truth[other] - truth[one]))
                duels.append(Duel(f"{one}-{other}-{at}", models[one], models[other], float(won)))
        rows, wins, weights = [], [], []
        for (one, other), counts in _wins(duels).items():
            for won in (True, False):
                row = [0.0] * len(models)
                row[models.index(one)], row[models.index(other)] = 1.0, -1.0
                rows.append(row[1:])
                wins.append(won)
                weights.append(counts[won] + 0.5)
        fit = linear.LogisticRegression(C=1e12, fit_intercept=False, tol=1e-12, max_iter=10_000,
                                        solver="newton-cholesky")  # fmt: skip
        expected = fit.fit(rows, wins, sample_weight=weights).coef_[0]
        found = bradley_terry(duels, models)
        assert [found[m].value for m in models[1:]] == pytest.approx(list(expected), abs=1e-6)


def _wins(duels):
    counted = {}
    for duel in duels:
        counted.setdefault((duel.first, duel.second), Counter())[duel.score > 0.5] += 1
    return counted
