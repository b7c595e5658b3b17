"""Held-out rows are dealt out so that each counts once, however many processes there are."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.engine.tiny_model import build_tiny_model
from tests.training.trainer_data import preference_rows, settings, sft_rows, write_rows
from training.trainers.config import RewardModelConfig, SFTTrainingConfig
from training.trainers.held_out import shares


@given(st.integers(1, 200), st.integers(1, 16), st.integers(1, 5))
def test_every_row_counts_once_and_every_process_has_as_many_batches(rows, size, world):
    dealt = [list(shares(rows, size, rank, world)) for rank in range(world)]
    counted = [0.0] * rows
    for batches in dealt:
        for batch, worth in batches:
            assert 1 <= len(batch) <= size
            for row in batch:
                counted[row] += worth
    assert all(abs(count - 1) < 1e-9 for count in counted)
    lengths = {tuple(len(batch) for batch, _ in batches) for batches in dealt}
    assert len(lengths) == 1


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return build_tiny_model(tmp_path_factory.mktemp("model") / "tiny")


def still(model, folder, out, size):
    """Settings of a training that changes nothing that can be measured."""
    chosen = settings(model, folder, out, batch_size=size, max_steps=1, learning_rate=1e-9)
    return {**chosen, "eval_share": 0.0}


@pytest.mark.slow
def test_of_nine_pairs_each_counts_as_much(model, tmp_path):
    from training.trainers.reward_model import run

    write_rows(tmp_path / "rows" / "train.jsonl", preference_rows(16))
    write_rows(tmp_path / "rows" / "test.jsonl", preference_rows(9, seed=7))
    found = {}
    for size in (1, 8):
        config = RewardModelConfig(**still(model, tmp_path / "rows", tmp_path / f"{size}", size))
        metrics = run(config).metrics
        found[size] = metrics["after"]
        assert metrics["after"]["accuracy"] == pytest.approx(metrics["held_out_pairs"]["accuracy"])
    assert found[8] == pytest.approx(found[1], abs=1e-4)


@pytest.mark.slow
def test_the_loss_of_sft_is_a_mean_over_tokens(model, tmp_path):
    from training.trainers.sft import run

    held_out = sft_rows(9, seed=7)
    for number, row in enumerate(held_out):
        row["completion"][0]["content"] += " red" * number
    write_rows(tmp_path / "rows" / "train.jsonl", sft_rows(16))
    write_rows(tmp_path / "rows" / "test.jsonl", held_out)
    found = {}
    for size in (1, 4, 16):
        config = SFTTrainingConfig(**still(model, tmp_path / "rows", tmp_path / f"{size}", size))
        found[size] = run(config).metrics["before"]
    assert found[16] == pytest.approx(found[1], abs=1e-4)
    assert found[4] == pytest.approx(found[1], abs=1e-4)
