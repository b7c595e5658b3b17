"""Guard models: language models that were trained to label a conversation, such as Llama Guard.

The model's own chat template asks the question; its answer is read from the probabilities of the label
tokens, whatever white space it puts before them.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from constitution.problems import InputError, Problem
from engine.generators.device import AS_IT_IS, load_frozen
from engine.generators.model_files import model_folder

__all__ = ["GuardModel", "open_guard"]

_FORM = "write `guard:PATH[,labels=safe/unsafe][,prefix=TEXT]`"
_PREFIXES = ("", "\n\n", "\n", " ")
"""What guards write before their label; Llama Guard 3 two line breaks."""


def open_guard(spec: str, rest: str) -> "GuardModel":
    """The guard of `PATH[,labels=KEPT/BROKEN][,prefix=TEXT]`; its weights wait for the first answer.

    Raises InputError.
    """
    path, *options = rest.split(",")
    given = dict(option.partition("=")[::2] for option in options)
    if unknown := given.keys() - {"labels", "prefix"}:
        raise InputError(Problem(spec, f"has no option {min(unknown)!r}", _FORM))
    folder = model_folder(spec, path, "name a directory that holds a guard model")
    kept, slash, broken = given.get("labels", "safe/unsafe").partition("/")
    if not (kept and slash and broken):
        raise InputError(Problem(spec, "names no two labels", _FORM))
    prefix = given.get("prefix")
    return GuardModel(folder, (kept, broken), _PREFIXES if prefix is None else (prefix,))


@dataclass(slots=True)
class GuardModel:
    """A causal model with a chat template for a prompt and its answer, on the first GPU if any."""

    folder: Path
    labels: tuple[str, str]
    """What it says of an answer that is in order, and of one that is not."""
    prefixes: tuple[str, ...]
    _loaded: tuple[Any, Any] | None = field(default=None, repr=False)

    @property
    def name(self) -> str:
        """The directory's name, and the label."""
        return f"{self.folder.name} ({self.labels[1]})"

    def probabilities(self, prompts: Sequence[str], answers: Sequence[str]) -> list[float]:
        """P(broken) / (P(kept) + P(broken)), each with any of the prefixes. Raises InputError for a
        model without a chat template, or one that gives neither label any probability."""
        return [self._one(*pair) for pair in zip(prompts, answers, strict=True)]

    def _one(self, prompt: str, answer: str) -> float:
        tokenizer, _ = self._load()
        turns = [{"role": "user", "content": prompt}, {"role": "assistant", "content": answer}]
        try:
            text = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
        except Exception as error:
            what = f"its chat template cannot ask about an answer: {error}"
            raise InputError(Problem(str(self.folder), what, "name a guard model")) from error
        asked = tokenizer(text, add_special_tokens=False)["input_ids"]
        kept, broken = (self._mass(asked, label) for label in self.labels)
        if not kept + broken > 0:
            what = f"gives {' and '.join(self.labels)} no probability"
            raise InputError(
                Problem(str(self.folder), what, "name its labels: ,labels=KEPT/BROKEN")
            )
        return broken / (kept + broken)

    def _mass(self, asked: list[int], label: str) -> float:
        """The probability that it answers with `label`, whatever stands before it."""
        import torch

        tokenizer, model = self._load()
        total = 0.0
        for prefix in self.prefixes:
            said = tokenizer(prefix + label, add_special_tokens=False)["input_ids"]
            row = torch.tensor([asked + said], device=model.device)
            with torch.inference_mode():
                logits = model(input_ids=row).logits[0, len(asked) - 1 : -1].float()
            logprobs = torch.log_softmax(logits, dim=-1)
            total += math.exp(float(sum(logprobs[at, token] for at, token in enumerate(said))))
        return total

    def _load(self) -> tuple[Any, Any]:
        if self._loaded is None:
            from transformers import AutoModelForCausalLM

            tokenizer, model = load_frozen(AutoModelForCausalLM, self.folder, **AS_IT_IS)
            if not tokenizer.chat_template:
                what = "has no chat template, which asks the question"
                raise InputError(Problem(str(self.folder), what, "save it beside the tokenizer"))
            self._loaded = tokenizer, model
        return self._loaded
