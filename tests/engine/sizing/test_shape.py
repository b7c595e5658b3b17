"""Parameters by formula: as published, and as transformers builds each family."""

import pytest

from engine.sizing.counted import counted_shape
from engine.sizing.shape import UnknownShape, shape_from_count, shape_of
from tests.engine.sizing.published import PUBLISHED

TINY = {
    "hidden_size": 64,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 96,
    "vocab_size": 128,
}
EXPERTS = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 32}
FAMILIES = {
    "llama": {},
    "llama with biases": {"model_type": "llama", "attention_bias": True, "mlp_bias": True},
    "mistral": {},
    "qwen2": {},
    "qwen3": {"head_dim": 32},
    "gemma": {"head_dim": 32},
    "gemma2": {"head_dim": 32},
    "gemma3_text": {"head_dim": 32},
    "phi3": {"pad_token_id": 0},
    "smollm3": {"pad_token_id": 0},
    "olmo2": {},
    "granite": {},
    "mixtral": {"num_local_experts": 4},
    "qwen2_moe": {**EXPERTS, "shared_expert_intermediate_size": 48},
    "qwen3_moe": {**EXPERTS, "mlp_only_layers": [1]},
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_parameters_are_as_published(name):
    config, parameters = PUBLISHED[name]
    assert shape_of(config).parameters == parameters


@pytest.mark.parametrize(
    ("name", "bytes_per_token"),
    [
        ("meta-llama/Llama-3.1-8B-Instruct", 2 * 32 * 8 * 128 * 2),  # 128 KiB
        ("meta-llama/Llama-3.1-70B-Instruct", 2 * 80 * 8 * 128 * 2),  # 320 KiB
        ("Qwen/Qwen2.5-7B-Instruct", 2 * 28 * 4 * 128 * 2),  # 56 KiB
        ("google/gemma-2-9b", 2 * 42 * 8 * 256 * 2),
    ],
)
def test_grouped_queries_cache_keys_and_values_of_few_heads(name, bytes_per_token):
    assert shape_of(PUBLISHED[name][0]).cache_bytes == bytes_per_token


def test_a_token_passes_through_two_of_eight_experts():
    """12.9 of 46.7 billion (Jiang et al. 2024, section 2)."""
    shape = shape_of(PUBLISHED["mistralai/Mixtral-8x7B-v0.1"][0])
    assert shape.active == pytest.approx(12.9e9, rel=0.005)


def test_adapters_are_as_large_as_peft_reports():
    """41,943,040 of rank 16 on all linear layers of Llama 3.1 8B."""
    shape = shape_of(PUBLISHED["meta-llama/Llama-3.1-8B-Instruct"][0])
    assert shape.adapter(16) == 41_943_040


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_the_formula_counts_what_transformers_builds(family):
    config = {"model_type": family, **TINY, **FAMILIES[family]}
    assert shape_of(config).parameters == counted_shape(config).parameters


def test_a_model_that_also_sees_is_sized_by_its_text():
    text = {"model_type": "qwen2", **TINY}
    assert shape_of({"model_type": "seer", "text_config": text}) == shape_of(text)


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"model_type": "unheard_of", **TINY},
        {"model_type": "llama", **TINY, "num_hidden_layers": 10**12},
        {"model_type": "llama", **TINY, "hidden_size": "large"},
    ],
)
def test_what_is_not_known_by_formula_says_so(config):
    with pytest.raises(UnknownShape):
        shape_of(config)


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_shape_from_a_number_is_near(name):
    config, parameters = PUBLISHED[name]
    true, likely = shape_of(config), shape_from_count(parameters)
    if true.active == true.parameters and parameters > 4e9:
        assert likely.hidden == pytest.approx(true.hidden, rel=0.5)
        assert likely.layers == pytest.approx(true.layers, rel=0.5)
