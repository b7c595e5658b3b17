"""What is computed in, on GPUs that are made up."""

import json

import pytest

from engine.generators.device import serving_dtype
from training.trainers import fit, precision
from training.trainers.config import RewardModelConfig, SFTTrainingConfig


@pytest.fixture
def gpu(monkeypatch):
    """Make a GPU that has bfloat16 or, as T4 and V100, emulates it."""

    def made(*, bfloat16):
        import torch

        def supported(including_emulation=True):
            return bfloat16 or including_emulation

        monkeypatch.setattr(precision, "uses_gpu", lambda: True)
        monkeypatch.setattr(fit, "uses_gpu", lambda: True)
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", supported)

    return made


def config(kind=SFTTrainingConfig, **settings):
    return kind.model_validate({"model": "m", "dataset": "d", "out": "out", **settings})


@pytest.mark.parametrize(
    ("bfloat16", "dtype", "computing"),
    [
        (True, "auto", "bfloat16"),
        (False, "auto", "float16"),
        (False, "float32", "float32"),
        (False, "bfloat16", "bfloat16"),
        (True, "float16", "float16"),
    ],
)
def test_a_gpu_without_bfloat16_computes_in_float16(gpu, bfloat16, dtype, computing):
    gpu(bfloat16=bfloat16)
    assert precision.computing_dtype(config(dtype=dtype)) == computing
    arguments = fit.arguments(config(dtype=dtype, liger=False))
    assert (arguments["bf16"], arguments["fp16"]) == (
        computing == "bfloat16",
        computing == "float16",
    )
    assert arguments["save_total_limit"] == 1


def test_a_cpu_computes_in_float32():
    arguments = fit.arguments(config())
    assert not arguments["bf16"] and not arguments["fp16"]


def test_weights_that_are_trained_are_never_of_16_bits(gpu):
    gpu(bfloat16=False)
    assert precision.weights_dtype(config(), "causal") == "float32"
    assert precision.weights_dtype(config(lora={}), "causal") == "float16"
    assert precision.weights_dtype(config(RewardModelConfig, lora={}), "reward") == "float32"


@pytest.mark.parametrize(
    ("saved", "bfloat16", "dtype"),
    [("bfloat16", True, "auto"), ("bfloat16", False, "float16"), ("float32", False, "auto")],
)
def test_a_model_is_not_served_in_a_type_that_is_emulated(gpu, tmp_path, saved, bfloat16, dtype):
    gpu(bfloat16=bfloat16)
    described = {"model_type": "llama", "dtype": saved}
    (tmp_path / "config.json").write_text(json.dumps(described), encoding="utf-8")
    assert serving_dtype(tmp_path, "cuda") == dtype
    assert serving_dtype(tmp_path, "cpu") == "float32"
