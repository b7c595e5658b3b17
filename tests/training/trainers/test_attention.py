"""Which attention is used when, on GPUs that are made up; and that rows of one sequence do not see each
other, on a tiny model."""

import pytest

from constitution.problems import InputError
from tests.engine.tiny_model import build_tiny_model
from tests.training.trainer_data import settings
from training.trainers import attention, precision
from training.trainers.attention import attention_of, keeps_rows_apart
from training.trainers.config import DPOTrainingConfig, SFTTrainingConfig


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return build_tiny_model(tmp_path_factory.mktemp("model") / "tiny")


@pytest.fixture
def gpu(monkeypatch):
    """Make a GPU: whether it has bfloat16, and which attention is there."""

    def made(*, bfloat16=True, flash=False, varlen=False, kernels=False):
        there = {"flash_attn": flash, "kernels": kernels, "torch": True}
        monkeypatch.setattr(attention, "uses_gpu", lambda: True)
        monkeypatch.setattr(precision, "uses_gpu", lambda: True)
        for module in (attention, precision):
            monkeypatch.setattr(module, "has_bfloat16", lambda: bfloat16)
        monkeypatch.setattr(attention, "varlen_is_right", lambda: varlen)
        find = attention.importlib.util.find_spec
        monkeypatch.setattr(
            attention.importlib.util,
            "find_spec",
            lambda name: (there[name] or None) if name in there else find(name),
        )

    return made


def config(model, kind=SFTTrainingConfig, **changes):
    return kind(**settings(model, "rows", "out", **changes))


@pytest.mark.parametrize(
    ("machine", "chosen"),
    [
        ({"flash": True, "varlen": True}, "flash_attention_2"),
        ({"varlen": True}, "solon_varlen"),
        ({"kernels": True}, None),  # nothing is fetched unasked
        ({"flash": True, "varlen": True, "bfloat16": False}, None),
        ({}, None),
    ],
)
def test_the_best_that_the_gpu_has_is_chosen(gpu, model, machine, chosen):
    gpu(**machine)
    made = config(model)
    assert attention_of(made, str(model), "causal") == chosen
    assert keeps_rows_apart(made) == (chosen is not None)
    assert attention_of(config(model, dtype="float32"), str(model), "causal") is None
    # Pairs are padded, where torch's own gives nothing.
    pairs = attention_of(config(model, DPOTrainingConfig), str(model), "causal")
    assert pairs == (chosen if chosen == "flash_attention_2" else None)


def test_a_cpu_leaves_it_to_transformers(model):
    assert attention_of(config(model), str(model), "causal") is None
    assert not keeps_rows_apart(config(model))


@pytest.mark.parametrize(
    ("chosen", "machine", "told"),
    [
        ("flash", {}, r"flash-attn is not installed; pip install flash-attn"),
        ("kernel", {}, "kernels is not installed"),
        ("varlen", {}, "does not give here what sdpa gives"),
        ("flash", {"flash": True, "bfloat16": False}, "needs a GPU that computes in bfloat16"),
    ],
)
def test_one_that_cannot_be_had_is_refused(gpu, model, chosen, machine, told):
    gpu(**machine)
    with pytest.raises(InputError, match=f"attention: {chosen}: {told}"):
        attention_of(config(model, attention=chosen), str(model), "causal")


def test_one_that_can_be_had_is_taken(gpu, model):
    gpu(varlen=True, kernels=True)
    for chosen, name in (("kernel", "kernels-community/flash-attn2"), ("sdpa", "sdpa")):
        assert attention_of(config(model, attention=chosen), str(model), "causal") == name


def test_models_that_attend_otherwise_keep_their_own(gpu, tmp_path):
    gpu(varlen=True)
    dropping = build_tiny_model(tmp_path / "dropping", attention_dropout=0.1)
    wide = build_tiny_model(tmp_path / "wide", head_dim=512)
    assert attention_of(config(dropping), str(dropping), "causal") is None
    assert attention_of(config(wide), str(wide), "causal") is None


# Rows of one sequence -----------------------------------------------------------------------------


def by_rows(query, key, value, starts, _starts, _longest, _longest_key, **named):
    """What torch's kernel computes, a row at a time."""
    import torch
    from torch.nn.functional import scaled_dot_product_attention

    found, (left, right) = [], named["window_size"]
    assert right == 0
    for begin, end in zip(starts[:-1].tolist(), starts[1:].tolist(), strict=True):
        q, k, v = (each[begin:end].transpose(0, 1)[None] for each in (query, key, value))
        at = torch.arange(end - begin)
        seen = at[:, None] >= at
        if left >= 0:
            seen &= at[:, None] - at <= left
        done = scaled_dot_product_attention(
            q, k, v, attn_mask=seen, scale=named["scale"], enable_gqa=named["enable_gqa"]
        )
        found.append(done[0].transpose(0, 1))
    return torch.cat(found)


ROWS = [[5, 6, 7], [8, 9, 10, 11, 12, 13], [14], [15, 16]]


def losses(folder, name, *, packed):
    """Of the tokens of each row, from rows that share a sequence or are padded."""
    import torch
    from transformers import AutoModelForCausalLM
    from trl.trainer.sft_trainer import DataCollatorForLanguageModeling

    model = AutoModelForCausalLM.from_pretrained(folder, attn_implementation=name)
    collate = DataCollatorForLanguageModeling(pad_token_id=0, padding_free=packed)
    batch = collate([{"input_ids": row} for row in ROWS])
    labels = batch.pop("labels")
    logits = model(**batch, use_cache=False).logits
    rows = logits[0].split([len(row) for row in ROWS]) if packed else logits
    found = torch.cat([each[: len(row)] for each, row in zip(rows, ROWS, strict=True)])
    found.pow(2).mean().backward()
    assert labels.shape == batch["input_ids"].shape
    return found, model.model.layers[0].self_attn.k_proj.weight.grad


@pytest.fixture(scope="module", params=[None, 3])
def folder(request, tmp_path_factory):
    """With full attention, and with a window of three tokens."""
    import json

    folder = build_tiny_model(tmp_path_factory.mktemp("packed") / "tiny")
    if request.param:
        file = folder / "config.json"
        described = json.loads(file.read_bytes()) | {
            "model_type": "mistral",
            "architectures": ["MistralForCausalLM"],
            "sliding_window": request.param,
        }
        file.write_text(json.dumps(described), encoding="utf-8")
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("name", ["sdpa", "varlen"])
def test_rows_of_one_sequence_do_not_see_each_other(folder, name, monkeypatch):
    import torch
    import torch.nn.attention.varlen as varlen

    monkeypatch.setattr(varlen, "varlen_attn", by_rows)
    attention.register_varlen()
    implementation = attention.NAMES[name]
    alone = losses(folder, "sdpa", packed=False)
    for found in (
        losses(folder, implementation, packed=True),
        losses(folder, implementation, packed=False),
    ):
        for ours, theirs in zip(found, alone, strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


def test_the_check_of_a_gpu_tells_right_from_wrong(monkeypatch):
    import torch.nn.attention.varlen as varlen

    monkeypatch.setattr(varlen, "varlen_attn", by_rows)
    assert attention._agrees("cpu")

    def forgetful(query, key, value, starts, *rest, **named):
        return by_rows(query, key, value, starts[[0, -1]], starts, *rest[1:], **named)

    monkeypatch.setattr(varlen, "varlen_attn", forgetful)
    assert not attention._agrees("cpu")


def test_a_model_that_does_not_say_where_rows_begin_is_an_error():
    import torch

    nothing = torch.empty(0)
    with pytest.raises(ValueError, match="set attention to sdpa"):
        attention.varlen_attention(None, nothing, nothing, nothing, nothing)
    starts = torch.tensor([0, 2])
    with pytest.raises(ValueError, match="not plain"):
        attention.varlen_attention(
            None, nothing, nothing, nothing, None, cu_seq_lens_q=starts, softcap=30.0
        )
