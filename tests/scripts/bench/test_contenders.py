"""What the engine benchmark times: three turns for a prompt, no verdict, and as much for every contender."""

import asyncio
from collections import Counter
from types import SimpleNamespace
from unittest.mock import AsyncMock

from constitution import load_constitution
from engine.generators.scripted import Script, ScriptedGenerator, ScriptRule
from engine.runs.run import RevisionRun
from engine.settings import roles
from scripts.bench.contenders import (
    SAMPLING,
    SETTINGS,
    EngineBench,
    FixedLengths,
    length,
    write_prompts,
)
from tests.engine.builders import finish


def test_every_prompt_has_an_answer_a_critique_and_a_revision(tmp_path):
    constitution = load_constitution("harmlessness").model_copy(update={"few_shot": ()})
    source = write_prompts(tmp_path / "p.jsonl", 12, 40)
    fixed = FixedLengths(ScriptedGenerator())
    models = roles(fixed, sampling=SAMPLING)
    finish(RevisionRun(tmp_path / "run", source, constitution, models, SETTINGS))
    asked = Counter((request.priority, len(request.messages)) for request, _ in fixed.seen)
    assert asked == {(row, turns): 1 for row in range(12) for turns in (1, 3, 5)}
    for request, _ in fixed.seen:
        tokens = length(request.priority, len(request.messages))
        assert (request.sampling.min_tokens, request.sampling.max_tokens) == (tokens, tokens)


def test_the_barrier_is_asked_what_the_engine_asked(tmp_path, monkeypatch):
    """A critique that finds nothing ends a conversation: the barrier has no revision to write either."""
    constitution = load_constitution("harmlessness").model_copy(update={"few_shot": ()})
    source = write_prompts(tmp_path / "p.jsonl", 12, 40)
    critiques = ScriptRule(match="Identify", reply=("No violation.", "It promises far too much."))
    model = ScriptedGenerator(Script(rules=(critiques,)))
    model.engine = SimpleNamespace(reset_prefix_cache=AsyncMock())
    bench = EngineBench(model, source, constitution, tmp_path)
    asyncio.run(bench.engine())
    engine = Counter(len(request.messages) for request, _ in bench.requests)
    assert engine[5] not in (0, 12) and engine[1] == engine[3] == 12

    passes = []

    def chat(conversations, sampling, **options):
        passes.append([len(one) for one in conversations])
        assert len(sampling) == len(conversations)
        reply = SimpleNamespace(text="Yes.", token_ids=[1])
        output = SimpleNamespace(prompt_token_ids=[1], num_cached_tokens=0, outputs=[reply])
        return [output for _ in conversations]

    bench._offline = SimpleNamespace(chat=chat, reset_prefix_cache=lambda: None)
    monkeypatch.setattr(bench, "_sampling", lambda *turn: turn)
    bench.barrier()
    assert passes == [[turns] * engine[turns] for turns in (1, 3, 5)]
