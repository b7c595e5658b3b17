"""The prompts and answers that an evaluation shows, each pair of answers with who won it and why."""

from collections.abc import Iterator
from itertools import combinations

from engine.judging.refusal import RefusalKind, detect_refusal
from engine.loop.answer import Answer
from engine.messages import to_dicts
from training.evaluation.evidence import Evidence
from training.evaluation.questions.questionnaire import HELD_OUT
from training.evaluation.results import AnswerVerdict, DuelShown, ModelAnswer, PromptAnswers
from training.stats.bradley_terry import Duel

__all__ = ["sampled_answers"]

_MOST_HELD_OUT, _MOST_OTHERS = 300, 60
"""Prompts of the held-out set, and of each other one, that are shown."""


def sampled_answers(evidence: Evidence) -> Iterator[PromptAnswers]:
    """The first prompts of every set, in the file's order: none is chosen for its answer."""
    duels = {(duel.first, duel.second, duel.prompt): duel for duel in evidence.judged.duels}
    texts = {model: evidence.texts(model) for model in evidence.outputs}
    for name, prompts in evidence.questionnaire.answered_sets().items():
        for prompt in prompts[: _MOST_HELD_OUT if name == HELD_OUT else _MOST_OTHERS]:
            answers = (
                _shown(evidence, model, name, outputs.answers[name][prompt.id])
                for model, outputs in evidence.outputs.items()
                if name in outputs.answers
            )
            compared = [model for model in texts if name == HELD_OUT and prompt.id in texts[model]]
            principle = evidence.questionnaire.compared_under(prompt)
            met = (
                _duel(evidence, pair, prompt.id, principle.id, duels.get((*pair, prompt.id)))
                for pair in combinations(compared, 2)
                if principle is not None
            )
            messages = tuple(to_dicts(prompt.messages))
            yield PromptAnswers(prompt.id, name, messages, tuple(answers), tuple(met))


def _duel(
    evidence: Evidence, models: tuple[str, str], prompt: str, principle: str, duel: Duel | None
) -> DuelShown:
    """Who won, and what the judge said; a pair without a duel is undecided."""
    preference = evidence.judged.preferences.get(models, {}).get(prompt)
    if preference is None:
        failed = "" if duel else "failed"
        return DuelShown(models, "", principle, evidence.questionnaire.method, undecided=failed)
    return DuelShown(
        models=models,
        winner={1.0: models[0], 0.0: models[1]}.get(duel.score, "") if duel else "",
        principle=principle,
        method=preference.method,
        probability=preference.probability,
        answers=preference.answers,
        undecided=str(preference.undecided or ""),
    )


def _shown(evidence: Evidence, model: str, name: str, answer: Answer) -> ModelAnswer:
    id = answer.prompt.id
    refusal = detect_refusal(answer.text)
    verdicts = evidence.judged.verdicts[model].get(id, ()) if name == HELD_OUT else ()
    return ModelAnswer(
        model=model,
        text=answer.text,
        refusal=refusal.rule if refusal.kind is RefusalKind.REFUSAL else "",
        truncated=answer.truncated,
        verdicts=tuple(
            AnswerVerdict(v.principle, v.violates, v.probability, v.reason, v.failed)
            for v in verdicts
        ),
    )
