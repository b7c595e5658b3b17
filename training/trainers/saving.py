"""The final model as vLLM, transformers and peft load it."""

import shutil
from pathlib import Path
from typing import Any

from constitution.reading import read_json
from engine.generators.model_files import base_of, is_adapter, local_name
from engine.storage.atomic import write_json_atomic
from training.trainers.base_config import TrainingConfig
from training.trainers.chat_tokens import turn_end
from training.trainers.disk import Written
from training.trainers.lora import dequantised_into
from training.trainers.models import load_model
from training.trainers.precision import Kind

__all__ = ["save_final_model", "what_is_written"]


def save_final_model(trainer: Any, config: TrainingConfig, tokenizer: Any, out: Path) -> None:
    """Write `out/model` (an adapter merged in) and, of LoRA, `out/adapter`; each whole or not at all.

    Weights are of the type the base model's files have. An adapter that was trained on another adapter is
    for that one merged into its base, which is written as `out/base`. Every process calls it, the
    first writes.
    """
    part = out / ".model.part"
    accelerator = trainer.accelerator
    if accelerator.is_main_process:
        shutil.rmtree(part, ignore_errors=True)
    accelerator.wait_for_everyone()
    if config.lora is None:
        weights = accelerator.get_state_dict(trainer.model_wrapped)
        if accelerator.is_main_process:
            model = accelerator.unwrap_model(trainer.model_wrapped)
            _write(model, weights, tokenizer, _stored_dtype(config), part)
            _replace(part, out / "model")
    else:
        trainer.save_model(str(part))
        if accelerator.is_main_process:
            (part / "training_args.bin").unlink(missing_ok=True)
            _replace(part, out / "adapter")
            _write_whole(trainer.model, config, tokenizer, out, part)
    accelerator.wait_for_everyone()


def what_is_written(trainer: Any, config: TrainingConfig) -> Written:
    """By a training of this trainer's model, and of its value function if it has one, before they are
    sharded."""
    model = trainer.model
    whole = model.get_base_model() if hasattr(model, "get_base_model") else model
    modules = [model, trainer.value] if hasattr(trainer, "value") else [model]
    weights = [w for module in modules for w in module.parameters() if w.requires_grad]
    trained = sum(getattr(each, "ds_numel", each.numel()) for each in weights)  # ZeRO-3 cuts them
    models = 1
    if config.lora is not None:
        models = int(config.lora.merge) + int(is_adapter(config.model))
    return Written(whole.num_parameters(), trained, _stored_dtype(config).itemsize, models)


def _write_whole(
    trained: Any, config: TrainingConfig, tokenizer: Any, out: Path, part: Path
) -> None:
    """The models without an adapter, from the base read again and unsharded."""
    assert config.lora is not None
    on_adapter, dtype = is_adapter(config.model), _stored_dtype(config)
    if not (on_adapter or config.lora.merge):
        return
    base = _base_as_trained(trained, config, tokenizer)
    if on_adapter:
        _write(base, base.state_dict(), tokenizer, dtype, part)
        _replace(part, out / "base")
        _name_base(out / "adapter", out / "base")
    if config.lora.merge:
        from peft import PeftModel

        merged = PeftModel.from_pretrained(base, out / "adapter").merge_and_unload()
        _write(merged, merged.state_dict(), tokenizer, dtype, part)
        _replace(part, out / "model")


def _base_as_trained(trained: Any, config: TrainingConfig, tokenizer: Any) -> Any:
    model = trained.get_base_model() if hasattr(trained, "get_base_model") else trained
    kind: Kind = "reward" if "ForSequenceClassification" in type(model).__name__ else "causal"
    assert config.lora is not None
    whole = {"dtype": "float32", "lora": config.lora.model_copy(update={"quantize": None})}
    whole["attention"] = "auto"  # nothing is computed, and not all are for float32
    base = load_model(config.model_copy(update=whole), tokenizer, kind)
    dequantised_into(base, model)
    return base


def _name_base(adapter: Path, base: Path) -> None:
    file = adapter / "adapter_config.json"
    write_json_atomic(
        file, {**read_json(file, dict), "base_model_name_or_path": str(base.resolve())}
    )


def _write(model: Any, weights: dict[str, Any], tokenizer: Any, dtype: Any, path: Path) -> None:
    tied = model.all_tied_weights_keys  # an output layer that is the embedding is not written twice
    cast = {
        name: weight.to(dtype) if weight.is_floating_point() else weight
        for name, weight in weights.items()
        if name not in tied
    }
    _stop_at(model, turn_end(tokenizer)[-1])
    model.save_pretrained(path, state_dict=cast)
    tokenizer.save_pretrained(path)
    file = path / "config.json"  # as it was while training: other weights, and no KV cache
    described = read_json(file, dict)
    described["dtype"] = str(dtype).removeprefix("torch.")
    described["use_cache"] = True
    write_json_atomic(file, described)


def _stop_at(model: Any, end: int) -> None:
    """Let generation stop at the token that ends a turn in training, besides those it stops at."""
    settings = getattr(model, "generation_config", None)
    if settings is None:
        return
    known = settings.eos_token_id
    known = known if isinstance(known, list) else [] if known is None else [known]
    settings.eos_token_id = list(dict.fromkeys((*known, end)))


def _replace(part: Path, target: Path) -> None:
    if target.exists():
        shutil.rmtree(target)
    part.replace(target)


def _stored_dtype(config: TrainingConfig) -> Any:
    import torch
    from transformers import AutoConfig

    described = AutoConfig.from_pretrained(
        base_of(local_name(config.model)), trust_remote_code=config.trust_remote_code
    )
    return described.dtype or torch.float32
