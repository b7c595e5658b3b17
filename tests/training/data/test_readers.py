"""The shapes of public data sets, and what is said of rows that have none of them."""

import json
import time
from collections import Counter
from pathlib import Path

import pytest

from constitution.problems import InputError
from training.data.datasets import mix_rows
from training.data.readers import read_comparisons, read_training_rows

SHARED = Path(__file__).parents[4] / "shared"
CASES, DATA = SHARED / "cases" / "training", SHARED / "data" / "anthropic_cai"
ASKED = {"role": "user", "content": "How tall is it?"}
GOOD = {"role": "assistant", "content": "828 metres."}
BAD = {"role": "assistant", "content": "Very."}
TALK = "\n\nHuman: Hello.\n\nAssistant: Hi.\n\nHuman: How tall is it?\n\nAssistant: "
HELLO = [("user", "Hello."), ("assistant", "Hi.")]
LAST = ("user", "How tall is it?")


def written(tmp_path, *rows):
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def read(tmp_path, shape, *rows):
    dropped = Counter()
    return list(read_training_rows(written(tmp_path, *rows), shape, dropped)), dropped


def said(row):
    return [(turn.role, turn.content) for turn in row.prompt], row.answers


@pytest.mark.parametrize(
    ("row", "asked"),
    [
        ({"prompt": "How tall is it?", "completion": "828 metres."}, [LAST]),
        ({"prompt": [ASKED], "completion": [GOOD]}, [LAST]),
        ({"messages": [ASKED, GOOD]}, [LAST]),
        ({"messages": [ASKED, GOOD], "prompt": "How tall is it?"}, [LAST]),
        ({"prompt": "How tall is it?", "completion": [ASKED, GOOD]}, [LAST]),
        (
            {"prompt": "Hello.", "completion": [{"role": "assistant", "content": "Hi."}, ASKED, GOOD]},
            [*HELLO, LAST],
        ),
        (
            {"prompt": "How tall is it?", "completion": "828 metres.", "system": None, "id": None,
             "truncated": None},
            [LAST],
        ),
        (
            {"prompt": "How tall is it?", "completion": "828 metres.", "system": "Be brief."},
            [("system", "Be brief."), LAST],
        ),
        (
            {"prompt": [{"role": "system", "content": "Be brief."}, ASKED], "completion": [ASKED, GOOD]},
            [("system", "Be brief."), LAST],
        ),
    ],
)  # fmt: skip
def test_rows_to_imitate(tmp_path, row, asked):
    ((found,), dropped) = read(tmp_path, "sft", row)
    assert said(found) == (asked, ("828 metres.",))
    assert not dropped and not found.truncated


@pytest.mark.parametrize(
    ("row", "asked"),
    [
        ({"prompt": "How tall is it?", "chosen": "828 metres.", "rejected": "Very."}, [LAST]),
        ({"prompt": "How tall is it?", "chosen": [ASKED, GOOD], "rejected": [ASKED, BAD]}, [LAST]),
        ({"chosen": [ASKED, GOOD], "rejected": [ASKED, BAD]}, [LAST]),
        ({"chosen": TALK + "828 metres.", "rejected": TALK + "Very."}, [*HELLO, LAST]),
        (
            {"prompt": "...", "text_correct": TALK + "828 metres.", "text_incorrect": TALK + "Very."},
            [*HELLO, LAST],
        ),
        (
            {"prompt": "How tall is it?", "chosen": "828 metres.", "rejected": "Very.",
             "probability": None, "tags": None},
            [LAST],
        ),
    ],
)  # fmt: skip
def test_rows_to_prefer_by(tmp_path, row, asked):
    ((found,), dropped) = read(tmp_path, "preference", row)
    assert said(found) == (asked, ("828 metres.", "Very."))
    assert found.probability == 1.0 and not dropped
    (compared,) = read_comparisons(written(tmp_path, row), Counter())
    assert (compared.better, compared.worse) == ("828 metres.", "Very.")
    ((alone,), _) = read(
        tmp_path, "prompt", row if "text_correct" not in row else {"prompt": [ASKED]}
    )
    assert alone.prompt[-1].content == "How tall is it?" and alone.answers == ()


def test_a_turn_begins_after_a_blank_line_and_only_there(tmp_path):
    chosen = "Human: A list:\nAssistant: is no turn\n \nhere\n\nAssistant: One.\n\nTwo."
    rejected = chosen + " Three."
    ((found,), _) = read(tmp_path, "preference", {"chosen": chosen, "rejected": rejected})
    asked, answers = said(found)
    assert asked == [("user", "A list:\nAssistant: is no turn\n \nhere")]
    assert answers == ("One.\n\nTwo.", "One.\n\nTwo. Three.")


CALL = {"role": "assistant", "content": "", "tool_calls": [{"function": {"name": "height"}}]}


@pytest.mark.parametrize(
    ("shape", "row", "reason"),
    [
        ("sft", {"prompt": "Q?", "completion": " \n"}, "empty answer"),
        ("sft", {"prompt": "Q?", "completion": None}, "empty answer"),
        ("preference", {"prompt": "Q?", "chosen": "a", "rejected": "a"}, "are the same"),
        ("preference", {"chosen": TALK + "a", "rejected": "\n\nHuman: Q?\n\nAssistant: b"}, "differ"),
        ("sft", {"prompt": [ASKED, CALL, {"role": "tool", "content": "828"}], "completion": "828"},
         "calls a tool"),
        ("sft", {"messages": [ASKED, CALL]}, "calls a tool"),
        ("prompt", {"prompt": [ASKED, CALL, {"role": "tool", "content": "828"}]}, "calls a tool"),
    ],
)  # fmt: skip
def test_rows_that_teach_nothing_are_dropped_with_a_reason(tmp_path, shape, row, reason):
    good = {"prompt": "Q?", "completion": "a", "chosen": "a", "rejected": "b"}
    found, dropped = read(tmp_path, shape, row, good)
    assert [one.number for one in found] == [1]
    assert [reason in told for told in dropped] == [True] and dropped.total() == 1
    with pytest.raises(InputError, match=r"has no row to use.*solon export"):
        read(tmp_path, shape, row)


@pytest.mark.parametrize(
    ("shape", "row", "told"),
    [
        ("sft", {"prompt": "Q?"}, "has no 'completion'; it has 'prompt'"),
        ("sft", {"completion": "A."}, "has no 'prompt'"),
        ("sft", {"prompt": 3, "completion": "A."}, "'prompt' is a number"),
        ("sft", {"prompt": "Q?", "completion": 3}, "'completion' is not an answer"),
        ("sft", {"prompt": "Q?", "completion": [ASKED]}, "does not end with the assistant's"),
        ("sft", {"messages": [ASKED]}, "does not end with the assistant's"),
        ("sft", {"messages": [GOOD]}, "empty list"),
        ("preference", {"prompt": "Q?", "chosen": "a"}, "has no 'rejected'"),
        ("preference", {"chosen": "a", "rejected": "b"}, "not a transcript"),
        ("preference", {"prompt": "Q?", "chosen": "a", "rejected": "b", "probability": 2}, "is 2"),
        ("prompt", {"question": "Q?"}, "has no 'prompt'; it has 'question'"),
        ("prompt", {"prompt": [GOOD, ASKED]}, "message 1 is 'assistant'"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_with_its_line(tmp_path, shape, row, told):
    good = {"prompt": "Q?", "completion": "a", "chosen": "a", "rejected": "b"}
    with pytest.raises(InputError) as refused:
        read(tmp_path, shape, good, row)
    (problem,) = refused.value.problems
    assert problem.where.endswith("rows.jsonl:2") and told in problem.what


def test_nothing_is_given_once_a_row_is_wrong(tmp_path):
    rows = [
        {"prompt": "Q?", "completion": "a"},
        {"prompt": "Q?"},
        {"prompt": "R?", "completion": "a"},
    ]
    reading, found = read_training_rows(written(tmp_path, *rows), "sft", Counter()), []
    with pytest.raises(InputError):
        found.extend(reading)
    assert len(found) <= 1


def test_a_soft_label_and_its_judge_survive_the_mixture(tmp_path):
    row = {"prompt": "Q?", "chosen": "a", "rejected": "b", "probability": 0.62, "judge": "other"}
    (mixed,) = mix_rows(written(tmp_path, row), "preference", Counter())
    assert (mixed["probability"], mixed["judge"], mixed["constitution"]) == (0.62, "other", "")
    assert mixed["id"] == "mix-0"


def test_transcripts_of_a_megabyte_are_read_in_no_time(tmp_path):
    filler = [
        "\n" * 10**6,
        "\n\n " * 300_000,
        "Human:" * 150_000,
        "\n\nHuman:" * 100_000,
        " " * 10**6,
    ]
    began = time.process_time()
    for text in filler:
        row = {"chosen": TALK + text + "a", "rejected": TALK + text + "b"}
        try:
            read(tmp_path, "preference", row)
        except InputError:
            continue
    assert time.process_time() - began < 10


@pytest.mark.skipif(not CASES.is_dir(), reason="no ../shared/cases")
@pytest.mark.parametrize(
    ("file", "shape", "answers"),
    [
        ("hh", "preference", ("Hello, how can I help?", "Go away.")),
        ("implicit", "preference", ("good", "bad")),
        ("ultrafeedback", "preference", ("good", "bad")),
        ("nulls", "preference", ("good", "bad")),
        ("mix", "preference", ("5,500 C", "warm")),
        ("messages", "sft", ("A",)),
        ("nullsystem", "sft", ("A",)),
        ("multiturncompletion", "sft", ("A2",)),
    ],
)
def test_the_public_shapes_are_taken(file, shape, answers):
    (row,) = read_training_rows(str(CASES / f"{file}.jsonl"), shape, Counter())
    assert row.answers == answers


@pytest.mark.skipif(not DATA.is_dir(), reason="no ../shared/data")
def test_every_comparison_of_the_hhh_evaluation_is_read():
    dropped = Counter()
    found = read_comparisons(str(DATA / "438HHHEvaluations.jsonl"), dropped)
    assert len(found) == 438 and not dropped
    assert all(one.prompt[-1].role == "user" and one.better != one.worse for one in found)
