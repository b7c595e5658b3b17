import json

import pytest

from constitution.problems import InputError
from tests.training.trainer_data import preference_rows, settings, sft_rows, write_rows
from training.data.rows import read_rows
from training.trainers.config import DPOTrainingConfig, SFTTrainingConfig


def config(tmp_path, dataset, kind=SFTTrainingConfig, **changes):
    return kind(**settings("model", dataset, tmp_path / "out", **changes))


def refusal(tmp_path, rows, shape="preference", **changes):
    path = write_rows(tmp_path / "rows.jsonl", rows)
    with pytest.raises(InputError) as caught:
        read_rows(config(tmp_path, path, **changes), shape)
    (problem,) = caught.value.problems
    return str(problem).replace(f"{tmp_path}/", "")


def test_a_preference_without_rejected_is_told_by_its_line(tmp_path):
    rows = preference_rows(3)
    del rows[2]["rejected"]
    found = refusal(tmp_path, rows)
    assert found.startswith("rows.jsonl:3: has no 'rejected'; it has 'prompt', 'chosen'")
    assert "solon export" in found


@pytest.mark.parametrize("probability", [1.5, -0.1, "high", True])
def test_a_probability_that_is_none_is_refused(tmp_path, probability):
    found = refusal(tmp_path, preference_rows(2, probability=probability))
    assert found.startswith(f"rows.jsonl:1: 'probability' is {probability!r}")


def test_a_trainer_is_given_the_margin_and_the_weight_of_a_pair(tmp_path):
    """How much better the one was rated, 0 where nobody said; three pairs of a prompt count as one."""
    rated = {"prompt": "q", "completions": ["a", "b", "c"], "ratings": [1, 3, 5]}
    path = write_rows(tmp_path / "rows.jsonl", [rated, *preference_rows(1)])
    train = read_rows(config(tmp_path, path, eval_share=0.0), "preference").train
    found = [(row["margin"], round(row["weight"], 3), row["probability"]) for row in train]
    assert sorted(found[:3]) == [(2.0, 0.333, 1.0), (2.0, 0.333, 1.0), (4.0, 0.333, 1.0)]
    assert found[3][:2] == (0.0, 1.0)


def test_truncated_is_a_yes_or_no(tmp_path):
    found = refusal(tmp_path, preference_rows(2, truncated="no"))
    assert found == "rows.jsonl:1: 'truncated' is 'no'; give true or false"


def test_an_empty_dataset_is_refused(tmp_path):
    found = refusal(tmp_path, [], "sft")
    assert "rows.jsonl" in found and "no row" in found


def test_a_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(InputError, match="missing"):
        read_rows(config(tmp_path, tmp_path / "missing.jsonl"), "sft")


def test_rows_that_teach_nothing_are_dropped_and_counted(tmp_path):
    rows = preference_rows(12)
    rows[0]["rejected"] = rows[0]["chosen"]
    rows[1]["chosen"] = [{"role": "assistant", "content": " "}]
    path = write_rows(tmp_path / "rows.jsonl", rows)
    found = read_rows(config(tmp_path, path), "preference")
    assert found.dropped == {"chosen and rejected are the same": 1, "empty answer": 1}
    assert len(found.train) + len(found.test) == 10


def test_no_prompt_is_on_both_sides(tmp_path):
    path = write_rows(tmp_path / "rows.jsonl", sft_rows(200) + sft_rows(200))
    found = read_rows(config(tmp_path, path, eval_share=0.3), "sft")
    train, test = (
        {json.dumps(row["prompt"]) for row in rows} for rows in (found.train, found.test)
    )
    assert train and test and not train & test


def test_the_test_rows_of_a_dataset_directory_are_used(tmp_path):
    write_rows(tmp_path / "data" / "train.jsonl", sft_rows(10))
    write_rows(tmp_path / "data" / "test.jsonl", sft_rows(4, seed=1))
    found = read_rows(config(tmp_path, tmp_path / "data", eval_share=0.9), "sft")
    assert (len(found.train), len(found.test)) == (10, 4)


def test_the_digest_is_of_what_is_trained_on(tmp_path):
    def digest(rows, **changes):
        path = write_rows(tmp_path / "rows.jsonl", rows)
        return read_rows(config(tmp_path, path, DPOTrainingConfig, **changes), "preference").digest

    rows = preference_rows(20)
    same = digest(rows)
    assert digest([{**row, "judge": "another"} for row in rows]) == same
    assert digest(rows[:-1]) != same
    assert digest([{**row, "probability": 0.8} for row in rows]) != same
    assert digest(rows, eval_share=0.5) != same


@pytest.mark.parametrize(
    ("shape", "change"),
    [
        ("sft", {"prompt": [{"role": "user", "content": "Another question?"}]}),
        ("sft", {"completion": [{"role": "assistant", "content": "Another answer."}]}),
        ("preference", {"chosen": [{"role": "assistant", "content": "Another answer."}]}),
        ("preference", {"rejected": [{"role": "assistant", "content": "Another answer."}]}),
        ("preference", {"probability": 0.65}),
        ("sft", {"truncated": True}),
        ("preference", {"truncated": True}),
        ("prompt", {"id": "another"}),
        ("prompt", {"tags": ["law"]}),
    ],
)
def test_the_digest_holds_every_column_that_training_sees(tmp_path, shape, change):
    """Of one row among many: `id` and `tags` say which principles reward a prompt's answers."""

    def digest(rows):
        path = write_rows(tmp_path / "rows.jsonl", rows)
        return read_rows(config(tmp_path, path, eval_share=0.0), shape).digest

    rows = preference_rows(6) if shape == "preference" else sft_rows(6)
    same = digest(rows)
    rows[3] |= change
    assert digest(rows) != same


def test_the_constitutions_in_the_rows_are_named_the_most_frequent_first(tmp_path):
    rows = sft_rows(20)
    rows[0]["constitution"], rows[1]["constitution"] = "other", ""
    path = write_rows(tmp_path / "rows.jsonl", rows)
    found = read_rows(config(tmp_path, path, eval_share=0.0), "sft")
    assert found.constitutions == ("0123456789abcdef", "other")


def test_a_system_column_becomes_the_first_turn(tmp_path):
    path = write_rows(tmp_path / "rows.jsonl", [{**sft_rows(1)[0], "system": "Be brief."}])
    found = read_rows(config(tmp_path, path, eval_share=0.0), "sft")
    assert found.train[0]["prompt"][0] == {"role": "system", "content": "Be brief."}
