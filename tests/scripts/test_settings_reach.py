"""Every setting of the engine and of an evaluation is reached from the command line, from a file
given with --config and from a recipe, and declared once: each of the three comes from its field."""

import json
import subprocess
import sys

import pytest
import typer
import yaml

from constitution.problems import InputError
from constitution.typed_yaml import Override, Settings, load_config, section_of
from engine.generators.base import Sampling
from engine.redteam.config import RedTeamConfig
from engine.runs.config import AnswerConfig, LabelConfig, LoopConfig, ReviseConfig, RoleSpecs
from engine.settings import AnswerSettings, LabelSettings, LoopSettings
from engine.writing.config import PromptsConfig
from scripts.commands.options import Generated
from scripts.solon import app
from training.data.split import SplitConfig
from training.evaluation.config import EvaluateConfig, EvaluationSettings
from training.recipe.schema import Recipe
from training.recipe.steps import TRAINERS, section_name

COMMANDS = {
    "revise": ReviseConfig,
    "label": LabelConfig,
    "answer": AnswerConfig,
    "prompts": PromptsConfig,
    "redteam": RedTeamConfig,
    "evaluate": EvaluateConfig,
    "split": SplitConfig,
    "try": LoopConfig,
}
SETTINGS = {
    LoopSettings: ("revise", ("revise",)),
    LabelSettings: ("label", ("label",)),
    AnswerSettings: ("answer", ()),
    Sampling: ("revise", ("sampling",)),
    RoleSpecs: ("revise", ()),
    EvaluationSettings: ("evaluate", ("evaluate",)),
}
"""Each class of settings: a command that takes it, and its section in a recipe."""
FIELDS = [(kind, name) for kind in SETTINGS for name in kind.model_fields]
IN_RECIPE = {"policy": "model"}
"""Keys that a recipe calls otherwise: it trains the policy."""


def named(value):
    return value.__name__ if isinstance(value, type) else str(value)


def command(name):
    return typer.main.get_command(app).commands[name]


def leaves(kind, at=()):
    """Every key that a configuration may have."""
    for name, field in kind.model_fields.items():
        if inner := section_of(field):
            yield from leaves(inner, (*at, name))
        else:
            yield (*at, name)


def holder(config, kind):
    """Where a configuration has its settings of a kind."""
    return next(
        (name for name, field in config.model_fields.items() if section_of(field) is kind), None
    )


@pytest.mark.parametrize(("kind", "name"), FIELDS, ids=named)
def test_a_setting_has_an_option_and_a_key_made_of_its_field(kind, name):
    config = COMMANDS[SETTINGS[kind][0]]
    section = holder(config, kind)
    assert section, f"{config.__name__} has no {kind.__name__}"
    generated = Generated(lambda: config)
    leaf = generated.leaves[f"{section}__{name}"]
    assert leaf.field.description, "its help"
    option = next(p for p in generated.parameters if p.name == leaf.parameter_name)
    assert option.help == leaf.field.description
    assert option.opts[0] == generated.options[section, name]


@pytest.mark.parametrize(("kind", "name"), FIELDS, ids=named)
def test_a_setting_is_reached_from_a_recipe(kind, name):
    """In its section, or said once at the top."""
    place = SETTINGS[kind][1]
    section = section_of(Recipe.model_fields[place[0]]) if place else None
    assert name in (section or Recipe).model_fields or IN_RECIPE.get(name, name) in (
        Recipe.model_fields
    )


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_is_made_of_one_key_and_names_are_not_taken_twice(name):
    made = command(name)
    generated = made.callback.generated
    assert generated.kind() is COMMANDS[name]
    assert set(generated.options) == set(leaves(COMMANDS[name]))
    with typer.Context(made) as context:
        options = [opt for p in made.get_params(context) for opt in (*p.opts, *p.secondary_opts)]
    assert len(options) == len(set(options))


class Extended(LoopSettings):
    """As if somebody had added a setting."""

    patience: int = 3


class ExtendedConfig(Settings):
    revise: Extended = Extended()


def test_a_setting_that_is_added_to_its_class_is_an_option_and_a_key(tmp_path):
    generated = Generated(lambda: ExtendedConfig)
    assert generated.options["revise", "patience"] == "--patience"
    file = tmp_path / "config.yaml"
    file.write_text("revise: {patience: 5}\n", encoding="utf-8")
    assert load_config(ExtendedConfig, file).revise.patience == 5
    override = Override(("revise", "patience"), 7, "--patience")
    assert load_config(ExtendedConfig, file, [override]).revise.patience == 7


def test_sections_of_trainers_are_those_of_solon_train():
    assert {section_name(step) for step in TRAINERS} <= Recipe.model_fields.keys()


# As a person uses it -----------------------------------------------------------------------------

CONFIG = {
    "constitution": "harmlessness",
    "prompts": "prompts.jsonl",
    "roles": {"policy": "scripted"},
    "revise": {"rounds": 2, "final_check": True},
    "sampling": {"max_tokens": 99},
    "out": "run",
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = [json.dumps({"prompt": f"Question {row}?"}) for row in range(6)]
    (tmp_path / "prompts.jsonl").write_text("\n".join(rows), encoding="utf-8")
    return tmp_path


def write(folder, **changed):
    (folder / "config.yaml").write_text(yaml.safe_dump(CONFIG | changed), encoding="utf-8")


def solon(*words):
    from tests.test_layers import ROOT

    return subprocess.run(
        [sys.executable, "-m", "scripts.solon", *words],
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_options_outweigh_the_file(folder):
    write(folder)
    done = solon("revise", "--config", "config.yaml", "--limit", "3", "--no-final-check",
                 "--stakeholder", "", "--out", "other")  # fmt: skip
    assert done.returncode == 2 and "no stakeholder ``" in done.stderr
    done = solon("revise", "--config", "config.yaml", "--limit", "3", "--no-final-check",
                 "--out", "other")  # fmt: skip
    assert done.returncode == 0, done.stderr
    identity = json.loads((folder / "other/manifest.json").read_bytes())["identity"]
    assert identity["settings"]["rounds"] == 2 and not identity["settings"]["final_check"]
    assert identity["models"]["policy"]["sampling"]["max_tokens"] == 99
    assert identity["prompts"]["count"] == 3
    assert not (folder / "run").exists()


def test_what_is_wrong_in_a_file_is_told_by_line_and_what_an_option_gives_by_its_name(folder):
    write(folder, revise={"rounds": 0, "sede": 3}, constitution=None)
    done = solon("revise", "--config", "config.yaml", "--top-p", "0", "--stakeholder", "a=x")
    assert done.returncode == 2
    lines = done.stderr.splitlines()
    assert any(line.startswith("config.yaml:1:15: constitution is None") for line in lines)
    assert any("revise.rounds is 0" in line for line in lines)
    assert any("unknown key 'sede'; did you mean 'seed'?" in line for line in lines)
    assert any(line.startswith("--top-p: sampling.top_p is 0.0") for line in lines)
    assert any(line.startswith("--stakeholder: ") and "not a share" in line for line in lines)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--min-tokens", "200"), "min_tokens 200 is more than max_tokens 99"),
        (("--max-tokens", "7", "--min-tokens", "8"), "min_tokens 8 is more than max_tokens 7"),
    ],
    ids=["shortest", "both"],
)
def test_a_shortest_answer_above_the_longest_is_refused_in_one_line(folder, words, told):
    write(folder)
    done = solon("revise", "--config", "config.yaml", *words)
    assert done.returncode == 2 and not (folder / "run").exists()
    assert len(done.stderr.splitlines()) == 1 and done.stderr.endswith(f"; {told}\n")


def test_a_number_that_is_not_finite_is_refused_in_one_line(folder):
    """JSON has none: a manifest that holds one could not be read again."""
    write(folder)
    done = solon("revise", "--config", "config.yaml", "--temperature", "inf")
    assert done.returncode == 2 and not (folder / "run").exists()
    assert done.stderr.startswith("--temperature: sampling.temperature is inf; ")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("value", [".inf", "-.inf", ".nan"])
@pytest.mark.parametrize("config", [*COMMANDS.values(), Recipe, *TRAINERS.values()], ids=named)
def test_no_setting_takes_a_number_that_is_not_finite(tmp_path, config, value):
    file = tmp_path / "config.yaml"
    for location in leaves(config):
        nested = value
        for name in reversed(location):
            nested = {name: nested}
        file.write_text(yaml.safe_dump(nested).replace(f"'{value}'", value), encoding="utf-8")
        name = ".".join(location)
        with pytest.raises(InputError) as found:
            load_config(config, file)
        told = [p.what for p in found.value.problems]
        assert any(what.startswith(f"{name} is") for what in told), (name, told)


def test_a_label_samples_at_1_whatever_else_its_sampling_says(folder):
    (folder / "config.yaml").write_text("sampling: {max_tokens: 9}\n", encoding="utf-8")
    given = {("constitution",): "base", ("out",): "out", ("prompts", "file"): "p.jsonl",
             ("roles", "policy"): "scripted", ("roles", "judge"): "scripted"}  # fmt: skip
    overrides = [Override(location, value, "--x") for location, value in given.items()]
    config = load_config(LabelConfig, folder / "config.yaml", overrides)
    assert config.sampling == Sampling(max_tokens=9, temperature=1.0)


@pytest.mark.parametrize(
    ("words", "option"),
    [
        (("revise", "-p", "a", "-p", "b"), "--prompts"),
        (("label", "--seed", "1", "--seed", "2"), "--seed"),
        (("evaluate", "--judge", "a", "--judge", "b"), "--judge"),
        (("train", "sft", "-c", "a", "--config", "b"), "--config"),
        (("export", "run", "--format", "trl-sft", "--format", "trl-prompt"), "--format"),
        (("constitution", "show", "base", "--principle", "a", "--principle", "b"), "--principle"),
        (("judge", "fit", "--out", "a", "--out", "b"), "--out"),
        (("run", "quickstart-cpu", "-o", "a", "-o", "b"), "--out"),
        (("try", "base", "Hi?", "--final-check", "--no-final-check"), "--final-check"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else value,
)
def test_an_option_with_one_value_that_is_given_twice_is_refused(folder, words, option):
    done = solon(*words)
    assert done.returncode == 2, done.stderr
    assert done.stderr == f"{option}: is given several times; it has one value: keep one of them\n"


def test_every_command_refuses_repeated_options():
    def commands(group):
        for child in group.commands.values():
            yield from commands(child) if hasattr(child, "commands") else [child]

    kinds = {type(each) for each in commands(typer.main.get_command(app))}
    assert [kind.__name__ for kind in kinds] == ["_Command"]
