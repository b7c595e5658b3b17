"""Steps about training, and the recipe."""

import json
import time
from pathlib import Path
from typing import Any

from tests.gpu.models import build_small_model
from tests.gpu.place import ROOT, VOWELS, Figures, has_gpu, installed, run_program, write_prompts

__all__ = ["attention", "fsdp", "grpo", "grpo_sleeping", "recipe", "sft"]


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
            "dataset": str(write_prompts(place, 64)),
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
        names += ["flash"] if installed("flash_attn") else []
    for name in names:
        if name == "varlen":
            chosen.register_varlen()
        found = _packed_logits(model, chosen.NAMES[name], packed=True)
        figures[name] = round(float((found - alone).abs().max() / alone.abs().max()), 5)
        assert figures[name] < (0.05 if has_gpu() else 1e-4), figures
    return figures


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
    if installed("bitsandbytes"):
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
    (place / "sft.yaml").write_text(json.dumps(made), encoding="utf-8")  # JSON is YAML
    config = "fsdp2.yaml" if has_gpu() else "two_process_cpu.yaml"
    run_program(
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
    write_prompts(place, 40)
    helpful = "".join(
        json.dumps({"prompt": f"{n}+1?", "completion": f"{n}"}) + "\n" for n in range(9)
    )
    (place / "helpful.jsonl").write_text(helpful, encoding="utf-8")
    options: Figures = {}
    if has_gpu():
        options = {"max_model_len": 2048, "enforce_eager": True}
        options |= {"gpu_memory_utilization": 0.2, "kv_cache_memory_bytes": 2**30}
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
    run_program("-m", "scripts.solon", "run", str(file), "--out", str(place / "out"), codes=(0, 1))
    results = json.loads((place / "out" / "evaluate" / "results.json").read_bytes())
    assert [row["name"] for row in results["models"]] == ["base", "sft", "dpo"]
    return {"run_seconds": round(time.perf_counter() - began, 1), "stages": len(written)}
