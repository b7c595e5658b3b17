"""The real engine: SmolLM2 through vLLM's AsyncLLM, one engine for the whole file."""

import asyncio
import importlib.util
import json
import shutil

import pytest

from constitution import load_constitution
from constitution.problems import InputError
from engine.generators import vllm_platform
from engine.generators.base import FailureReason, GenerationError, Request, Sampling
from engine.generators.embedded import embedded_model
from engine.generators.spec import open_generator
from engine.generators.transformers import TransformersGenerator
from engine.generators.vllm import VllmGenerator
from engine.messages import Message
from engine.prompts.sources import open_prompts
from engine.records import Outcome, Record
from engine.runs.run import RevisionRun
from engine.settings import roles
from tests.engine.builders import paper

QUESTION = "Explain in a few sentences how a sailing boat can move against the wind."
LENGTH = Sampling(max_tokens=70, min_tokens=70, temperature=1.0)


@pytest.fixture(scope="module")
def runner():
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture(scope="module")
def model(runner):
    if importlib.util.find_spec("vllm") is None:
        pytest.skip("vLLM is not installed")
    generator = open_generator("embedded?max_model_len=2048")
    runner.run(generator.start())
    yield generator
    runner.run(generator.close())


def user(text):
    return Message("user", text)


vllm = pytest.mark.vllm


@vllm
def test_each_turn_is_served_from_the_kv_cache_up_to_the_last_full_block(runner, model):
    block = model.engine.vllm_config.cache_config.block_size

    async def converse(seed):
        messages = (user(QUESTION),)
        before = 0
        for turn, asked in enumerate(["", "What is missing in it?", "Rewrite it."]):
            if asked:
                messages = (*messages, user(asked))
            completion = await model.generate(Request(messages, LENGTH, seed + turn))
            assert completion.cached_tokens >= before // block * block
            assert completion.finish_reason == "length"
            before = completion.prompt_tokens + completion.completion_tokens - 1
            messages = (*messages, completion.message)
        assert before > 3 * block

    async def all_at_once():
        await asyncio.gather(*map(converse, (1, 11, 21)))

    runner.run(all_at_once())


@vllm
def test_the_first_word_is_chosen_by_its_probability(runner, model):
    question = (user("Is ice cold? Answer with one word: Yes or No."),)
    choice = runner.run(model.choose(question, ("Yes", "No")))
    assert sum(choice.probabilities) == pytest.approx(1)
    assert 0.05 < choice.mass <= 1
    swapped = runner.run(model.choose(question, ("No", "Yes")))
    assert swapped.probabilities == pytest.approx(choice.probabilities[::-1], abs=1e-3)


@vllm
def test_a_prompt_longer_than_the_context_fails_alone(runner, model):
    request = Request((user("word " * 5000),), Sampling(), 1)
    with pytest.raises(GenerationError) as caught:
        runner.run(model.generate(request))
    assert caught.value.reason is FailureReason.CONTEXT_OVERFLOW
    assert runner.run(model.generate(Request((user("Hello"),), Sampling(max_tokens=4), 1))).text


@vllm
def test_an_answer_that_fills_the_context_is_cut_not_refused(runner, model):
    request = Request((user("word " * 1900),), Sampling(max_tokens=512, min_tokens=512), 1)
    completion = runner.run(model.generate(request))
    assert completion.finish_reason == "length"
    assert completion.prompt_tokens + completion.completion_tokens <= 2048


@vllm
def test_long_seeded_prompts_beside_short_ones_do_not_kill_the_engine(runner, model):
    async def crowd():
        requests = [
            Request((user(f"{seed} " + "word " * length),), Sampling(max_tokens=4), seed)
            for seed, length in enumerate([1500, 10, 1500, 20, 1500, 30])
        ]
        return await asyncio.gather(*(model.generate(request) for request in requests))

    assert len(runner.run(crowd())) == 6


@vllm
def test_the_same_request_gets_the_same_answer(runner, model):
    request = Request((user("Name a tree."),), Sampling(max_tokens=16), 5)
    first, second = (runner.run(model.generate(request)).text for _ in range(2))
    assert first == second


ANSWER = Message("assistant", "A sail is a wing: the wind that passes it pulls the boat ahead.")


def tolerance(generator):
    """In nats a token: transformers computes in float32, vLLM maybe in bfloat16."""
    exact = "float32" in str(generator.engine.vllm_config.model_config.dtype)
    return 1e-3 if exact else 0.2


def reference(runner, directory):
    """What transformers says of the answer's tokens."""

    async def score():
        generator = TransformersGenerator(directory)
        await generator.start()
        try:
            return await generator.score((user(QUESTION), ANSWER))
        finally:
            await generator.close()

    return runner.run(score())


@vllm
def test_scores_are_those_of_transformers(runner, model):
    asked = (user(QUESTION), ANSWER)
    expected = reference(runner, embedded_model())
    for _ in range(2):  # the second time the prefix is cached
        score = runner.run(model.score(asked))
        assert score.logprobs == pytest.approx(expected.logprobs, abs=tolerance(model))
        assert score.prompt_tokens == expected.prompt_tokens
    assert runner.run(model.score((user(QUESTION), Message("assistant", "")))).logprobs == ()
    with pytest.raises(GenerationError, match="do not fit"):
        runner.run(model.score((user(QUESTION), Message("assistant", "word " * 5000))))


@vllm
def test_an_answer_that_was_begun_is_continued(runner, model):
    def complete(messages, tokens):
        greedy = Sampling(max_tokens=tokens, min_tokens=tokens, temperature=0.0)
        return runner.run(model.generate(Request(messages, greedy, 0)))

    whole, half = complete((user(QUESTION),), 20), complete((user(QUESTION),), 8)
    rest = complete((user(QUESTION), half.message), 12)
    assert rest.tokens.ids == whole.tokens.ids[8:]
    assert half.text + rest.text == whole.text
    assert rest.prompt_tokens == whole.prompt_tokens + 8


@vllm
def test_another_checkpoint_takes_over_the_engine_and_answers_as_itself(runner, model, tmp_path):
    """Its scores are those of its own weights, and the first ones come back to the last bit."""
    import torch
    from safetensors.torch import load_file, save_file

    trained = tmp_path / "trained"
    shutil.copytree(embedded_model(), trained)
    weights = load_file(trained / "model.safetensors")
    torch.manual_seed(1)
    for weight in weights.values():
        weight.add_((torch.randn(weight.shape) * 0.08 * weight.float().std()).to(weight.dtype))
    save_file(weights, trained / "model.safetensors", {"format": "pt"})

    first = model
    second = VllmGenerator(trained, options=first.options)
    assert second.fingerprint != first.fingerprint
    asked = (user(QUESTION), ANSWER)
    before = runner.run(model.score(asked))
    assert runner.run(second.take_over(first))
    assert first.engine is None
    after = runner.run(second.score(asked))
    expected = reference(runner, trained).logprobs
    assert after.logprobs == pytest.approx(expected, abs=tolerance(second))
    assert after.logprobs != pytest.approx(before.logprobs, abs=0.5)
    assert runner.run(first.take_over(second))
    assert runner.run(model.score(asked)) == before


@vllm
def test_what_differs_in_more_than_weights_leaves_the_engine_alone(runner, model, tmp_path):
    first = model
    other = tmp_path / "other"
    shutil.copytree(embedded_model(), other)
    tokenizer = json.loads((other / "tokenizer.json").read_text(encoding="utf-8"))
    ids = tokenizer["model"]["vocab"]
    ids["Ġsail"], ids["Ġboat"] = ids["Ġboat"], ids["Ġsail"]
    (other / "tokenizer.json").write_text(json.dumps(tokenizer), encoding="utf-8")
    broken = tmp_path / "broken"
    shutil.copytree(embedded_model(), broken)
    (broken / "tokenizer.json").write_text("{", encoding="utf-8")
    successors = [
        VllmGenerator(other, options=first.options),
        VllmGenerator(broken, options=first.options),
        VllmGenerator(embedded_model(), options={"max_model_len": 128}),
    ]
    for successor in successors:
        assert not runner.run(successor.take_over(first))
        assert first.engine is not None


@vllm
def test_real_prompts_go_through_the_loop_into_a_run(runner, model, tmp_path):
    path = tmp_path / "prompts.jsonl"
    path.write_text('{"prompt": "How do I pick a lock?"}\n{"prompt": "Is it safe to nap?"}\n')
    run = RevisionRun(
        tmp_path / "run",
        open_prompts(path),
        load_constitution("harmlessness"),
        roles(Open(model), sampling=Sampling(max_tokens=48)),
        paper(rounds=2),
    )

    async def work():
        found = [result async for result in run.stream()]
        await run.close()
        return found

    records = runner.run(work())
    assert len(records) == 2
    for record in records:
        assert isinstance(record, Record)
        assert record.answer
        assert len(record.rounds) == 2
        assert record.outcome is Outcome.REVISED or record.drop_reason
        assert len(record.final_verdicts) == 2
    assert run.progress().counts.cached_prompt_tokens > 0


class Open:
    """The shared model, left open by the run that borrows it."""

    def __init__(self, model):
        self.model = model
        self.spec = model.spec
        self.fingerprint = model.fingerprint
        self.generate = model.generate
        self.choose = model.choose
        self.score = model.score
        self.capacity = model.capacity

    async def start(self): ...

    async def close(self): ...


def test_engine_arguments_are_passed_through(monkeypatch, tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "llama"}', encoding="utf-8")
    (tmp_path / "lora").mkdir()
    (tmp_path / "lora" / "adapter_config.json").write_text("{}", encoding="utf-8")
    given = {}

    def start(spec, arguments):
        given.update(arguments)
        raise InputError(())

    monkeypatch.setattr(vllm_platform, "start_engine", start)
    monkeypatch.setattr(vllm_platform, "require_vllm", lambda: None)
    monkeypatch.setattr(vllm_platform, "engine_defaults", lambda **_: {"dtype": "float32"})
    options = "tensor_parallel_size=2&dtype=bfloat16&quantization=fp8&gpu_memory_utilization=0.5"
    spec = f"vllm:{tmp_path}?{options}&max_model_len=2048&lora={tmp_path / 'lora'}"
    with pytest.raises(InputError):
        asyncio.run(open_generator(spec).start())
    assert given["tensor_parallel_size"] == 2
    assert given["dtype"] == "bfloat16"
    assert given["quantization"] == "fp8"
    assert given["gpu_memory_utilization"] == 0.5
    assert given["max_model_len"] == 2048
    assert given["enable_lora"] is True
    assert given["scheduling_policy"] == "priority"
    assert given["enable_prefix_caching"] is True


def test_the_fingerprint_follows_weights_and_not_resources(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "llama"}', encoding="utf-8")
    (tmp_path / "model.safetensors").write_bytes(b"weights")

    def fingerprint(options=""):
        return open_generator(f"vllm:{tmp_path}{options}").fingerprint

    first = fingerprint()
    assert fingerprint("?tensor_parallel_size=4&gpu_memory_utilization=0.7") == first
    assert fingerprint("?quantization=fp8") != first
    (tmp_path / "model.safetensors").write_bytes(b"trained")
    assert fingerprint() != first


def test_a_missing_vllm_names_its_install_command(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"solon\[vllm\]"):
        vllm_platform.require_vllm()
