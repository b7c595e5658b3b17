"""What the engine benchmark times: three turns for every prompt, and no verdict."""

from collections import Counter

from constitution import load_constitution
from engine.generators.scripted import ScriptedGenerator
from engine.runs.run import RevisionRun
from engine.settings import roles
from scripts.bench.contenders import SAMPLING, SETTINGS, FixedLengths, length, write_prompts
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
