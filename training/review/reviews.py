"""Verdicts of people, from a file that a review tool exported, joined to what they are about."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import jsonlines

from constitution.problems import InputError, Problem
from constitution.reading import read_json
from engine.report.wording import reason_counts
from engine.runs.manifest import run_manifest
from engine.storage.atomic import check_free, write_json_atomic, written_whole
from training.review.agreement import ReviewerAgreement, agreement
from training.review.argilla import RECORDS, is_argilla, read_argilla
from training.review.items import VERDICTS, Queue, ReviewItem, repeated_id, review_items
from training.review.label_studio import is_label_studio, read_label_studio
from training.review.overrides import REVIEWS
from training.review.review import Review, Vote

__all__ = ["ImportedReviews", "import_reviews", "read_votes"]

FIGURES = "agreement.json"
_HOW = "export as JSON or JSON-MIN from Label Studio, or with Argilla's to_disk"


@dataclass(frozen=True, slots=True)
class ImportedReviews:
    """`reviews` in the order of their items' ids, and by reason the votes that were not used."""

    path: Path
    reviews: tuple[Review, ...]
    agreement: ReviewerAgreement
    unused: Mapping[str, int]


def import_reviews(
    file: Path, run: Path, out: Path, *, all_submitted: bool = False, overwrite: bool = False
) -> ImportedReviews:
    """Write `reviews.jsonl`, a line for each item that was decided, and `agreement.json` to `out`.

    `all_submitted` says that a nested dump of Argilla holds no draft and nothing discarded, which it
    does not say itself.

    Raises InputError if `file` is not an export that can be read, holds other verdicts than were asked
    for, or none about this run.
    """
    check_free(out, {REVIEWS, FIGURES}, overwrite, "a directory of reviews")
    label_run = run_manifest(run, "revise", "label", "guard")["kind"] == "label"
    queues: Iterable[Queue] = ("pairs",) if label_run else ("pairs", "escalated", "ratings")
    items = {item.id: item for queue in queues for item in review_items(run, queue)}
    unused: Counter[str] = Counter()
    given = read_votes(file, all_submitted=all_submitted)
    again = {repeated_id(id): item for id, item in items.items()}
    votes, repeats = _usable(file, given, items, again, unused)
    if not votes:
        told = reason_counts(unused)
        remedy = "name the run that the tasks were exported from, and a file with submitted reviews"
        if unused["not known to be submitted"]:
            remedy = (
                "dump `records.to_list(flatten=True)` as JSON, or say --all-submitted if they are"
            )
        what = f"holds no verdict on {run} ({told or 'it is empty'})"
        raise InputError(Problem(str(file), what, remedy))
    reviews = tuple(
        Review(items[id], tuple(votes[id].values()), tuple(repeats.get(id, {}).values()))
        for id in sorted(votes)
    )
    figures = agreement(reviews)
    with written_whole(out) as directory:
        with jsonlines.open(directory / REVIEWS, "w", compact=True) as lines:
            lines.write_all(review.row() for review in reviews)
        write_json_atomic(directory / FIGURES, asdict(figures))
    return ImportedReviews(out, reviews, figures, dict(unused))


def read_votes(file: Path, *, all_submitted: bool = False) -> list[Vote]:
    """The votes in a Label Studio JSON or JSON-MIN export, or in an Argilla dump (a file, or the
    directory of `dataset.to_disk`). Raises InputError if it is none of these."""
    path = file / RECORDS if file.is_dir() else file
    rows = read_json(path, list, _HOW)
    try:
        if all(map(is_label_studio, rows)):
            return list(read_label_studio(path, rows))
        if all(map(is_argilla, rows)):
            return list(read_argilla(path, rows, all_submitted=all_submitted))
    except (AttributeError, KeyError, TypeError, ValueError):
        pass  # shaped as neither tool shapes its exports
    raise InputError(Problem(str(path), "is not an export of Label Studio or Argilla", _HOW))


_Votes = dict[str, dict[str, Vote]]
"""By item, then reviewer; of unknown reviewers each for itself."""


def _usable(
    file: Path,
    votes: Iterable[Vote],
    items: Mapping[str, ReviewItem],
    again: Mapping[str, ReviewItem],
    unused: Counter[str],
) -> tuple[_Votes, _Votes]:
    """Those on items and those on their repetitions: a reviewer's last word on an item counts."""
    first: _Votes = {}
    second: _Votes = {}
    for number, vote in enumerate(votes):
        item = items.get(vote.item) or again.get(vote.item)
        if item is None:
            unused["not of this run"] += 1
        elif vote.verdict is None:
            unused[vote.unused] += 1
        elif vote.verdict not in VERDICTS[item.queue]:
            allowed = ", ".join(VERDICTS[item.queue])
            what = f"item {vote.item}: the verdict {vote.verdict!r} is none of {allowed}"
            raise InputError(Problem(str(file), what, "use the settings that were exported"))
        else:
            of_item = (first if vote.item in items else second).setdefault(item.id, {})
            name = vote.reviewer or f"\x00{number}"
            if name in of_item:
                unused["replaced by a later one"] += 1
            of_item[name] = vote
    return first, second
