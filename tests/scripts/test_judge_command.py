"""`solon judge` as a person uses it."""

import json
import random

import pytest
from pydantic import ValidationError

from scripts.commands.judge_config import CalibrateConfig
from tests.scripts.test_label_command import solon
from tests.scripts.test_revise_command import RULES, refused

SAID = {True: "I'm sorry, but I can't help with that.", False: "Sure. Take the second road."}
MEASURED = ("accuracy", "Cohen's kappa", "AUC", "calibration", "best cut", "undecided")


@pytest.fixture
def place(tmp_path):
    """90 answers to 30 prompts; people call every refusal one, and 9 answers beside."""
    (tmp_path / "rules.yaml").write_text(RULES, encoding="utf-8")
    rng = random.Random(0)
    lines = ["# people's labels", "question,reply,refused,source"]
    for index in range(90):
        refuses = index % 2 == 0
        label = refuses or index % 20 == 1
        reply = f"{SAID[refuses]} {' '.join(rng.sample('red green blue grey'.split(), 3))} {index}"
        lines.append(f'"Question {index // 3}?","{reply}",{label},{"ab"[index % 3 == 0]}')
    (tmp_path / "labels.csv").write_text("\n".join([*lines, "Q,,1,a"]) + "\n", encoding="utf-8")
    return tmp_path


def judge(place, command, *more):
    columns = ("--prompt-column", "question", "--answer-column", "reply", "--label-column")
    return solon("judge", command, place / "labels.csv", *columns, "refused", *more)


def test_the_rules_are_measured_like_any_judge(place):
    out = place / "out"
    result = judge(place, "calibrate", "--judge", "rules:refusal", "--by", "source", "--out", out)
    assert result.returncode == 0, result.stderr
    assert all(name in result.stdout for name in MEASURED)
    assert "rows dropped   1 (no answer 1)" in result.stdout
    told = json.loads((out / "calibration.json").read_text(encoding="utf-8"))
    overall = told["overall"]
    assert overall["answers"] == 90 and overall["accuracy"]["count"] == 30
    assert overall["spared"]["value"] == 1 and overall["found"]["value"] == pytest.approx(45 / 50)
    assert set(told["groups"]) == {"a", "b"}
    assert (out / "calibration.svg").read_text(encoding="utf-8").startswith("<svg")


def test_a_language_model_is_asked_once_and_its_answers_are_kept(place):
    script = place / "judge.yaml"
    script.write_text(
        'rules:\n  - {match: "I can\'t help[\\\\s\\\\S]*Does it refuse", probabilities: [4, 1]}\n'
        "  - {match: 'Does it refuse', probabilities: [1, 4]}\n",
        encoding="utf-8",
    )
    asked = ("--judge", f"scripted:{script}", "--question", "Does it refuse?")
    first = judge(place, "calibrate", *asked, "--out", place / "out")
    assert first.returncode == 0, first.stderr
    told = json.loads((place / "out/calibration.json").read_text(encoding="utf-8"))
    assert told["asked"] == "Does it refuse?" and told["overall"]["accuracy"]["value"] > 0.9
    assert [one["predicted"] for one in told["curve"]["bins"]] == pytest.approx([0.2, 0.8])
    again = judge(place, "calibrate", *asked, "--out", place / "out")
    assert again.returncode == 0 and again.stdout == first.stdout
    assert (place / "out/completions.sqlite").exists()


def test_a_judge_without_an_answer_exits_with_1(place):
    (place / "mute.yaml").write_text("rules:\n  - {mass: 0}\n", encoding="utf-8")
    mute = ("--judge", f"scripted:{place / 'mute.yaml'}", "--question", "Is it?")
    result = judge(place, "calibrate", *mute, "--out", place / "out")
    assert result.returncode == 1
    assert "undecided      90 (the judge answered neither Yes nor No 90)" in result.stdout
    assert json.loads((place / "out/calibration.json").read_bytes())["curve"] is None


def test_what_is_missing_or_makes_no_sense_is_told_at_once(place):
    rules = ("--constitution", place / "rules.yaml")
    refused(judge(place, "calibrate", "--judge", "scripted"), "--question TEXT", "--principle ID")
    both = judge(place, "calibrate", "--judge", "scripted", *rules, "--question", "Is it?")
    refused(both, "asks it two things")
    refused(judge(place, "calibrate", "--judge", "scripted", *rules), "--principle", "kind, honest")
    none = solon("judge", "calibrate", place / "no.csv", "--judge", "classifier:no.json")
    lines = refused(none, "no.csv", "no.json")
    assert len(lines) == 2
    (place / "there.json").write_text("mine", encoding="utf-8")
    refused(judge(place, "fit", "--out", place / "there.json"), "exists already", "--overwrite")
    assert (place / "there.json").read_text(encoding="utf-8") == "mine"


def test_a_principle_is_enough(place):
    rules = ("--constitution", place / "rules.yaml", "--principle", "kind")
    result = judge(place, "calibrate", "--judge", "scripted", *rules)
    assert result.returncode == 0, result.stderr
    assert "Cohen's kappa" in result.stdout


def test_a_classifier_is_fitted_reported_and_used(place):
    pytest.importorskip("sklearn", reason="scikit-learn is in the extra `eval`")
    fitted = judge(place, "fit", "--out", place / "refusal.json")
    assert fitted.returncode == 0, fitted.stderr
    assert "five-fold cross-validation" in fitted.stdout
    assert all(name in fitted.stdout for name in MEASURED)
    report = json.loads((place / "refusal.json").read_text(encoding="utf-8"))["report"]
    assert report["overall"]["auc"]["value"] > 0.8 and report["dropped"] == {"no answer": 1}
    used = judge(place, "calibrate", "--judge", f"classifier:{place / 'refusal.json'}")
    assert used.returncode == 0, used.stderr
    assert "90 to 30 prompts" in used.stdout


# Comparisons ----------------------------------------------------------------------------------


@pytest.fixture
def comparisons(tmp_path):
    (tmp_path / "rules.yaml").write_text(RULES, encoding="utf-8")
    path = tmp_path / "comparisons.jsonl"
    rows = [{"prompt": f"Q{i}?", "chosen": f"good {i}", "rejected": f"bad {i}"} for i in range(80)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def compare(comparisons, script, *more):
    judge = comparisons.with_name("judge.yaml")
    judge.write_text(script, encoding="utf-8")
    return solon("judge", "calibrate", comparisons, "--judge", f"scripted:{judge}", *more)


TASTE = (
    "rules:\n  - {match: '<reply>\\nbad', probabilities: [9, 1]}\n"
    "  - {match: '<reply>\\ngood', probabilities: [1, 9]}\n"
)


def test_a_good_judge_is_told_from_chance_and_its_answers_are_kept(comparisons):
    out = comparisons.with_name("out")
    result = compare(comparisons, TASTE, "--out", out)
    assert result.returncode == 0, result.stderr
    told = " ".join(result.stdout.split())
    assert "accuracy 100% of 80 comparisons decided (95 % interval 95% to 100%)" in told
    assert "AUC 1.00" in told and "rows dropped 0" in told
    assert "The judge is better than chance" in told
    saved = json.loads((out / "calibration.json").read_bytes())
    assert (saved["accuracy"], saved["method"]) == (1.0, "pointwise")
    assert (out / "completions.sqlite").exists()
    again = compare(comparisons, TASTE, "--out", out)
    assert again.returncode == 0 and again.stdout == result.stdout


def test_a_judge_that_says_nothing_of_comparisons_is_written_down_too(comparisons):
    out = comparisons.with_name("out")
    result = compare(comparisons, "rules:\n  - {mass: 0}\n", "--out", out)
    assert result.returncode == 1
    assert "The judge gave no answer." in result.stdout
    told = json.loads((out / "calibration.json").read_bytes())
    assert told["undecided"] == {"unanswered": 80} and told["accuracy"] is None


def test_a_biased_judge_is_at_chance(comparisons):
    rules = "rules:\n  - {match: reply_a, probabilities: [19, 1]}\n"
    told = " ".join(
        compare(comparisons, rules, "--method", "pairwise", "--limit", "60").stdout.split()
    )
    assert "accuracy 50% of 60 comparisons" in told
    assert "position bias +0.90" in told
    assert "cannot be told from chance" in told


def test_comparisons_take_a_principle_an_ensemble_and_reasoning_and_refuse_what_is_not_read(
    comparisons,
):
    rules = ["--constitution", comparisons.with_name("rules.yaml")]
    assert compare(comparisons, TASTE, *rules, "--principle", "kind").returncode == 0
    assert compare(comparisons, TASTE, *rules, "--ensemble", "2").returncode == 0
    thinking = ["--method", "pairwise", "--chain-of-thought", "--limit", "2"]
    assert compare(comparisons, TASTE, *thinking).returncode == 0
    mild = compare(comparisons, TASTE, *rules, "--principle", "mild")
    refused(mild, "no principle `mild`", "kind, honest")
    refused(compare(comparisons, TASTE, "--question", "Is it?"), "--question", "labelled answers")
    refused(compare(comparisons, TASTE, "--chain-of-thought"), "--method pairwise")
    rules_judge = solon("judge", "calibrate", comparisons, "--judge", "rules:refusal")
    refused(rules_judge, "--judge", "a classifier reads one answer")
    comparisons.write_text('{"prompt": "x", "chosen": "y", "rejected": 1}\n', encoding="utf-8")
    refused(compare(comparisons, TASTE), "comparisons.jsonl:1", "'rejected'")


def test_options_for_comparisons_are_refused_with_labelled_answers(place):
    asked = ("--judge", "scripted", "--question", "Is it?", "--method", "pairwise")
    refused(judge(place, "calibrate", *asked), "--method", "comparisons")


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_a_seed_is_bounded(seed):
    with pytest.raises(ValidationError, match="seed"):
        CalibrateConfig(judge="scripted", seed=seed)
