"""Records become rows: the right conversations in TRL's shapes."""

from pathlib import Path

import pytest

from engine.loop.rendering import critique_request, revision_request
from engine.record_files import read_records
from engine.records import DropReason, Outcome, Record
from tests.engine.run_fixture import write_run
from training.data.datasets import llm_swarm_rows, preference_row, prompt_row, sft_rows
from training.data.export import run_constitution


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    return write_run(tmp_path_factory.mktemp("runs") / "run", 80)


@pytest.fixture(scope="module")
def records(run) -> list[Record]:
    return list(read_records(run))


def first(records: list[Record], outcome: Outcome) -> Record:
    return next(record for record in records if record.outcome is outcome)


def test_sft_row_is_the_prompt_answered_by_the_final_text(records):
    record = first(records, Outcome.REVISED)
    (row,) = sft_rows(record)
    assert row["prompt"] == [{"role": m.role, "content": m.content} for m in record.prompt]
    assert row["completion"] == [{"role": "assistant", "content": record.final}]
    assert row["id"] == record.id and row["constitution"] == record.constitution
    assert row["principles"] == [round.principle for round in record.rounds]
    assert row["principle_hashes"] == [round.principle_hash for round in record.rounds]
    assert row["model"] == "embedded"


def test_every_revision_gives_a_row_for_each_and_ends_with_the_final(records):
    record = first(records, Outcome.REVISED)
    rows = list(sft_rows(record, every_revision=True))
    assert [row["revisions"] for row in rows] == [1, 2]
    assert [row["completion"][0]["content"] for row in rows] == [
        round.revision for round in record.rounds
    ]
    assert rows[-1] == next(sft_rows(record))


def test_a_dropped_round_is_not_a_revision(records):
    record = first(records, Outcome.REVISED)
    last = record.rounds[-1].model_copy(update={"dropped": DropReason.CRITIQUE_LEAK})
    kept = record.rounds[0]
    record = record.model_copy(update={"rounds": (kept, last), "final": kept.revision})
    (row,) = sft_rows(record, every_revision=True)
    assert row["completion"][0]["content"] == kept.revision
    assert row["principles"] == [kept.principle]


def test_compliant_answers_are_sft_rows(records):
    record = first(records, Outcome.COMPLIANT)
    (row,) = sft_rows(record)
    assert row["completion"][0]["content"] == record.answer and row["revisions"] == 0


def test_preference_is_the_final_answer_over_the_first(records):
    record = first(records, Outcome.REVISED)
    row = preference_row(record)
    assert row is not None
    assert row["chosen"] == [{"role": "assistant", "content": record.final}]
    assert row["rejected"] == [{"role": "assistant", "content": record.answer}]


@pytest.mark.parametrize("outcome", [Outcome.COMPLIANT, Outcome.DROPPED])
def test_only_a_revision_is_a_preference(records, outcome):
    assert preference_row(first(records, outcome)) is None


def test_an_answer_revised_back_to_itself_is_no_preference(records):
    record = first(records, Outcome.REVISED)
    assert preference_row(record.model_copy(update={"final": record.answer})) is None


def test_dropped_records_give_no_row(records, run):
    record = first(records, Outcome.DROPPED)
    assert not list(sft_rows(record, every_revision=True))
    assert not list(llm_swarm_rows(record, run_constitution(run)))


def test_llm_swarm_row_holds_the_words_the_models_were_asked(records, run):
    constitution = run_constitution(run)
    record = first(records, Outcome.REVISED)
    first_row, last_row = llm_swarm_rows(record, constitution, every_revision=True)
    first_round, last_round = record.rounds
    principle = constitution.principle(first_round.principle)
    assert first_row["init_prompt"] == first_row["prompt"] == record.prompt[-1].content
    assert first_row["init_response"] == record.answer
    assert first_row["critic_prompt"] == critique_request(constitution, principle)
    assert first_row["critic_response"] == first_round.critique
    assert first_row["revision_prompt"] == revision_request(constitution, principle)
    assert last_row["init_response"] == first_round.revision
    assert last_row["revision_response"] == last_round.revision
    assert last_row["chosen"] == last_row["messages"]
    assert last_row["chosen"][-1]["content"] == record.final
    assert last_row["rejected"][-1]["content"] == record.answer
    assert list(llm_swarm_rows(record, constitution)) == [last_row]


def test_a_revision_pair_carries_the_columns_of_labelled_pairs(records):
    row = preference_row(first(records, Outcome.REVISED))
    assert list(row) == [
        "prompt", "chosen", "rejected", "probability", "position_bias", "method", "id",
        "constitution", "principles", "principle_hashes", "model", "judge", "truncated",
    ]  # fmt: skip
    assert (row["probability"], row["position_bias"], row["method"]) == (1.0, 0.0, "revision")


def test_a_prompt_row_is_the_prompt_alone(records):
    row = prompt_row("p0", records[0].prompt)
    assert list(row) == ["prompt", "id"] and row["prompt"][-1]["role"] == "user"
