"""Other data, such as helpful answers, mixed into exported rows by ratio and streamed.

Training on revisions alone makes a model evasive; Bai et al. (2022, sections 3.3 and 4.3) mix
helpfulness data into both stages.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from constitution.problems import InputError, Problem
from constitution.reading import without_surrogates
from training.data.datasets import Row
from training.data.readers import Shape, TrainingRow, read_training_rows

__all__ = ["Mixture", "mix_rows"]


@dataclass(slots=True)
class Mixture:
    """Draws other rows in between, so that they are `ratio` of all rows (0 up to 1, exclusive).

    `drawn` counts them; `missing` those that were wanted after they had run out.
    """

    rows: Iterator[Row]
    ratio: float
    drawn: int = field(default=0, init=False)
    missing: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        if not 0 <= self.ratio < 1:
            remedy = "give the share of all rows, from 0 up to but not including 1"
            raise InputError(Problem("mix ratio", f"is {self.ratio}", remedy))

    def into(self, rows: Iterable[Row]) -> Iterator[Row]:
        """`rows` in their order, with the others spread evenly among them."""
        per_row, owed = self.ratio / (1 - self.ratio), 0.0
        for row in rows:
            yield row
            owed += per_row
            while owed >= 1 - 1e-9:
                owed -= 1
                other = next(self.rows, None)
                if other is None:
                    self.missing += 1
                else:
                    self.drawn += 1
                    yield other


def mix_rows(source: str, shape: Shape, dropped: Counter[str]) -> Iterator[Row]:
    """Rows of a data set of other origin, with the columns of exported rows; read, counted in
    `dropped` and refused as `read_training_rows` says."""
    for row in read_training_rows(source, shape, dropped):
        yield row.messages(shape) | _provenance(row, shape)


def _provenance(row: TrainingRow, shape: Shape) -> Row:
    """The columns that rows of a run have, saying that no constitution made this one."""
    given = row.columns.get("id")
    id = given if isinstance(given, str | int) and given != "" else f"mix-{row.number}"
    id = without_surrogates(str(id))
    if shape == "prompt":
        return {"id": id}
    origin: Row = {
        "id": id,
        "constitution": "",
        "principles": [],
        "principle_hashes": [],
        "model": "",
    }
    if shape == "sft":
        return {**origin, "unresolved": 0, "revisions": 0, "truncated": row.truncated}
    label = {"probability": row.probability, "position_bias": 0.0, "method": "given"}
    judge = row.columns.get("judge")
    named = without_surrogates(judge) if isinstance(judge, str) else ""
    return {**label, **origin, "judge": named, "truncated": row.truncated}
