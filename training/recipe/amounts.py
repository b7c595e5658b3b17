"""How many tokens each stage of a recipe reads, writes and trains on, before there are any.

A prompt is taken to have 150 tokens, an answer three fifths of `max_tokens`, and what a judge is asked
200 besides. Nothing is known yet of what will be broken, compliant or dropped, so the loop is walked with
prompts made up, and every row counts: an upper bound. Prompts of a hub count only with a `limit`.
"""

from functools import cached_property
from pathlib import Path
from typing import cast

from constitution.loader import load_constitution
from engine.prompts.sources import prompts_from
from engine.runs.config import AnswerConfig, LabelConfig, PromptsFile, ReviseConfig
from engine.runs.plan import plan_run
from engine.settings import Roles
from engine.sizing.stages import Tokens, TokenSum, tokens_by_model
from training.data.split import SplitConfig
from training.evaluation.config import EvaluateConfig
from training.recipe.schema import Recipe
from training.recipe.stage import Stage
from training.recipe.steps import TRAINERS, Step
from training.trainers.config import (
    OnlineTrainingConfig,
    PPOTrainingConfig,
    ReferenceTrainingConfig,
    RewardModelConfig,
    TrainingConfig,
)

__all__ = ["Amounts"]

_PROMPT, _QUESTION = 150, 200
_FILL = 0.6
"""Share of its limit that an answer has, as `engine.runs.plan` takes it."""
_WALKED = 8
"""Prompts that are made up."""


class Amounts:
    """Tokens of the stages of a recipe. Servers' work is not counted."""

    def __init__(self, recipe: Recipe, stages: list[Stage]) -> None:
        self._recipe = recipe
        self._stages = {stage.name: stage for stage in stages}

    def of(self, stage: Stage) -> Tokens | None:
        """None where it is not known how many prompts there are, or nothing is computed."""
        config, training = dict(stage.config or {}), self._training_prompts
        if stage.command[0] == "answer":
            return self._answered(AnswerConfig.model_validate(config))
        if training is None:
            return None
        match stage.command:
            case ("train", trainer, *_):
                return self._trained(TRAINERS[cast(Step, trainer)].model_validate(config), training)
            case ("revise", *_):
                return self._revised(ReviseConfig.model_validate(config), training)
            case ("label", *_):
                return self._labelled(LabelConfig.model_validate(config), training)
            case ("evaluate", *_):
                return self._evaluated(EvaluateConfig.model_validate(config))
        return None

    # How many -----------------------------------------------------------------------------------

    @cached_property
    def _split(self) -> tuple[float | None, float | None]:
        """Prompts to train on and to hold out."""
        config = SplitConfig.model_validate(dict(self._stages["split"].config or {}))
        count, held = _count(config.prompts), config.held_out
        if not isinstance(held, float):
            return count, _count(held)
        return (None, None) if count is None else (count * (1 - held), count * held)

    @property
    def _training_prompts(self) -> float | None:
        return self._split[0]

    @property
    def _answer(self) -> float:
        return _FILL * self._recipe.sampling.max_tokens

    # What is done with them -----------------------------------------------------------------------

    def _answered(self, config: AnswerConfig) -> Tokens | None:
        count = _count(config.prompts)
        if count is None:
            return None
        work = TokenSum()
        work.add(config.roles.policy, count * _PROMPT, count * self._answer)
        return work.tokens

    def _revised(self, config: ReviseConfig, prompts: float) -> Tokens:
        """By the loop itself, run dry."""
        made_up = prompts_from([f"{number} " * (2 * _PROMPT) for number in range(_WALKED)])
        rules = load_constitution(config.constitution)
        models = Roles(**config.roles.open(config.sampling))
        planned = plan_run(made_up, _WALKED, rules, models, config.revise)
        return tokens_by_model(planned, config.roles.specs, prompts / _WALKED)

    def _labelled(self, config: LabelConfig, prompts: float) -> Tokens:
        answers = prompts * config.label.samples
        ways = config.label.ensemble * (2 if config.label.method == "pairwise" else 1)
        work = TokenSum()
        work.add(config.roles.policy, answers * _PROMPT, answers * self._answer)
        work.add(config.roles.judge, answers * ways * self._question, answers * ways)
        return work.tokens

    @property
    def _question(self) -> float:
        """Tokens that a judge is asked about an answer."""
        return _PROMPT + self._answer + _QUESTION

    def _evaluated(self, config: EvaluateConfig) -> Tokens | None:
        """Of held-out prompts alone: the other sets of questions are short."""
        held_out, work = self._split[1], TokenSum()
        if held_out is None:
            return None
        for spec in config.models.values():
            work.add(spec, held_out * _PROMPT, held_out * self._answer)
        verdicts = held_out * len(config.models) * config.evaluate.principles
        work.add(config.judge, verdicts * self._question, verdicts)
        return work.tokens

    def _trained(self, config: TrainingConfig, prompts: float) -> Tokens:
        recipe, work = self._recipe, TokenSum()
        row = min(_PROMPT + self._answer, config.max_length)
        rows, reads, writes = prompts * (1 - recipe.test_share), 0.0, 0.0
        if isinstance(config, OnlineTrainingConfig):
            rows, writes = prompts * config.generations, _FILL * config.max_answer
            row = reads = _PROMPT + writes
            if config.judge:
                asked = rows * (config.principles or len(self._rules(config.constitution)))
                work.add(config.judge, config.epochs * asked * (row + _QUESTION), 0)
        elif isinstance(config, ReferenceTrainingConfig | RewardModelConfig):
            samples = recipe.label.samples
            pairs = (
                samples // 2 if recipe.label.pairs == "disjoint" else samples * (samples - 1) / 2
            )
            rows, row = rows * pairs, 2 * row
            if isinstance(config, ReferenceTrainingConfig):
                reads = row / config.epochs  # the reference, once
        elif recipe.helpful:
            rows /= 1 - recipe.helpful.ratio
        rows *= config.epochs
        passes = config.inner_epochs if isinstance(config, PPOTrainingConfig) else 1
        if config.max_steps:
            rows = config.max_steps * config.batch_size * config.gradient_accumulation / passes
        work.add(f"vllm:{config.model}", rows * reads, rows * writes, rows * row * passes)
        if value_model := getattr(config, "value_model", None):
            work.add(f"vllm:{value_model}", rows * row, 0, rows * row * passes)
        return work.tokens

    def _rules(self, constitution: str | None) -> tuple[object, ...]:
        return tuple(load_constitution(constitution).principles) if constitution else ()


def _count(prompts: PromptsFile) -> int | None:
    """How many there are; of a hub's, the limit."""
    if prompts.file.startswith("hf:") or not Path(prompts.file).exists():
        return prompts.limit
    return prompts.open().count
