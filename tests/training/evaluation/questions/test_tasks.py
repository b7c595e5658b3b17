"""Capability tasks: the shapes of row that are read, how replies score, and the alignment tax."""

import json
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from constitution.problems import InputError
from engine.prompts.rows import BadPrompt
from training.evaluation.questions.tasks import Item, alignment_tax, parse_item, read_task

DATA = Path(__file__).parents[5] / "shared" / "data"
RIVERS = ["Rhine", "Nile", "Po"]


def item(**row: Any) -> Item:
    return parse_item(row, "1")


def written(folder: Path, *rows: dict[str, Any], name: str = "rivers.jsonl") -> Path:
    path = folder / name
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    "row",
    [
        {"choices": RIVERS, "answer": 1},
        {"choices": RIVERS, "answer": "B"},
        {"choices": RIVERS, "answer": "b"},
        {"choices": RIVERS, "answer": "Nile"},
        {"choices": json.dumps(RIVERS), "answer": "1"},
        {"options": RIVERS, "target": 1},
        {"choices": {"text": RIVERS, "label": ["1", "2", "3"]}, "answerKey": "2"},
        {"A": "Rhine", "B": "Nile", "C": "Po", "D": "", "answer": "B"},
    ],
)
def test_choices_come_in_many_shapes_and_mean_one_question(row: dict[str, Any]):
    found = item(question="Which is longest?", **row)
    assert found.choices == tuple(RIVERS) and found.letters == ("A", "B", "C")
    assert found.answer == "B"
    asked = found.messages[-1].content
    assert asked.startswith("Which is longest?\n\nA. Rhine\nB. Nile\nC. Po\n\n")


def test_choices_written_into_the_question_are_found_after_other_lists():
    text = "Which hold?\nI. One\nII. Two\n\nA. I only\nB. II only\nover two lines\nC. Both"
    found = item(prompt=text, answer="C", system="Be brief.")
    assert found.choices == ("I only", "II only\nover two lines", "Both")
    assert [m.role for m in found.messages] == ["system", "user"]
    assert found.messages[-1].content.startswith("Which hold?\nI. One\nII. Two\n\nA. I only\n")


def test_the_most_probable_letter_counts_and_ties_share():
    found = item(question="Which?", choices=RIVERS, answer="B")
    assert found.score_choice((0.2, 0.5, 0.3)) == 1
    assert found.score_choice((0.5, 0.2, 0.3)) == 0
    assert found.score_choice((0.4, 0.4, 0.2)) == 0.5


@pytest.mark.parametrize(
    ("reply", "score"),
    [
        ("2 + 3 = 5\n#### 1,200", 1),
        ("#### $1200.00 in all, for 7 days", 1),
        ("So it is 1200.", 1),
        ("<think>perhaps 7</think>It is **1200**", 1),
        ("1200 and then 7", 0),
        ("#### 7\nor 1200", 0),
        ("-1200", 0),
        ("2400-1200", 1),
        ("12000", 0),
        ("no idea", 0),
        ("####", 0),
        ("", 0),
    ],
)
def test_the_final_number_counts(reply: str, score: float):
    found = item(question="How much?", answer="600 * 2 = 1200\n#### 1,200")
    assert found.answer == "1,200" and not found.choices
    assert found.score_text(reply) == score


@pytest.mark.parametrize(
    ("reply", "score"),
    [
        ("the  ELBE.", 1),
        ("It flows north.\nThe answer is: Elbe", 1),
        ("#### Elbe", 1),
        ("Answer: the Elbe", 1),
        ("The Elbe or the Oder", 0),
        ("", 0),
    ],
)
def test_the_final_words_count(reply: str, score: float):
    assert item(question="Which river?", answer="The Elbe").score_text(reply) == score


@given(st.decimals(allow_nan=False, allow_infinity=False, places=2, min_value=-1e9, max_value=1e9))
@settings(max_examples=50)
def test_a_number_is_found_however_it_is_grouped(number: object):
    found = item(question="How much?", answer=str(number))
    assert found.score_text(f"That makes 3 times as much.\n#### {number:,}") == 1
    assert found.score_text(f"so it is {number:,}.") == 1


@pytest.mark.parametrize(
    ("row", "what"),
    [
        ({"answer": "1"}, "has no question"),
        ({"question": "Which?"}, "has no answer"),
        ({"question": "Which?", "choices": RIVERS, "answer": "D"}, "none of its choices"),
        ({"question": "Which?", "choices": RIVERS, "answer": 3}, "none of its choices"),
        ({"question": "Which?", "choices": ["1", "0"], "answer": "0"}, "may be two"),
        ({"question": "Which?", "choices": ["x", ""], "answer": "A"}, "empty choice"),
        ({"question": "Which?", "choices": ["x"], "answer": "A"}, "not a list of 2 to 26"),
        ({"question": "Which?", "choices": "x; y", "answer": "A"}, "not JSON"),
        (
            {"question": "Which?", "choices": {"text": ["x", "y"], "label": ["A"]}, "answer": "A"},
            "2 choices and 1 labels",
        ),
    ],
)
def test_a_row_that_is_no_question_says_why(row: dict[str, Any], what: str):
    with pytest.raises(BadPrompt, match=what):
        parse_item(row, "1")


def test_every_bad_row_is_told_by_line(tmp_path: Path):
    path = written(tmp_path, {"question": "2 + 2?", "answer": 4}, {"question": "?"}, {"answer": 1})
    with pytest.raises(InputError) as error:
        read_task(path)
    assert [problem.where for problem in error.value.problems] == [f"{path}:2", f"{path}:3"]


def test_ids_and_kinds_must_agree(tmp_path: Path):
    rows = [{"id": 0, "question": "Which?", "choices": RIVERS, "answer": 0}] * 2
    with pytest.raises(InputError, match=r"rivers.jsonl:2: the id '0' is also that of .*:1"):
        read_task(written(tmp_path, *rows))
    with pytest.raises(InputError, match="1 questions with choices and 1 without"):
        read_task(written(tmp_path, rows[0], {"question": "2 + 2?", "answer": 4}))
    with pytest.raises(InputError, match="holds no question"):
        read_task(written(tmp_path))


def test_a_sample_is_the_same_each_time_and_grows_with_its_limit(tmp_path: Path):
    rows = [{"question": f"{n} + 1?", "answer": n + 1} for n in range(50)]
    path = written(tmp_path, *rows, name="test.jsonl")
    few, more = read_task(path, 10), read_task(path, 20)
    assert few == read_task(path, 10) and len(few.items) == 10
    assert few.name == tmp_path.name
    assert set(few.items) < set(more.items)
    assert set(few.items) != set(read_task(path, 10, seed=1).items)
    order = [int(item.id) for item in more.items]
    assert order == sorted(order)
    assert read_task(path, 99) == read_task(path)


@pytest.mark.parametrize(
    ("file", "task"),
    [
        ("gsm8k/test.jsonl", ("gsm8k", "exact_match", 1319)),
        ("mmlu_truthfulqa/mmlu.csv", ("mmlu", "multiple_choice", 1000)),
        ("mmlu_truthfulqa/truthful_qa.csv", ("truthful_qa", "multiple_choice", 817)),
    ],
)
def test_real_tasks_are_read_whole(file: str, task: tuple[str, str, int]):
    if not (DATA / file).exists():
        pytest.skip(f"{DATA / file} is absent")
    found = read_task(DATA / file)
    assert (found.name, found.kind, len(found.items)) == task
    assert all(item.answer in item.letters for item in found.items if item.choices)
    if found.kind == "exact_match":
        assert all(item.score_text(f"...\n#### {item.answer}") == 1 for item in found.items)


def answered(share: float, count: int, seed: int) -> dict[str, float]:
    random = Random(seed)
    return {str(n): float(random.random() < share) for n in range(count)}


def test_no_change_is_no_tax_and_a_loss_is_positive():
    base = {"letters": answered(0.6, 200, 0), "numbers": answered(0.3, 50, 1)}
    same = alignment_tax(base, base)
    assert same is not None and same.value == 0 and same.low < 0 < same.high
    nothing = {task: dict.fromkeys(scores, 0.0) for task, scores in base.items()}
    lost = alignment_tax(nothing, base)
    assert lost is not None and lost.low > 0 and lost.count == 250


def test_tasks_weigh_the_same_whatever_their_size():
    base = {"large": dict.fromkeys(map(str, range(300)), 1.0), "small": {"1": 1.0, "2": 1.0}}
    found = alignment_tax({"large": base["large"], "small": {"1": 0.0, "2": 0.0, "3": 1.0}}, base)
    assert found is not None and found.value == 0.5 and found.count == 302


def test_one_task_has_the_paired_difference_and_none_has_none():
    base, model = answered(0.6, 80, 0), answered(0.5, 80, 1)
    one = alignment_tax({"letters": model}, {"letters": base})
    two = alignment_tax({"a": model, "b": model}, {"a": base, "b": base})
    assert one is not None and two is not None and two.value == pytest.approx(one.value)
    assert two.high - two.low < one.high - one.low
    assert alignment_tax({}, {"letters": base}) is None
    assert alignment_tax({"letters": model}, {}) is None


def test_swapping_the_sides_turns_the_tax_round():
    base = {"letters": answered(0.6, 60, 0), "numbers": answered(0.3, 40, 1)}
    model = {"letters": answered(0.5, 60, 2), "numbers": answered(0.4, 40, 3)}
    tax, gain = alignment_tax(model, base), alignment_tax(base, model)
    assert tax is not None and gain is not None
    assert tax.value == pytest.approx(-gain.value)
    assert (tax.low, tax.high) == pytest.approx((-gain.high, -gain.low))


def test_the_interval_holds_the_truth_as_often_as_it_says():
    random, held, times = Random(0), 0, 600
    truth = ((0.7 - 0.6) + (0.3 - 0.25)) / 2
    for _ in range(times):
        base, model = (
            {
                task: {str(n): float(random.random() < share) for n in range(count)}
                for task, share, count in sizes
            }
            for sizes in ((("a", 0.7, 120), ("b", 0.3, 40)), (("a", 0.6, 120), ("b", 0.25, 40)))
        )
        tax = alignment_tax(model, base)
        assert tax is not None
        held += tax.low <= truth <= tax.high
    assert 0.93 <= held / times <= 0.975
