"""Prompts to train on and prompts to hold out, none on both sides."""

import jsonlines
import pytest

from constitution.problems import InputError
from constitution.schema import Stakeholder
from constitution.selection import draw_profile
from engine.messages import Message, to_dicts
from engine.prompts.rows import Prompt
from engine.prompts.sources import open_prompts
from tests.engine.builders import constitution
from training.data.split import is_held_out, prompt_digest, split_prompts
from training.data.value_header import ValueHeader


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


def test_what_is_set_aside_to_evaluate_on_leaves_rows_to_be_held_out(tmp_path):
    prompts = source(tmp_path / "p.jsonl", [f"Question {n}?" for n in range(200)])
    split_prompts(prompts, 0.2, tmp_path / "out")
    left = [to_dicts(p.messages) for p in open_prompts(tmp_path / "out" / "train.jsonl")]
    assert 5 < sum(is_held_out(messages, 0.1) for messages in left) < 35


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


def test_a_value_header_says_the_profile_that_judges_will_draw(tmp_path):
    rules = constitution().model_copy(
        update={
            "stakeholders": {
                "legal": Stakeholder(description="The company's lawyers."),
                "users": Stakeholder(),
            }
        }
    )
    header = ValueHeader(rules, {"legal": 1.0, "users": 1.0}, seed=3)
    plain = Prompt("p1", 0, (Message("user", "Hello?"),))
    briefed = Prompt("p1", 0, (Message("system", "Be brief."), Message("user", "Hello?")))
    name = draw_profile({"legal": 1.0, "users": 1.0}, prompt_id="p1", seed=3)
    assert header.on(plain).extra["stakeholder"] == name
    assert header.on(plain).messages[0] == Message("system", header.text(name))
    assert header.text("legal") == (
        "You answer for this stakeholder: legal. The company's lawyers."
    )
    assert header.text("users") == "You answer for this stakeholder: users."
    assert header.on(briefed).messages[0].content.startswith("Be brief.\n\nYou answer for")
    assert prompt_digest(to_dicts(plain.messages)) == prompt_digest(
        to_dicts(header.on(briefed).messages)
    )


def test_what_is_read_is_not_written(tmp_path):
    prompts = source(tmp_path / "train.jsonl", [f"Question {n}?" for n in range(100)])
    aside = source(tmp_path / "held_out.jsonl", ["Question 1?"])
    before = contents(tmp_path)
    with pytest.raises(InputError, match=r"train\.jsonl: is what is read"):
        split_prompts(prompts, 0.2, tmp_path, overwrite=True)
    (tmp_path / "train.jsonl").rename(tmp_path / "p.jsonl")
    with pytest.raises(InputError, match=r"held_out\.jsonl: is what is read"):
        split_prompts(open_prompts(tmp_path / "p.jsonl"), aside, tmp_path, overwrite=True)
    (tmp_path / "p.jsonl").rename(tmp_path / "train.jsonl")
    with pytest.raises(InputError, match=r"train\.jsonl: is what is read"):
        split_prompts(open_prompts(f"{tmp_path}/*.jsonl"), 0.2, tmp_path, overwrite=True)
    with pytest.raises(InputError, match=r"train\.jsonl: is what is read"):
        split_prompts(open_prompts(tmp_path), 0.2, tmp_path, overwrite=True)
    assert contents(tmp_path) == before


def test_other_rows_are_only_replaced_where_that_is_asked(tmp_path):
    prompts, out = (
        source(tmp_path / "p.jsonl", [f"Question {n}?" for n in range(100)]),
        tmp_path / "o",
    )
    out.mkdir()
    (out / "held_out.jsonl").write_text('{"prompt": "Mine?"}\n', encoding="utf-8")
    before = contents(out)
    with pytest.raises(InputError, match=r"held_out\.jsonl: exists already"):
        split_prompts(prompts, 0.2, out)
    assert contents(out) == before
    split_prompts(prompts, 0.2, out, overwrite=True)
    after = contents(out)
    split_prompts(prompts, 0.2, out)
    assert contents(out) == after
    with pytest.raises(InputError, match=r"train\.jsonl: exists already"):
        split_prompts(prompts, 0.5, out)
    assert contents(out) == after


def test_neither_side_is_replaced_where_the_other_cannot_be_written(tmp_path):
    prompts = source(tmp_path / "p.jsonl", ["One?", "Two?"])
    split_prompts(prompts, source(tmp_path / "h.jsonl", ["Three?"]), tmp_path / "out")
    before = contents(tmp_path / "out")
    with pytest.raises(InputError, match="no prompt is held out"):
        split_prompts(prompts, 0.0001, tmp_path / "out", overwrite=True)
    assert contents(tmp_path / "out") == before


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}
