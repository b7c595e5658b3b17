"""Adapters: what cannot work is refused before weights are read, and what is written answers as it was
trained."""

import json

import pytest

from constitution.problems import InputError
from tests.engine.tiny_model import build_tiny_model
from tests.training.trainer_data import preference_rows, settings, sft_rows, write_rows
from training.trainers import lora
from training.trainers.config import (
    DPOTrainingConfig,
    GRPOTrainingConfig,
    LoraSettings,
    RewardModelConfig,
    SFTTrainingConfig,
)

ADAPTER = {"lora": LoraSettings(r=4, alpha=32)}
QLORA = {"lora": LoraSettings(r=4, alpha=32, quantize="4bit")}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lora")
    build_tiny_model(folder / "tiny")
    write_rows(folder / "sft.jsonl", sft_rows(60))
    write_rows(folder / "preferences.jsonl", preference_rows(60))
    return folder


def sft(folder, out, model="tiny", **changes):
    from training.trainers.sft import run

    model = folder / model
    chosen = settings(model, folder / "sft.jsonl", folder / out, learning_rate=2e-2, **changes)
    return run(SFTTrainingConfig(**chosen))


def dpo(folder, out, **changes):
    from training.trainers.dpo import run

    chosen = settings(folder / "tiny", folder / "preferences.jsonl", folder / out, **changes)
    return run(DPOTrainingConfig(**chosen))


def logits(path, adapter=None, **options):
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(path, **options)
    if adapter is not None:
        model = PeftModel.from_pretrained(model, str(adapter))
    with torch.no_grad():
        return model.eval()(torch.arange(5, 25)[None]).logits


# What is refused ----------------------------------------------------------------------------------


def config(folder, **lora_settings):
    made = settings(folder / "tiny", "rows", "out", lora=LoraSettings(**lora_settings))
    return SFTTrainingConfig(**made)


@pytest.mark.parametrize(
    ("modules", "told"),
    [
        (["q_proj", "qproj"], "no module of the model is called qproj; it has .*q_proj, k_proj"),
        ("q_proj", "no module of the model is called q_proj"),  # a text is for whole names
        ("(", "is no regular expression"),
    ],
)
def test_modules_that_the_model_lacks_are_one_clear_line(folder, modules, told):
    with pytest.raises(InputError, match=rf"lora\.target_modules: {told}"):
        lora.check_lora(config(folder, target_modules=modules), "causal")


@pytest.mark.parametrize(
    "modules", ["all-linear", r".*\.[qv]_proj", ["q_proj", "layers.0.mlp.up_proj"]]
)
def test_modules_that_it_has_are_taken(folder, modules):
    lora.check_lora(config(folder, target_modules=modules), "causal")


def test_nothing_is_written_before_they_are_refused(folder):
    with pytest.raises(InputError, match=r"lora\.target_modules"):
        sft(folder, "refused", lora=LoraSettings(target_modules=["nothing"]))
    assert not (folder / "refused").exists()


def test_four_bits_need_bitsandbytes_and_one_whole_model(folder, monkeypatch):
    monkeypatch.setattr(lora.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    with pytest.raises(InputError) as caught:
        lora.check_lora(config(folder, quantize="4bit"), "causal")
    told = str(caught.value)
    assert "pip install bitsandbytes" in told and "is not sharded over GPUs" in told


def test_vllm_is_not_handed_a_base_in_four_bits(folder):
    made = settings("m", "rows", "out", judge="scripted", constitution="base", max_answer=8)
    made |= QLORA
    with pytest.raises(ValueError, match="set `vllm: false`"):
        GRPOTrainingConfig(**made, vllm=True)
    assert GRPOTrainingConfig(**made, vllm=False)


# What is written ----------------------------------------------------------------------------------


@pytest.mark.slow
def test_an_adapter_of_an_adapter_names_its_merged_base(folder):
    import torch

    first = sft(folder, "first", lora=LoraSettings(r=4, alpha=64, merge=False), epochs=2.0)
    assert not (first.out / "model").exists()
    second = sft(folder, "second", model="first/adapter", max_steps=4, **ADAPTER)
    named = json.loads((second.out / "adapter" / "adapter_config.json").read_bytes())
    base = named["base_model_name_or_path"]
    assert base == str((second.out / "base").resolve())
    whole = logits(folder / "tiny", first.out / "adapter")
    torch.testing.assert_close(logits(base), whole, rtol=1e-4, atol=1e-5)
    merged, adapted = logits(second.model), logits(base, second.out / "adapter")
    torch.testing.assert_close(merged, adapted, rtol=1e-4, atol=1e-5)
    assert (merged - logits(folder / "tiny", second.out / "adapter")).abs().max() > 0.05
    # Its directory may move: it is found beside the adapter.
    second.out.rename(folder / "moved")
    third = sft(folder, "third", model="moved/adapter", max_steps=1, **ADAPTER)
    torch.testing.assert_close(logits(third.out / "base"), merged, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_dpo_keeps_the_adapters_dropout(folder):
    """Every unit dropped with a probability near one: the adapter hardly learns."""
    kept = dpo(folder, "dropout-0", max_steps=6, learning_rate=2e-2, lora=LoraSettings(r=4))
    dropped = dpo(
        folder, "dropout-1", max_steps=6, learning_rate=2e-2, lora=LoraSettings(r=4, dropout=0.999)
    )
    margins = [result.metrics["after"]["rewards/margins"] for result in (kept, dropped)]
    assert abs(margins[1]) < 0.3 * margins[0]


# A base in 4 bits ---------------------------------------------------------------------------------


@pytest.fixture
def plain_kernel(monkeypatch):
    """bitsandbytes' kernel for AVX512-bf16 takes no matrix narrower than a block of 64, as the tiny model's are."""
    pytest.importorskip("bitsandbytes")
    for module in ("nn.modules", "backends.cpu.ops", "functional"):
        monkeypatch.setattr(f"bitsandbytes.{module}.has_avx512bf16", lambda: False, raising=False)


@pytest.mark.slow
def test_a_base_in_four_bits_learns_and_is_merged_as_it_was_trained(folder, plain_kernel):
    import torch
    from transformers import AutoModelForCausalLM

    from training.trainers.precision import in_four_bits

    result = sft(folder, "q-sft", epochs=2.0, **QLORA)
    assert result.metrics["after"]["loss"] < result.metrics["before"]["loss"] - 0.3
    options = {"quantization_config": in_four_bits("float32", "causal")}
    trained = logits(folder / "tiny", result.out / "adapter", **options)
    merged = logits(result.model)
    torch.testing.assert_close(merged, trained, rtol=1e-3, atol=1e-3)
    assert (merged - logits(folder / "tiny", result.out / "adapter")).abs().max() > 1e-2
    written = AutoModelForCausalLM.from_pretrained(result.model)
    assert written.config.to_dict().get("quantization_config") is None
    assert {weight.dtype for weight in written.parameters()} == {torch.float32}


@pytest.mark.slow
def test_preferences_are_learned_on_a_base_in_four_bits(folder, plain_kernel):
    import torch
    from transformers import AutoModelForSequenceClassification

    from training.trainers.reward_model import run

    after = dpo(folder, "q-dpo", learning_rate=2e-2, **QLORA).metrics["after"]
    assert after["rewards/accuracies"] > 0.9
    chosen = settings(folder / "tiny", folder / "preferences.jsonl", folder / "q-rm", **QLORA)
    result = run(RewardModelConfig(**chosen | {"learning_rate": 2e-2, "epochs": 3.0}))
    assert result.metrics["held_out_pairs"]["accuracy"] > 0.7
    loaded = AutoModelForSequenceClassification.from_pretrained(result.model)
    assert loaded.score.weight.dtype == torch.float32


@pytest.mark.slow
def test_an_adapter_on_four_bits_is_trained_in_float32(folder):
    pytest.importorskip("bitsandbytes")
    import torch
    from peft import get_peft_model

    from training.trainers.models import load_model, load_tokenizer

    made = config(folder, quantize="4bit", dropout=0.1)
    model = get_peft_model(
        load_model(made, load_tokenizer(made), "causal"), lora.lora_config(made, "causal")
    )
    for parameter in model.parameters():
        if parameter.requires_grad:  # as TRL does
            parameter.data = parameter.data.to(torch.bfloat16)
    lora.restore_adapter(model, made.lora)
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    assert trained and {parameter.dtype for parameter in trained} == {torch.float32}
