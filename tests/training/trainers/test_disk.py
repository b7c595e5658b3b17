"""A training that would fill the disk is refused before its first step."""

from collections import namedtuple

import pytest

from constitution.problems import InputError
from engine.sizing.gpus import GIB
from tests.engine.tiny_model import build_tiny_model
from tests.training.trainer_data import settings, sft_rows, write_rows
from training.trainers import disk
from training.trainers.config import SFTTrainingConfig
from training.trainers.disk import Written, refuse_full_disk

SEVEN = 7 * 10**9
FULL = Written(SEVEN, SEVEN, 2)
ADAPTER = Written(SEVEN, 40_000_000, 2)
Usage = namedtuple("Usage", "total used free")


def full_disk(monkeypatch, free):
    monkeypatch.setattr(disk.shutil, "disk_usage", lambda path: Usage(free, 0, free))


@pytest.mark.parametrize(
    ("written", "kept", "there", "gigabytes"),
    [
        (FULL, 1, 0, 2 * 84),  # one while the next is written
        (FULL, 1, 1, 84),
        (FULL, 3, 0, 4 * 84),
        (FULL, 0, 0, 14 + 28),
        (ADAPTER, 1, 0, 14 + 0.48 + 0.16),  # 12 bytes of each weight trained, and the model
        (Written(SEVEN, 40_000_000, 2, models=2), 0, 0, 28 + 0.16),
    ],
)
def test_what_lies_there_at_once(written, kept, there, gigabytes):
    assert written.bytes_needed(kept, there) == pytest.approx(1.02 * gigabytes * 1e9)


def test_what_would_fit_is_named(monkeypatch):
    config = SFTTrainingConfig(**settings("m", "rows", "out"))
    full_disk(monkeypatch, 60 * GIB)
    told = (
        r"out: has 60.0 GiB free where checkpoints and model take 159.6; .*keep_checkpoints 0 needs"
    )
    with pytest.raises(InputError, match=told):
        refuse_full_disk(FULL, config, 0)
    refuse_full_disk(FULL, config.model_copy(update={"keep_checkpoints": 0}), 0)
    refuse_full_disk(ADAPTER, config, 0)


@pytest.mark.slow
def test_a_training_is_refused_and_one_checkpoint_is_kept(tmp_path, monkeypatch):
    from training.trainers.sft import run

    model = build_tiny_model(tmp_path / "tiny")
    rows = write_rows(tmp_path / "rows.jsonl", sft_rows(40))
    made = settings(model, rows, tmp_path / "out", save_every=1, max_steps=3)
    with monkeypatch.context() as patched:
        full_disk(patched, 1000)
        with pytest.raises(InputError, match="GiB free where"):
            run(SFTTrainingConfig(**made))
    result = run(SFTTrainingConfig(**made))
    kept = [path.name for path in (result.out / "checkpoints").iterdir()]
    assert kept == ["checkpoint-2"]
    none = run(SFTTrainingConfig(**made | {"out": str(tmp_path / "none"), "keep_checkpoints": 0}))
    assert not list((none.out / "checkpoints").glob("*"))
