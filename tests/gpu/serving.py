"""Steps about engines: alone, shared, two at once, and how fast."""

import asyncio
import json
import time
from pathlib import Path
from typing import Any

from tests.gpu.models import build_adapter, build_shapes, build_small_model
from tests.gpu.place import Figures, has_gpu, run_program, write_prompts

__all__ = ["bench", "engine", "engine_spec", "lora", "roles"]

CLOSE = 1e-2
"""Between vLLM and transformers, both in float32: of probabilities, and of log-probabilities a token."""


def engine_spec(model: Path, **options: Any) -> str:
    """A spec whose engine starts in seconds and beside others: told how large its cache is, it measures no
    memory, which would fail while another program gives some back."""
    named = {"max_model_len": 1024, **options}
    if has_gpu():
        named |= {"enforce_eager": "true", "gpu_memory_utilization": 0.2}
        named |= {"kv_cache_memory_bytes": 2**30}
    return f"vllm:{model}?" + "&".join(f"{name}={value}" for name, value in named.items())


def _asked() -> list[Any]:
    from engine.messages import Message

    user = [f"Does a sail pull a boat of {number} tons against the wind?" for number in range(8)]
    answer = Message("assistant", "A sail is a wing: the wind that passes it pulls the boat.")
    return [(Message("user", text), answer) for text in user]


async def _scores(model: Any, asked: list[Any]) -> list[list[float]]:
    return [list(score.logprobs) for score in await asyncio.gather(*map(model.score, asked))]


async def _choices(model: Any, asked: list[Any]) -> list[float]:
    choose = (model.choose(messages[:1], ("Yes", "No")) for messages in asked)
    return [choice.probabilities[0] for choice in await asyncio.gather(*choose)]


def _apart(ours: list[Any], theirs: list[Any]) -> float:
    """The largest difference."""
    flat = [value for row in ours for value in (row if isinstance(row, list) else [row])]
    other = [value for row in theirs for value in (row if isinstance(row, list) else [row])]
    assert len(flat) == len(other) > 0
    return max(abs(a - b) for a, b in zip(flat, other, strict=True))


def engine(place: Path) -> Figures:
    """One engine: choose and score as transformers, before and after its weights are exchanged."""
    from engine.generators.spec import open_generator

    first, second = (build_small_model(place / f"model-{seed}", seed) for seed in (1, 2))
    asked, figures = _asked(), Figures()

    async def compared() -> None:
        serving = open_generator(engine_spec(first, dtype="float32"))
        began = time.perf_counter()
        await serving.start()
        figures["start_seconds"] = round(time.perf_counter() - began, 1)
        figures["sequences"] = serving.capacity.sequences
        try:
            figures |= await differences(serving, first, "")
            other = open_generator(engine_spec(second, dtype="float32"))
            began = time.perf_counter()
            assert await other.take_over(serving), "weights were not exchanged"
            figures["exchange_seconds"] = round(time.perf_counter() - began, 2)
            serving = other
            figures |= await differences(serving, second, "exchanged ")
        finally:
            await serving.close()

    async def differences(serving: Any, model: Path, when: str) -> Figures:
        plain = open_generator(f"transformers:{model}?dtype=float32")
        await plain.start()
        found = {
            f"{when}choose": _apart(await _choices(serving, asked), await _choices(plain, asked)),
            f"{when}score": _apart(await _scores(serving, asked), await _scores(plain, asked)),
        }
        await plain.close()
        wrong = {name: value for name, value in found.items() if not value <= CLOSE}
        assert not wrong, f"vLLM and transformers differ: {wrong}"
        return {name: round(value, 5) for name, value in found.items()}

    asyncio.run(compared())
    return figures


def lora(place: Path) -> Figures:
    """An adapter and its base from one engine."""
    from engine.generators.spec import open_generator
    from engine.generators.vllm import share_engines

    base = build_small_model(place / "base")
    adapter = build_adapter(base, place / "lora")
    spec = engine_spec(base, dtype="bfloat16" if has_gpu() else "float32")
    models = [open_generator(spec), open_generator(f"{spec}&lora={adapter}")]
    share_engines(models)
    asked = _asked()

    async def scored() -> list[list[list[float]]]:
        try:
            for model in models:
                await model.start()
            assert models[0].engine is models[1].engine is not None
            return [await _scores(model, asked) for model in (*models, models[0])]
        finally:
            for model in models:
                await model.close()

    alone, adapted, again = asyncio.run(scored())
    figures = {"adapter moves": _apart(adapted, alone), "base moves": _apart(again, alone)}
    assert figures["adapter moves"] > 10 * figures["base moves"] + 0.05, figures
    return {name: round(value, 4) for name, value in figures.items()}


def roles(place: Path) -> Figures:
    """Policy and critic are two engines at once, from the command line."""
    from tests.training.talkative_model import build_talkative_model

    prompts = write_prompts(place, 200 if has_gpu() else 4)
    models = [
        engine_spec(build_talkative_model(place / name), max_model_len=2048)
        for name in ("policy", "critic")
    ]
    began = time.perf_counter()
    run_program(
        "-m", "scripts.solon", "revise", "-c", str(place / "rules.yaml"), "-p", str(prompts),
        "-m", models[0], "--critic", models[1],
        "--select", "random", "--accept", "always", "--rounds", "1", "--max-tokens", "60",
        "--out", str(place / "run"), codes=(0, 1),
    )  # fmt: skip
    lines = (place / "run" / "records.jsonl").read_text(encoding="utf-8").splitlines()
    assert len(lines) >= 0.9 * len(prompts.read_text(encoding="utf-8").splitlines())
    return {"records": len(lines), "run_seconds": round(time.perf_counter() - began, 1)}


def bench(place: Path) -> Figures:
    """The engine against the stage barrier and vLLM's own limit, on shapes of 7 billion parameters."""
    layers, changes = _layers()
    model = build_shapes(place / "shapes", layers, **changes)
    out = place / "bench.json"
    gpu = ["--option", "gpu_memory_utilization=0.45", "--option", "max_model_len=4096"]
    many = ["--conversations", "1500" if has_gpu() else "4", "--repeats", "1"]
    run_program(
        "-m", "scripts.bench.engine", "--model-config", str(model), "--load-format", "dummy",
        *many, *(gpu if has_gpu() else ["--option", "max_model_len=4096"]),
        "--overhead-conversations", "500", "--json", str(out),
    )  # fmt: skip
    found = json.loads(out.read_bytes())
    seconds = {name: found[name][0]["seconds"] for name in ("engine", "barrier", "raw")}
    run = found["engine"][0]
    return {
        "layers": layers,
        "x barrier": round(seconds["barrier"] / seconds["engine"], 2),
        "x raw": round(seconds["raw"] / seconds["engine"], 2),
        "first record": f"{run['first']:.1%}",
        "decoded tokens/s": round(run["decoded_tokens"] / run["seconds"]),
        "prompt tokens cached": f"{run['cached_tokens'] / max(1, run['prompt_tokens']):.0%}",
    }


def _layers() -> tuple[int, Figures]:
    """As many as two engines hold at once; on a CPU, a few narrow ones."""
    if not has_gpu():
        narrow = {"hidden_size": 64, "intermediate_size": 128, "num_attention_heads": 2}
        return 2, {**narrow, "num_key_value_heads": 1, "vocab_size": 50000, "dtype": "float32"}
    import torch

    memory = torch.cuda.get_device_properties(0).total_memory / 2**30
    return (28 if memory > 60 else 8), {}
