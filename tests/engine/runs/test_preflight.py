"""Every server is asked before anything is spent; what all fail on stops a run; failures are retried."""

import asyncio
import json

import pytest

from engine.generators.base import FailureReason, GenerationError, GeneratorUnavailable
from engine.generators.server import ServerGenerator
from engine.generators.servers.pool import Options
from engine.prompts.sources import open_prompts
from engine.records import Outcome
from engine.runs.run import RevisionRun
from engine.settings import roles
from tests.engine.builders import Replies, constitution, paper
from tests.engine.generators.servers.answering import answer, error, serving

RULES = constitution("kindness")


@pytest.fixture
def prompts(tmp_path):
    file = tmp_path / "prompts.jsonl"
    file.write_text(
        "".join(json.dumps({"id": str(n), "prompt": f"q{n}"}) + "\n" for n in range(40))
    )
    return open_prompts(file)


def execute(out, prompts, policy, settings=None, mode="resume", **others):
    async def work():
        run = RevisionRun(
            out, prompts, RULES, roles(policy, **others), settings or paper(), mode=mode
        )
        try:
            return await run.execute()
        finally:
            await run.close()

    return asyncio.run(work())


def rows(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def finished(result):
    return sum(result.totals.get(outcome, 0) for outcome in Outcome)


def on_server(out, prompts, handler, settings=None, role="policy"):
    """A run whose `role` is a server's; the others are scripted and count their requests."""
    others = Replies(lambda request: "Fine words.")

    async def work():
        async with serving(handler) as url:
            server = ServerGenerator("m", (url,), options=Options(retries=0, backoff=0.01))
            cast = roles(server, critic=others) if role == "policy" else roles(others, judge=server)
            run = RevisionRun(out, prompts, RULES, cast, settings or paper())
            try:
                return await run.execute()
            finally:
                await run.close()

    return others, lambda: asyncio.run(work())


def test_a_judge_that_cannot_judge_stops_before_the_first_answer(tmp_path, prompts):
    others, work = on_server(tmp_path / "o", prompts, lambda body: answer("Paris"), None, "judge")
    with pytest.raises(GeneratorUnavailable, match="cannot judge"):
        work()
    assert others.requests == []
    assert rows(tmp_path / "o" / "failures.jsonl") == []


def test_a_judge_that_is_never_asked_is_not_checked(tmp_path, prompts):
    _, work = on_server(
        tmp_path / "o", prompts, lambda body: answer("Paris"),
        paper(final_check=False), "judge",
    )  # fmt: skip
    assert finished(work()) == 40


def test_what_was_found_is_in_the_manifest(tmp_path, prompts):
    def handler(body):
        if "seed" in body:
            return error(400, "Unrecognized request argument supplied: seed")
        return answer(f"About {body['messages'][-1]['content']}.")

    _, work = on_server(tmp_path / "o", prompts, handler)
    assert finished(work()) == 40
    (found,) = json.loads((tmp_path / "o" / "manifest.json").read_text())["checked"]
    assert (found["context"], found["notes"]) == (4096, ["does not take `seed`"])


def test_credit_that_ends_in_mid_run_books_no_failure(tmp_path, prompts):
    asked = iter(range(999))

    def handler(body):
        return answer() if next(asked) < 9 else error(402, "Insufficient Balance")

    _, work = on_server(tmp_path / "o", prompts, handler)
    with pytest.raises(GeneratorUnavailable, match="no more credit"):
        work()
    assert rows(tmp_path / "o" / "failures.jsonl") == []
    assert json.loads((tmp_path / "o" / "manifest.json").read_text())["status"] == "interrupted"


def failing(broken):
    def reply(request):
        if broken(request.messages[0].content):
            return GenerationError(FailureReason.REJECTED, "no such thing")
        return "Fine words."

    return Replies(reply)


def test_a_run_that_fails_from_the_start_stops_and_says_so(tmp_path, prompts):
    out = tmp_path / "o"
    with pytest.raises(
        GeneratorUnavailable, match=r"first 20 .* alike .*no such thing.*--retry-failed"
    ):
        execute(out, prompts, failing(lambda prompt: True))
    assert len(rows(out / "failures.jsonl")) == 20
    result = execute(out, prompts, failing(lambda prompt: False), mode="retry-failed")
    assert (finished(result), result.totals.get("failed", 0)) == (40, 0)


def test_failures_among_successes_do_not_stop_a_run(tmp_path, prompts):
    out = tmp_path / "o"
    assert execute(out, prompts, failing(lambda prompt: prompt != "q3")).totals["failed"] == 39
    assert execute(out, prompts, failing(lambda prompt: False)).totals["failed"] == 39
    result = execute(out, prompts, failing(lambda prompt: False), mode="retry-failed")
    assert (finished(result), result.totals.get("failed", 0)) == (40, 0)
    assert len({row["id"] for row in rows(out / "records.jsonl")}) == 40


def test_reasoning_is_in_the_record_and_in_no_text(tmp_path, prompts):
    def handler(body):
        return answer("[THINK]SECRET[/THINK]Fine words, gladly.")

    async def work():
        async with serving(handler) as url:
            server = ServerGenerator("m", (url,), options=Options(retries=0, backoff=0.01))
            settings = paper(final_check=False)
            run = RevisionRun(tmp_path / "o", prompts, RULES, roles(server), settings)
            try:
                return await run.execute()
            finally:
                await run.close()

    asyncio.run(work())
    for row in rows(tmp_path / "o" / "records.jsonl"):
        assert row["answer_reasoning"] == "SECRET"
        assert row["rounds"][0]["critique_reasoning"] == "SECRET"
        assert "SECRET" not in row["answer"] + row["final"] + row["rounds"][0]["critique"]
