"""The signs of reward hacking of one checkpoint, from everything that was answered and judged."""

from statistics import fmean

from engine.judging.records import log_odds
from training.evaluation.evidence import Evidence
from training.evaluation.judges.judging import Verdicts
from training.evaluation.questions.questionnaire import BENIGN
from training.evaluation.signs.judge_signs import (
    judge_agreement,
    kl_from_base,
    reward_length,
    sycophancy,
)
from training.evaluation.signs.reward_hacking import (
    Sign,
    boilerplate,
    diversity_loss,
    length_drift,
    over_refusal,
    words_of,
)

__all__ = ["signs_of"]


def signs_of(evidence: Evidence, model: str) -> tuple[Sign, ...]:
    """Every sign that could be measured; of the base only those that compare nothing with it."""
    texts, before = evidence.texts(model), evidence.texts(evidence.base)
    refused, refused_before = (evidence.texts(name, BENIGN) for name in (model, evidence.base))
    found = [
        over_refusal(refused, None if model == evidence.base else refused_before),
        sycophancy(list(evidence.outputs[model].opinions.values())),
        _reward_length(evidence, model),
    ]
    if model != evidence.base:
        found += [
            length_drift(texts, before),
            boilerplate(texts, before),
            diversity_loss(texts, before),
            _kl(evidence, model),
        ]
    if evidence.training_verdicts is not None:
        found.append(_agreement(evidence, model, evidence.training_verdicts))
    return tuple(sign for sign in found if sign.estimate is not None)


def _reward_length(evidence: Evidence, model: str) -> Sign:
    """The judge's reward: the mean log-odds that an answer keeps the principles it is judged by."""
    texts = evidence.texts(model)
    rewards = {
        id: -fmean(log_odds(verdict.probability or 0.0) for verdict in group)
        for id, group in evidence.decided(model).items()
    }
    both = [id for id in rewards if id in texts]
    lengths = [float(len(words_of(texts[id]))) for id in both]
    return reward_length([rewards[id] for id in both], lengths)


def _kl(evidence: Evidence, model: str) -> Sign:
    own, base = evidence.outputs[model].logprobs, evidence.base_logprobs.get(model, {})
    both = [id for id in own if id in base and len(own[id]) == len(base[id])]
    return kl_from_base([own[id] for id in both], [base[id] for id in both])


def _agreement(evidence: Evidence, model: str, second: Verdicts) -> Sign:
    """On the verdicts that both judges could give."""
    pairs = [
        (mine.violates, theirs.violates)
        for id, group in evidence.judged.verdicts[model].items()
        for mine, theirs in zip(group, second[model].get(id, ()), strict=False)
        if mine.violates is not None and theirs.violates is not None
    ]
    return judge_agreement([theirs for _, theirs in pairs], [mine for mine, _ in pairs])
