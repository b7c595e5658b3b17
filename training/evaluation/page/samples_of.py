"""The answers that a reader can look at, side by side over the models."""

from collections.abc import Iterator

from engine.loop.answer import Answer
from engine.messages import to_dicts
from engine.prompts.sources import Prompt
from training.evaluation.evaluation import HELD_OUT
from training.evaluation.figures import Evidence
from training.evaluation.judges.refusal import RefusalKind, detect_refusal
from training.evaluation.results import Sample, SampleAnswer, SampleVerdict

__all__ = ["samples_of"]

_HELD_OUT, _OTHERS = 300, 60
"""Prompts of the held-out set, and of each other one, that are shown."""


def samples_of(evidence: Evidence) -> tuple[Sample, ...]:
    """The first prompts of every set, in the file's order: none is chosen for its answer."""
    return tuple(_samples(evidence))


def _samples(evidence: Evidence) -> Iterator[Sample]:
    for name, prompts in evidence.evaluation.answered_sets().items():
        for prompt in prompts[: _HELD_OUT if name == HELD_OUT else _OTHERS]:
            yield Sample(
                prompt.id, name, tuple(to_dicts(prompt.messages)), _answers(evidence, name, prompt)
            )


def _answers(evidence: Evidence, name: str, prompt: Prompt) -> tuple[SampleAnswer, ...]:
    return tuple(
        _answer(evidence, model, name, said.answers[name][prompt.id])
        for model, said in evidence.said.items()
    )


def _answer(evidence: Evidence, model: str, name: str, answer: Answer) -> SampleAnswer:
    id = answer.prompt.id
    refusal = detect_refusal(answer.text)
    verdicts = evidence.judged.verdicts[model].get(id, ()) if name == HELD_OUT else ()
    return SampleAnswer(
        model=model,
        text=answer.text,
        refusal=refusal.rule if refusal.kind is RefusalKind.REFUSAL else "",
        truncated=answer.truncated,
        verdicts=tuple(
            SampleVerdict(v.principle, v.violates, v.probability, v.reason) for v in verdicts
        ),
    )
