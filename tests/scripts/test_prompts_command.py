"""`solon prompts` and `solon redteam`: from a constitution alone to prompts, attacks and a page's rows."""

import json

import pytest

from constitution.problems import InputError
from scripts.solon import app
from training.evaluation.harness.attack_runs import read_attacks


def solon(*words):
    """The exit code."""
    with pytest.raises(SystemExit) as ended:
        app([*map(str, words)], standalone_mode=True)
    return ended.value.code or 0


def test_a_plan_asks_nothing(tmp_path, capfd):
    out = tmp_path / "p.jsonl"
    words = ("prompts", "-c", "plain-answers", "-m", "scripted", "--per-principle", 4, "-o", out)
    assert solon(*words, "--spare", 0, "--multi-turn", 0, "--hard", 3, "--plan") == 0
    said = capfd.readouterr().out
    calls = [line.split()[-2] for line in said.splitlines() if "scripted" in line]
    assert calls == ["79", "54", "54"]  # 7 lists, 24 messages, 3 tries; 18 tempting, 3 answers
    assert not (tmp_path / "p").exists()


def test_attacks_begin_with_the_prompts_that_were_written(tmp_path, capfd):
    out, run = tmp_path / "p.jsonl", tmp_path / "r"
    assert solon("prompts", "-c", "plain-answers", "-m", "scripted", "--per-principle", 2,
                 "--languages", "en", "-o", out) == 0  # fmt: skip
    rows = [json.loads(line) for line in out.read_text("utf-8").splitlines()]
    assert f"{out}: {len(rows):,} prompts" in capfd.readouterr().out
    assert solon("redteam", "-c", "plain-answers", "--prompts", out, "--target", "scripted",
                 "--attacker", "scripted", "--turns", 2, "-o", run) == 0  # fmt: skip
    manifest = json.loads((run / "manifest.json").read_bytes())
    assert manifest["totals"]["records"] == len(rows)
    shown = read_attacks(run)
    assert {row["probe"] for row in shown} >= {"plain", "up to the seeds"}
    hits = sum(row["hits"] for row in shown if row["detector"] == "successful requests")
    attacks = manifest["attacks"]
    assert hits == round(attacks["per_request"]["value"] * attacks["requests"])
    assert solon("report", run) == 0


def test_policy_and_judge_are_for_hard_prompts(tmp_path):
    with pytest.raises(InputError, match="add `hard`"):
        app(["prompts", "-c", "plain-answers", "-m", "scripted", "--judge", "scripted",
             "-o", str(tmp_path / "p.jsonl")])  # fmt: skip


def test_a_split_goes_over_nothing_of_its_own_accord(tmp_path):
    file = tmp_path / "train.jsonl"
    rows = "".join(f'{{"prompt": "Question {n}?"}}\n' for n in range(100))
    file.write_text(rows, encoding="utf-8")
    words = ("split", "--prompts", file, "--held-out", "0.2", "--out")
    with pytest.raises(InputError, match="is what is read"):
        app([*map(str, words), str(tmp_path), "--overwrite"])
    assert file.read_text("utf-8") == rows and not (tmp_path / "held_out.jsonl").exists()
    out = tmp_path / "parts"
    assert [solon(*words, out), solon(*words, out)] == [0, 0]
    words = (*words[:4], "0.5", "--out")
    with pytest.raises(InputError, match="add --overwrite"):
        app([*map(str, words), str(out)])
    assert solon(*words, out, "--overwrite") == 0


def test_prompts_are_not_written_over_a_file_of_another_origin(tmp_path):
    out = tmp_path / "p.jsonl"
    out.write_text("mine\n", encoding="utf-8")
    words = ("prompts", "-c", "plain-answers", "-m", "scripted", "--languages", "en", "-o", out,
             "--per-principle")  # fmt: skip
    with pytest.raises(InputError, match=r"p\.jsonl: exists already"):
        app([*map(str, words), "1"])
    assert out.read_text("utf-8") == "mine\n" and not (tmp_path / "p").exists()
    assert solon(*words, 1, "--overwrite") == 0
    written = out.read_text("utf-8")
    assert written != "mine\n"
    assert solon(*words, 1) == 0
    assert solon(*words, 2, "--overwrite") == 0
    assert out.read_text("utf-8") != written


def test_prompts_are_not_written_over_their_constitution(tmp_path):
    rules = tmp_path / "rules.yaml"
    rules.write_text("mine\n", encoding="utf-8")
    with pytest.raises(InputError, match="is what is read"):
        app(["prompts", "-c", str(rules), "-m", "scripted", "--overwrite", "-o", str(rules)])
    assert rules.read_text("utf-8") == "mine\n"


@pytest.mark.parametrize("out", [".", "", "/", ".."])
def test_prompts_need_the_name_of_a_file(out):
    with pytest.raises(InputError, match=r"--out: .*name a file, such as prompts\.jsonl") as raised:
        app(["prompts", "-c", "plain-answers", "-m", "scripted", "-o", out])
    assert len(raised.value.problems) == 1
