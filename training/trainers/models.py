"""Models to train: loading, LoRA, and the final model as vLLM and transformers load it."""

import contextlib
import importlib.util
import logging
import os
import shutil
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from constitution.problems import InputError, Problem
from constitution.reading import read_json
from engine.generators.chat_template import read_chat_template
from engine.generators.fingerprint import fingerprint_model, local_name, uses_gpu
from engine.storage.atomic import write_json_atomic
from training.trainers.chat_tokens import turn_end
from training.trainers.config import TrainingConfig

__all__ = [
    "computing_dtype",
    "fingerprint",
    "has_flash_attention",
    "load_model",
    "load_tokenizer",
    "lora_config",
    "quiet_libraries",
    "save_final_model",
]

Kind = Literal["causal", "reward"]
Computing = Literal["bfloat16", "float16", "float32"]


def quiet_libraries() -> None:
    """Keep progress bars and advice of the libraries off the terminal; errors still come through."""
    os.environ["TQDM_DISABLE"] = "1"
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
    warnings.filterwarnings("ignore")
    import datasets
    import transformers

    datasets.disable_progress_bars()
    transformers.logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    transformers.logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    for library in ("accelerate", "datasets", "peft", "torch", "transformers", "trl"):
        logging.getLogger(library).setLevel(logging.ERROR)


def has_flash_attention() -> bool:
    """Whether rows can share a sequence without seeing each other, at no cost. The kernels need a card
    that has bfloat16."""
    installed = importlib.util.find_spec("flash_attn") is not None
    return installed and uses_gpu() and _has_bfloat16()


def _has_bfloat16() -> bool:
    """Whether the GPU computes in bfloat16; torch alone would also say so where it is emulated."""
    import torch

    return bool(torch.cuda.is_bf16_supported(including_emulation=False))


def fingerprint(model: str) -> str:
    """Identity of a model's files, as the engine's."""
    return fingerprint_model(local_name(model))


def load_tokenizer(config: TrainingConfig) -> Any:
    """The model's tokenizer, with a chat template and a padding token.

    Raises InputError if the model has no chat template and `chat_template` names none, and where no
    token ends a turn.
    """
    from transformers import AutoTokenizer

    name = local_name(config.model)
    with _told(config.model):
        tokenizer = AutoTokenizer.from_pretrained(name, trust_remote_code=config.trust_remote_code)
    if config.chat_template is not None:
        tokenizer.chat_template = read_chat_template(
            Path(config.chat_template), "name a Jinja file with chat_template"
        )
    if not tokenizer.chat_template:
        remedy = "set chat_template to a Jinja file, or train an instruction-tuned model"
        raise InputError(Problem(config.model, "has no chat template", remedy))
    end = turn_end(tokenizer)
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token or tokenizer.convert_ids_to_tokens(end[-1])
    return tokenizer


def load_model(config: TrainingConfig, tokenizer: Any, kind: Kind, name: str | None = None) -> Any:
    """The model in `config`, or `name`, on the CPU: `causal`, or with a head that gives a `reward`.

    Weights are float32 where all of them are trained (16 bits are then computed in by autocast, as an
    update is often too small for such a weight), and of the computing precision under LoRA. What is
    drawn for it, a new head and adapters, is drawn by `config.seed`.
    """
    import transformers

    transformers.set_seed(config.seed)
    classes = {
        "causal": transformers.AutoModelForCausalLM,
        "reward": transformers.AutoModelForSequenceClassification,
    }
    named = name or config.model
    path = local_name(named)
    base = _base_of(path)
    options: dict[str, Any] = {"dtype": _weights_dtype(config, kind)}
    if kind == "reward":
        options["num_labels"] = 1
    if has_flash_attention():
        options["attn_implementation"] = "flash_attention_2"
    with _told(named):
        model = classes[kind].from_pretrained(
            base, trust_remote_code=config.trust_remote_code, use_safetensors=True, **options
        )
        if base != path:
            from peft import PeftModel

            model = PeftModel.from_pretrained(model, path).merge_and_unload()
    model.config.get_text_config().pad_token_id = tokenizer.pad_token_id
    return model


def _weights_dtype(config: TrainingConfig, kind: Kind) -> Computing:
    """A reward model's head is trained beside the adapter, and gradients in float16 cannot be scaled."""
    if config.lora is None or (kind == "reward" and computing_dtype(config) == "float16"):
        return "float32"
    return computing_dtype(config)


def lora_config(config: TrainingConfig, kind: Kind) -> Any:
    """For peft, or None for full fine-tuning. A reward model's head is trained in full."""
    if config.lora is None:
        return None
    from peft import LoraConfig

    return LoraConfig(
        r=config.lora.r,
        lora_alpha=config.lora.alpha,
        lora_dropout=config.lora.dropout,
        target_modules=config.lora.target_modules,
        task_type="CAUSAL_LM" if kind == "causal" else "SEQ_CLS",
        modules_to_save=["score"] if kind == "reward" else None,
    )


def save_final_model(trainer: Any, config: TrainingConfig, tokenizer: Any, out: Path) -> None:
    """Write `out/model` (an adapter merged in) and, of LoRA, `out/adapter`; each whole or not at all.

    Weights are of the type the base model's files have. Every process calls it, the first writes.
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
            if config.lora.merge:
                _write_merged(trainer.model, out / "adapter", config, tokenizer, part)
                _replace(part, out / "model")
    accelerator.wait_for_everyone()


def _write_merged(
    trained: Any, adapter: Path, config: TrainingConfig, tokenizer: Any, part: Path
) -> None:
    """The base model, read again and unsharded, with the adapter added to its weights."""
    from peft import PeftModel

    model = trained.get_base_model() if hasattr(trained, "get_base_model") else trained
    kind: Kind = "reward" if "ForSequenceClassification" in type(model).__name__ else "causal"
    base = load_model(config.model_copy(update={"dtype": "float32"}), tokenizer, kind)
    merged = PeftModel.from_pretrained(base, adapter).merge_and_unload()
    _write(merged, merged.state_dict(), tokenizer, _stored_dtype(config), part)


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


def computing_dtype(config: TrainingConfig) -> Computing:
    """What matrices are multiplied in. By itself bfloat16 on a GPU that has it; float16, with a scaled
    loss, on one that only emulates it (T4, V100), which takes several times as long; else float32."""
    if config.dtype != "auto":
        return config.dtype
    if not uses_gpu():
        return "float32"
    return "bfloat16" if _has_bfloat16() else "float16"


def _stored_dtype(config: TrainingConfig) -> Any:
    import torch
    from transformers import AutoConfig

    described = AutoConfig.from_pretrained(
        _base_of(local_name(config.model)), trust_remote_code=config.trust_remote_code
    )
    return described.dtype or torch.float32


def _base_of(path: str) -> str:
    """The model that an adapter's directory is for; any other is its own."""
    adapter = Path(path) / "adapter_config.json"
    base = read_json(adapter, dict).get("base_model_name_or_path") if adapter.exists() else path
    if not isinstance(base, str):
        remedy = "restore the file that training wrote"
        raise InputError(Problem(str(adapter), "names no base_model_name_or_path", remedy))
    return base


@contextlib.contextmanager
def _told(model: str) -> Iterator[None]:
    """What keeps a model from loading is the user's input, reported in one line."""
    try:
        yield
    except (OSError, ValueError, KeyError) as error:
        reason = " ".join(str(error).split())[:240]
        remedy = "name a directory with config.json and safetensors, a hub's name, or embedded"
        raise InputError(Problem(model, f"cannot be loaded: {reason}", remedy)) from error
