"""Memory of a training on each GPU, against sizes from papers and sums by hand."""

import pytest

from engine.sizing.gpus import GIB, read_machine
from engine.sizing.need import refusal
from engine.sizing.sized import Sizes
from tests.engine.sizing.published import PUBLISHED, fill_cache
from training.trainers.config import (
    DPOTrainingConfig,
    GRPOTrainingConfig,
    PPOTrainingConfig,
    RewardModelConfig,
    SFTTrainingConfig,
)
from training.trainers.memory import Training
from training.trainers.sharding import Sharding, read_sharding

LLAMA, QWEN = "meta-llama/Llama-3.1-8B-Instruct", "Qwen/Qwen2.5-3B-Instruct"
PLACE = {"dataset": "rows", "out": "out"}
JUDGED = {"judge": "server:x@http://judge.example/v1", "constitution": "harmlessness"}
H100, H100S, T4 = read_machine("H100-80GB"), read_machine("H100-80GB x8"), read_machine("T4")
FSDP = Sharding(8, 8, 3, fsdp=True)
STATES = ("weights", "gradients", "optimizer")


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    fill_cache(tmp_path, monkeypatch)


def training(kind, model=LLAMA, sharding=None, **settings):
    config = kind.model_validate({"model": model, **PLACE, **settings})
    sizes = Sizes()
    sized = sizes.of(model)
    return Training(config, sized, sized.shape, sizes, sharding or Sharding())


def parts(*arguments, machine=None, **settings):
    return training(*arguments, **settings).need(machine).parts


def refused(machine, *arguments, **settings):
    need = training(*arguments, **settings).need(machine)
    problem = refusal("sft", need, machine)
    return str(problem) if problem else None


def test_a_trained_parameter_takes_16_bytes():
    """Rajbhandari et al. 2020, section 3.1."""
    found = parts(SFTTrainingConfig)
    assert sum(found[name] for name in STATES) == 16 * 8_030_261_248
    assert "reference" not in found and "bfloat16 copy" not in found


@pytest.mark.parametrize(
    ("stage", "bytes_per_parameter"),
    [(0, 16 + 4), (1, 4 + 4 + 8 / 64), (2, 4 + 12 / 64), (3, 16 / 64)],
)
def test_states_are_sharded_as_zero_says(stage, bytes_per_parameter):
    """Section 5 there, figure 1, on 64 GPUs; DDP has a second copy of gradients in its buckets."""
    found = parts(SFTTrainingConfig, sharding=Sharding(64, 8, stage))
    states = sum(found[name] for name in STATES)
    assert states == pytest.approx(bytes_per_parameter * 8_030_261_248)


def test_an_adapter_leaves_two_bytes_a_frozen_parameter():
    found = parts(SFTTrainingConfig, lora={"r": 16})
    assert found["frozen weights"] == 2 * 8_030_261_248
    assert sum(found[name] for name in STATES) == 16 * 41_943_040
    assert "output layer" not in found


def test_activations_are_the_layers_inputs_and_one_layer_at_work():
    """Korthikanti et al. 2022, section 4.1: 2 bytes × tokens × hidden × layers, all recomputed."""
    config = {"lora": {}, "batch_size": 2, "max_length": 1024}
    found = parts(SFTTrainingConfig, **config)["activations"]
    inputs = 2 * 2 * 1024 * 4096 * 32
    assert inputs < found < 2.5 * inputs
    everything = parts(SFTTrainingConfig, **config, gradient_checkpointing=False)["activations"]
    assert everything > 15 * inputs


def test_a_pair_is_two_sequences():
    rows = parts(SFTTrainingConfig, lora={})["activations"]
    assert parts(DPOTrainingConfig, lora={})["activations"] == 2 * rows
    assert parts(RewardModelConfig, lora={})["activations"] == 2 * rows


@pytest.mark.parametrize(
    ("settings", "sharding", "bytes_per_parameter"),
    [
        ({}, None, 0),
        ({}, FSDP, 4 / 8),
        ({"precompute_reference": False}, None, 4),
        ({"precompute_reference": False, "lora": {}}, None, 0),
        ({"reference": "other"}, None, 4),
    ],
)
def test_dpo_keeps_a_reference_where_it_cannot_be_asked_before(
    settings, sharding, bytes_per_parameter
):
    found = parts(DPOTrainingConfig, sharding=sharding, **settings)
    assert found.get("reference", 0) == bytes_per_parameter * 8_030_261_248


def test_the_value_model_of_ppo_is_trained_beside_the_policy():
    """16 bytes a parameter and activations as the policy's; under LoRA 2, and 16 of the adapter."""
    config = {**JUDGED, "batch_size": 4, "max_answer": 512, "vllm": False}
    head = parts(PPOTrainingConfig, QWEN, **config)
    assert "value model" not in head
    both = parts(PPOTrainingConfig, QWEN, **config, value_model=QWEN)
    states = sum(head[name] for name in STATES)
    assert both["value model"] == states + head["activations"]
    adapted = parts(PPOTrainingConfig, QWEN, **config, value_model=QWEN, lora={"r": 8})
    wanted = sum(adapted[name] for name in ("frozen weights", *STATES, "activations"))
    assert adapted["value model"] == wanted < both["value model"] / 3


def test_grpo_on_one_gpu_with_all_weights_does_not_fit():
    """16 bytes and 4 of the reference for each of 3.09 billion, and three tenths of 79 GiB."""
    config = {**JUDGED, "batch_size": 16, "max_answer": 512, "max_length": 2048}
    found = parts(GRPOTrainingConfig, QWEN, machine=H100, **config)
    before = sum(found[name] for name in (*STATES, "reference", "vLLM"))
    assert before / GIB == pytest.approx(81, abs=0.5)
    said = refused(H100, GRPOTrainingConfig, QWEN, **config)
    assert "of the 79.1 GiB of H100-80GB; fits with lora" in said
    assert refused(H100, GRPOTrainingConfig, QWEN, **config, lora={}) is None


def test_the_share_of_grpos_engine_must_hold_its_model():
    said = refused(H100, GRPOTrainingConfig, **JUDGED, lora={}, vllm_memory=0.1)
    assert "vLLM takes at least 17.1 GiB, more than its share; fits with vllm_memory 0.22" in said


def test_a_judge_in_the_process_counts():
    judge = "vllm:Qwen/Qwen2.5-7B-Instruct?gpu_memory_utilization=0.25&max_model_len=4096"
    config = GRPOTrainingConfig.model_validate({
        "model": QWEN,
        **PLACE,
        **JUDGED,
        "judge": judge,
        "lora": {},
    })
    sizes = Sizes()
    made = Training(config, sizes.of(QWEN), sizes.of(QWEN).shape, sizes)
    assert made.need(H100).parts["judge"] == 0.25 * H100.gpu.memory


def test_what_would_fit_is_named_and_fits():
    said = refused(H100, SFTTrainingConfig)
    assert "fits with lora, or FSDP over 2 GPUs (1 here)" in said
    assert refused(H100S, SFTTrainingConfig, sharding=FSDP) is None
    long = refused(H100, SFTTrainingConfig, lora={}, batch_size=64, max_length=8192)
    assert "fits with batch_size 8 and gradient_accumulation 8" in long
    assert "max_length 1024" in long
    deep = refused(H100, SFTTrainingConfig, lora={}, batch_size=16, gradient_checkpointing=False)
    assert "fits with gradient_checkpointing" in deep


def test_processes_without_a_gpu_of_their_own_are_refused():
    four = read_machine("H100-80GB x4")
    said = refused(four, SFTTrainingConfig, sharding=FSDP)
    assert said.startswith("sft: needs 8 GPUs where there are 4; fits with num_processes 4")


def test_where_nothing_fits_that_is_said():
    said = refused(T4, SFTTrainingConfig, "meta-llama/Llama-3.1-70B-Instruct", lora={})
    assert "of the 14.6 GiB of T4; fits with batch_size 1 and gradient_accumulation 8 over" in said
    said = refused(T4, GRPOTrainingConfig, LLAMA, **JUDGED, lora={})
    assert said.endswith("of the 14.6 GiB of T4; take a smaller model or a larger GPU")


@pytest.mark.parametrize("model", PUBLISHED)
def test_every_part_is_a_size(model):
    found = parts(SFTTrainingConfig, model, sharding=FSDP)
    assert all(size > 0 for size in found.values())


@pytest.mark.parametrize(
    ("file", "sharding"),
    [
        ({}, Sharding()),
        ({"distributed_type": "FSDP", "num_processes": 8, "fsdp_config": {}}, FSDP),
        (
            {
                "distributed_type": "FSDP",
                "num_processes": 16,
                "num_machines": 2,
                "fsdp_config": {"fsdp_reshard_after_forward": False},
            },
            Sharding(16, 8, 2, fsdp=True),
        ),
        (
            {
                "distributed_type": "DEEPSPEED",
                "num_processes": 4,
                "deepspeed_config": {"zero_stage": 3},
            },
            Sharding(4, 4, 3),
        ),
        ({"distributed_type": "MULTI_GPU", "num_processes": 2}, Sharding(2, 2)),
        ({"num_processes": "many", "distributed_type": None}, Sharding()),
    ],
)
def test_accelerates_file_says_how_it_is_sharded(file, sharding):
    assert read_sharding(file) == sharding


def test_a_base_in_four_bits_takes_a_quarter():
    """NF4 with quantised constants: 4.127 bits of 6.98 billion weights, 2 bytes of the others."""
    found = parts(SFTTrainingConfig, lora={"quantize": "4bit"})["frozen weights"]
    linear, whole = 6_979_321_856, 8_030_261_248
    matrix = 4096 * 14336  # one at a time is whole
    assert found == pytest.approx(4.127 / 8 * linear + 2 * (whole - linear + matrix))
    assert refused(T4, SFTTrainingConfig, lora={}, batch_size=1, gradient_accumulation=8)
    small = {"batch_size": 1, "max_length": 1024}
    assert refused(T4, SFTTrainingConfig, lora={"quantize": "4bit"}, **small) is None
    assert "lora.quantize 4bit" in refused(T4, SFTTrainingConfig, **small)


def test_grpos_engine_sleeps_is_split_or_is_elsewhere():
    config = {**JUDGED, "lora": {}, "batch_size": 8, "max_length": 2048}
    awake = training(GRPOTrainingConfig, QWEN, **config).need(H100)
    asleep = training(GRPOTrainingConfig, QWEN, vllm_sleep=True, **config).need(H100)
    freed = awake.parts["gradients"] + awake.parts["activations"]
    assert awake.total - asleep.total == pytest.approx(freed)
    elsewhere = {"vllm_server": "http://other:8000", **config}
    assert "vLLM" not in parts(GRPOTrainingConfig, QWEN, machine=H100, **elsewhere)
    tight = {**JUDGED, "lora": {}, "vllm_memory": 0.15}
    assert training(GRPOTrainingConfig, **tight).need(H100).problems
    split = training(GRPOTrainingConfig, vllm_tensor_parallel=2, **tight)
    assert not split.need(H100).problems


def test_a_mask_over_rows_that_share_a_sequence_counts():
    """8 rows of 4,096 tokens: 32,768 squared, a byte of mask and two of what is added to scores."""
    rows = {"lora": {}, "batch_size": 8, "max_length": 4096, "attention": "sdpa"}
    masked, plain = (
        parts(SFTTrainingConfig, packing=packing, **rows)["activations"] for packing in (True, None)
    )
    assert masked - plain == 3 * 32_768**2
