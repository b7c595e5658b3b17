"""A model's own answers as rows to train on."""

import asyncio

import jsonlines

from engine.generators.base import Completion, Sampling
from engine.loop.answer import write_answers
from engine.prompts.sources import open_prompts
from tests.engine.builders import Replies
from training.data.mix import mix_rows


def test_answers_become_rows_to_mix_in(tmp_path):
    def reply(request):
        first = request.messages[-1].content == "Question 0?"
        return Completion("Cut", "length", 5, 0, 7) if first else "An answer."

    with jsonlines.open(tmp_path / "prompts.jsonl", "w") as rows:
        rows.write_all({"id": f"p{n}", "prompt": f"Question {n}?"} for n in range(8))
    prompts, out = open_prompts(tmp_path / "prompts.jsonl"), tmp_path / "answers"
    counts = asyncio.run(write_answers(prompts, Replies(reply), Sampling(), 0, out))
    assert (counts.written, counts.truncated) == (7, 1)
    with jsonlines.open(out / "answers.jsonl") as lines:
        rows = list(lines)
    assert len(rows) == 7
    assert all(row["completion"][0]["content"] == "An answer." for row in rows)

    kept = asyncio.run(
        write_answers(prompts, Replies(reply), Sampling(), 0, out, keep_truncated=True)
    )
    assert (kept.written, kept.truncated) == (8, 1)
    mixed = list(mix_rows(str(out / "answers.jsonl"), "sft"))
    assert sorted(row["truncated"] for row in mixed) == [False] * 7 + [True]
