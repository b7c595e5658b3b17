"""Exports: whole directories, split by prompt, mixed by ratio, with a card that says what is what."""

import json
from pathlib import Path

import jsonlines
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from constitution.problems import InputError
from engine.judging.records import (
    LabelDropReason,
    LabelledPair,
    LabelOutcome,
    LabelRecord,
    Preference,
    SampledAnswer,
    Undecided,
)
from engine.messages import Message
from engine.record_files import read_records
from engine.records import Flag, Outcome, Record
from tests.engine.run_fixture import write_run
from training.data.datasets import Mixture
from training.data.export import ExportFormat, ExportOptions, export_run
from training.data.split import is_held_out, prompt_digest

SFT = ExportFormat.TRL_SFT


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    return write_run(tmp_path_factory.mktemp("runs") / "run", 80)


@pytest.fixture(scope="module")
def records(run) -> list[Record]:
    return list(read_records(run))


def lines(path: Path) -> list[dict]:
    with jsonlines.open(path) as rows:
        return list(rows)


def write(path: Path, *rows: dict) -> str:
    with jsonlines.open(path, "w") as file:
        file.write_all(rows)
    return str(path)


@pytest.mark.parametrize("format", list(ExportFormat))
def test_every_record_is_a_row_or_is_counted(run, records, tmp_path, format):
    result = export_run(run, format, tmp_path / "deep" / "rows")
    rows = lines(result.path / "train.jsonl")
    assert result.rows == len(rows) > 0
    assert result.rows + sum(result.skipped.values()) == len(records)
    if format is not ExportFormat.TRL_PROMPT:
        assert result.skipped["escalated"] == sum(
            record.escalate and record.outcome is not Outcome.DROPPED for record in records
        )
    assert len({tuple(row) for row in rows}) == 1, "every row has the same columns"
    assert not any(value is None for row in rows for value in row.values())
    assert {path.name for path in result.path.iterdir()} == {"README.md", "train.jsonl"}
    assert [path.name for path in result.path.parent.iterdir()] == ["rows"]


def test_escalated_records_are_exported_when_asked_for(run, tmp_path):
    without = export_run(run, SFT, tmp_path / "a")
    everything = export_run(run, SFT, tmp_path / "b", ExportOptions(include_escalated=True))
    assert everything.rows == without.rows + without.skipped["escalated"]


@pytest.fixture
def label_run(tmp_path) -> Path:
    """One prompt with a pair that the judge decided, one whose pair it found equal."""

    def pair(probability, dropped=None):
        answers = (1 - probability, 0.5)
        judged = Preference(
            principle="kind", principle_hash="0a", method="pointwise", answers=answers
        )
        return LabelledPair(
            first=0, second=1, preferences=(judged,), probability=probability, dropped=dropped
        )

    def record(row, pair):
        return LabelRecord(
            id=f"p{row}",
            row=row,
            prompt=(Message("user", f"Question {row}?"),),
            samples=(SampledAnswer(text="First."), SampledAnswer(text="Second.")),
            pairs=(pair,),
            outcome=LabelOutcome.DROPPED if pair.dropped else LabelOutcome.LABELLED,
            drop_reason=LabelDropReason.NO_PAIR_DECIDED if pair.dropped else None,
            constitution="c0",
            models={"policy": "scripted", "judge": "judge"},
        )

    run = tmp_path / "labels"
    run.mkdir()
    rows = (record(0, pair(0.2)), record(1, pair(0.5, Undecided.TIE)))
    lines = "".join(row.model_dump_json() + "\n" for row in rows)
    (run / "records.jsonl").write_text(lines, encoding="utf-8")
    manifest = {"kind": "label", "complete": True, "models": {"policy": "scripted"}}
    (run / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    return run


def test_labels_become_preferences_with_the_better_answer_chosen(label_run, run, tmp_path):
    result = export_run(label_run, ExportFormat.TRL_PREFERENCE, tmp_path / "rows")
    (row,) = lines(result.path / "train.jsonl")
    assert row["chosen"][0]["content"] == "Second." and row["probability"] == 0.8
    assert (row["method"], row["judge"]) == ("pointwise", "judge")
    assert result.skipped == {"no_pair_decided": 1}
    pairs = export_run(run, ExportFormat.TRL_PREFERENCE, tmp_path / "revisions")
    revision = lines(pairs.path / "train.jsonl")[0]
    assert list(row) == list(revision), "both kinds of preferences can be trained on together"


def test_labels_give_prompts_but_no_answers_to_imitate(label_run, tmp_path):
    assert export_run(label_run, ExportFormat.TRL_PROMPT, tmp_path / "rows").rows == 2
    for format in (SFT, ExportFormat.LLM_SWARM):
        with pytest.raises(InputError, match="is a label run: it gives no"):
            export_run(label_run, format, tmp_path / "others")


# Files ------------------------------------------------------------------------------------------


def test_nothing_is_overwritten_unless_told_to(run, tmp_path):
    first = export_run(run, SFT, tmp_path / "rows", ExportOptions(test_share=0.5))
    with pytest.raises(InputError, match=r"rows: exists already; .*--overwrite"):
        export_run(run, SFT, first.path)
    again = export_run(run, SFT, first.path, overwrite=True)
    assert again.rows == first.rows + first.test_rows
    assert not (first.path / "test.jsonl").exists()


def test_a_directory_that_holds_anything_else_is_never_replaced(run, tmp_path):
    (tmp_path / "thesis.tex").write_text("mine", encoding="utf-8")
    with pytest.raises(InputError, match=r"is not a dataset: it holds thesis\.tex"):
        export_run(run, SFT, tmp_path, overwrite=True)
    assert (tmp_path / "thesis.tex").read_text(encoding="utf-8") == "mine"


def test_an_export_that_fails_leaves_the_old_one(run, tmp_path):
    out = export_run(run, SFT, tmp_path / "rows").path
    before = lines(out / "train.jsonl")
    broken = write_run(tmp_path / "broken", 12)
    records = (broken / "records.jsonl").read_text(encoding="utf-8").splitlines()
    records[6] = '{"id": "p00006"}'
    (broken / "records.jsonl").write_text("\n".join(records) + "\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"records\.jsonl:7: is not a record"):
        export_run(broken, SFT, out, overwrite=True)
    assert lines(out / "train.jsonl") == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["broken", "rows"]


def test_a_directory_that_is_no_run_is_refused(tmp_path):
    with pytest.raises(InputError, match="is not a run"):
        export_run(tmp_path, SFT, tmp_path / "rows")


def test_a_run_without_usable_rows_says_why_and_writes_nothing(run, tmp_path):
    empty = write_run(tmp_path / "run", 4)
    (empty / "records.jsonl").write_text("", encoding="utf-8")
    with pytest.raises(InputError, match="gives no rows"):
        export_run(empty, SFT, tmp_path / "rows")
    assert not (tmp_path / "rows").exists()


def test_records_of_another_constitution_are_not_given_this_ones_words(tmp_path):
    run = write_run(tmp_path / "run", 20)
    path = run / "constitution.yaml"
    edited = path.read_text(encoding="utf-8").replace("hurt people", "hurt anyone")
    path.write_text(edited, encoding="utf-8")
    result = export_run(run, ExportFormat.LLM_SWARM, tmp_path / "rows")
    assert result.skipped["principle_changed"] > 0


@pytest.mark.parametrize("text", ["name: [", "name: x\nprinciples: 3\n", None])
def test_a_damaged_constitution_is_named(tmp_path, text):
    run = write_run(tmp_path / "run", 4)
    if text is None:
        (run / "constitution.yaml").unlink()
    else:
        (run / "constitution.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=r"constitution\.yaml: is "):
        export_run(run, ExportFormat.LLM_SWARM, tmp_path / "rows")


# The split --------------------------------------------------------------------------------------


@pytest.mark.parametrize("format", list(ExportFormat))
def test_no_prompt_is_on_both_sides(run, tmp_path, format):
    out = export_run(run, format, tmp_path / "rows", ExportOptions(test_share=0.4)).path
    sides = [
        {prompt_digest(row["prompt"]) for row in lines(out / f"{split}.jsonl")}
        for split in ("train", "test")
    ]
    assert all(sides) and sides[0].isdisjoint(sides[1])


texts = st.text(st.characters(codec="utf-8"), min_size=1)


@given(text=texts, system=texts, share=st.floats(0, 0.99))
def test_one_question_has_one_side_however_it_is_put(text, system, share):
    asked = [{"role": "user", "content": text}]
    spaced = [{"role": "system", "content": system}, {"role": "user", "content": f" {text}\n"}]
    assert is_held_out(text, share) == is_held_out(asked, share) == is_held_out(spaced, share)


@given(prompts=st.lists(texts, min_size=1), low=st.floats(0, 0.5), more=st.floats(0, 0.4))
def test_a_larger_share_holds_out_what_a_smaller_one_does(prompts, low, more):
    assert all(is_held_out(p, low + more) for p in prompts if is_held_out(p, low))
    assert not any(is_held_out(p, 0.0) for p in prompts)


def test_the_share_is_about_what_was_asked_for():
    held_out = sum(is_held_out(f"Question {number}?", 0.1) for number in range(5000))
    assert 400 < held_out < 600


def test_a_share_that_leaves_nothing_to_train_on_is_refused(run, tmp_path):
    with pytest.raises(InputError, match="test share: is 1"):
        export_run(run, SFT, tmp_path / "rows", ExportOptions(test_share=1.0))


# The mixture ------------------------------------------------------------------------------------


@given(count=st.integers(1, 300), ratio=st.floats(0, 0.9))
def test_the_mixture_has_the_ratio_asked_for(count, ratio):
    mixture = Mixture(({"other": n} for n in range(10**6)), ratio)
    rows = list(mixture.into({"own": n} for n in range(count)))
    assert [row["own"] for row in rows if "own" in row] == list(range(count))
    assert mixture.drawn == len(rows) - count and mixture.missing == 0
    assert abs(mixture.drawn - ratio * len(rows)) <= 1


def test_a_mixture_that_runs_out_says_how_much_was_missing():
    mixture = Mixture(iter([{"other": 0}]), 0.5)
    assert len(list(mixture.into({} for _ in range(10)))) == 11
    assert (mixture.drawn, mixture.missing) == (1, 9)


HELPFUL = (
    {"prompt": "How do I boil an egg?", "completion": "Seven minutes in boiling water."},
    {"messages": [{"role": "user", "content": "2+2?"}, {"role": "assistant", "content": "4"}]},
)


def test_mixed_rows_have_the_columns_of_the_others(run, tmp_path):
    mix = write(tmp_path / "helpful.jsonl", *HELPFUL)
    result = export_run(run, SFT, tmp_path / "rows", ExportOptions(mix=mix, mix_ratio=0.05))
    rows = lines(result.path / "train.jsonl")
    assert len({tuple(row) for row in rows}) == 1
    mixed = [row for row in rows if not row["constitution"]]
    assert [row["completion"][0]["content"] for row in mixed] == [
        "Seven minutes in boiling water.", "4",
    ]  # fmt: skip
    assert result.mixed == 2 and "Mixed in" in (result.path / "README.md").read_text("utf-8")


def test_rows_cut_off_are_counted_and_told(run, records, tmp_path):
    result = export_run(run, ExportFormat.TRL_PREFERENCE, tmp_path / "rows")
    rows = lines(result.path / "train.jsonl")
    cut = {record.id for record in records if Flag.TRUNCATED_ANSWER in record.answer_flags}
    told = [row["truncated"] for row in rows]
    assert told == [row["id"] in cut for row in rows]
    assert result.truncated == sum(told) > 0
    assert f"{result.truncated:,} rows ran into" in (result.path / "README.md").read_text("utf-8")


def test_preferences_and_prompts_can_be_mixed_too(run, tmp_path):
    pair = {"prompt": "Hi?", "chosen": "Hello!", "rejected": "What."}
    mix = write(tmp_path / "pairs.jsonl", pair)
    for format in (ExportFormat.TRL_PREFERENCE, ExportFormat.TRL_PROMPT):
        result = export_run(run, format, tmp_path / format, ExportOptions(mix=mix, mix_ratio=0.1))
        rows = lines(result.path / "train.jsonl")
        assert result.mixed == 1 and len({tuple(row) for row in rows}) == 1


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ({"prompt": "Hi?"}, r"helpful\.jsonl:1: has no 'completion'.*solon answer"),
        ({"prompt": "Hi?", "completion": " "}, "has no row to use.*empty answer 1"),
        ({"question": "Hi?", "completion": "Hello."}, "has no 'prompt'.*'question'"),
    ],
)
def test_a_row_that_cannot_be_mixed_in_is_named(run, tmp_path, row, told):
    mix = write(tmp_path / "helpful.jsonl", row)
    with pytest.raises(InputError, match=told):
        export_run(run, SFT, tmp_path / "rows", ExportOptions(mix=mix))
    assert not (tmp_path / "rows").exists()


@pytest.mark.parametrize("ratio", [-0.1, 1.0])
def test_a_ratio_that_cannot_be_is_refused(run, tmp_path, ratio):
    mix = write(tmp_path / "helpful.jsonl", *HELPFUL)
    with pytest.raises(InputError, match="mix ratio: is"):
        export_run(run, SFT, tmp_path / "rows", ExportOptions(mix=mix, mix_ratio=ratio))


# The card ---------------------------------------------------------------------------------------


def test_the_card_says_what_is_in_it_and_where_it_comes_from(run, tmp_path):
    result = export_run(run, SFT, tmp_path / "rows", ExportOptions(test_share=0.3))
    text = (result.path / "README.md").read_text(encoding="utf-8")
    front = yaml.safe_load(text.split("---\n")[1])
    assert front["configs"][0]["data_files"] == [
        {"split": "train", "path": "train.jsonl"},
        {"split": "test", "path": "test.jsonl"},
    ]
    for part in (f"{result.rows:,}", "household 1.2.0", "3f2a9c0d1e4b5a67", "embedded", "30%"):
        assert part in text
    assert all(reason.replace("_", " ") in text for reason in result.skipped)
