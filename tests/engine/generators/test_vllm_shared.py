"""The real engine, shared: an adapter beside its base, and replicas on several GPUs."""

import asyncio

import pytest

from engine.generators.base import Request, Sampling
from engine.generators.embedded import embedded_model
from engine.generators.in_flight import one_conversation
from engine.generators.spec import open_generator
from engine.generators.vllm import share_engines
from engine.messages import Message

ASKED = (Message("user", "Explain in a few sentences how a boat can sail against the wind."),)
ANSWER = Message("assistant", "A sail is a wing: the wind that passes it pulls the boat ahead.")


def write_adapter(path):
    """Of rank 24, which vLLM's default does not take, and far from doing nothing."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    base = AutoModelForCausalLM.from_pretrained(embedded_model())
    model = get_peft_model(base, LoraConfig(r=24, target_modules=["q_proj", "v_proj"]))
    torch.manual_seed(0)
    for name, weight in model.named_parameters():
        if "lora_B" in name:
            weight.data.normal_(std=0.05)
    model.save_pretrained(path)


@pytest.mark.vllm
def test_an_adapter_and_its_base_answer_from_one_engine(tmp_path):
    write_adapter(tmp_path / "lora")
    base = f"vllm:{embedded_model()}?max_model_len=1024"
    models = [open_generator(base), open_generator(f"{base}&lora={tmp_path / 'lora'}")]
    share_engines(models)

    async def scored():
        try:
            for model in models:
                await model.start()
            assert models[0].engine is models[1].engine is not None
            return [await model.score((*ASKED, ANSWER)) for model in (*models, models[0])]
        finally:
            for model in models:
                await model.close()

    alone, adapted, again = asyncio.run(scored())
    assert again.logprobs == pytest.approx(alone.logprobs, abs=1e-3)
    assert adapted.logprobs != pytest.approx(alone.logprobs, abs=0.05)
    assert models[0].engine is None


@pytest.mark.vllm
@pytest.mark.gpu
def test_replicas_serve_each_turn_from_their_cache():
    import torch

    if torch.cuda.device_count() < 2:
        pytest.skip("needs two GPUs")
    model = open_generator("embedded?max_model_len=2048&data_parallel_size=2")
    length = Sampling(max_tokens=70, min_tokens=70, temperature=1.0)

    async def converse(seed):
        messages, before = ASKED, 0
        with one_conversation():
            for turn in range(3):
                said = await model.generate(Request(messages, length, seed + turn))
                assert said.cached_tokens >= max(0, before - 32)
                before = said.prompt_tokens + said.completion_tokens - 1
                messages = (*messages, said.message, Message("user", "What is missing in it?"))

    async def all_at_once():
        await model.start()
        try:
            config = model.engine.vllm_config
            assert model.capacity.sequences == 2 * config.scheduler_config.max_num_seqs
            assert model.capacity.kv_tokens == 2 * config.cache_config.kv_cache_size_tokens
            await asyncio.gather(*map(converse, range(0, 80, 10)))
        finally:
            await model.close()

    asyncio.run(all_at_once())
