"""The vLLM adapter over an engine that is scripted: what it asks for, and what it makes of it."""

import asyncio
import sys
from dataclasses import dataclass, field
from enum import Enum
from types import ModuleType, SimpleNamespace

import pytest

from engine.generators.base import FailureReason, GenerationError, Request, Sampling
from engine.generators.vllm import VllmGenerator
from engine.messages import Message
from tests.engine.generators.thinking_tokenizer import ids_of, tokenizer

THOUGHT = "[THINK]is it?[/THINK]"
ASKED = (Message("user", "Is ice cold?"),)


@dataclass
class Params:
    max_tokens: int
    temperature: float
    min_tokens: int = 0
    top_p: float = 1.0
    seed: int | None = None
    logprob_token_ids: list[int] | None = None
    prompt_logprobs: int | None = None
    detokenize: bool = True
    output_kind: object = None


class Kinds(Enum):
    CUMULATIVE = 0
    FINAL_ONLY = 2


class Dead(Exception):
    pass


class Refused(Exception):
    """As newer versions of vLLM refuse a request: not a ValueError."""


@pytest.fixture(autouse=True)
def _no_vllm(monkeypatch):
    """Importing the real one takes as long as all tests here."""
    contents = {
        "vllm.exceptions": {"VLLMClientError": Refused},
        "vllm": {"SamplingParams": Params},
        "vllm.sampling_params": {"RequestOutputKind": Kinds},
        "vllm.lora": {},
        "vllm.lora.request": {"LoRARequest": lambda *parts: parts},
        "vllm.v1": {},
        "vllm.v1.engine": {},
        "vllm.v1.engine.exceptions": {"EngineDeadError": Dead},
    }
    for name, content in contents.items():
        module = ModuleType(name)
        vars(module).update(content)
        monkeypatch.setitem(sys.modules, name, module)


@dataclass
class Engine:
    """An `AsyncLLM` that says `text`, and prefers Yes once the thought is in its prompt."""

    text: str
    asked: list = field(default_factory=list)
    sent: list = field(default_factory=list)
    """Of each request, its rank and adapter."""
    takes: float = 0.0
    """Seconds for each request."""
    stopped: bool = False
    vllm_config: SimpleNamespace = field(
        default_factory=lambda: SimpleNamespace(
            model_config=SimpleNamespace(max_model_len=4096),
            cache_config=SimpleNamespace(num_gpu_blocks=10, block_size=16, kv_cache_size_tokens=90),
            scheduler_config=SimpleNamespace(max_num_seqs=8),
            parallel_config=SimpleNamespace(data_parallel_size=1),
        )
    )

    async def generate(self, prompt, params, name, *, priority, lora_request, data_parallel_rank):
        ids = prompt["prompt_token_ids"]
        self.asked.append((ids, params))
        self.sent.append((data_parallel_rank, lora_request))
        await asyncio.sleep(self.takes)
        if params.logprob_token_ids:
            thought = tokenizer().decode(ids).endswith(THOUGHT)
            found = -0.5 if thought else -20.0
            logprobs = [
                {id_: SimpleNamespace(logprob=found) for id_ in params.logprob_token_ids[:1]}
            ]
            yield output([0], logprobs)
            return
        generated = ids_of(self.text)[: params.max_tokens]
        yield output(generated, None)

    def get_tokenizer(self):
        return tokenizer()

    def shutdown(self):
        self.stopped = True


def output(ids, logprobs):
    text = tokenizer().decode(ids, skip_special_tokens=True)
    whole = bool(ids) and ids[-1] == tokenizer().eos_token_id
    completion = SimpleNamespace(
        token_ids=ids, text=text, finish_reason="stop" if whole else "length", logprobs=logprobs
    )
    return SimpleNamespace(outputs=[completion], num_cached_tokens=7)


def adapter(engine, **options):
    generator = VllmGenerator("org/name", options=options)
    generator.serving.adopt(engine, generator)
    generator._adopt(tokenizer())
    return generator


def test_reasoning_in_special_tokens_is_apart_and_plain_text_is_the_engines():
    engine = Engine(THOUGHT + "It is.<|im_end|>")
    request = Request(ASKED, Sampling(max_tokens=40, min_tokens=3, top_p=0.9), seed=5)
    completion = asyncio.run(adapter(engine).generate(request))
    assert (completion.text, completion.reasoning) == ("It is.", "is it?")
    assert completion.finish_reason == "stop" and completion.cached_tokens == 7
    assert completion.completion_tokens == len(ids_of(engine.text))
    params = engine.asked[0][1]
    assert (params.max_tokens, params.min_tokens, params.top_p, params.seed) == (40, 3, 0.9, 5)
    plain = asyncio.run(adapter(Engine("It is.<|im_end|>")).generate(request))
    assert (plain.text, plain.reasoning) == ("It is.", None)
    assert plain.tokens.ids == tuple(ids_of("It is."))


def test_a_budget_needs_nothing_of_the_engine_but_a_second_request():
    engine = Engine("[THINK]" + "hm " * 50)
    request = Request(ASKED, Sampling(max_tokens=9), seed=5)
    completion = asyncio.run(adapter(engine, thinking=8).generate(request))
    (first, limited), (second, rest) = engine.asked
    assert (limited.max_tokens, rest.max_tokens) == (8, 9)
    assert second == first + ids_of(engine.text)[:8] + ids_of("[/THINK]")
    assert completion.completion_tokens == 17


def test_verdicts_of_a_model_that_thinks_are_read_after_its_thought():
    engine = Engine(THOUGHT + "Yes<|im_end|>")
    generator = adapter(engine)
    choice = asyncio.run(generator.choose(ASKED, ("Yes", "No")))
    assert choice.mass == pytest.approx(0.6065, abs=1e-3)
    assert [params.max_tokens for _, params in engine.asked] == [1, 1024, 1]
    asyncio.run(generator.choose(ASKED, ("Yes", "No")))
    assert [params.max_tokens for _, params in engine.asked[3:]] == [1024, 1]


@pytest.mark.parametrize("refusal", [Refused("an odd  token"), ValueError("an odd\ntoken")])
@pytest.mark.parametrize("by", ["the parameters", "the engine"])
def test_a_request_that_vllm_refuses_is_a_failure_of_that_request(monkeypatch, refusal, by):
    def refuse(*_, **__):
        raise refusal

    generator = adapter(engine := Engine("It is.<|im_end|>"))
    if by == "the parameters":
        monkeypatch.setattr(sys.modules["vllm"], "SamplingParams", refuse)
    else:
        monkeypatch.setattr(engine, "generate", refuse, raising=False)
    asked = (
        generator.generate(Request(ASKED, Sampling(max_tokens=9), seed=5)),
        generator.choose(ASKED, ("Yes", "No")),
        generator.score((*ASKED, Message("assistant", "It is."))),
    )
    for one in asked:
        with pytest.raises(GenerationError, match="an odd token") as found:
            asyncio.run(one)
        assert found.value.reason is FailureReason.REJECTED


def test_versions_of_vllm_without_exceptions_of_their_own_refuse_with_value_errors(monkeypatch):
    monkeypatch.setitem(sys.modules, "vllm.exceptions", None)
    test_a_request_that_vllm_refuses_is_a_failure_of_that_request(
        monkeypatch, ValueError("an odd token"), "the engine"
    )
