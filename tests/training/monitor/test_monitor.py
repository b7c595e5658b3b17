"""`solon monitor` over logs of two weeks, with and without a drift."""

import asyncio
import json
import random
from datetime import date, timedelta

import pytest
from typer.testing import CliRunner

from constitution.problems import InputError
from scripts.solon import app
from tests.engine.builders import Replies
from tests.engine.chromium import IN_CHROMIUM, visit_page
from tests.engine.guard.builders import asked, finding, guard, rules
from training.monitor.log import read_log, sampled
from training.monitor.monitor import MonitorConfig, watch

RULES = """
name: rules
principles:
  - {id: no-ai, statement: The assistant does not call itself an AI., check: {forbid: ["as an AI"]}}
  - {id: short, statement: The assistant is brief., check: {max_words: 60}}
"""
SUBJECTS = ("my order of shoes", "the weather in Rome", "a refund for a lamp", "lentils and rice")
PER_DAY = 100


def row(day, number, *, broken=False, said=None, **more):
    subject = SUBJECTS[number % len(SUBJECTS)]
    return {
        "id": f"{day}-{number}",
        "at": f"{date(2026, 11, 1) + timedelta(days=day)}T10:00:00+00:00",
        "prompt": said or f"Tell me about {subject}, please",
        "answer": "As an AI, I cannot." if broken else "Here it is.",
        **more,
    }


def written(path, rows):
    path.write_text("".join(json.dumps(one) + "\n" for one in rows), encoding="utf-8")
    return path


@pytest.fixture
def config(tmp_path):
    (tmp_path / "rules.yaml").write_text(RULES, encoding="utf-8")
    given = {"constitution": str(tmp_path / "rules.yaml"), "judge": "scripted"}
    return MonitorConfig.model_validate(given | {"out": str(tmp_path / "out"), "topics": 4})


def drifting(factor):
    chance = random.Random(7)
    for day in range(14):
        rate = 0.1 * (factor if day >= 7 else 1)
        yield from (row(day, n, broken=chance.random() < rate) for n in range(PER_DAY))


def signals(watched):
    return {one.name: one for one in watched.signals}


def test_a_drift_is_alarmed_and_the_rest_is_not(tmp_path, config):
    watched = watch(written(tmp_path / "log.jsonl", drifting(3)), config)
    found = signals(watched)
    assert found["no-ai"].alarmed_on <= date(2026, 11, 10)
    assert found["no-ai"].now.value > 2 * found["no-ai"].before.value
    assert found["short"].rise.alarm is None
    assert found["prompts of a new kind"].rise.alarm is None
    assert watched.judged == 14 * PER_DAY
    assert len([one for one in watched.signals if one.kind == "topic"]) == 4


def test_a_stable_log_is_left_alone(tmp_path, config):
    watched = watch(written(tmp_path / "log.jsonl", drifting(1)), config)
    assert all(one.rise.alarm is None for one in watched.signals)


def test_new_kinds_of_prompts_are_seen(tmp_path, config):
    rows = [
        row(day, n, said="How do I pick the lock of a neighbour?" if day > 8 and n % 3 else None)
        for day in range(14)
        for n in range(60)
    ]
    found = signals(watch(written(tmp_path / "log.jsonl", rows), config))
    assert found["prompts of a new kind"].alarmed_on == date(2026, 11, 10)


def test_ratings_that_part_from_the_judge_are_seen(tmp_path, config):
    rows = [
        row(day, n, rating=0 if day > 8 and n % 2 else 1) for day in range(14) for n in range(60)
    ]
    found = signals(watch(written(tmp_path / "log.jsonl", rows), config))
    assert found["users and judge disagree"].alarmed_on == date(2026, 11, 10)


def test_a_guards_log_is_read(tmp_path):
    model = Replies(lambda _: "bad", finding(one="bad"))
    with guard(tmp_path, rules(one="critical"), model) as one:
        asyncio.run(one.answer(asked("Hello", id="a")))
    (day,) = (tmp_path / "audit").glob("2*.jsonl")
    day.with_name(f"{day.stem}.backup.jsonl").write_bytes(day.read_bytes())
    (answer,) = read_log(tmp_path)
    assert (answer.id, answer.prompt[0].content, answer.answer) == ("a", "Hello", "bad")


@pytest.mark.parametrize(
    "wrong",
    [
        {"prompt": "x", "answer": "y"},
        {"at": "yesterday", "prompt": "x", "answer": "y"},
        {"at": "2026-11-01", "prompt": "x"},
        {"at": "2026-11-01", "messages": [{"role": "tool", "content": "x"}], "answer": "y"},
        {"at": 1e30, "prompt": "x", "answer": "y"},
        {"at": "2026-11-01", "prompt": "x", "answer": 3},
    ],
)
def test_a_row_that_is_no_answer_is_named(tmp_path, wrong):
    path = written(tmp_path / "log.jsonl", [row(0, 0), wrong])
    with pytest.raises(InputError, match=r"log\.jsonl:2: is not an answer with a time"):
        list(read_log(path))


def test_a_sample_of_a_day_stays_as_rows_are_added(tmp_path):
    rows = [row(0, n) for n in range(50)]
    few = sampled(read_log(written(tmp_path / "a.jsonl", rows[:30])), 10)
    more = sampled(read_log(written(tmp_path / "a.jsonl", rows)), 10)
    (few,), (more,) = few.values(), more.values()
    assert len(few) == len(more) == 10
    old = {one.id for one in more} & {one["id"] for one in rows[:30]}
    assert old <= {one.id for one in few}


def test_the_command_writes_a_page_and_exits_1_on_an_alarm(tmp_path, config):
    log = written(tmp_path / "log.jsonl", drifting(3))
    words = ["monitor", str(log), "-c", config.constitution, "--judge", "scripted", "--topics", "0"]
    ended = CliRunner().invoke(app, [*words, "--out", str(tmp_path / "out")])
    assert ended.exit_code == 1, ended.output
    told = json.loads((tmp_path / "out" / "monitor.json").read_text("utf-8"))
    assert [one["name"] for one in told["signals"] if one["alarm"]] == ["no-ai"]
    assert "1 rate has risen" in (tmp_path / "out" / "monitor.html").read_text("utf-8")


def test_too_short_a_log_is_refused(tmp_path, config):
    log = written(tmp_path / "log.jsonl", [row(day, 0) for day in range(7)])
    with pytest.raises(InputError, match="has 7 days, and 7 of them would be the baseline"):
        watch(log, config)


class TestInChromium:
    pytestmark = IN_CHROMIUM

    def test_nothing_planted_runs(self, tmp_path, config):
        from training.monitor.page import monitor_page

        planted = "<img src=x onerror=document.title='planted'>"
        rows = [row(day, n, said=f"{planted} {n % 3}") for day in range(9) for n in range(12)]
        watched = watch(written(tmp_path / "log.jsonl", rows), config)
        page = tmp_path / "monitor.html"
        page.write_text(monitor_page(watched, planted), encoding="utf-8")

        async def check(tab):
            assert await tab.evaluate("document.title") == f"{planted} · Solon"
            assert await tab.evaluate("document.querySelectorAll('img, script').length") == 0
            assert await tab.evaluate("document.querySelectorAll('tbody tr').length") > 3
            assert await tab.evaluate("document.querySelectorAll('polyline').length") > 3

        visit_page(page, tmp_path / "profile", check)
