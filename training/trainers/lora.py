"""Low-rank adapters (Hu et al. 2021, arXiv 2106.09685), also on a base in 4 bits (QLoRA: Dettmers et
al. 2023, arXiv 2305.14314).

What cannot work is refused by `check_lora`, from the model's configuration alone: before weights are
read and rows tokenized.
"""

import importlib.util
import os
import re
from importlib import import_module
from typing import Any

from constitution.problems import InputError, Problem
from engine.generators.model_files import base_of, is_adapter, local_name
from training.trainers.base_config import LoraSettings, TrainingConfig
from training.trainers.models import auto_class, told
from training.trainers.precision import Kind

__all__ = ["check_lora", "dequantised_into", "lora_config", "restore_adapter"]

_SHOWN = 12
"""Names of modules that a message lists."""


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


def check_lora(config: TrainingConfig, kind: Kind) -> None:
    """Raise InputError for modules that the model lacks, and for a base in 4 bits where bitsandbytes
    is missing, or the training is sharded, or the model is an adapter itself."""
    lora = config.lora
    if lora is None:
        return
    problems = _quantising_problems(config) if lora.quantize else []
    if lora.target_modules != "all-linear":
        problems += _module_problems(lora, _module_names(config, kind))
    if problems:
        raise InputError(problems)


def _quantising_problems(config: TrainingConfig) -> list[Problem]:
    found = []
    if importlib.util.find_spec("bitsandbytes") is None:
        found.append(("needs bitsandbytes", "pip install bitsandbytes"))
    if is_adapter(config.model):
        remedy = "train on the model/ that lora.merge wrote beside the adapter"
        found.append((
            f"{config.model} is an adapter: merged into 4 bits it would be rounded",
            remedy,
        ))
    sharded = (os.environ.get(f"ACCELERATE_USE_{name}", "") for name in ("FSDP", "DEEPSPEED"))
    if any(value.lower() == "true" for value in sharded):
        remedy = "take it out, or train on one GPU or with DDP"
        found.append(("a base in 4 bits is not sharded over GPUs", remedy))
    return [Problem("lora.quantize", *each) for each in found]


def _module_names(config: TrainingConfig, kind: Kind) -> list[str]:
    """Of the model without its weights, built on a device that holds none."""
    import torch
    from transformers import AutoConfig

    trusted = config.trust_remote_code
    with told(config.model):
        known = AutoConfig.from_pretrained(
            base_of(local_name(config.model)), trust_remote_code=trusted
        )
        with torch.device("meta"):
            model = auto_class(kind).from_config(known, trust_remote_code=trusted)
    adaptable = (torch.nn.Linear, torch.nn.Embedding, torch.nn.Conv1d)
    return [
        name
        for name, module in model.named_modules()
        if isinstance(module, adaptable) or type(module).__name__ == "Conv1D"
    ]


def _module_problems(lora: LoraSettings, names: list[str]) -> list[Problem]:
    """As peft matches: a text is a regular expression for whole names, an entry of a list a name or
    its end. peft passes over an entry that matches nothing if another one matches."""
    wanted = lora.target_modules
    if isinstance(wanted, str):
        try:
            missing = [] if any(re.fullmatch(wanted, name) for name in names) else [wanted]
        except re.error as error:
            return [Problem("lora.target_modules", f"is no regular expression: {error}", "fix it")]
    else:
        missing = [
            entry
            for entry in wanted
            if not any(name == entry or name.endswith(f".{entry}") for name in names)
        ]
    if not missing:
        return []
    ends = list(dict.fromkeys(name.rpartition(".")[2] for name in names))
    remedy = f"it has {', '.join(ends[:_SHOWN])}; all-linear takes all linear ones but the head"
    what = f"no module of the model is called {', '.join(missing)}"
    return [Problem("lora.target_modules", what, remedy)]


# A base in 4 bits ---------------------------------------------------------------------------------


def restore_adapter(model: Any, lora: LoraSettings | None) -> None:
    """Undo what TRL does to an adapter, before the first step.

    Where it disables dropout (DPO, reward models) it also sets the adapter's own to 0. On a base in 4 bits it
    makes the adapter bfloat16, in which most updates are too small to be kept, and which the scaled loss
    of float16 cannot be taken back from: what is trained has 32 bits.
    """
    import torch

    if lora is None:
        return
    for name, module in model.named_modules():
        if "lora_dropout" in name and isinstance(module, torch.nn.Dropout):
            module.p = lora.dropout
    for parameter in model.parameters() if lora.quantize else ():
        if parameter.requires_grad:
            parameter.data = parameter.data.float()


def dequantised_into(base: Any, trained: Any) -> None:
    """Replace weights of the whole `base` by those that `trained` multiplies with in their place, if
    that has a base in 4 bits. The adapter learned to correct these, and merged into them it answers
    as it was measured."""
    if not getattr(trained, "is_loaded_in_4bit", False):
        return
    bitsandbytes: Any = import_module("bitsandbytes")
    trained.state_dict()  # on some CPUs weights lie packed after an evaluation: this unpacks them
    for name, module in trained.named_modules():
        if isinstance(module, bitsandbytes.nn.Linear4bit):
            target = base.get_submodule(name.removesuffix(".base_layer"))
            packed: Any = module.weight
            weight = bitsandbytes.functional.dequantize_4bit(packed.data, packed.quant_state)
            target.weight.data = weight.to(target.weight.device, target.weight.dtype)
