"""The answers that a reader can look at, side by side over the models."""

from collections.abc import Iterator

from engine.loop.answer import Answer
from engine.messages import to_dicts
from training.evaluation.evidence import Evidence
from training.evaluation.judges.refusal import RefusalKind, detect_refusal
from training.evaluation.questions.questionnaire import HELD_OUT
from training.evaluation.results import AnswerVerdict, ModelAnswer, PromptAnswers

__all__ = ["sampled_answers"]

_HELD_OUT, _OTHERS = 300, 60
"""Prompts of the held-out set, and of each other one, that are shown."""


def sampled_answers(evidence: Evidence) -> Iterator[PromptAnswers]:
    """The first prompts of every set, in the file's order: none is chosen for its answer."""
    for name, prompts in evidence.questionnaire.answered_sets().items():
        for prompt in prompts[: _HELD_OUT if name == HELD_OUT else _OTHERS]:
            answers = (
                _answer(evidence, model, name, outputs.answers[name][prompt.id])
                for model, outputs in evidence.outputs.items()
            )
            messages = tuple(to_dicts(prompt.messages))
            yield PromptAnswers(prompt.id, name, messages, tuple(answers))


def _answer(evidence: Evidence, model: str, name: str, answer: Answer) -> ModelAnswer:
    id = answer.prompt.id
    refusal = detect_refusal(answer.text)
    verdicts = evidence.judged.verdicts[model].get(id, ()) if name == HELD_OUT else ()
    return ModelAnswer(
        model=model,
        text=answer.text,
        refusal=refusal.rule if refusal.kind is RefusalKind.REFUSAL else "",
        truncated=answer.truncated,
        verdicts=tuple(
            AnswerVerdict(v.principle, v.violates, v.probability, v.reason) for v in verdicts
        ),
    )
