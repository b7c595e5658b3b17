"""Records of a run as rows that TRL trains on.

Rows have TRL's conversational shapes: `prompt` and `completion` for SFT, `prompt`, `chosen` and
`rejected` for preferences, `prompt` alone for sampling, each a list of messages, and columns that
say where a row comes from. `truncated` says that an answer ran into its token limit: our trainers
then leave the end of the turn unlearned. Every column has one type and is never null, as loading
JSON in blocks demands.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from constitution.schema import Constitution
from engine.judging.records import LabelledPair, LabelRecord, Preference
from engine.loop.rendering import critique_request, revision_request
from engine.messages import Conversation, assistant, to_dicts
from engine.records import Flag, Outcome, Record, Round

__all__ = [
    "Row",
    "label_preference_rows",
    "llm_swarm_rows",
    "preference_row",
    "prompt_row",
    "sft_rows",
]

Row = dict[str, Any]


def sft_rows(
    record: Record, every_revision: bool = False, include_compliant: bool = True
) -> Iterator[Row]:
    """The final revision, or each accepted one in turn (Bai et al. 2022, section 3.1).

    An answer that was compliant as it stood is a row too: to train only where the policy was at
    fault would teach it that every prompt calls for a correction. `unresolved` counts principles
    that the final answer breaks or that the judge left undecided.
    """
    if record.outcome is Outcome.COMPLIANT and include_compliant:
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
