"""Models to train: their tokenizers, and their weights as they are loaded."""

import contextlib
import logging
import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from constitution.problems import InputError, Problem, brief
from engine.generators.chat_template import read_chat_template
from engine.generators.fingerprint import fingerprint_model
from engine.generators.model_files import base_of, local_name
from training.trainers.attention import attention_of
from training.trainers.base_config import TrainingConfig
from training.trainers.chat_tokens import turn_end
from training.trainers.precision import Kind, computing_dtype, in_four_bits, weights_dtype

__all__ = [
    "auto_class",
    "fingerprint",
    "load_model",
    "load_tokenizer",
    "quiet_libraries",
    "told",
]


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
    with told(config.model):
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
    """The model in `config`, or `name`: `causal`, or with a head that gives a `reward`.

    It is on the CPU, with weights of `weights_dtype`; one whose layers are in 4 bits on this process's GPU
    if there is one. An adapter is merged into its base. What is drawn for it, a new head and adapters, is
    drawn by `config.seed`.
    """
    import transformers

    transformers.set_seed(config.seed)
    named = name or config.model
    path = local_name(named)
    base = base_of(path)
    options: dict[str, Any] = {"dtype": weights_dtype(config, kind)}
    if kind == "reward":
        options["num_labels"] = 1
    if config.lora is not None and config.lora.quantize:
        options["quantization_config"] = in_four_bits(computing_dtype(config), kind)
    options["attn_implementation"] = attention_of(config, base, kind)
    with told(named):
        model = auto_class(kind).from_pretrained(
            base, trust_remote_code=config.trust_remote_code, use_safetensors=True, **options
        )
        if base != path:
            from peft import PeftModel

            model = PeftModel.from_pretrained(model, path).merge_and_unload()
    model.config.get_text_config().pad_token_id = tokenizer.pad_token_id
    return model


def auto_class(kind: Kind) -> Any:
    """The class of transformers that loads such a model."""
    import transformers

    if kind == "reward":
        return transformers.AutoModelForSequenceClassification
    return transformers.AutoModelForCausalLM


@contextlib.contextmanager
def told(model: str) -> Iterator[None]:
    """What keeps a model from loading is the user's input, reported in one line."""
    try:
        yield
    except (OSError, ValueError, KeyError) as error:
        remedy = "name a directory with config.json and safetensors, a hub's name, or embedded"
        raise InputError(
            Problem(model, f"cannot be loaded: {brief(error, 240)}", remedy)
        ) from error
