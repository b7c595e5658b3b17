"""Whatever is edited, its cost is what the update then generates: role by role, call by call."""

import asyncio
import json
import tempfile
from collections import Counter
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from constitution.schema import AppliesTo, Severity, Stakeholder
from engine.generators.scripted import Script, ScriptedGenerator
from engine.prompts.sources import open_prompts
from engine.runs.edit_cost import edit_cost
from engine.runs.run import RevisionRun
from engine.settings import LoopSettings, roles
from tests.engine.builders import constitution, principle

IDS = [f"p{index}" for index in range(5)]
TAGS = ("law", "money")
COUNT = 24
ROLES = ("policy", "critic", "reviser", "judge")


def start():
    rules = constitution(*IDS, stakeholders={"staff": Stakeholder(weights={"p0": 3.0})})
    scoped = rules.principles[1].model_copy(update={"applies_to": AppliesTo(tags=("law",))})
    return with_principles(rules, [rules.principles[0], scoped, *rules.principles[2:]])


def with_principles(rules, principles):
    return rules.model_copy(update={"principles": tuple(principles)})


def changed(field, value):
    def edit(rules, at):
        principles = list(rules.principles)
        at %= len(principles)
        principles[at] = principles[at].model_copy(update={field: value})
        return with_principles(rules, principles)

    return edit


def added(rules, at):
    new = f"new-{len(rules.principles)}-{at}"
    if any(p.id == new for p in rules.principles):
        return rules
    return with_principles(
        rules, [*rules.principles[:at], principle(new, weight=2.0), *rules.principles[at:]]
    )


def removed(rules, at):
    kept = [p for index, p in enumerate(rules.principles) if index != at % len(rules.principles)]
    return with_principles(rules, kept or rules.principles)


def reordered(rules, at):
    return with_principles(rules, [*rules.principles[at:], *rules.principles[:at]])


def reweighed_profile(rules, at):
    profile = Stakeholder(weights={f"p{at}": 9.0})
    return rules.model_copy(update={"stakeholders": {"staff": profile}})


EDITS = {
    "reword": changed("statement", "The assistant is calm."),
    "reword critique": changed("critique", "Say what is not calm in it."),
    "reword revision": changed("revision", "Say it again, and calmly."),
    "reweight": changed("weight", 7.0),
    "weigh nothing": changed("weight", 0.0),
    "rescope": changed("applies_to", AppliesTo(tags=("money",))),
    "unscope": changed("applies_to", AppliesTo()),
    "to staff": changed("applies_to", AppliesTo(stakeholders=("staff",))),
    "severity": changed("severity", Severity.CRITICAL),
    "add": added,
    "remove": removed,
    "reorder": reordered,
    "profile": reweighed_profile,
    "preamble": lambda rules, at: rules.model_copy(update={"preamble": f"Room {at}."}),
    "version": lambda rules, at: rules.model_copy(update={"version": f"{at}.0.0"}),
}
loops = st.builds(
    LoopSettings,
    rounds=st.integers(1, 2),
    select=st.sampled_from(["targeted", "random", "every"]),
    accept=st.sampled_from(["better", "always"]),
    framing=st.sampled_from(["reviewer", "direct", "conversation", "afresh"]),
    candidates=st.integers(1, 2),
    final_check=st.booleans(),
    stakeholder=st.sampled_from([None, "staff", {"staff": 1.0}]),
    seed=st.integers(0, 3),
)
edited = st.lists(
    st.tuples(st.sampled_from([*EDITS]), st.integers(0, len(IDS) - 1)), min_size=1, max_size=3
)
"""Edits made before the run goes on."""


class Counted(ScriptedGenerator):
    """Answers as the role it plays does, and counts what it is asked."""

    def __init__(self, role):
        super().__init__(Script(context=100_000 + ROLES.index(role)))
        self.role, self.calls = role, Counter()
        self.rows = set()

    async def generate(self, request):
        self.calls[self.role] += 1
        self.rows.add(request.priority)
        return await super().generate(request)

    async def choose(self, messages, choices, *, priority=0):
        self.calls[self.role] += 1
        self.rows.add(priority)
        return await super().choose(messages, choices, priority=priority)


def execute(out, prompts, rules, loop, mode):
    """The run's own counters, and the models that were asked."""
    models = [Counted(role) for role in ROLES]
    cast = roles(models[0], critic=models[1], reviser=models[2], judge=models[3])
    run = RevisionRun(out, open_prompts(prompts), rules, cast, loop, mode=mode)

    async def work():
        try:
            await run.execute()
            return run.progress()
        finally:
            await run.close()

    return asyncio.run(work()), models


def written(folder):
    path = folder / "prompts.jsonl"
    tags = ([], ["law"], ["money"], ["law", "money"])
    rows = (
        {"id": f"q{row}", "prompt": f"Question {row // 2}?", "tags": tags[row % 4]}
        for row in range(COUNT)
    )
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow])
@given(loop=loops, updates=st.lists(edited, min_size=1, max_size=2))
def test_the_cost_of_any_edit_is_what_the_update_generates(loop, updates):
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        prompts, rules = written(folder), start()
        execute(folder / "run", prompts, rules, loop, "resume")
        for edits in updates:
            before = rules.content_hash
            for edit, at in edits:
                rules = EDITS[edit](rules, at)
            cost = edit_cost(folder / "run", rules)
            plan = cost.plan
            assert cost.at_most is loop.judges_first
            done, models = execute(folder / "run", prompts, rules, loop, "update")
            asked = {model.role: model.calls[model.role] for model in models}
            assert sum(asked.values()) == done.counts.generated_requests
            rows = set.union(*(model.rows for model in models))
            if loop.judges_first:  # what is asked hangs on verdicts that are yet to be given
                assert all(plan.calls[role] >= calls for role, calls in asked.items())
                assert plan.conversations_to_generate >= len(rows)
                continue
            assert dict(plan.calls) == asked
            if rules.content_hash != before:  # or else the run is finished and asks nothing
                assert plan.cached_calls == done.counts.cached_requests
            assert plan.conversations_to_generate == len(rows)
