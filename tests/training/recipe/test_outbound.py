"""Whom a recipe talks to, and what it needs a permission for, read off it before anything runs."""

import pytest
import yaml

from constitution.problems import InputError
from training.recipe.outbound import outbound, refuse_unpermitted
from training.recipe.schema import load_recipe, shipped_recipes

RECIPE = {"name": "mine", "constitution": "base", "prompts": "prompts.jsonl", "model": "embedded"}
CONSTITUTION = """\
name: base
principles:
  - {id: polite, statement: Be polite., check: {python: "manners:polite"}}
"""
VARIABLES = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_ENDPOINT", "OPENAI_API_KEY",
             "OPENAI_BASE_URL", "WANDB_API_KEY", "WANDB_BASE_URL", "WANDB_MODE", "TRACKIO_SPACE_ID",
             "MLFLOW_TRACKING_URI", "MLFLOW_TRACKING_TOKEN")  # fmt: skip


@pytest.fixture
def read(tmp_path, monkeypatch):
    """What a recipe with these keys sends out, and how it is refused."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SOLON_ALLOWED", "")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "no login"))
    (tmp_path / "prompts.jsonl").write_text('{"prompt": "Hello?"}\n', encoding="utf-8")
    (tmp_path / "tasks").mkdir()

    def read(**changed):
        changed = {**RECIPE, "constitution": "harmlessness", **changed}
        (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(changed), encoding="utf-8")
        recipe, file = load_recipe(tmp_path / "recipe.yaml")
        found = outbound(recipe, file)
        try:
            refuse_unpermitted(recipe, file, found)
            lines = []
        except InputError as error:
            lines = str(error).replace(str(file), "FILE").splitlines()
        return found, lines

    return read


def talks(found):
    return {contact.host: (contact.settings, contact.keys) for contact in found.contacts}


def test_a_recipe_on_this_machine_alone_talks_to_nobody(read):
    found, refused = read()
    assert (found.contacts, found.needs, found.files, refused) == ((), (), (), [])


@pytest.mark.parametrize("name", shipped_recipes())
def test_shipped_recipes_need_no_permission(name):
    recipe, file = load_recipe(name)
    assert outbound(recipe, file).needs == ()


def test_every_role_and_section_is_looked_through(read):
    found, _ = read(
        critic="server:m@http://critic/v1",
        reviser="server:m@http://user:pw@reviser:1/v1",
        judge="vllm:org/judge",
        evaluate={"judge": "server:m@http://second/v1", "benign": "hf:org/questions",
                  "lm_eval": ["arc_easy"]},
        prompts="hf:org/prompts",
        held_out={"file": "hf:org/held-out"},
        helpful={"file": "hf:org/helpful"},
        model="org/model",
        dpo={"reference": "org/reference"},
        engine_options_for={"label": {"tokenizer": "org/tokenizer"}},
        sft={"test_dataset": "hf:org/rows"},
        report_to="wandb",
    )  # fmt: skip
    assert talks(found) == {
        "critic": (("critic",), ()),
        "reviser:1": (("reviser",), ()),
        "second": (("evaluate.judge",), ()),
        "huggingface.co": (
            ("model", "judge", "engine_options_for.label.tokenizer", "prompts", "held_out", "helpful", "evaluate.benign",
             "sft.test_dataset", "dpo.reference", "evaluate.lm_eval"),
            (),
        ),
        "api.wandb.ai": (("report_to",), ("the stored login",)),
    }  # fmt: skip


def test_keys_are_named_where_they_are_sent_and_their_values_never(read, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    monkeypatch.setenv("HF_TOKEN", "secret")
    found, _ = read(
        model="org/model",
        judge="server:m@https://api.openai.com/v1",
        critic="server:m@http://other/v1",
    )
    assert talks(found) == {
        "other": (("critic",), ()),
        "api.openai.com": (("judge",), ("$OPENAI_API_KEY",)),
        "huggingface.co": (("model",), ("$HF_TOKEN",)),
    }
    assert "secret" not in repr(found)


@pytest.mark.parametrize(
    ("server", "host", "keys"),
    [
        ("https://api.openai.com:443/v1", "api.openai.com:443", ("$OPENAI_API_KEY",)),
        ("http://api.openai.com/v1", "api.openai.com", ()),
        ("https://user:pw@api.openai.com/v1", "api.openai.com", ()),
        (
            'https://api.openai.com/v1?headers={"Authorization":"$OTHER"}',
            "api.openai.com",
            ("$OTHER",),
        ),
        ('https://api.openai.com/v1?headers={"Api-Key":"$OTHER"}', "api.openai.com", ("$OTHER",)),
        ("https://user:pw@host/v1?key_env=OTHER", "host", ()),
        ('https://host/v1?key_env=OTHER&headers={"X":"$THIRD"}', "host", ("$OTHER", "$THIRD")),
        ("https://host/v1?headers=none", "host", ()),
    ],
)
def test_the_keys_are_those_that_the_server_would_be_sent(read, monkeypatch, server, host, keys):
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    found, _ = read(judge=f"server:m@{server}")
    assert talks(found) == {host: (("judge",), keys)}


@pytest.mark.parametrize("variable", ["XDG_CACHE_HOME", "HF_HOME"])
def test_a_stored_login_is_found_where_the_hubs_client_keeps_it(
    read, tmp_path, monkeypatch, variable
):
    monkeypatch.delenv("HF_HOME")
    monkeypatch.delenv("HF_TOKEN_PATH", raising=False)
    home = tmp_path if variable == "HF_HOME" else tmp_path / "huggingface"
    home.mkdir(exist_ok=True)
    (home / "token").write_text("secret", encoding="utf-8")
    monkeypatch.setenv(variable, str(tmp_path))
    found, _ = read(model="org/model")
    assert talks(found) == {"huggingface.co": (("model",), ("the stored login",))}


def test_the_hosts_of_the_environment_are_used(read, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "https://user:pw@mirror:8443")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://gateway:80/v1")
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    found, _ = read(model="org/model", judge="server:m@http://gateway:80/v1")
    assert talks(found) == {
        "gateway:80": (("judge",), ("$OPENAI_API_KEY",)),
        "mirror:8443": (("model",), ()),
    }


@pytest.mark.parametrize(
    ("keys", "line"),
    [
        ({"sft": {"trust_remote_code": True}}, "sft.trust_remote_code would run code"),
        ({"dpo": {"push_to_hub": "a/b"}}, "dpo.push_to_hub would publish the model"),
        ({"engine_options": {"trust_remote_code": True}}, "engine_options.trust_remote_code would"),
        ({"engine_options": {"worker_cls": "a.B"}}, "engine_options.worker_cls may make vLLM run"),
        (
            {"engine_options_for": {"label.judge": {"worker_cls": "a.B"}}},
            "engine_options_for.label.judge.worker_cls may make vLLM run",
        ),
        ({"judge": "vllm:o/m?trust_remote_code=true"}, "judge would run code"),
        ({"judge": "server:m@http://h/v1?key_env=KEY"}, "judge would send $KEY to h"),
        ({"evaluate": {"lm_eval_tasks_dir": "tasks"}}, "evaluate.lm_eval_tasks_dir may name code"),
    ],
    ids=str,
)
def test_what_needs_a_permission_is_refused_with_its_place(read, monkeypatch, keys, line):
    found, refused = read(**keys)
    assert len(refused) == 1
    assert refused[0].startswith("FILE:") and f": {line}" in refused[0]
    (permission,) = {need.permission for need in found.needs}
    assert refused[0].endswith(f"add {permission}")
    monkeypatch.setenv("SOLON_ALLOWED", permission)
    assert read(**keys) == (found, [])


@pytest.mark.parametrize(
    ("tracker", "variables", "host"),
    [
        ("wandb", {"WANDB_API_KEY": "secret"}, {"api.wandb.ai": (("report_to",), ("$WANDB_API_KEY",))}),
        ("wandb", {"WANDB_MODE": "offline"}, {}),
        ("mlflow", {"MLFLOW_TRACKING_URI": "https://flow:5000"}, {"flow:5000": (("report_to",), ())}),
        ("mlflow", {"MLFLOW_TRACKING_URI": "sqlite:///runs.db"}, {}),
        ("trackio", {"TRACKIO_SPACE_ID": "a/b"}, {"huggingface.co": (("report_to",), ())}),
        ("tensorboard", {}, {}),
    ],
)  # fmt: skip
def test_a_tracker_elsewhere_is_listed(read, monkeypatch, tracker, variables, host):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert talks(read(report_to=tracker)[0]) == host


def test_sections_that_no_stage_reads_need_nothing(read):
    found, refused = read(grpo={"trust_remote_code": True})
    assert not found.needs and not refused


def test_python_checks_are_listed_and_not_imported(read, tmp_path):
    (tmp_path / "rules.yaml").write_text(CONSTITUTION, encoding="utf-8")
    found, refused = read(constitution="rules.yaml")
    (need,) = found.needs
    assert need.what == "would run manners:polite, to check polite"
    assert refused[0].endswith("add --allow-python-checks")


@pytest.mark.parametrize(
    ("launcher", "needs"),
    [
        ({"distributed_type": "MULTI_GPU", "num_processes": 2}, 0),
        ({"distributed_type": "TPU", "commands": ["rm -r /"]}, 1),
        ({"compute_environment": "AMAZON_SAGEMAKER", "distributed_type": "NO"}, 1),
        ({"distributed_type": "DEEPSPEED", "deepspeed_config": {"deepspeed_hostfile": "x"}}, 1),
    ],
)
def test_a_launcher_that_runs_more_than_the_training_needs_a_permission(
    read, tmp_path, launcher, needs
):
    (tmp_path / "launch.yaml").write_text(yaml.safe_dump(launcher), encoding="utf-8")
    found, refused = read(accelerate="launch.yaml")
    assert len(found.needs) == len(refused) == needs


def test_a_launcher_with_a_key_twice_is_refused(read, tmp_path):
    text = "distributed_type: 'NO'\ncommands: []\ncommands: [rm]\n"
    (tmp_path / "launch.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match="came before"):
        read(accelerate="launch.yaml")


def test_another_machine_of_a_launcher_is_listed(read, tmp_path):
    text = yaml.safe_dump({"distributed_type": "MULTI_GPU", "main_process_ip": "10.0.0.1"})
    (tmp_path / "launch.yaml").write_text(text, encoding="utf-8")
    assert talks(read(accelerate="launch.yaml")[0]) == {"10.0.0.1": (("accelerate",), ())}


def test_files_outside_its_folder_are_listed(read, tmp_path):
    inner = tmp_path.parent / f"{tmp_path.name}-elsewhere.jsonl"
    inner.write_text('{"prompt": "Hello?"}\n', encoding="utf-8")
    found, _ = read(prompts=f"../{inner.name}")
    assert [path.rpartition("/")[2] for path in found.files] == [inner.name]
