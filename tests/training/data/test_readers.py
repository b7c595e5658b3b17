"""The shapes of public data sets, and what is said of rows that have none of them."""

import json
import time
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from constitution.problems import InputError
from training.data.datasets import mix_rows
from training.data.graded import Graded, graded_pairs
from training.data.readers import read_comparisons, read_training_rows
from training.data.turns import Unusable

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
        ("preference", {"chosen": "\n\nHuman: Q?\n\nHuman: R?\n\nAssistant: a",
                        "rejected": "\n\nHuman: Q?\n\nHuman: R?\n\nAssistant: b"}, "out of order"),
        ("preference", {"chosen": "\n\nHuman: \n\nAssistant: a",
                        "rejected": "\n\nHuman: \n\nAssistant: b"}, "empty turns"),
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


# Thumbs, ratings and rankings --------------------------------------------------------------------

FIVE = {"prompt": "Q?", "responses": ["one", "three", "five"], "ratings": [1, 3, 5]}


def pairs(tmp_path, *rows):
    found, dropped = read(tmp_path, "preference", *rows)
    return [(*row.answers, row.example.margin, row.example.weight) for row in found], dropped


def test_ratings_become_pairs_with_their_margins_that_count_one_prompt(tmp_path):
    found, dropped = pairs(tmp_path, FIVE)
    third = pytest.approx(1 / 3)
    assert sorted(found) == [
        ("five", "one", 4, third), ("five", "three", 2, third), ("three", "one", 2, third),
    ]  # fmt: skip
    assert not dropped


@pytest.mark.parametrize(
    "row",
    [
        {"responses": ["bad", "good"], "ratings": ["2", "4"]},
        {"completions": [{"response": "bad", "rating": 2}, {"response": "good", "rating": 4}]},
        {"completions": [{"response": "bad", "overall_score": 2.0, "annotations": {}},
                         {"response": "good", "overall_score": 4.0}]},
        {"generations": [[ASKED, {**BAD, "content": "bad"}], [ASKED, {**GOOD, "content": "good"}]],
         "scores": [2, 4]},
        {"response_0": "bad", "response_1": "good", "rating_0": 2, "rating_1": 4},
        {"chosen": "good", "rejected": "bad", "score_chosen": 4.0, "score_rejected": 2.0},
        {"chosen": "good", "rejected": "bad", "margin": 2},
        {"response_1": "bad", "response_2": "good", "preference_strength": 2},
    ],
)  # fmt: skip
def test_the_margin_is_how_much_better_one_was_rated(tmp_path, row):
    found, dropped = pairs(tmp_path, {"prompt": "How tall is it?", **row})
    assert found == [("good", "bad", 2, 1)] and not dropped


@pytest.mark.parametrize(
    "row",
    [
        {"answers": ["good", "bad"], "ranks": [1, 2]},
        {"answers": [{"answer": "bad", "rank": 2, "model": "m"}, {"answer": "good", "rank": 1}]},
        {"response_0": "bad", "response_1": "good", "better_response_id": 1},
        {"response_a": "good", "response_b": "bad", "winner": "model_a"},
        {"conversation_a": [ASKED, {**GOOD, "content": "good"}],
         "conversation_b": [ASKED, {**BAD, "content": "bad"}], "winner": "model_a", "prompt": None},
    ],
)  # fmt: skip
def test_ranks_and_choices_have_no_margin(tmp_path, row):
    found, _ = pairs(tmp_path, {"prompt": "How tall is it?", **row})
    assert found == [("good", "bad", None, 1)]


def test_answers_rated_in_rows_of_their_own_are_compared_by_their_prompt(tmp_path):
    rated = [("Q?", "a", 1), ("R?", "c", 5), ("Q?", "b", 4), ("S?", "d", 3), ("Q?", "e", 4)]
    rows = [{"prompt": q, "answer": a, "rating": n} for q, a, n in rated]
    found, dropped = pairs(tmp_path, *rows)
    assert sorted(found) == [("b", "a", 3, 0.5), ("e", "a", 3, 0.5)]
    assert dropped == {"no answer is graded above another": 2}


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ({"responses": ["a", "b"]}, "'responses' are not graded"),
        ({"responses": ["a", "b"], "ratings": [1]}, "has 2 responses and 1 grades"),
        ({"response_0": "a", "response_1": "b", "rating": 2}, "are not graded"),
        ({"chosen": "a", "rejected": "b", "margin": "big"}, "'margin' is 'big'"),
    ],
)
def test_grades_that_cannot_be_read_are_refused(tmp_path, row, told):
    with pytest.raises(InputError, match=told):
        read(tmp_path, "preference", {"prompt": "Q?", **row})


def test_a_choice_that_the_ratings_contradict_is_dropped(tmp_path):
    wrong = {"prompt": "Q?", "chosen": "a", "rejected": "b"}
    wrong |= {"score_chosen": 1, "score_rejected": 2}
    _, dropped = pairs(tmp_path, wrong, FIVE)
    assert dropped == {"rejected is rated above chosen": 1}


grades = st.lists(st.integers(1, 5), min_size=2, max_size=7)


@given(grades)
def test_every_preference_is_kept_once_and_a_prompt_counts_once(ratings):
    answers = [Graded(f"answer {number}", grade) for number, grade in enumerate(ratings)]
    if len(set(ratings)) == 1:
        with pytest.raises(Unusable):
            graded_pairs(answers)
        return
    found = graded_pairs(answers)
    grade = {answer.answer: answer.grade for answer in answers}
    assert all(grade[one.chosen] - grade[one.rejected] == one.margin > 0 for one in found)
    told = Counter(frozenset((one.chosen, one.rejected)) for one in found)
    unlike = {
        frozenset((one.answer, other.answer))
        for one in answers
        for other in answers
        if one.grade != other.grade
    }
    assert told == Counter(unlike)
    assert sum(one.weight for one in found) == pytest.approx(1)


@pytest.mark.parametrize(("up", "down"), [(True, False), (1, 0), (1.0, 0.0)])
def test_thumbs(tmp_path, up, down):
    rows = [
        {"prompt": "Q?", "completion": "a", "label": up},
        {"messages": [ASKED, BAD], "label": down},
    ]
    found, _ = read(tmp_path, "unpaired", *rows)
    assert [(row.answers, row.example.label) for row in found] == [
        (("a",), True),
        (("Very.",), False),
    ]
    imitated, dropped = read(tmp_path, "sft", *rows)
    assert [row.answers for row in imitated] == [("a",)]
    assert dropped == {"labelled as undesirable": 1}


def test_a_pair_is_a_thumb_up_and_one_down(tmp_path):
    row = {"prompt": "Q?", "chosen": "a", "rejected": "b"}
    found, dropped = read(
        tmp_path, "unpaired", row, {**row, "probability": 0.2}, {**row, "probability": 0.5}
    )
    assert [(*one.answers, one.example.label) for one in found] == [
        ("a", True), ("b", False), ("a", False), ("b", True),
    ]  # fmt: skip
    assert dropped == {"neither answer is the better": 1}


@pytest.mark.parametrize("label", ["yes", 2, 0.5])
def test_a_thumb_that_points_nowhere_is_refused(tmp_path, label):
    with pytest.raises(InputError, match="'label' is"):
        read(tmp_path, "unpaired", {"prompt": "Q?", "completion": "a", "label": label})


# Turns -------------------------------------------------------------------------------------------

SHAREGPT = [{"from": "human", "value": "How tall is it?"}, {"from": "gpt", "value": "828 metres."}]


@pytest.mark.parametrize(
    ("shape", "row", "answers"),
    [
        ("sft", {"conversations": SHAREGPT}, ("828 metres.",)),
        ("sft", {"instruction": "How tall is it?", "input": "", "output": "828 metres."},
         ("828 metres.",)),
        ("sft", {"prompt": "How tall is it?", "chosen": "828 metres.", "rejected": "Very."},
         ("828 metres.",)),
        ("preference", {"conversations": SHAREGPT[:1], "chosen": SHAREGPT[1],
                        "rejected": {"from": "gpt", "value": "Very."}}, ("828 metres.", "Very.")),
        ("sft", {"messages": [{**ASKED, "tool_calls": None, "name": None}, GOOD]}, ("828 metres.",)),
        ("sft", {"messages": [{"role": "user", "content": [{"type": "text", "text": ASKED["content"]}]},
                              GOOD]}, ("828 metres.",)),
    ],
)  # fmt: skip
def test_turns_by_other_names(tmp_path, shape, row, answers):
    ((found,), dropped) = read(tmp_path, shape, row)
    assert said(found) == ([LAST], answers) and not dropped


def test_an_image_is_no_text(tmp_path):
    picture = [{"type": "image", "image": "x.png"}, {"type": "text", "text": "What is it?"}]
    rows = [{"messages": [{"role": "user", "content": picture}, GOOD]}, {"messages": [ASKED, GOOD]}]
    found, dropped = read(tmp_path, "sft", *rows)
    assert len(found) == 1 and dropped == {"holds 'image', which is not text": 1}


@pytest.mark.parametrize(
    "answer",
    [
        {"content": "<think>\nhigh\n</think>\n\n828 metres."},
        {"content": "828 metres.", "reasoning_content": "high"},
        {"content": "828 metres.", "thinking": "high"},
        {"content": "high</think>828 metres."},
    ],
)
def test_reasoning_is_told_apart_from_the_answer(tmp_path, answer):
    row = {"messages": [ASKED, {"role": "assistant", **answer}]}
    ((found,), _) = read(tmp_path, "sft", row)
    assert found.messages("sft")["completion"] == [GOOD]
    assert found.messages("sft", reasoning=True)["completion"] == [
        {**GOOD, "reasoning_content": "high"}
    ]
    again = [ASKED, {"role": "assistant", **answer}, ASKED, GOOD]
    ((later,), _) = read(tmp_path, "sft", {"messages": again})
    assert later.messages("sft", reasoning=True)["prompt"] == [ASKED, GOOD, ASKED]


def test_reasoning_alone_is_no_answer(tmp_path):
    row = {"messages": [ASKED, {"role": "assistant", "content": "<think>high"}]}
    with pytest.raises(InputError, match="empty answer 1"):
        read(tmp_path, "sft", row)


def test_tools_are_kept_where_they_are_asked_for(tmp_path):
    tool = {"role": "tool", "content": "828"}
    rows = [
        {"prompt": [ASKED, CALL, tool], "completion": "828 metres."},
        {"messages": [ASKED, CALL]},
    ]
    source = written(tmp_path, *rows)
    found = list(read_training_rows(source, "sft", Counter(), tools=True))
    assert found[0].messages("sft")["prompt"] == [ASKED, CALL, tool]
    assert found[1].messages("sft")["completion"] == [CALL]
    with pytest.raises(InputError, match="a tool is called and does not answer"):
        read(tmp_path, "sft", {"messages": [ASKED, CALL, GOOD]})


def test_how_much_of_a_conversation_the_prompt_gives(tmp_path):
    talk = [ASKED, GOOD, ASKED, BAD]
    rows = [
        {"messages": talk},
        {"prompt": [ASKED], "completion": talk[1:]},
        {"prompt": talk[:3], "completion": "Very.", "system": "Be brief."},
    ]
    found, _ = read(tmp_path, "sft", *rows)
    assert [(len(row.prompt), row.example.given) for row in found] == [(3, 0), (3, 1), (4, 4)]
