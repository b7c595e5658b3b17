"""A stranger's recipe, constitution or configuration sends no key, runs no code, and has no other
file quoted."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import typer
import yaml

from constitution.loader import load_constitution
from constitution.permissions import REMOTE_CODE, allow, askable, keys_permission
from constitution.problems import InputError
from constitution.typed_yaml import section_of
from engine.generators.chat_template import read_chat_template
from engine.generators.spec_needs import MODEL_SPEC
from engine.prompts.sources import open_prompts
from engine.runs.config import AnswerConfig, LabelConfig, LoopTestConfig, ReviseConfig
from scripts.commands.judge_config import CalibrateConfig
from scripts.commands.run_recipe import run_stage
from scripts.solon import app
from training.data.readers import read_training_rows
from training.evaluation.config import EvaluateConfig
from training.recipe.launcher import launcher_needs
from training.recipe.schema import Recipe
from training.recipe.stage import Stage
from training.recipe.steps import TRAINERS
from training.trainers.config import RewardModelConfig

ROOT = Path(__file__).parents[2]
CONFIGS = [AnswerConfig, LabelConfig, LoopTestConfig, ReviseConfig, CalibrateConfig, EvaluateConfig,
           Recipe, RewardModelConfig, *TRAINERS.values()]  # fmt: skip
MARKER = "sk-marker-of-a-key"
RULES = "name: rules\nprinciples:\n  - {id: polite, statement: Be polite.}\n"
PRIVATE = {
    "passwd": "root:x:0:0:s3cret:/root:/bin/bash\n",
    "id_rsa": "-----BEGIN OPENSSH PRIVATE KEY-----\ns3cret\n-----END OPENSSH PRIVATE KEY-----\n",
    "config.yaml": "token: s3cret\ns3cret: [1, 2]\n",
    "broken.yaml": "token: s3cret\n  s3cret: [*s3cret\n",
    "broken.jsonl": "s3cret\n",
    "key.json": '{"private_key": "s3cret"}',
}


def leaves(kind):
    for name, field in kind.model_fields.items():
        inner = section_of(field)
        yield from leaves(inner) if inner else [(name, field)]


@pytest.mark.parametrize("kind", CONFIGS, ids=lambda kind: kind.__name__)
def test_every_model_spec_of_a_file_is_looked_at(kind):
    for name, field in leaves(kind):
        extra = field.json_schema_extra or {}
        is_spec = "SPEC" in extra.get("metavar", "") or name in ("judge", "critic", "reviser")
        assert not is_spec or MODEL_SPEC in field.metadata, name


def commands(group, at=()):
    for name, child in group.commands.items():
        children = commands(child, (*at, name)) if hasattr(child, "commands") else None
        yield from children or [(" ".join((*at, name)), child)]


COMMANDS = dict(commands(typer.main.get_command(app)))
TAKES_FILES = [name for name, made in COMMANDS.items() if hasattr(made.callback, "generated")]


@pytest.mark.parametrize("name", [*TAKES_FILES, "run", *(f"train {name}" for name in TRAINERS)])
def test_every_command_can_allow_what_its_file_may_ask_for(name):
    made = COMMANDS[name]
    generated = getattr(made.callback, "generated", None)
    kind = generated.kind() if generated else TRAINERS.get(name.removeprefix("train "), Recipe)
    with typer.Context(made) as context:
        options = {option for p in made.get_params(context) for option in p.opts}
    assert askable(kind) <= options


@pytest.fixture
def solon(tmp_path):
    """Run a command in a folder of its own, with a key in the environment."""
    (tmp_path / "rules.yaml").write_text(RULES, encoding="utf-8")
    (tmp_path / "prompts.jsonl").write_text('{"prompt": "Hello?"}\n', encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OPENAI_API_KEY": MARKER,
                   "SOLON_CACHE": str(tmp_path / "cache"), "SOLON_ALLOWED": ""}  # fmt: skip

    def solon(*words, files=()):
        for name, data in dict(files).items():
            (tmp_path / name).write_text(yaml.safe_dump(data), encoding="utf-8")
        command = [sys.executable, "-m", "scripts.solon", *words]
        return subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )

    return solon


LABELS = {
    "constitution": "rules.yaml",
    "prompts": "prompts.jsonl",
    "out": "labels",
    "roles": {
        "policy": "vllm:org/model?trust_remote_code=true",
        "judge": "server:m@http://u:pw@h/v1?key_env=OPENAI_API_KEY",
    },
}


def test_a_configuration_is_refused_line_by_line_before_anything_is_loaded(solon, tmp_path):
    done = solon("label", "--config", "labels.yaml", files={"labels.yaml": LABELS})
    assert done.returncode == 2 and not (tmp_path / "labels").exists()
    assert [line.rpartition("add ")[2] for line in done.stderr.splitlines()] == [
        "--allow-remote-code",
        "--allow-keys OPENAI_API_KEY",
    ]
    assert "pw" not in done.stderr


def test_options_allow_it_or_take_its_place(solon):
    words = (
        "label",
        "--config",
        "labels.yaml",
        "--allow-keys",
        "OPENAI_API_KEY",
        "--prompts",
        "no",
    )
    done = solon(*words, "--policy", "scripted?x=1", files={"labels.yaml": LABELS})
    assert done.returncode == 2 and "no: " in done.stderr and "--allow" not in done.stderr


def test_a_training_is_refused_and_what_is_set_is_not(solon):
    sft = {"model": "embedded", "dataset": "no.jsonl", "out": "sft", "push_to_hub": "a/b"}
    files = {"sft.yaml": {**sft, "trust_remote_code": True}}
    done = solon("train", "sft", "-c", "sft.yaml", "--allow-push", files=files)
    assert done.returncode == 2 and done.stderr.startswith("sft.yaml:5:20: trust_remote_code would")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("allowed", [True, False])
def test_a_stage_has_the_permissions_of_the_command_that_runs_it(
    tmp_path, monkeypatch, capfd, allowed
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("SOLON_ALLOWED", "")
    if allowed:
        allow(REMOTE_CODE)
        allow(keys_permission("OPENAI_API_KEY"))
    (tmp_path / "labels.yaml").write_text(yaml.safe_dump(LABELS), encoding="utf-8")
    stage = Stage("label", "judges", (), tmp_path, ())
    assert run_stage(stage, ["label", "--config", "labels.yaml"]) == 2
    told = capfd.readouterr().err
    assert ("--allow" in told) is not allowed and ("prompts.jsonl: does" in told) is allowed


def test_a_plan_a_refusal_and_a_failed_run_show_no_key(solon, tmp_path):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/v1"
        recipe = {"name": "mine", "constitution": "rules.yaml", "prompts": "prompts.jsonl",
                  "held_out": {"file": "held_out.jsonl"}, "model": "embedded",
                  "critic": f"server:m@{url}?retries=0", "sampling": {"max_tokens": 1},
                  "engine": "transformers", "dpo": {"push_to_hub": "a/b"}}  # fmt: skip
        (tmp_path / "held_out.jsonl").write_text('{"prompt": "Well?"}\n', encoding="utf-8")
        plan = solon("run", "recipe.yaml", "--plan", files={"recipe.yaml": recipe})
        assert plan.returncode == 0, plan.stderr
        assert f"talks to {url[7:-3]} (critic; sends no key)" in plan.stderr
        assert "dpo.push_to_hub would publish the model (--allow-push is needed)" in plan.stderr
        refused = solon("run", "recipe.yaml")
        assert refused.returncode == 2 and "add --allow-push" in refused.stderr
        model = f"server:m@{url}?retries=0&timeout=2"
        failed = solon("revise", "-c", "rules.yaml", "-p", "prompts.jsonl", "--model", model,
                       "--out", "runs/failed")  # fmt: skip
    assert failed.returncode == 1 and "no server answers" in failed.stderr
    assert (tmp_path / "runs/failed/manifest.json").is_file()
    _no_key(tmp_path, plan, refused, failed)


def test_no_key_is_in_a_run_or_in_the_card_of_its_rows(solon, tmp_path):
    words = ("-c", "rules.yaml", "-p", "prompts.jsonl", "--model", "scripted", "--out", "run")
    ran = solon("revise", *words)
    exported = solon("export", "run", "--format", "trl-sft", "--out", "rows")
    assert ran.returncode == exported.returncode == 0, ran.stderr + exported.stderr
    assert (tmp_path / "rows/README.md").is_file()
    _no_key(tmp_path, ran, exported)


def _no_key(folder, *commands):
    for done in commands:
        assert MARKER not in done.stdout + done.stderr
    for path in folder.rglob("*"):
        assert not path.is_file() or MARKER.encode() not in path.read_bytes(), path


READERS = {
    "extends": lambda path: load_constitution(_extending(path)),
    "prompts": lambda path: open_prompts(path),
    "test_dataset": lambda path: list(read_training_rows(str(path), "sft", None)),
    "chat_template": lambda path: read_chat_template(path, "name a Jinja file"),
}


def _extending(path):
    child = path.parent / "child.yaml"
    child.write_text(f"name: child\nextends: ['{path}']\nprinciples: []\n", encoding="utf-8")
    return child


@pytest.mark.parametrize("name", PRIVATE)
@pytest.mark.parametrize("reader", READERS)
def test_no_file_that_is_something_else_is_quoted(tmp_path, reader, name):
    path = tmp_path / name
    path.write_text(PRIVATE[name], encoding="utf-8")
    with pytest.raises(InputError) as caught:
        READERS[reader](path)
    assert "s3cret" not in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    "name", ["/no/such", "../no-such", "~/.no-such", "s3://bucket/x", "http://h/x", "a//b"]
)
def test_a_data_set_of_a_hub_is_no_address(name):
    with pytest.raises(
        InputError, match=r"neither the name of a data set on a hub nor a folder|has no"
    ):
        open_prompts(f"hf:{name}")


@pytest.mark.parametrize("name", PRIVATE)
def test_a_launcher_that_is_something_else_is_not_quoted(tmp_path, name):
    path = tmp_path / name
    path.write_text(PRIVATE[name], encoding="utf-8")
    try:
        told = repr(list(launcher_needs(path)))
    except InputError as error:
        told = str(error)
    assert told != "[]" and "s3cret" not in told
