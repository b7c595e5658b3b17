"""Is a judge told from chance when it is better, and not when it is not?"""

import asyncio
import json
import random
import re
from collections import Counter

import pytest

from constitution.problems import InputError
from engine.generators.base import Choice, FailureReason, GenerationError
from engine.messages import Message
from engine.settings import RoleModel
from tests.engine.builders import Replies
from tests.engine.judging.test_preference import breaks, likes
from training.data.readers import Comparison, read_comparisons
from training.evaluation.judges.comparisons import HowAsked, compare_judge

PROMPT = (Message("user", "Hello?"),)
COMPARISONS = [Comparison(f"c{i}", PROMPT, f"good {i}", f"bad {i}") for i in range(200)]


def compare(verdict, method="pairwise", comparisons=COMPARISONS, **options):
    model = Replies(lambda request: "Because.", verdict)
    work = compare_judge(comparisons, RoleModel(model), HowAsked(method=method, **options))
    return asyncio.run(work)


@pytest.mark.parametrize(
    ("method", "verdict"), [("pairwise", likes("good")), ("pointwise", breaks("bad"))]
)
def test_a_good_judge_is_better_than_chance(method, verdict):
    figures = compare(verdict, method)
    assert (figures.accuracy, figures.auc) == (1.0, 1.0)
    assert figures.against_chance == "better"
    assert figures.interval[0] > 0.9


@pytest.mark.parametrize(
    ("method", "verdict"), [("pairwise", likes("bad")), ("pointwise", breaks("good"))]
)
def test_a_judge_with_the_wrong_taste_is_worse_than_chance(method, verdict):
    figures = compare(verdict, method)
    assert (figures.accuracy, figures.against_chance) == (0.0, "worse")


def test_a_judge_that_takes_the_first_place_is_at_chance_and_its_bias_is_told():
    figures = compare(lambda messages: Choice((0.95, 0.05), 1.0))
    assert figures.accuracy == 0.5
    assert figures.neither == 200
    assert figures.against_chance == "unclear"
    assert figures.position_bias == pytest.approx(0.9)


def test_a_mostly_biased_judge_with_noise_is_still_at_chance():
    draw = random.Random(1)

    def verdict(messages):
        first = 0.9 + 0.1 * draw.random()
        return Choice((first, 1 - first), 1.0)

    figures = compare(verdict)
    assert figures.against_chance == "unclear"
    assert abs(figures.auc - 0.5) < 0.12


def test_which_reply_is_put_first_does_not_tell_which_is_better():
    firsts = []

    def verdict(messages):
        firsts.append(re.search(r"<reply_a>\n(\w+)", messages[0].content)[1])
        return Choice((0.5, 0.5), 1.0)

    compare(verdict)
    assert 70 < firsts[::2].count("good") < 130


def test_no_answer_is_neither_right_nor_wrong():
    def verdict(messages):
        known = "good 1" in messages[0].content
        return Choice(likes("good")(messages).probabilities, 1.0 if known else 0.0)

    figures = compare(verdict)
    assert figures.accuracy == 1.0
    assert figures.decided + figures.undecided["unanswered"] == 200
    nothing = compare(lambda messages: GenerationError(FailureReason.TIMEOUT, "late"))
    assert (nothing.accuracy, nothing.undecided) == (None, {"timeout": 200})
    assert nothing.against_chance == "unclear"


def test_position_bias_is_not_said_of_single_replies():
    assert compare(breaks("bad"), "pointwise").position_bias is None


# Files ----------------------------------------------------------------------------------------


def written(tmp_path, *rows):
    path = tmp_path / "comparisons.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


TALK = "\n\nHuman: Hi.\n\nAssistant: Hello.\n\nHuman: Help?\n\nAssistant: "


def test_transcripts_and_preference_rows_are_both_read(tmp_path):
    path = written(
        tmp_path,
        {"prompt": "...", "text_correct": TALK + "Yes.", "text_incorrect": TALK + "No."},
        {"chosen": TALK + "Yes.", "rejected": TALK + "No."},
        {"prompt": "Help?", "chosen": "Yes.", "rejected": "No."},
        {
            "prompt": [{"role": "user", "content": "Help?"}],
            "chosen": [{"role": "assistant", "content": "Yes."}],
            "rejected": [{"role": "assistant", "content": "No."}],
        },
    )
    found = read_comparisons(path, Counter())
    assert {(c.better, c.worse) for c in found} == {("Yes.", "No.")}
    assert [c.prompt[-1].content for c in found] == ["Help?"] * 4
    assert [len(c.prompt) for c in found] == [3, 3, 1, 1]
    assert len(read_comparisons(path, Counter(), limit=2)) == 2


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ({"prompt": "x", "chosen": "y"}, "has no 'rejected'"),
        ({"chosen": "y", "rejected": "z"}, "not a transcript"),
        ({"prompt": "", "chosen": "y", "rejected": "z"}, "empty"),
    ],
)
def test_a_row_that_is_no_comparison_is_told_with_its_line(tmp_path, row, told):
    good = {"prompt": "x", "chosen": "y", "rejected": "z"}
    with pytest.raises(InputError, match=told) as refused:
        read_comparisons(written(tmp_path, good, row), Counter())
    assert "comparisons.jsonl:2" in str(refused.value)


def test_rows_that_compare_nothing_are_dropped_and_counted(tmp_path):
    path = written(
        tmp_path,
        {"prompt": "x", "chosen": "y", "rejected": "z"},
        {"prompt": "x", "chosen": "y", "rejected": " "},
        {"chosen": TALK + "y", "rejected": "\n\nHuman: Oh?\n\nAssistant: z"},
        {"chosen": TALK, "rejected": TALK + "z"},
        {"prompt": "x", "chosen": "y", "rejected": "y"},
    )
    dropped = Counter()
    assert [one.id for one in read_comparisons(path, dropped)] == ["0"]
    assert dropped == {
        "empty answer": 2,
        "chosen and rejected differ before their last turn": 1,
        "chosen and rejected are the same": 1,
    }
