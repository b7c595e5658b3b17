"""Records become rows: the right conversations, TRL's shapes, whole files."""

from pathlib import Path

import jsonlines
import pytest

from constitution.problems import InputError
from engine.records import DropReason, Outcome, Record
from engine.rendering import critique_request, revision_request
from engine.report.run_files import read_records
from tests.engine.run_fixture import write_run
from training.datasets import (
    ExportFormat,
    export_run,
    llm_swarm_rows,
    preference_row,
    run_constitution,
    sft_rows,
)


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    return write_run(tmp_path_factory.mktemp("runs") / "run", 80)


@pytest.fixture(scope="module")
def records(run) -> list[Record]:
    return list(read_records(run))


def first(records: list[Record], outcome: Outcome) -> Record:
    return next(record for record in records if record.outcome is outcome)


def lines(path: Path) -> list[dict]:
    with jsonlines.open(path) as rows:
        return list(rows)


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


def test_compliant_answers_are_sft_rows_unless_left_out(records):
    record = first(records, Outcome.COMPLIANT)
    (row,) = sft_rows(record)
    assert row["completion"][0]["content"] == record.answer and row["revisions"] == 0
    assert not list(sft_rows(record, include_compliant=False))


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


@pytest.mark.parametrize("format", list(ExportFormat))
def test_every_record_is_a_row_or_is_counted(run, records, tmp_path, format):
    result = export_run(run, format, tmp_path / "deep" / "rows.jsonl")
    rows = lines(result.path)
    assert result.rows == len(rows) > 0
    assert result.rows + sum(result.skipped.values()) == len(records)
    assert result.skipped["escalated"] == sum(
        record.escalate and record.outcome is not Outcome.DROPPED for record in records
    )
    assert len({tuple(row) for row in rows}) == 1, "every row has the same columns"
    assert not any(value is None for row in rows for value in row.values())
    assert [path.name for path in result.path.parent.iterdir()] == ["rows.jsonl"]


def test_escalated_records_are_exported_when_asked_for(run, tmp_path):
    without = export_run(run, ExportFormat.TRL_SFT, tmp_path / "a.jsonl")
    everything = export_run(run, ExportFormat.TRL_SFT, tmp_path / "b.jsonl", include_escalated=True)
    assert everything.rows == without.rows + without.skipped["escalated"]


def test_nothing_is_overwritten_unless_told_to(run, tmp_path):
    out = tmp_path / "rows.jsonl"
    out.write_text("mine", encoding="utf-8")
    with pytest.raises(InputError, match=r"rows\.jsonl: exists already; .*--overwrite"):
        export_run(run, ExportFormat.TRL_SFT, out)
    assert out.read_text(encoding="utf-8") == "mine"
    assert export_run(run, ExportFormat.TRL_SFT, out, overwrite=True).rows == len(lines(out))


def test_an_export_that_fails_leaves_the_old_file(run, tmp_path):
    broken = write_run(tmp_path / "broken", 12)
    records = (broken / "records.jsonl").read_text(encoding="utf-8").splitlines()
    records[6] = '{"id": "p00006"}'
    (broken / "records.jsonl").write_text("\n".join(records) + "\n", encoding="utf-8")
    out = tmp_path / "rows.jsonl"
    out.write_text("mine", encoding="utf-8")
    with pytest.raises(InputError, match=r"records\.jsonl:7: is not a record"):
        export_run(broken, ExportFormat.TRL_SFT, out, overwrite=True)
    assert out.read_text(encoding="utf-8") == "mine"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["broken", "rows.jsonl"]


def test_a_directory_that_is_no_run_is_refused(tmp_path):
    with pytest.raises(InputError, match="is not a run"):
        export_run(tmp_path, ExportFormat.TRL_SFT, tmp_path / "rows.jsonl")


def test_records_of_another_constitution_are_not_given_this_ones_words(tmp_path):
    run = write_run(tmp_path / "run", 20)
    path = run / "constitution.yaml"
    edited = path.read_text(encoding="utf-8").replace("hurt people", "hurt anyone")
    path.write_text(edited, encoding="utf-8")
    result = export_run(run, ExportFormat.LLM_SWARM, tmp_path / "rows.jsonl")
    assert result.skipped["principle_changed"] > 0


@pytest.mark.parametrize("text", ["name: [", "name: x\nprinciples: 3\n", None])
def test_a_damaged_constitution_is_named(tmp_path, text):
    run = write_run(tmp_path / "run", 4)
    if text is None:
        (run / "constitution.yaml").unlink()
    else:
        (run / "constitution.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=r"constitution\.yaml: is "):
        export_run(run, ExportFormat.LLM_SWARM, tmp_path / "rows.jsonl")
