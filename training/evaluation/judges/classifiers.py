"""Judges that are not language models: fitted or pretrained text classifiers, and the refusal rules.

A policy that was trained to please one judge has learned nothing about these.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from constitution.problems import InputError, Problem, brief, missing, nearest
from engine.generators.device import AS_IT_IS, load_frozen
from engine.generators.model_files import model_folder
from engine.judging.refusal import refuses

__all__ = ["CLASSIFIER_KINDS", "Classifier", "RefusalRules", "is_classifier", "open_classifier"]

CLASSIFIER_KINDS = ("classifier", "transformers-classifier", "rules", "moderation", "guard")
_LONGEST = 512
"""Tokens read of an answer where the model does not say how many it can."""


class Classifier(Protocol):
    """Gives every answer a probability of the label that it was made for."""

    @property
    def name(self) -> str:
        """What to call it in a table."""
        ...

    def probabilities(self, prompts: Sequence[str], answers: Sequence[str]) -> list[float]:
        """One for each answer, between 0 and 1. `prompts` are what each user said last."""
        ...


@dataclass(frozen=True, slots=True)
class RefusalRules:
    """The refusal rules of an evaluation: 1 for a refusal, 0 for an answer or a partial one."""

    name: str = "rules:refusal"

    def probabilities(self, prompts: Sequence[str], answers: Sequence[str]) -> list[float]:
        """1 or 0 for each answer."""
        return [float(refuses(a)) for a in answers]


def is_classifier(spec: str) -> bool:
    """Whether `open_classifier` opens it; other specs are those of generators."""
    return spec.partition(":")[0] in CLASSIFIER_KINDS


def open_classifier(spec: str) -> Classifier:
    """The classifier that a spec names: `classifier:FILE` (written by `solon judge fit`),
    `transformers-classifier:PATH[,label=NAME]`, `rules:refusal`, `moderation:MODEL@URL[,category=NAME]`
    or `guard:PATH[,labels=KEPT/BROKEN]`.

    Raises InputError for anything else, for what cannot be loaded, and for a missing extra.
    """
    kind, _, rest = spec.partition(":")
    match kind:
        case "classifier" if rest:
            from training.evaluation.judges.classifier_fit import read_classifier

            return read_classifier(Path(rest))
        case "transformers-classifier" if rest:
            path, _, label = rest.partition(",label=")
            return _transformers(spec, path, label)
        case "rules" if rest == "refusal":
            return RefusalRules()
        case "moderation" if rest:
            from training.evaluation.judges.moderation import open_moderation

            return open_moderation(spec, rest)
        case "guard" if rest:
            from training.evaluation.judges.guards import open_guard

            return open_guard(spec, rest)
    known = (
        "classifier:FILE, transformers-classifier:PATH[,label=NAME], rules:refusal, "
        "moderation:MODEL@URL or guard:PATH"
    )
    raise InputError(Problem(spec or "the classifier", "names no classifier", f"write {known}"))


def _transformers(spec: str, path: str, label: str) -> "_TransformersClassifier":
    """Reads the configuration alone; the weights wait for the first answer."""
    folder = model_folder(spec, path, "name a directory that holds a transformers model")
    try:
        from transformers import AutoConfig
    except ImportError as error:
        raise missing(spec, "transformers", "transformers") from error
    try:
        config: Any = AutoConfig.from_pretrained(folder, **AS_IT_IS)
    except (OSError, ValueError, KeyError) as error:
        what = f"cannot be read as a model: {brief(error)}"
        raise InputError(Problem(spec, what, "check its config.json")) from error
    if not any("SequenceClassification" in name for name in config.architectures or ()):
        what = f"is not a text-classification model but {', '.join(config.architectures or ['?'])}"
        raise InputError(Problem(spec, what, "name one with a sequence-classification head"))
    labels = [str(config.id2label[index]) for index in sorted(config.id2label)]
    return _TransformersClassifier(folder, labels, _index(spec, labels, label))


def _index(spec: str, labels: list[str], wanted: str) -> int:
    """Which of the model's labels is meant: the only one, if none is named."""
    if not wanted and len(labels) == 1:
        return 0
    if wanted in labels:
        return labels.index(wanted)
    there = f"it has {', '.join(labels)}"
    what = f"has no label `{wanted}`" if wanted else "has several labels"
    hint = nearest(wanted, labels) if wanted else f"add ,label={labels[-1]} or another"
    raise InputError(Problem(spec, f"{what}: {there}", hint or "name one of them"))


@dataclass(slots=True)
class _TransformersClassifier:
    """A text-classification model of transformers, on the first GPU if there is one.

    It reads the answer alone, cut to what the model can take. A head that was trained for several
    labels at once gives each its own logistic function, any other the softmax over its labels.
    """

    folder: Path
    labels: list[str]
    index: int
    batch_size: int = 16
    _loaded: tuple[Any, Any] | None = field(default=None, repr=False)

    @property
    def name(self) -> str:
        """The directory's name, and the label."""
        return f"{self.folder.name} ({self.labels[self.index]})"

    def probabilities(self, prompts: Sequence[str], answers: Sequence[str]) -> list[float]:
        """Answers of like length share a batch."""
        found = [0.0] * len(answers)
        order = sorted(range(len(answers)), key=lambda index: len(answers[index]))
        for start in range(0, len(order), self.batch_size):
            batch = order[start : start + self.batch_size]
            for index, value in zip(batch, self._batch([answers[i] for i in batch]), strict=True):
                found[index] = value
        return found

    def _batch(self, texts: list[str]) -> list[float]:
        """Position tables of RoBERTa's kind spend two on padding."""
        import torch

        tokenizer, model = self._load()
        positions = getattr(model.config, "max_position_embeddings", None)
        longest = min(tokenizer.model_max_length, int(positions) - 2 if positions else _LONGEST)
        read = tokenizer(
            texts, padding=True, truncation=True, max_length=longest, return_tensors="pt"
        )
        with torch.inference_mode():
            logits = model(**read.to(model.device)).logits.float()
        several = model.config.problem_type == "multi_label_classification"
        alone = several or logits.shape[1] == 1
        found = torch.sigmoid(logits) if alone else torch.softmax(logits, dim=1)
        return list(found[:, self.index].tolist())

    def _load(self) -> tuple[Any, Any]:
        if self._loaded is None:
            from transformers import AutoModelForSequenceClassification

            auto_class = AutoModelForSequenceClassification
            tokenizer, model = load_frozen(auto_class, self.folder, **AS_IT_IS)
            if tokenizer.pad_token is None:
                tokenizer.pad_token = tokenizer.eos_token
            if model.config.pad_token_id is None:
                model.config.pad_token_id = tokenizer.pad_token_id
            self._loaded = tokenizer, model
        return self._loaded
