"""A judge's preferences as rows that TRL trains on: `prompt`, `chosen`, `rejected`, soft label."""

from collections.abc import Iterator

from engine.judging.records import LabelledPair, LabelRecord
from engine.messages import assistant, to_dicts
from training.data.datasets import Row

__all__ = ["label_preference_rows"]


def label_preference_rows(record: LabelRecord) -> Iterator[Row]:
    """A row for each pair that has a label; `chosen` is the answer that the judge finds better.

    `probability`, from 0.5 to 1, is the judge's that it is. Principles on which it gave no
    preference are not named.
    """
    for pair in record.labelled:
        if pair.probability is not None:
            yield _row(record, pair, pair.probability)


def _row(record: LabelRecord, pair: LabelledPair, probability: float) -> Row:
    better, worse = pair.first, pair.second
    if probability < 0.5:
        better, worse, probability = worse, better, 1 - probability
    decided = [p for p in pair.preferences if p.undecided is None]
    return {
        "prompt": to_dicts(record.prompt),
        "chosen": assistant(record.samples[better].text),
        "rejected": assistant(record.samples[worse].text),
        "probability": probability,
        "position_bias": pair.position_bias,
        "method": decided[0].method,
        "id": record.id,
        "constitution": record.constitution,
        "principles": [preference.principle for preference in decided],
        "principle_hashes": [preference.principle_hash for preference in decided],
        "model": record.models.get("policy", ""),
        "judge": record.models.get("judge", ""),
        "truncated": any(record.samples[place].truncated for place in (better, worse)),
    }
