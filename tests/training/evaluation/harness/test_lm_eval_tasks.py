"""Tasks of lm-evaluation-harness: checked first, run in a process, kept, and counted as any other.

Most tests run a stand-in for the package, which writes down what it was asked.
"""

import asyncio
import importlib.metadata
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from constitution.permissions import GENERATED_CODE, allow
from constitution.problems import InputError
from constitution.typed_yaml import load_config
from engine.generators.base import Choice, Score
from tests.engine.builders import Replies, constitution, prompts
from tests.engine.tiny_model import build_tiny_model
from training.evaluation.config import EvaluateConfig
from training.evaluation.harness.lm_eval_tasks import (
    Harness,
    HarnessFailed,
    check_harness,
    harness_metrics,
    run_harness,
)
from training.evaluation.inputs import EvaluationInputs
from training.evaluation.judges.judging import Judges
from training.evaluation.questions.questionnaire import Questionnaire
from training.evaluation.run import EvaluationRun

ROOT = Path(__file__).parents[4]
RULES = "name: rules\nprinciples: [{id: kind, statement: The assistant is kind.}]\n"
PACKAGE = {
    "torch.py": """
        import os
        class cuda:
            is_available = staticmethod(lambda: "FAKE_GPU" in os.environ)
    """,
    "vllm.py": "",
    "lm_eval-9.9.dist-info/METADATA": "Metadata-Version: 2.1\nName: lm_eval\nVersion: 9.9\n",
    "lm_eval/tasks.py": """
        class TaskManager:
            def __init__(self, include_path=None, include_defaults=True, metadata=None):
                self.all_subtasks = ["mine"] if include_path else []
                if include_defaults:
                    self.all_subtasks += ["arc_easy", "arc_challenge", "gsm8k"]
                self.all_tasks = self.all_subtasks + ["mmlu"]
    """,
    "lm_eval/api/__init__.py": "",
    "lm_eval/api/registry.py": """
        import os
        from lm_eval import note
        class Model:
            @classmethod
            def create_from_arg_obj(cls, arguments, more):
                starts = os.environ.get("VLLM_WORKER_MULTIPROC_METHOD")
                found = {"backend": cls.backend, "arguments": arguments, "starts": starts}
                note("model", found | more)
                model = cls()
                model.name = arguments["pretrained"]
                return model
        def get_model(backend):
            return type("Named", (Model,), {"backend": backend})
    """,
    "lm_eval/__init__.py": """
        import json, os, time
        print("printed by the package")
        def note(kind, what):
            with open(os.environ["FAKE_NOTES"], "a") as file:
                file.write(json.dumps([kind, what]) + "\\n")
        def item(number, **row):
            return {"doc_id": number, "filter": "none"} | row
        def simple_evaluate(model, tasks, task_manager, limit, log_samples, **seeds):
            (task,) = tasks
            note("task", {"task": task, "limit": limit, "pid": os.getpid()} | seeds)
            if task == "arc_challenge" and "FAKE_FAILURE" in os.environ:
                raise ConnectionError("the hub cannot be reached")
            if task == "arc_challenge" and "FAKE_PAUSE" in os.environ:
                time.sleep(3600)
            good = 0 if "worse" in model.name else 1
            acc = [item(n, acc=float(n < limit // 2 or good), acc_norm=0.0) for n in range(limit)]
            return {"samples": {
                "arc_easy": {"arc_easy": acc},
                "arc_challenge": {"arc_challenge": acc},
                "mine": {"mine": acc},
                "gsm8k": {"gsm8k": [item(0, exact_match=1.0, filter="strict"),
                                    item(0, exact_match=0.0, filter="loose")]},
                "mmlu": {"mmlu_law": [item(0, acc=True)], "mmlu_art": [item(0, acc=False)]},
                "essay": {"essay": [item(0, bleu=0.4)]},
                "nothing": {"nothing": [item(0)]},
            }[task], "results": {
                "essay": {"essay": {"alias": "essay", "bleu,none": 0.4, "bleu_stderr,none": "N/A"}},
                "mmlu": {"mmlu_law": {"acc,none": 1.0}, "mmlu_art": {"acc,none": 0.0}},
                "gsm8k": {"gsm8k": {"exact_match,strict": 1.0, "exact_match,loose": 0.5}},
            }.get(task, {})}
    """,
}


@pytest.fixture
def notes(tmp_path, monkeypatch):
    """Puts the stand-in where this process and its children find it; reads what it noted."""
    folder = tmp_path / "package"
    for name, text in PACKAGE.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(_dedented(text), encoding="utf-8")
    written = tmp_path / "notes.jsonl"
    monkeypatch.setenv("PYTHONPATH", f"{folder}{os.pathsep}{ROOT}")
    monkeypatch.setenv("FAKE_NOTES", str(written))
    monkeypatch.syspath_prepend(folder)
    return lambda kind: [
        what
        for line in (written.read_text(encoding="utf-8").splitlines() if written.exists() else ())
        for found, what in [json.loads(line)]
        if found == kind
    ]


def _dedented(text):
    lines = text.split("\n")
    return "\n".join(line.removeprefix(" " * 8) for line in lines)


class Model(Replies):
    def __init__(self, spec):
        super().__init__(lambda _: "An answer.", lambda _: Choice((0.5, 0.5), 1.0))
        self.spec = self.fingerprint = spec

    async def score(self, messages, *, priority=0):
        return Score((-1.0,), 1)


def run(tasks, specs, out, *, directory=None, limit=4):
    harness = Harness(tuple(tasks), directory, limit)
    models = {name: Model(spec) for name, spec in specs.items()}
    check_harness(harness, models, out)
    return asyncio.run(run_harness(harness, models, out, lambda what, done, total: None))


def refused(*tasks, spec="vllm:org/model", out, **options):
    with pytest.raises(InputError) as raised:
        run(tasks, {"base": spec}, out, **options)
    assert len(raised.value.problems) == 1
    return str(raised.value)


def test_without_the_package_the_remedy_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert "pip install 'solon[lm-eval]'" in refused("arc_easy", out=tmp_path)


def test_what_cannot_be_run_is_told_before_a_model_is_loaded(tmp_path, notes):
    told = refused("arc_esy", "gsm8k", out=tmp_path)
    assert "arc_esy" in told and "arc_easy" in told and "\n" not in told
    for spec in ("scripted", "server:m@http://localhost:1/v1"):
        assert "needs weights" in refused("gsm8k", spec=spec, out=tmp_path)
    assert "no directory" in refused("gsm8k", out=tmp_path, directory=tmp_path / "none")
    with pytest.raises(InputError, match="own"):
        check_harness(Harness(("gsm8k",)), {"base": Model("embedded")}, tmp_path, ["gsm8k"])
    assert notes("model") == []
    assert not (tmp_path / "lm-eval").exists()


def test_scores_are_by_item_and_the_same_command_runs_nothing_again(tmp_path, notes):
    specs = {"base": "vllm:org/model", "dpo": "transformers:org/worse"}
    tasks = ("arc_easy", "gsm8k", "mmlu")
    found = run(tasks, specs, tmp_path)
    assert found["base"]["arc_easy"] == {f"arc_easy:{n}": 1.0 for n in range(4)}
    assert list(found["dpo"]["arc_easy"].values()) == [1.0, 1.0, 0.0, 0.0]
    assert found["base"]["gsm8k"] == {"gsm8k:0": 1.0}, "the first way to read it counts"
    assert found["base"]["mmlu"] == {"mmlu_law:0": 1.0, "mmlu_art:0": 0.0}
    asked = notes("task")
    assert [row["task"] for row in asked] == [*tasks, *tasks]
    assert {row["limit"] for row in asked} == {4}
    assert {row["fewshot_random_seed"] for row in asked} == {1234}
    assert os.getpid() not in {row["pid"] for row in asked}
    assert "printed" in (tmp_path / "lm-eval" / "base.log").read_text(encoding="utf-8")

    assert run(tasks, specs, tmp_path) == found
    assert len(notes("task")) == 6
    run(tasks, specs | {"ppo": "vllm:org/other"}, tmp_path)
    assert len(notes("task")) == 9, "one more model costs only its own part"
    run(["gsm8k"], {"base": "vllm:org/model"}, tmp_path, limit=2)
    assert notes("task")[-1]["limit"] == 2, "another limit is another figure"


def test_tasks_count_as_capabilities_and_for_the_alignment_tax(tmp_path, notes):
    questionnaire = Questionnaire(
        tuple(prompts(4)), constitution("kind"), harness=Harness(("arc_easy",), None, 20)
    )
    models = {"base": Model("vllm:org/model"), "dpo": Model("vllm:org/worse")}
    inputs = EvaluationInputs(questionnaire, models, Judges(Model("judge")))
    results = asyncio.run(EvaluationRun(inputs, tmp_path / "out").execute())
    base, dpo = results.models
    assert base.capabilities["arc_easy"].value == 1.0
    assert dpo.capabilities["arc_easy"].value == 0.5
    assert dpo.tax.value == 0.5 and dpo.tax.count == 20


def test_a_failure_is_one_line_and_keeps_what_was_finished(tmp_path, notes, monkeypatch):
    monkeypatch.setenv("FAKE_FAILURE", "1")
    tasks, specs = ("arc_easy", "arc_challenge"), {"base": "vllm:org/model"}
    with pytest.raises(HarnessFailed, match="the hub cannot be reached") as raised:
        run(tasks, specs, tmp_path)
    assert "\n" not in str(raised.value) and "base.log" in str(raised.value)
    monkeypatch.delenv("FAKE_FAILURE")
    assert set(run(tasks, specs, tmp_path)["base"]) == set(tasks)
    assert [row["task"] for row in notes("task")] == ["arc_easy", "arc_challenge", "arc_challenge"]


def test_every_metric_of_a_task_is_kept(tmp_path, notes):
    models = {"base": Model("vllm:org/model")}
    harness = Harness(("essay", "mmlu", "gsm8k"), None, 4)
    found = asyncio.run(run_harness(harness, models, tmp_path, lambda what, done, total: None))
    assert found["base"]["essay"] == {}, "says of no item whether it was answered correctly"
    metrics = harness_metrics(harness, models, tmp_path)["base"]
    assert metrics["essay"]["bleu"]["value"] == 0.4
    assert metrics["essay"]["bleu"]["low"] < 0.4 < metrics["essay"]["bleu"]["high"]
    assert set(metrics["mmlu"]) == {"mmlu_law: acc", "mmlu_art: acc"}
    assert metrics["gsm8k"]["exact_match (strict)"]["value"] == 1.0
    assert "low" not in metrics["gsm8k"]["exact_match (loose)"], "not the mean of its items"


def test_tasks_that_run_what_a_model_writes_have_a_flag_of_their_own(tmp_path, notes, monkeypatch):
    monkeypatch.setenv("SOLON_ALLOWED", "")
    assert "add --allow-generated-code" in refused("humaneval", out=tmp_path)
    allow(GENERATED_CODE)
    assert "lm-eval has no such task" in refused("humaneval", out=tmp_path)
    run(["gsm8k"], {"base": "vllm:org/model"}, tmp_path)
    assert notes("task")[-1]["confirm_run_unsafe_code"] is True
    text = (
        "constitution: harmlessness\nprompts: p\nout: o\njudge: scripted\nmodels: {a: scripted}\n"
    )
    (tmp_path / "c.yaml").write_text(text + "evaluate: {suites: [tax]}\n", encoding="utf-8")
    monkeypatch.setenv("SOLON_ALLOWED", "")
    with pytest.raises(InputError, match=r"c.yaml:6:.*if you trust this file, add --allow-gener"):
        load_config(EvaluateConfig, tmp_path / "c.yaml")


def test_a_task_without_figures_is_refused(tmp_path, notes):
    harness, models = Harness(("nothing",), None, 4), {"base": Model("vllm:org/model")}
    with pytest.raises(InputError, match="has no figures"):
        asyncio.run(run_harness(harness, models, tmp_path, lambda what, done, total: None))


def test_an_interrupted_evaluation_leaves_no_process(tmp_path, notes, monkeypatch):
    monkeypatch.setenv("FAKE_PAUSE", "1")
    harness, models = Harness(("arc_challenge",), None, 4), {"base": Model("vllm:org/model")}

    async def interrupted():
        work = run_harness(harness, models, tmp_path, lambda what, done, total: None)
        task = asyncio.ensure_future(work)
        while not notes("task"):
            await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(interrupted())
    with pytest.raises(ProcessLookupError):
        os.kill(notes("task")[0]["pid"], 0)


def test_a_gpu_takes_vllm_and_a_cpu_transformers(tmp_path, notes, monkeypatch):
    monkeypatch.delenv("VLLM_WORKER_MULTIPROC_METHOD", raising=False)
    spec = "vllm:org/model?max_model_len=512&lora=adapter"
    run(["gsm8k"], {"base": spec}, tmp_path / "cpu")
    monkeypatch.setenv("FAKE_GPU", "1")
    run(["gsm8k"], {"base": spec}, tmp_path / "gpu")
    cpu, gpu = notes("model")
    assert cpu["backend"] == "hf" and gpu["backend"] == "vllm"
    assert (cpu["starts"], gpu["starts"]) == (None, "spawn"), "as vLLM's worker processes do"
    assert cpu["arguments"] == {
        "pretrained": "org/model", "dtype": "float32", "peft": "adapter", "device": "cpu",
    }  # fmt: skip
    assert gpu["arguments"] == {
        "pretrained": "org/model", "max_model_len": 512, "lora_local_path": "adapter",
    }  # fmt: skip


def test_a_task_of_ones_own_runs_again_once_it_was_edited(tmp_path, notes):
    own = tmp_path / "own"
    own.mkdir()
    for text in ("task: mine\n", "task: mine\n", "task: mine  # edited\n"):
        (own / "mine.yaml").write_text(text, encoding="utf-8")
        run(["mine"], {"base": "vllm:org/model"}, tmp_path, directory=own)
    assert len(notes("task")) == 2


def test_the_command_refuses_a_model_without_weights(tmp_path, notes):
    (tmp_path / "rules.yaml").write_text(RULES, encoding="utf-8")
    (tmp_path / "held_out.jsonl").write_text('{"prompt": "Why?"}\n', encoding="utf-8")
    command = [
        sys.executable, "-m", "scripts.solon", "evaluate", "--constitution", "rules.yaml",
        "--prompts", "held_out.jsonl", "--judge", "scripted", "--model", "base=scripted",
        "--out", "out", "--lm-eval", "gsm8k",
    ]  # fmt: skip
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert result.returncode == 2, result.stderr
    assert "scripted: lm-eval needs weights" in result.stderr
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "out").exists()


OWN_TASK = """
task: capitals
dataset_path: json
dataset_kwargs: {{data_files: {{test: {rows}}}}}
test_split: test
output_type: multiple_choice
doc_to_text: "{{{{question}}}}"
doc_to_choice: "{{{{choices}}}}"
doc_to_target: answer
metric_list: [{{metric: acc}}]
"""


@pytest.mark.slow
def test_the_real_package_scores_a_task_of_ones_own(tmp_path, monkeypatch):
    pytest.importorskip("lm_eval")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [str(ROOT), *sys.path])))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "cache"))
    model, own = build_tiny_model(tmp_path / "model"), tmp_path / "own"
    own.mkdir()
    (own / "rows.jsonl").write_text(
        "".join(
            json.dumps({"question": f"Question {n}:", "choices": ["Yes", "No"], "answer": n % 2})
            + "\n"
            for n in range(6)
        ),
        encoding="utf-8",
    )
    text = OWN_TASK.format(rows=own / "rows.jsonl")
    (own / "capitals.yaml").write_text(text, encoding="utf-8")
    told = run(["capitals"], {"base": f"vllm:{model}"}, tmp_path, directory=own, limit=5)
    scores = told["base"]["capitals"]
    assert set(scores) == {f"capitals:{n}" for n in range(5)}
    assert set(scores.values()) <= {0.0, 1.0}
    (row,) = json.loads((tmp_path / "lm-eval" / "base.json").read_bytes())
    assert row["identity"]["lm_eval"] == importlib.metadata.version("lm_eval")
