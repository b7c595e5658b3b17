"""Records of a run as rows that TRL trains on.

Rows have TRL's conversational shapes: `prompt` and `completion` for SFT, `prompt`, `chosen` and
`rejected` for preferences, `prompt` alone for sampling, each a list of messages, and columns that
say where a row comes from. `truncated` says that an answer ran into its token limit: our trainers
then leave the end of the turn unlearned. Every column has one type and is never null, as loading
JSON in blocks demands.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from constitution.problems import InputError, Problem
from constitution.reading import without_surrogates
from constitution.schema import Constitution
from engine.judging.records import LabelledPair, LabelRecord, Preference
from engine.loop.rendering import critique_request, revision_request
from engine.messages import Conversation, assistant, to_dicts
from engine.records import Flag, Outcome, Record, Round
from training.data.readers import Shape, TrainingRow, read_training_rows

__all__ = [
    "Mixture",
    "Row",
    "label_preference_rows",
    "llm_swarm_rows",
    "mix_rows",
    "preference_row",
    "prompt_row",
    "sft_rows",
]

Row = dict[str, Any]


def sft_rows(record: Record, every_revision: bool = False) -> Iterator[Row]:
    """The final revision, or each accepted one in turn (Bai et al. 2022, section 3.1).

    An answer that was compliant as it stood is a row too: to train only where the policy was at
    fault would teach it that every prompt calls for a correction. `unresolved` counts principles
    that the final answer breaks or that the judge left undecided.
    """
    if record.outcome is Outcome.COMPLIANT:
        yield _sft_row(record, record.final, record.rounds, revisions=0)
    if record.outcome is not Outcome.REVISED:
        return
    accepted = record.accepted
    first = 1 if every_revision else len(accepted)
    for count in range(first, len(accepted) + 1):
        done = accepted[:count]
        yield _sft_row(record, done[-1].revision or "", done, revisions=count)


def preference_row(record: Record) -> Row | None:
    """The final answer over the first; None where the one is not a revision of the other.

    No judge compared the two: `probability` is 1 because the one was written to replace the other.
    """
    if record.outcome is not Outcome.REVISED or record.final == record.answer:
        return None
    accepted = record.accepted
    return {
        "prompt": to_dicts(record.prompt),
        "chosen": assistant(record.final),
        "rejected": assistant(record.answer),
        "probability": 1.0,
        "position_bias": 0.0,
        "method": "revision",
        **_provenance(record, accepted),
        "judge": "",
        "truncated": _first_truncated(record) or _last_truncated(accepted),
    }


def label_preference_rows(record: LabelRecord) -> Iterator[Row]:
    """A row for each pair that has a label; `chosen` is the answer that the judge finds better.

    `probability`, from 0.5 to 1, is the judge's that it is. Principles on which it gave no
    preference are not named.
    """
    for pair in record.labelled:
        if pair.probability is not None:
            yield _label_row(record, pair, pair.probability)


def prompt_row(id: str, prompt: Conversation) -> Row:
    """A prompt alone, for trainers that sample the answers themselves."""
    return {"prompt": to_dicts(prompt), "id": id}


def llm_swarm_rows(
    record: Record, constitution: Constitution, every_revision: bool = False
) -> Iterator[Row]:
    """The last accepted critique and revision, or each of them.

    `init_response` is the answer that was criticised; with several rounds it is an earlier
    revision, while `rejected` always ends with the first answer. `prompt` and `init_prompt` are
    the last user turn; `messages`, `chosen` and `rejected` hold the turns before it too.
    """
    if record.outcome is not Outcome.REVISED:
        return
    accepted = record.accepted
    answers = [record.answer, *(round.revision or "" for round in accepted)]
    for index in range(0 if every_revision else len(accepted) - 1, len(accepted)):
        yield _llm_swarm_row(record, constitution, accepted[index], answers[index])


def _sft_row(record: Record, answer: str, rounds: tuple[Round, ...], revisions: int) -> Row:
    return {
        "prompt": to_dicts(record.prompt),
        "completion": assistant(answer),
        **_provenance(record, rounds),
        "unresolved": len(record.unresolved),
        "revisions": revisions,
        "truncated": _last_truncated(rounds) if revisions else _first_truncated(record),
    }


def _label_row(record: LabelRecord, pair: LabelledPair, probability: float) -> Row:
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
        **_provenance(record, decided),
        "judge": record.models.get("judge", ""),
        "truncated": any(record.samples[place].truncated for place in (better, worse)),
    }


def _llm_swarm_row(
    record: Record, constitution: Constitution, round: Round, criticised: str
) -> Row:
    principle = constitution.principle(round.principle)
    asked = record.prompt[-1].content
    revised = [*to_dicts(record.prompt), *assistant(round.revision or "")]
    return {
        "id": record.id,
        "init_prompt": asked,
        "init_response": criticised,
        "critic_prompt": critique_request(constitution, principle),
        "critic_response": round.critique or "",
        "revision_prompt": revision_request(constitution, principle),
        "revision_response": round.revision or "",
        "prompt": asked,
        "messages": revised,
        "chosen": revised,
        "rejected": [*to_dicts(record.prompt), *assistant(record.answer)],
    }


def _provenance(record: Record | LabelRecord, judged: Sequence[Round | Preference]) -> Row:
    """Whose answer it is, and what it was judged against."""
    return {
        "id": record.id,
        "constitution": record.constitution,
        "principles": [one.principle for one in judged],
        "principle_hashes": [one.principle_hash for one in judged],
        "model": record.models.get("policy", ""),
    }


def _first_truncated(record: Record) -> bool:
    return Flag.TRUNCATED_ANSWER in record.answer_flags


def _last_truncated(rounds: tuple[Round, ...]) -> bool:
    return Flag.TRUNCATED_REVISION in rounds[-1].flags


@dataclass(slots=True)
class Mixture:
    """Draws other rows in between, so that they are `ratio` of all rows (0 up to 1, exclusive).

    Training on revisions alone makes a model evasive; Bai et al. (2022, sections 3.3 and 4.3) mix
    helpfulness data into both stages.

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
        yield row.messages(shape) | _origin(row, shape)


def _origin(row: TrainingRow, shape: Shape) -> Row:
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
