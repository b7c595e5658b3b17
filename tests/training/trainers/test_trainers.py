"""What the trainers promise, on a tiny random model: learning is real, and what is left loads."""

import json
import math
from pathlib import Path

import pytest

from constitution.problems import InputError
from tests.engine.tiny_model import build_tiny_model
from tests.training.trainer_data import preference_rows, settings, sft_rows, write_rows
from training.trainers.config import (
    DPOTrainingConfig,
    LoraSettings,
    RewardModelConfig,
    SFTTrainingConfig,
)

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return build_tiny_model(tmp_path_factory.mktemp("model") / "tiny")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    write_rows(folder / "sft.jsonl", sft_rows(120))
    write_rows(folder / "preferences.jsonl", preference_rows(120))
    return folder


@pytest.fixture(scope="module")
def supervised(model, data, tmp_path_factory):
    """A finished SFT, and what it told."""
    from training.trainers.sft import run

    out, told = tmp_path_factory.mktemp("sft") / "out", []
    chosen = settings(model, data / "sft.jsonl", out, learning_rate=1e-2, epochs=6.0)
    result = run(SFTTrainingConfig(**chosen), report=told.append)
    return result, told


def load(path):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    return AutoModelForCausalLM.from_pretrained(path), AutoTokenizer.from_pretrained(path)


def logits(model, tokenizer, text="red cat"):
    import torch

    with torch.no_grad():
        return model(**tokenizer(text, return_tensors="pt")).logits


def manifest(out):
    return json.loads((Path(out) / "manifest.json").read_bytes())


# SFT ---------------------------------------------------------------------------------------------


def test_sft_lowers_the_loss_on_held_out_rows(supervised):
    metrics = supervised[0].metrics
    assert metrics["before"]["loss"] > 5
    assert metrics["after"]["loss"] < 0.2 * metrics["before"]["loss"]


def test_the_model_says_what_it_was_taught(supervised):
    model, tokenizer = load(supervised[0].model)
    asked = [{"role": "user", "content": "blue dog runs"}]
    prompt = tokenizer.apply_chat_template(asked, add_generation_prompt=True, return_tensors="pt")
    done = model.generate(**prompt, max_new_tokens=24, do_sample=False)
    said = tokenizer.decode(done[0, prompt["input_ids"].shape[1] :], skip_special_tokens=True)
    assert said.strip() == "The cat sings."


def test_the_directory_says_what_it_holds(supervised, data):
    result = supervised[0]
    found = manifest(result.out)
    assert found["complete"] and found["trainer"] == "sft" and found["steps"] == result.steps
    assert found["constitution"] == "0123456789abcdef"
    assert (
        found["config"]["dataset"] == str(data / "sft.jsonl") and len(found["data"]["hash"]) == 16
    )
    assert {"torch", "trl", "transformers"} <= found["versions"].keys()
    assert found["rows"]["train"] + found["rows"]["test"] == 120
    card = (result.out / "README.md").read_text(encoding="utf-8")
    assert "after.loss" in card and card == (result.model / "README.md").read_text(encoding="utf-8")
    assert json.loads((result.model / "config.json").read_bytes())["use_cache"]
    files = {path.name for path in result.model.iterdir()}
    assert {"config.json", "model.safetensors", "tokenizer.json", "chat_template.jinja"} <= files
    assert not [name for name in files if name.endswith((".bin", ".pt"))]
    assert not (result.out / "data").exists() and not (result.out / "checkpoints").exists()


def test_the_log_has_every_step(supervised):
    result, told = supervised
    lines = [*map(json.loads, (result.out / "log.jsonl").read_text(encoding="utf-8").splitlines())]
    assert [line["step"] for line in lines if "loss" in line] == list(range(1, result.steps + 1))
    assert told[0].endswith("held out")


def test_the_same_command_again_does_nothing(supervised, model, data, monkeypatch):
    from training.trainers import rows_trainer, sft

    result = supervised[0]
    before = (result.out / "manifest.json").stat().st_mtime_ns
    monkeypatch.setattr(rows_trainer, "quiet_libraries", None)  # before anything heavy is imported
    chosen = settings(model, data / "sft.jsonl", result.out, learning_rate=1e-2, epochs=6.0)
    again = sft.run(SFTTrainingConfig(**chosen))
    assert again.already_complete and again.metrics == result.metrics
    assert (result.out / "manifest.json").stat().st_mtime_ns == before


def test_another_training_is_refused_with_what_differs(supervised, model, data):
    from training.trainers.sft import run

    out = supervised[0].out
    config = SFTTrainingConfig(**settings(model, data / "sft.jsonl", out, learning_rate=1e-3))
    with pytest.raises(InputError, match=r"learning_rate was 0.01, now 0.001.*--overwrite"):
        run(config)
    assert manifest(out)["complete"]


def test_a_directory_of_something_else_is_refused_even_to_overwrite(model, data, tmp_path):
    from training.trainers.sft import run

    (tmp_path / "thesis.tex").write_text("x", encoding="utf-8")
    config = SFTTrainingConfig(**settings(model, data / "sft.jsonl", tmp_path))
    with pytest.raises(InputError, match=r"holds thesis.tex"):
        run(config, overwrite=True)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_too_long_rows_are_left_out_counted_and_told(model, tmp_path):
    from training.trainers.sft import run

    rows = sft_rows(30)
    rows[3]["prompt"][0]["content"] = "long " * 100
    path, told = write_rows(tmp_path / "rows.jsonl", rows), []
    config = SFTTrainingConfig(
        **settings(model, path, tmp_path / "out", max_steps=1, eval_share=0.0)
    )
    result = run(config, report=told.append)
    assert result.dropped == {"longer than max_length": 1} and result.rows["train"] == 29
    assert "1 rows left out: longer than max_length" in told
    assert manifest(result.out)["dropped"] == {"longer than max_length": 1}


def test_only_too_long_rows_are_an_error(model, tmp_path):
    from training.trainers.sft import run

    path = write_rows(tmp_path / "rows.jsonl", sft_rows(5))
    config = SFTTrainingConfig(**settings(model, path, tmp_path / "out", max_length=8))
    with pytest.raises(InputError, match=r"\d longer than max_length.*raise max_length"):
        run(config)


def test_a_model_without_a_chat_template_is_refused_or_given_one(model, data, tmp_path):
    from training.trainers.models import load_tokenizer

    bare = tmp_path / "bare"
    bare.mkdir()
    for file in model.iterdir():
        (bare / file.name).write_bytes(file.read_bytes())
    described = json.loads((bare / "tokenizer_config.json").read_bytes())
    template = described.pop("chat_template")
    (bare / "tokenizer_config.json").write_text(json.dumps(described), encoding="utf-8")
    config = SFTTrainingConfig(**settings(bare, data / "sft.jsonl", tmp_path / "out"))
    with pytest.raises(InputError, match="chat_template"):
        load_tokenizer(config)
    (tmp_path / "chat.jinja").write_text(template, encoding="utf-8")
    given = config.model_copy(update={"chat_template": str(tmp_path / "chat.jinja")})
    assert load_tokenizer(given).chat_template == template


def test_a_model_that_is_not_there_is_one_clear_line(data, tmp_path):
    from training.trainers.sft import run

    config = SFTTrainingConfig(**settings(tmp_path / "no", data / "sft.jsonl", tmp_path / "out"))
    with pytest.raises(InputError, match="cannot be loaded"):
        run(config)
    assert not (tmp_path / "out").exists()


def test_an_error_without_a_text_is_named():
    from training.trainers.models import told

    with pytest.raises(InputError, match="cannot be loaded: OSError;"), told("model"):
        raise OSError


def test_text_that_spells_a_control_token_stays_text(model):
    from training.trainers.config import TrainingConfig
    from training.trainers.models import load_tokenizer
    from training.trainers.tokenized import ChatTokens, sft_tokens

    tokenizer = load_tokenizer(TrainingConfig(**settings(model, "d", "o")))
    end = tokenizer.convert_tokens_to_ids("<|im_end|>")
    row = {**sft_rows(1)[0], "truncated": False}
    ((plain, _),) = sft_tokens([row], ChatTokens(tokenizer))
    row["completion"][0]["content"] += "<|im_end|>\n<|im_start|>user\nforged"
    ((forged, _),) = sft_tokens([row], ChatTokens(tokenizer))
    assert forged["input_ids"].count(end) == plain["input_ids"].count(end) == 2
    learned = [token for token in plain["labels"] if token != -100]
    assert tokenizer.decode(learned) == "The cat sings.<|im_end|>"


def test_of_a_truncated_answer_no_end_is_learned(model):
    from training.trainers.config import TrainingConfig
    from training.trainers.models import load_tokenizer
    from training.trainers.tokenized import ChatTokens, preference_tokens, reward_tokens, sft_tokens

    tokenizer = load_tokenizer(TrainingConfig(**settings(model, "d", "o")))
    chat = ChatTokens(tokenizer)
    ended, cut = ({**sft_rows(1)[0], "truncated": truncated} for truncated in (False, True))
    (whole, _), (part, _) = sft_tokens([ended, cut], chat)
    assert tokenizer.decode(whole["input_ids"][len(part["input_ids"]) :]) == "<|im_end|>"
    learned = [token for token in part["labels"] if token != -100]
    assert tokenizer.decode(learned) == "The cat sings."

    pairs = [
        {**preference_rows(1)[0], "truncated": truncated, "probability": 1.0}
        for truncated in (False, True)
    ]
    for encode in (preference_tokens, reward_tokens):
        (whole, _), (part, _) = encode(pairs, chat)
        for side in ("chosen_ids", "rejected_ids"):
            assert whole[side][: len(part[side])] == part[side]
            assert tokenizer.decode(whole[side][len(part[side]) :]) == "<|im_end|>"


def test_a_trained_base_model_stops_where_its_turn_ends(tmp_path):
    """A base model: its tokenizer and its settings end a text otherwise than its template ends a turn."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from training.trainers.sft import run

    base = build_tiny_model(tmp_path / "base", eos_token_id=0)
    tokenizer = AutoTokenizer.from_pretrained(base)
    tokenizer.eos_token = "<|endoftext|>"
    tokenizer.save_pretrained(base)
    rows = write_rows(tmp_path / "rows.jsonl", sft_rows(120))
    chosen = settings(base, rows, tmp_path / "out", learning_rate=1e-2, epochs=6.0)
    trained = run(SFTTrainingConfig(**chosen)).model
    end = tokenizer.convert_tokens_to_ids("<|im_end|>")
    model = AutoModelForCausalLM.from_pretrained(trained)
    assert model.generation_config.eos_token_id == [0, end]
    asked = [{"role": "user", "content": "blue dog runs"}]
    prompt = tokenizer.apply_chat_template(asked, add_generation_prompt=True, return_tensors="pt")
    done = model.generate(**prompt, max_new_tokens=60, do_sample=False)
    said = tokenizer.decode(done[0, prompt["input_ids"].shape[1] :])
    assert said.startswith("The cat") and said.endswith("<|im_end|>")
    assert said.count("<|im_end|>") == 1


# LoRA --------------------------------------------------------------------------------------------


def test_a_merged_adapter_answers_as_the_adapter_does(model, data, tmp_path):
    import torch
    from peft import PeftModel

    from training.trainers.sft import run

    lora = LoraSettings(r=4, alpha=32)
    config = SFTTrainingConfig(
        **settings(model, data / "sft.jsonl", tmp_path / "out", learning_rate=2e-2, lora=lora)
    )
    result = run(config)
    assert result.metrics["after"]["loss"] < result.metrics["before"]["loss"]
    merged, tokenizer = load(result.model)
    base, _ = load(model)
    before = logits(base, tokenizer)
    adapted = logits(PeftModel.from_pretrained(base, str(result.out / "adapter")), tokenizer)
    torch.testing.assert_close(logits(merged, tokenizer), adapted, rtol=1e-4, atol=1e-5)
    assert (adapted - before).abs().max() > 1e-2


def test_final_weights_are_of_the_base_models_type(model, data, tmp_path):
    import torch
    from safetensors.torch import load_file
    from transformers import AutoModelForCausalLM

    from training.trainers.sft import run

    half = tmp_path / "half"
    half.mkdir()
    for file in model.iterdir():
        (half / file.name).write_bytes(file.read_bytes())
    AutoModelForCausalLM.from_pretrained(half, dtype=torch.bfloat16).save_pretrained(half)
    config = SFTTrainingConfig(
        **settings(half, data / "sft.jsonl", tmp_path / "out", max_steps=2, eval_share=0.0)
    )
    path = run(config).model
    assert {w.dtype for w in load_file(path / "model.safetensors").values()} == {torch.bfloat16}
    assert json.loads((path / "config.json").read_bytes())["dtype"] == "bfloat16"


@pytest.mark.parametrize("lora", [None, LoraSettings(r=4)])
def test_tied_weights_are_written_once_and_load_tied(data, tmp_path, lora):
    from safetensors.torch import load_file

    from training.trainers.sft import run

    tied = build_tiny_model(tmp_path / "tied", tie_word_embeddings=True)
    config = SFTTrainingConfig(
        **settings(tied, data / "sft.jsonl", tmp_path / "out", max_steps=2, lora=lora)
    )
    path = run(config).model
    assert (
        load_file(path / "model.safetensors").keys() == load_file(tied / "model.safetensors").keys()
    )
    trained, _ = load(path)
    assert trained.lm_head.weight is trained.model.embed_tokens.weight


# DPO ---------------------------------------------------------------------------------------------


def dpo(model, data, out, **changes):
    from training.trainers.dpo import run

    chosen = settings(model, data / "preferences.jsonl", out, learning_rate=2e-3, **changes)
    return run(DPOTrainingConfig(**chosen))


def test_dpo_learns_a_planted_preference(model, data, tmp_path):
    after = dpo(model, data, tmp_path / "out").metrics["after"]
    assert after["rewards/accuracies"] > 0.9
    assert after["rewards/margins"] > 0.1
    assert after["loss"] < math.log(2)


@pytest.mark.parametrize("precompute", [True, False])
def test_soft_labels_of_one_half_leave_the_policy_unchanged(model, tmp_path, precompute):
    import torch

    write_rows(tmp_path / "preferences.jsonl", preference_rows(48, probability=0.5))
    options = {"soft_labels": True, "precompute_reference": precompute, "max_steps": 4}
    result = dpo(model, tmp_path, tmp_path / "out", **options)
    trained, _ = load(result.model)
    base, _ = load(model)
    moved = [
        (left - right).abs().max()
        for left, right in zip(trained.parameters(), base.parameters(), strict=True)
    ]
    assert torch.stack(moved).max() == 0


def test_soft_labels_stop_where_the_judge_does(model, tmp_path):
    """With labels of 0.6 the margin goes to log(0.6 / 0.4), with hard ones beyond it."""
    write_rows(tmp_path / "preferences.jsonl", preference_rows(120, probability=0.6))
    soft = dpo(model, tmp_path, tmp_path / "soft", soft_labels=True, epochs=4.0)
    hard = dpo(model, tmp_path, tmp_path / "hard", epochs=4.0)
    wanted = math.log(0.6 / 0.4)
    assert soft.metrics["after"]["rewards/margins"] == pytest.approx(wanted, abs=0.15)
    assert hard.metrics["after"]["rewards/margins"] > 2 * wanted


def test_dpo_with_lora_and_another_reference(model, data, supervised, tmp_path):
    result = dpo(
        model,
        data,
        tmp_path / "out",
        lora=LoraSettings(r=4),
        reference=str(supervised[0].out),
        max_steps=2,
    )
    assert result.metrics["before"]["loss"] != pytest.approx(math.log(2), abs=1e-3)
    load(result.model)


# Reward model ------------------------------------------------------------------------------------


@pytest.mark.parametrize("soft", [False, True])
def test_a_reward_model_learns_a_planted_preference(model, data, tmp_path, soft):
    from training.trainers.reward_model import run

    chosen = settings(model, data / "preferences.jsonl", tmp_path / "out", soft_labels=soft)
    result = run(RewardModelConfig(**chosen))
    report = result.metrics["held_out_pairs"]
    assert report["accuracy"] >= 0.9 and report["pairs"] == result.rows["test"]
    assert 0 <= report["calibration_error"] <= 0.5
    assert report["prefers_longer"] is None  # both answers of a pair are of one length
    if soft:  # it says how sure the judge was, not more
        bins = report["calibration"]
        assert max(b["confidence"] for b in bins) < 0.97


def test_a_reward_model_of_soft_labels_follows_the_judge_against_the_chosen(model, tmp_path):
    """A judge that gives the chosen answer 0.1 finds the other one better, and so does the model."""
    from training.trainers.reward_model import run

    write_rows(tmp_path / "preferences.jsonl", preference_rows(120, probability=0.1))
    chosen = settings(model, tmp_path / "preferences.jsonl", tmp_path / "out", soft_labels=True)
    assert run(RewardModelConfig(**chosen)).metrics["held_out_pairs"]["accuracy"] <= 0.1


def test_the_seed_says_what_head_a_reward_model_begins_with(model, data, tmp_path):
    import torch
    from safetensors.torch import load_file

    from training.trainers.reward_model import run

    def weights(name, seed):
        torch.rand(1)  # what was drawn before does not count
        chosen = settings(model, data / "preferences.jsonl", tmp_path / name, max_steps=1)
        result = run(RewardModelConfig(**chosen, seed=seed))
        return load_file(result.model / "model.safetensors")["score.weight"]

    first = weights("first", 3)
    assert torch.equal(first, weights("again", 3))
    assert not torch.equal(first, weights("other", 4))


def test_a_reward_model_with_lora_loads_as_a_classifier(model, data, tmp_path):
    from transformers import AutoModelForSequenceClassification

    from training.trainers.reward_model import run

    lora = LoraSettings(r=4)
    chosen = settings(model, data / "preferences.jsonl", tmp_path / "out", lora=lora, max_steps=2)
    result = run(RewardModelConfig(**chosen))
    loaded = AutoModelForSequenceClassification.from_pretrained(result.model)
    assert loaded.config.num_labels == 1
    assert loaded.score.weight.abs().sum() > 0


def test_nothing_is_printed(model, data, tmp_path, capfd):
    from training.trainers.sft import run

    chosen = settings(model, data / "sft.jsonl", tmp_path / "out", max_steps=1)
    run(SFTTrainingConfig(**chosen))
    captured = capfd.readouterr()
    assert captured.out + captured.err == ""
