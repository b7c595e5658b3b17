"""The steps of the check of a GPU, each in a process of its own: `python -m tests.gpu.steps STEP FOLDER`.

Each raises where something is wrong and returns figures; the last line of output is these as JSON. Without a
GPU the same steps run in a reduced form, so that they are known to work but for the device.
"""

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.gpu.models import build_adapter, build_shapes, build_small_model

__all__ = ["STEPS", "has_gpu"]

ROOT = Path(__file__).parents[2]
CLOSE = 1e-2
"""Between vLLM and transformers, both in float32: of probabilities, and of log-probabilities a token."""
RULES = """
name: rules
principles:
  - {id: kind, statement: The assistant is kind.}
  - {id: honest, statement: The assistant is honest.}
"""
VOWELS = """
rules:
  - {match: '(?s)<reply>.*[aeiou].*</reply>', probabilities: [0.2, 0.8]}
  - {probabilities: [1.0, 0.0]}
"""
Figures = dict[str, Any]


def has_gpu() -> bool:
    """Whether torch sees a CUDA device."""
    import torch

    return torch.cuda.is_available()


def _engine(model: Path, dtype: str, **options: Any) -> str:
    """A spec whose engine starts in seconds and leaves room to others."""
    named = {"max_model_len": 1024, "dtype": dtype, **options}
    if has_gpu():
        named |= {"enforce_eager": "true", "gpu_memory_utilization": 0.3}
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
        serving = open_generator(_engine(first, "float32"))
        began = time.perf_counter()
        await serving.start()
        figures["start_seconds"] = round(time.perf_counter() - began, 1)
        figures["sequences"] = serving.capacity.sequences
        try:
            figures |= await differences(serving, first, "")
            other = open_generator(_engine(second, "float32"))
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
    spec = _engine(base, "bfloat16" if has_gpu() else "float32")
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


def _run(*command: str, **environment: str) -> str:
    """Standard output of a program of ours. Raises AssertionError with its last words if it fails."""
    done = subprocess.run(
        [sys.executable, *command],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": _path(), **environment},
        capture_output=True,
        text=True,
    )
    assert done.returncode in (0, 1), f"{command[:3]}: {done.stdout[-500:]}\n{done.stderr[-2500:]}"
    return done.stdout


def _path() -> str:
    return os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))


def _prompts(place: Path, count: int) -> Path:
    rows = "".join(json.dumps({"prompt": f"Question {n}?"}) + "\n" for n in range(count))
    (place / "prompts.jsonl").write_text(rows, encoding="utf-8")
    (place / "rules.yaml").write_text(RULES, encoding="utf-8")
    return place / "prompts.jsonl"


def roles(place: Path) -> Figures:
    """Policy and critic are two engines at once, from the command line."""
    from tests.training.talkative_model import build_talkative_model

    prompts = _prompts(place, 200 if has_gpu() else 4)
    options = "?max_model_len=2048" + ("&enforce_eager=true" if has_gpu() else "")
    models = [build_talkative_model(place / name) for name in ("policy", "critic")]
    began = time.perf_counter()
    _run(
        "-m", "scripts.solon", "revise", "-c", str(place / "rules.yaml"), "-p", str(prompts),
        "-m", f"vllm:{models[0]}{options}", "--critic", f"vllm:{models[1]}{options}",
        "--select", "random", "--accept", "always", "--rounds", "1", "--max-tokens", "60",
        "--out", str(place / "run"),
    )  # fmt: skip
    lines = (place / "run" / "records.jsonl").read_text(encoding="utf-8").splitlines()
    assert len(lines) >= 0.9 * len(prompts.read_text(encoding="utf-8").splitlines())
    return {"records": len(lines), "run_seconds": round(time.perf_counter() - began, 1)}


def grpo(place: Path, **settings: Any) -> Figures:
    """Three steps, sampled by vLLM on the training GPU."""
    from tests.training.talkative_model import build_talkative_model
    from training.trainers.config import GRPOTrainingConfig
    from training.trainers.grpo import run

    model = build_talkative_model(place / "model")
    (place / "judge.yaml").write_text(VOWELS, encoding="utf-8")
    result = run(
        GRPOTrainingConfig.model_validate({
            "model": str(model),
            "dataset": str(_prompts(place, 64)),
            "out": str(place / "out"),
            "constitution": str(place / "rules.yaml"),
            "judge": f"scripted:{place / 'judge.yaml'}",
            "max_steps": 3,
            "batch_size": 8,
            "max_length": 256,
            "max_answer": 32,
            "vllm": has_gpu(),
            "vllm_memory": 0.25,
            "eval_share": 0.0,
            **settings,
        })
    )
    assert result.steps == 3 and (result.model / "config.json").is_file()
    found = {"train_seconds": result.seconds, "answers": result.metrics["sampled"]["answers"]}
    return {**found, "kl": round(result.metrics["end"].get("kl", 0.0), 4)}


def grpo_sleeping(place: Path) -> Figures:
    """The same, with vLLM's memory given back while weights are changed, and an adapter."""
    return grpo(place, vllm_sleep=has_gpu(), lora={"r": 8})


def attention(place: Path) -> Figures:
    """Rows that share a sequence do not see each other, whatever computes it; and which is chosen."""
    from training.trainers import attention as chosen

    model, figures = build_small_model(place / "model"), Figures()
    alone = _packed_logits(model, "sdpa", packed=False)
    names = ["sdpa"]
    if has_gpu():
        figures["varlen is right"] = chosen.varlen_is_right()
        names += ["varlen"] if figures["varlen is right"] else []
        names += ["flash"] if _installed("flash_attn") else []
    for name in names:
        if name == "varlen":
            chosen.register_varlen()
        found = _packed_logits(model, chosen.NAMES[name], packed=True)
        figures[name] = round(float((found - alone).abs().max() / alone.abs().max()), 5)
        assert figures[name] < (0.05 if has_gpu() else 1e-4), figures
    return figures


def _installed(package: str) -> bool:
    import importlib.util

    return importlib.util.find_spec(package) is not None


def _packed_logits(model: Path, name: str, *, packed: bool) -> Any:
    """Of the tokens of some rows that are padded or share a sequence, after a backward pass."""
    import torch
    from transformers import AutoModelForCausalLM
    from trl.trainer.sft_trainer import DataCollatorForLanguageModeling

    device, dtype = ("cuda", torch.bfloat16) if has_gpu() else ("cpu", torch.float32)
    rows = [list(range(5, 5 + length)) for length in (40, 7, 90, 1, 25)]
    loaded = AutoModelForCausalLM.from_pretrained(model, attn_implementation=name, dtype=dtype)
    collate = DataCollatorForLanguageModeling(pad_token_id=0, padding_free=packed)
    batch = collate([{"input_ids": row} for row in rows])
    batch = {n: v.to(device) if hasattr(v, "to") else v for n, v in batch.items() if n != "labels"}
    logits = loaded.to(device)(**batch, use_cache=False).logits
    logits.float().pow(2).mean().backward()
    split = logits[0].split([len(row) for row in rows]) if packed else logits
    found = [each[: len(row)] for each, row in zip(split, rows, strict=True)]
    return torch.cat(found).float().detach()


def _trained(place: Path, name: str, **settings: Any) -> Any:
    from tests.training.trainer_data import settings as common
    from tests.training.trainer_data import sft_rows, write_rows
    from training.trainers.config import SFTTrainingConfig
    from training.trainers.sft import run

    rows = write_rows(place / "rows.jsonl", sft_rows(200))
    model = place / "model"
    if not model.exists():
        build_small_model(model)
    made = common(model, rows, place / name, learning_rate=2e-3, **settings)
    result = run(SFTTrainingConfig(**made))
    assert result.metrics["after"]["loss"] < result.metrics["before"]["loss"], result.metrics
    return result


def sft(place: Path) -> Figures:
    """Learns, packed and not, and on a base in 4 bits where bitsandbytes is."""
    figures = Figures()
    runs: dict[str, dict[str, Any]] = {"as suits": {}, "packed by sdpa": {"packing": True}}
    runs["packed by sdpa"]["attention"] = "sdpa"
    if _installed("bitsandbytes"):
        runs["4 bits"] = {"lora": {"r": 8, "quantize": "4bit"}}
    for name, settings in runs.items():
        result = _trained(place, name.replace(" ", "-"), **settings)
        figures[name] = round(result.metrics["after"]["loss"], 3)
        figures[f"{name}, tokens/s"] = result.metrics["tokens_per_second"]
    return figures


def fsdp(place: Path) -> Figures:
    """Two steps and more over two GPUs, by the documented command; over two processes without any."""
    import torch

    from tests.training.trainer_data import settings, sft_rows, write_rows

    if has_gpu() and torch.cuda.device_count() < 2:
        return {"skipped": "one GPU"}
    model = build_small_model(place / "model")
    rows = write_rows(place / "rows.jsonl", sft_rows(24))
    made = settings(model, rows, place / "out", max_steps=2, batch_size=2)
    (place / "sft.json").write_text(json.dumps(made), encoding="utf-8")
    (place / "sft.yaml").write_text(json.dumps(made), encoding="utf-8")  # JSON is YAML
    config = "fsdp2.yaml" if has_gpu() else "two_process_cpu.yaml"
    _run(
        "-m", "accelerate.commands.launch", "--config_file",
        str(ROOT / "scripts" / "accelerate" / config), "--num_processes", "2",
        "-m", "scripts.solon", "train", "sft", "--config", str(place / "sft.yaml"),
    )  # fmt: skip
    manifest = json.loads((place / "out" / "manifest.json").read_bytes())
    assert manifest["complete"] and manifest["steps"] == 2
    return {"steps": manifest["steps"], "loss": round(manifest["metrics"]["after"]["loss"], 3)}


def recipe(place: Path) -> Figures:
    """The recipe for one GPU, with a tiny model and one round, through all of its stages."""
    import yaml

    from tests.training.talkative_model import build_talkative_model
    from training.recipe.schema import load_recipe

    _, shipped = load_recipe("single-gpu-7b")
    written = yaml.safe_load(shipped.read_text(encoding="utf-8"))
    build_talkative_model(place / "model")
    _prompts(place, 40)
    helpful = "".join(
        json.dumps({"prompt": f"{n}+1?", "completion": f"{n}"}) + "\n" for n in range(9)
    )
    (place / "helpful.jsonl").write_text(helpful, encoding="utf-8")
    options = {"max_model_len": 2048, "enforce_eager": True} if has_gpu() else {}
    changed = {
        "constitution": "rules.yaml", "prompts": "prompts.jsonl", "held_out": 0.3, "rounds": 1,
        "helpful": {"file": "helpful.jsonl", "ratio": 0.3}, "model": "model", "judge": "scripted",
        "engine": "vllm" if has_gpu() else "transformers", "engine_options": options,
        "sampling": {"max_tokens": 60, "temperature": 1.0},
        "revise": {"rounds": 1, "select": "random", "accept": "always"},
        "evaluate": {"principles": 1, "per_set": 2},
    }  # fmt: skip
    file = place / "recipe.yaml"
    file.write_text(json.dumps({**written, **changed}), encoding="utf-8")
    began = time.perf_counter()
    _run("-m", "scripts.solon", "run", str(file), "--out", str(place / "out"))
    results = json.loads((place / "out" / "evaluate" / "results.json").read_bytes())
    assert [row["name"] for row in results["models"]] == ["base", "sft", "dpo"]
    return {"run_seconds": round(time.perf_counter() - began, 1), "stages": len(written)}


def bench(place: Path) -> Figures:
    """The engine against the stage barrier and vLLM's own limit, on shapes of 7 billion parameters."""
    layers, changes = _layers()
    model = build_shapes(place / "shapes", layers, **changes)
    out = place / "bench.json"
    gpu = ["--option", "gpu_memory_utilization=0.45", "--option", "max_model_len=4096"]
    many = ["--conversations", "1500" if has_gpu() else "4", "--repeats", "1"]
    _run(
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


STEPS: dict[str, Callable[[Path], Figures]] = {
    "engine": engine, "lora": lora, "attention": attention, "sft": sft, "grpo": grpo,
    "roles": roles, "fsdp": fsdp, "bench": bench, "recipe": recipe, "grpo-sleeping": grpo_sleeping,
}  # fmt: skip
"""The most telling first, as time may run out."""


@contextmanager
def _offline() -> Iterator[None]:
    """Nothing is fetched, and vLLM's children are gone at the end."""
    from engine.generators.background import kill_descendants

    os.environ.update(HF_HUB_OFFLINE="1", VLLM_NO_USAGE_STATS="1", TOKENIZERS_PARALLELISM="false")
    try:
        yield
    finally:
        kill_descendants()


if __name__ == "__main__":
    folder = Path(sys.argv[2])
    folder.mkdir(parents=True, exist_ok=True)
    with _offline():
        print(json.dumps(STEPS[sys.argv[1]](folder)), flush=True)
