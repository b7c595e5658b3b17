"""`solon revise` as a person uses it: what it says, what it writes, how it refuses."""

import json
import signal
import subprocess
import sys
import time

import pytest

RULES = """\
name: house
version: "1.0.0"
principles:
  - id: kind
    statement: The assistant is kind to the person it talks to.
  - id: honest
    statement: The assistant says what is true.
"""


@pytest.fixture
def place(tmp_path):
    (tmp_path / "rules.yaml").write_text(RULES, encoding="utf-8")
    write_prompts(tmp_path / "prompts.jsonl", 20)
    return tmp_path


def write_prompts(path, count):
    rows = [{"id": f"p{row}", "prompt": f"Question {row}?"} for row in range(count)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def arguments(place, *more, **changed):
    options = {
        "--constitution": place / "rules.yaml",
        "--prompts": place / "prompts.jsonl",
        "--model": "scripted",
        "--select": "random",
        "--accept": "always",
        "--out": place / "run",
    } | {f"--{name}": value for name, value in changed.items()}
    given = [str(part) for pair in options.items() for part in pair]
    return [sys.executable, "-m", "scripts.solon", "revise", *given, *more]


def solon(place, *more, **changed):
    return subprocess.run(
        arguments(place, *more, **changed), capture_output=True, text=True, timeout=300, check=False
    )


def refused(result, *words):
    assert result.returncode == 2, result.stderr
    assert "Traceback" not in result.stderr
    for word in words:
        assert word in result.stderr, result.stderr
    return result.stderr.strip().splitlines()


def test_a_run_ends_in_a_table_and_running_it_again_does_nothing(place):
    first = solon(place)
    assert first.returncode == 0, first.stderr
    assert "20 prompts: 20 revised" in " ".join(first.stdout.split())
    before = (place / "run" / "records.jsonl").read_bytes()
    again = solon(place)
    assert again.returncode == 0
    assert "nothing to do" in again.stderr
    assert (place / "run" / "records.jsonl").read_bytes() == before


def test_a_plan_spends_nothing(place):
    result = solon(place, "--plan", "--rounds", "2")
    assert result.returncode == 0, result.stderr
    assert "calls" in result.stdout
    assert "140" in result.stdout
    assert not (place / "run").exists()


def test_failures_are_counted_and_exit_with_1(place):
    script = place / "script.yaml"
    script.write_text(
        "rules:\n  - {match: 'Question 7', fail: context_overflow}\n", encoding="utf-8"
    )
    result = solon(place, model=f"scripted:{script}")
    assert result.returncode == 1
    assert "failed 1: context overflow (policy)" in result.stdout
    assert len((place / "run" / "records.jsonl").read_text(encoding="utf-8").splitlines()) == 19


def test_problems_of_all_inputs_are_told_at_once(place):
    (place / "rules.yaml").write_text("name: house\n", encoding="utf-8")
    (place / "prompts.jsonl").write_text('{"id": "a"}\n{"prompt": ""}\n', encoding="utf-8")
    lines = refused(solon(place, model="vlm:x"), "rules.yaml", "prompts.jsonl:1", "vllm")
    assert len(lines) >= 4
    assert not (place / "run").exists()


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ("gpt", ("not a kind of generator",)),
        ("vllm", ("names no model", "vllm:NAME")),
        ("vllm:/no/such/model", ("/no/such/model",)),
        ("server:model", ("server:MODEL@http",)),
        ("server:model@ftp://host", ("ftp://host",)),
        ("transformers:/no/such/model", ("/no/such/model",)),
        ("scripted:/no/such/file", ("/no/such/file",)),
        ("server:m@http://h/v1?timeout=abc", ("timeout=abc",)),
        ("transformers:x?dtyp=float32", ("dtyp", "did you mean `dtype`")),
    ],
)
def test_a_wrong_model_is_one_clear_line(place, model, words):
    lines = refused(solon(place, model=model), *words)
    assert len(lines) == 1


def test_a_directory_that_is_not_a_model_is_refused_and_nothing_is_written(place):
    (place / "notes").mkdir()
    (place / "notes" / "todo.txt").write_text("milk", encoding="utf-8")
    for kind in ("vllm", "transformers"):
        refused(solon(place, model=f"{kind}:{place / 'notes'}"), "notes")
    assert not (place / "run").exists()


def test_another_stakeholder_names_those_there_are(place):
    refused(solon(place, stakeholder="legal"), "no stakeholder `legal`", "none")


def test_stakeholders_can_be_mixed(place):
    rules = place / "rules.yaml"
    mixed = "stakeholders:\n  one: {weights: {kind: 0}}\n  two: {weights: {honest: 0}}\n"
    rules.write_text(RULES + mixed, encoding="utf-8")
    assert solon(place, stakeholder="one=1,two=1").returncode == 0
    lines = (place / "run" / "records.jsonl").read_text(encoding="utf-8").splitlines()
    assert {json.loads(line)["rounds"][0]["principle"] for line in lines} == {"kind", "honest"}
    refused(solon(place, stakeholder="one=much"), "not a share")
    refused(solon(place, stakeholder="one=1,three=1"), "no stakeholder `three`")


def test_update_and_overwrite_exclude_each_other(place):
    refused(solon(place, "--update", "--overwrite"), "exclude each other")


def test_an_edited_constitution_says_what_update_will_cost(place):
    assert solon(place).returncode == 0
    edited = RULES.replace("is kind to", "is gentle with")
    (place / "rules.yaml").write_text(edited, encoding="utf-8")
    refused(solon(place), "constitution was", "--update", "--overwrite")
    result = solon(place, "--update")
    assert result.returncode == 0, result.stderr
    assert "conversations are generated again" in " ".join(result.stderr.split())
    assert (place / "run" / "previous" / "1" / "records.jsonl").exists()


def test_other_prompts_need_update_or_overwrite(place):
    assert solon(place).returncode == 0
    write_prompts(place / "prompts.jsonl", 21)
    refused(solon(place), "prompts was", "--update", "--overwrite")
    assert solon(place, "--overwrite").returncode == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_early_and_the_same_command_resumes(place, number):
    write_prompts(place / "prompts.jsonl", 2000)
    script = place / "script.yaml"
    script.write_text("delay: 0.02\n", encoding="utf-8")
    process = subprocess.Popen(
        arguments(place, model=f"scripted:{script}"), stderr=subprocess.PIPE, text=True
    )
    records = place / "run" / "records.jsonl"
    while not records.exists() or records.stat().st_size == 0:
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(number)
    _, told = process.communicate(timeout=300)
    assert process.returncode == 130
    assert "the same command resumes" in told
    manifest = json.loads((place / "run" / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["status"] == "interrupted"
    finished = records.read_text(encoding="utf-8").splitlines()
    assert manifest["totals"]["records"] == len(finished) < 2000
    script.write_text("delay: 0.0\n", encoding="utf-8")
    refused(solon(place, model=f"scripted:{script}"), "fingerprint")
    script.write_text("delay: 0.02\n", encoding="utf-8")
    assert solon(place, model=f"scripted:{script}").returncode == 0
    lines = records.read_text(encoding="utf-8").splitlines()
    assert len({json.loads(line)["id"] for line in lines}) == len(lines) == 2000


def test_a_log_gets_lines_not_a_bar(place):
    write_prompts(place / "prompts.jsonl", 800)
    script = place / "script.yaml"
    script.write_text("delay: 0.15\n", encoding="utf-8")
    result = solon(place, model=f"scripted:{script}")
    assert "/800 conversations" in result.stderr
    assert "tok/s" in result.stderr
    assert "\x1b" not in result.stderr


@pytest.mark.slow
def test_a_full_disk_is_one_line_and_the_run_resumes_when_there_is_room(place):
    write_prompts(place / "prompts.jsonl", 500)
    limited = f"ulimit -f 40; exec {' '.join(arguments(place))}"
    full = subprocess.run(
        ["bash", "-c", limited], capture_output=True, text=True, timeout=300, check=False
    )
    refused(full, "no space left")
    assert solon(place).returncode == 0
    lines = (place / "run" / "records.jsonl").read_text(encoding="utf-8").splitlines()
    assert len({json.loads(line)["id"] for line in lines}) == len(lines) == 500


def test_a_plan_says_whether_the_engines_fit(place):
    model = "vllm:org/model-7B?max_model_len=4096"
    small = solon(place, "--plan", "--gpu", "T4", model=model)
    assert small.returncode == 2 and small.stderr.startswith(
        "revise: org/model-7B takes at least 1"
    )
    large = solon(place, "--plan", "--gpu", "L40S", "--price", "1", model=model)
    assert large.returncode == 0, large.stderr
    assert "revise: 40.8 GiB (engine of org/model-7B); at most about" in large.stdout
    assert "by its name alone: its config.json is not on this machine" in large.stdout
    assert "GPU-hours: about 0.0 at most, " in large.stdout
    refused(solon(place, "--gpu", "L4"), "--gpu: is read with --plan alone")
