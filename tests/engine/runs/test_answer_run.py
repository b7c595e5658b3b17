"""A model's own answers: a run like any other, and rows to train on at its end."""

import asyncio
import json
from collections import Counter

import jsonlines
import pytest

from constitution.problems import InputError
from engine.generators.base import Completion, FailureReason, GenerationError, Sampling
from engine.prompts.sources import open_prompts
from engine.runs.answer_run import AnswerRun
from engine.settings import AnswerSettings, RoleModel
from tests.engine.builders import Replies
from training.data.datasets import mix_rows

COUNT = 8


def prompts(folder, count=COUNT, text="Question"):
    path = folder / "prompts.jsonl"
    with jsonlines.open(path, "w") as rows:
        rows.write_all({"id": f"p{n}", "prompt": f"{text} {n}?"} for n in range(count))
    return open_prompts(path)


def answer(out, source, reply, *, settings=None, mode="resume", sampling=None):
    """Run to the end; what was asked, by text."""
    generator = Replies(reply)
    model = RoleModel(generator, sampling or Sampling())
    run = AnswerRun(out, source, model, settings or AnswerSettings(), mode=mode)

    async def work():
        try:
            if not run.complete:
                await run.execute()
        finally:
            await run.close()

    asyncio.run(work())
    return [request.messages[-1].content for request in generator.requests]


def lines(path):
    with jsonlines.open(path) as rows:
        return list(rows)


def manifest(out):
    return json.loads((out / "manifest.json").read_bytes())


def kinds(request):
    """The first prompt's answer is cut off, the second's empty, the third's never comes."""
    match request.messages[-1].content.split()[1]:
        case "0?":
            return Completion("Cut", "length", 5, 0, 7)
        case "1?":
            return Completion("<think>Hm.</think>", "stop", 5, 0, 3)
        case "2?":
            return GenerationError(FailureReason.SERVER_ERROR, "it is down")
    return Completion("An answer.", "stop", 5, 0, 4)


def test_every_prompt_has_a_record_or_a_failure_with_its_reason(tmp_path):
    out = tmp_path / "run"
    answer(out, prompts(tmp_path), kinds)
    records = {row["id"]: row for row in lines(out / "records.jsonl")}
    assert (records["p0"]["outcome"], records["p0"]["drop_reason"]) == ("dropped", "truncated")
    assert (records["p1"]["outcome"], records["p1"]["drop_reason"]) == ("dropped", "empty")
    assert records["p3"]["outcome"] == "answered" and records["p3"]["answer"] == "An answer."
    assert records["p3"]["usage"] == {"requests": 1, "prompt_tokens": 5, "completion_tokens": 4}
    assert records["p3"]["sampling"]["policy"]["temperature"] == 0.7
    failed = lines(out / "failures.jsonl")
    assert [(row["id"], row["stage"], row["reason"]) for row in failed] == [
        ("p2", "policy", "server_error")
    ]
    assert manifest(out)["kind"] == "answer" and manifest(out)["complete"]
    assert manifest(out)["totals"] == {"records": 7, "answered": 5, "dropped": 2, "failed": 1}


def test_answers_become_rows_to_mix_in(tmp_path):
    source, out = prompts(tmp_path), tmp_path / "run"
    answer(out, source, kinds)
    rows = lines(out / "answers.jsonl")
    assert {row["id"] for row in rows} == {f"p{n}" for n in range(3, COUNT)}
    assert all(row["completion"][0]["content"] == "An answer." for row in rows)
    keep = AnswerSettings(keep_truncated=True)
    answer(out, source, kinds, settings=keep, mode="overwrite")
    mixed = list(mix_rows(str(out / "answers.jsonl"), "sft", Counter()))
    assert sorted(row["truncated"] for row in mixed) == [False] * 5 + [True]


def test_other_prompts_models_and_settings_are_refused_and_lose_nothing(tmp_path):
    out = tmp_path / "run"
    answer(out, prompts(tmp_path), lambda request: "An answer.")
    before = {path.name: path.read_bytes() for path in out.glob("*.jsonl")}
    for change, match in (
        ({"source": prompts(tmp_path, 3, "Other")}, r"prompts was .*now .*--update.*--overwrite"),
        ({"settings": AnswerSettings(seed=1)}, "seed was 0, now 1.*--overwrite"),
        ({"sampling": Sampling(max_tokens=9)}, "max_tokens was 512, now 9"),
    ):
        given = {"source": prompts(tmp_path), "reply": lambda request: "Another.", **change}
        with pytest.raises(InputError, match=match):
            answer(out, **given)
    assert {path.name: path.read_bytes() for path in out.glob("*.jsonl")} == before


def test_an_update_answers_the_prompts_that_are_new_and_keeps_the_rest_aside(tmp_path):
    out = tmp_path / "run"
    answer(out, prompts(tmp_path, 3), lambda request: "An answer.")
    asked = answer(out, prompts(tmp_path, 5), lambda request: "An answer.", mode="update")
    assert asked == ["Question 3?", "Question 4?"]
    assert len(lines(out / "records.jsonl")) == len(lines(out / "answers.jsonl")) == 5
    assert len(lines(out / "previous" / "1" / "answers.jsonl")) == 3


def test_two_at_once_into_one_directory_are_refused(tmp_path):
    source, out = prompts(tmp_path), tmp_path / "run"
    model = RoleModel(Replies(lambda request: "An answer."), Sampling())
    first = AnswerRun(out, source, model, AnswerSettings())
    with pytest.raises(InputError, match="another process"):
        AnswerRun(out, source, model, AnswerSettings())
    asyncio.run(first.close())


def test_stopped_half_way_it_goes_on_and_rows_appear_only_at_the_end(tmp_path):
    source, out = prompts(tmp_path), tmp_path / "run"
    model = RoleModel(Replies(lambda request: "An answer."), Sampling())
    run = AnswerRun(out, source, model, AnswerSettings(), window=1)

    async def stop_after_three():
        results = run.stream()
        for _ in range(3):
            await anext(results)
        await results.aclose()
        await run.close()

    asyncio.run(stop_after_three())
    assert not (out / "answers.jsonl").exists() and not manifest(out)["complete"]
    asked = answer(out, source, lambda request: "An answer.")
    assert len(asked) <= COUNT - 3
    assert len(lines(out / "answers.jsonl")) == COUNT
    assert manifest(out)["usage"]["generated_requests"] == COUNT


def test_deleted_rows_are_written_again_from_the_records(tmp_path):
    source, out = prompts(tmp_path), tmp_path / "run"
    answer(out, source, lambda request: "An answer.")
    whole = (out / "answers.jsonl").read_bytes()
    (out / "answers.jsonl").unlink()
    assert answer(out, source, lambda request: "An answer.") == []
    assert (out / "answers.jsonl").read_bytes() == whole
