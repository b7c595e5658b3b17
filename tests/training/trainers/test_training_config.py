import subprocess
import sys

import pytest

from constitution.problems import InputError
from constitution.typed_yaml import Override, load_config
from training.trainers.config import (
    DPOTrainingConfig,
    GRPOTrainingConfig,
    LoraSettings,
    RewardModelConfig,
    SFTTrainingConfig,
)

MINIMAL = "model: embedded\ndataset: rows.jsonl\nout: out\n"


def write(tmp_path, text):
    path = tmp_path / "config.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def problems(tmp_path, text, overrides=(), kind=SFTTrainingConfig):
    with pytest.raises(InputError) as caught:
        load_config(kind, write(tmp_path, text), assignments=overrides)
    return [str(p).replace(f"{tmp_path}/", "") for p in caught.value.problems]


@pytest.mark.parametrize("kind", [SFTTrainingConfig, DPOTrainingConfig, RewardModelConfig])
def test_three_settings_are_enough(tmp_path, kind):
    config = load_config(kind, write(tmp_path, MINIMAL))
    assert (config.model, config.dataset, config.out) == ("embedded", "rows.jsonl", "out")
    assert config.lora is None
    assert not config.trust_remote_code and config.push_to_hub is None


def test_every_problem_is_told_at_its_line(tmp_path):
    text = MINIMAL + "learning_rte: 1\nbatch_size: 0\nepochs: many\nlora: {r: 0, alph: 2}\n"
    assert problems(tmp_path, text) == [
        "config.yaml:4:1: unknown key 'learning_rte'; did you mean 'learning_rate'?",
        "config.yaml:5:13: batch_size is 0; input should be greater than or equal to 1",
        "config.yaml:6:9: epochs is 'many'; input should be a valid number",
        "config.yaml:7:11: lora.r is 0; input should be greater than or equal to 1",
        "config.yaml:7:14: unknown key 'alph'; did you mean 'alpha'?",
    ]


def test_an_override_takes_precedence_and_reads_as_yaml(tmp_path):
    overrides = ["learning_rate=1e-5", "lora.r=8", "max_steps=3", "model=other", "packing=null"]
    config = load_config(
        SFTTrainingConfig, write(tmp_path, MINIMAL + "max_steps: 9\n"), assignments=overrides
    )
    assert (config.learning_rate, config.max_steps, config.model) == (1e-5, 3, "other")
    assert config.lora == LoraSettings(r=8)


def test_out_on_the_command_line_takes_precedence(tmp_path):
    config = load_config(
        SFTTrainingConfig,
        write(tmp_path, MINIMAL),
        [Override(("out",), str(tmp_path / "there"), "--out")],
    )
    assert config.out == str(tmp_path / "there")


def test_a_wrong_override_is_told_by_its_option(tmp_path):
    overrides = ["epochs=-1", "lora.dropout=2", "beta=1", "nonsense", "seed=[", "a:b=1"]
    found = problems(tmp_path, MINIMAL, overrides)
    assert "--set epochs: epochs is -1; input should be greater than 0" in found
    assert "--set lora.dropout: lora.dropout is 2; input should be less than 1" in found
    assert any(line.startswith("--set beta: unknown key 'beta'") for line in found)
    assert any(line.startswith("--set: 'nonsense' is not a key and value") for line in found)
    assert any(line.startswith("--set: 'a:b=1' is not a key and value") for line in found)
    assert any(line.startswith("--set seed:") for line in found)


@pytest.mark.parametrize("longest", [64, 256])
def test_an_answer_leaves_a_prompt_its_tokens(tmp_path, longest):
    rewarded = "judge: scripted\nconstitution: base\n"
    given = "" if longest == 256 else f"max_answer: {longest}\n"
    found = problems(
        tmp_path, f"{MINIMAL}{rewarded}max_length: {longest}\n{given}", kind=GRPOTrainingConfig
    )
    assert found[0].endswith(f"max_length ({longest}) leaves no token to a prompt: set it higher")


def test_what_is_missing_is_named(tmp_path):
    assert problems(tmp_path, "model: embedded\n") == [
        "config.yaml:1:1: has no 'dataset'; add it",
        "config.yaml:1:1: has no 'out'; add it",
    ]


def test_a_wrong_config_ends_the_command_with_2_before_anything_heavy(tmp_path):
    path = write(tmp_path, MINIMAL + "betta: 1\n")
    script = (
        "import sys; from scripts.solon import app\n"
        "try: app()\n"
        "except Exception as error: print(error)\n"
        "print('torch' in sys.modules)"
    )
    command = [sys.executable, "-c", script, "train", "dpo", "--config", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert "did you mean 'beta'?" in done.stdout
    assert done.stdout.endswith("False\n")
