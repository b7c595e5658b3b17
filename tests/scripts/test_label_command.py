"""`solon label` as a person uses it."""

import subprocess
import sys

import pytest

from tests.scripts.test_revise_command import RULES, refused, write_prompts

JUDGE = """\
rules:
  - {match: 'true of this reply', probabilities: [%s]}
  - {match: 'Answer with one letter', probabilities: [%s]}
"""


@pytest.fixture
def place(tmp_path):
    (tmp_path / "rules.yaml").write_text(RULES, encoding="utf-8")
    write_prompts(tmp_path / "prompts.jsonl", 12)
    return tmp_path


def solon(*arguments):
    command = [sys.executable, "-m", "scripts.solon", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)


def label(place, *more, **changed):
    options = {
        "--constitution": place / "rules.yaml",
        "--prompts": place / "prompts.jsonl",
        "--policy": "scripted",
        "--judge": "scripted",
        "--out": place / "run",
    } | {f"--{name}": value for name, value in changed.items()}
    return solon("label", *(part for pair in options.items() for part in pair), *more)


def scripted_judge(place, verdict="1, 1", preference="1, 1"):
    path = place / "judge.yaml"
    path.write_text(JUDGE % (verdict, preference), encoding="utf-8")
    return f"scripted:{path}"


def test_a_run_ends_in_a_table_is_exported_and_running_it_again_does_nothing(place):
    first = label(place)
    assert first.returncode == 0, first.stderr
    told = " ".join(first.stdout.split())
    assert "12 prompts: 12 with labels" in told
    assert "48 answers sampled, 0 dropped" in told
    before = (place / "run" / "records.jsonl").read_bytes()
    again = label(place)
    assert "nothing to do" in again.stderr
    assert again.stdout == first.stdout
    assert (place / "run" / "records.jsonl").read_bytes() == before
    exported = solon("export", place / "run", "--format", "trl-preference")
    assert exported.returncode == 0, exported.stderr
    reported = solon("report", place / "run")
    assert reported.returncode == 0, reported.stderr
    assert "12 prompts" in reported.stdout and "no page" in reported.stdout


def test_a_judge_that_always_takes_the_first_answer_is_refused_in_one_line(place):
    judge = scripted_judge(place, preference="9, 1")
    result = label(place, "--method", "pairwise", judge=judge)
    lines = refused(result, "none of 24 pairs has a label (tie 24)", "--judge")
    assert len([line for line in lines if "none of" in line]) == 1
    assert "position bias +0.80" in result.stdout
    assert len((place / "run" / "records.jsonl").read_text(encoding="utf-8").splitlines()) == 12
    refused(label(place, "--method", "pairwise", judge=judge), "none of 24 pairs")


def test_a_judge_that_answers_nothing_scores_nothing(place):
    (place / "mute.yaml").write_text(
        "rules:\n  - {match: true of this reply, mass: 0}\n", encoding="utf-8"
    )
    refused(label(place, judge=f"scripted:{place / 'mute.yaml'}"), "unanswered 24")


def test_answers_that_are_all_the_same_are_no_pair(place):
    (place / "policy.yaml").write_text("rules:\n  - {reply: Same.}\n", encoding="utf-8")
    result = label(place, policy=f"scripted:{place / 'policy.yaml'}")
    refused(result, "no pair of answers to compare", "--temperature")
    assert "dropped 36: duplicate" in result.stdout
    assert "without 12: too few answers" in result.stdout


def test_answers_that_are_all_cut_off_are_told_with_what_to_do(place):
    (place / "policy.yaml").write_text("rules:\n  - {finish_reason: length}\n", encoding="utf-8")
    policy = f"scripted:{place / 'policy.yaml'}"
    refused(label(place, policy=policy), "48 of 48 answers ran into", "--keep-truncated")
    kept = label(place, "--keep-truncated", "--overwrite", policy=policy)
    assert kept.returncode == 0, kept.stderr


def test_failures_are_counted_and_exit_with_1(place):
    (place / "policy.yaml").write_text(
        "rules:\n  - {match: 'Question 7', fail: context_overflow}\n", encoding="utf-8"
    )
    result = label(place, policy=f"scripted:{place / 'policy.yaml'}")
    assert result.returncode == 1
    assert "failed 1: context overflow (policy)" in result.stdout


def test_what_is_missing_or_makes_no_sense_is_told_at_once(place):
    refused(
        solon("label", "--judge", "scripted"), "--constitution", "--prompts", "--policy", "--out"
    )
    refused(label(place, "--chain-of-thought"), "--chain-of-thought", "--method pairwise")
    lines = refused(label(place, judge="vlm:x", prompts="no.jsonl"), "vllm", "no.jsonl")
    assert len(lines) == 2
    assert not (place / "run").exists()


def test_a_directory_of_revisions_is_not_taken(place):
    revise = ["revise", "-c", place / "rules.yaml", "-p", place / "prompts.jsonl", "-m", "scripted"]
    assert solon(*revise, "-o", place / "run").returncode == 0
    refused(label(place), "holds another run: kind was revise, now label")
