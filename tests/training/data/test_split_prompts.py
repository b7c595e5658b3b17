"""Prompts to train on and prompts to hold out, none on both sides."""

import jsonlines
import pytest

from constitution.problems import InputError
from engine.messages import to_dicts
from engine.prompts.sources import open_prompts
from training.data.split import prompt_digest, split_prompts


def source(path, texts, **columns):
    with jsonlines.open(path, "w") as rows:
        rows.write_all({"prompt": text, **columns} for text in texts)
    return open_prompts(path)


def test_a_share_is_put_aside_and_everything_is_kept(tmp_path):
    prompts = source(tmp_path / "p.jsonl", [f"Question {n}?" for n in range(200)], tags=["x"])
    counts = split_prompts(prompts, 0.25, tmp_path / "out")
    sides = [open_prompts(tmp_path / "out" / f"{side}.jsonl") for side in ("train", "held_out")]
    assert [side.count for side in sides] == [counts.train, counts.held_out]
    assert counts.train + counts.held_out == 200 and 30 < counts.held_out < 70
    kept = sorted((prompt.id, prompt.tags) for side in sides for prompt in side)
    assert kept == sorted((prompt.id, prompt.tags) for prompt in prompts)


def test_what_is_in_both_files_is_only_held_out(tmp_path):
    prompts = source(tmp_path / "p.jsonl", ["One?", "Two?", "Three?"])
    aside = source(tmp_path / "h.jsonl", ["two? ", "Four?"])
    counts = split_prompts(prompts, aside, tmp_path / "out")
    assert (counts.train, counts.held_out, counts.overlapping) == (2, 2, 1)
    digests = [
        {prompt_digest(to_dicts(p.messages)) for p in open_prompts(tmp_path / "out" / name)}
        for name in ("train.jsonl", "held_out.jsonl")
    ]
    assert digests[0].isdisjoint(digests[1])


def test_a_side_without_prompts_is_refused(tmp_path):
    prompts = source(tmp_path / "p.jsonl", ["One?"])
    with pytest.raises(InputError, match="no prompt is held out"):
        split_prompts(prompts, 0.0001, tmp_path / "out")
    with pytest.raises(InputError, match="no prompt is left to train on"):
        split_prompts(prompts, prompts, tmp_path / "out")
