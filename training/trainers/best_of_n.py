"""Over-optimisation of rewards, seen before anything is trained: the best of n answers by them.

A policy answers each prompt many times; the rewards that would pay it and the constitution's judge and
checks score every answer. `training.stats.best_of_n` makes a curve of both.

    manifest.json  curve.json  completions.sqlite
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

from pydantic import Field

from constitution.problems import InputError, Problem
from constitution.typed_yaml import Settings
from engine.generators.base import Generator, Sampling
from engine.generators.fingerprint import uses_gpu
from engine.generators.spec import open_generator, require_template_use
from engine.generators.spec_needs import MODEL_SPEC
from engine.loop.answer import Answer, answer_prompt
from engine.prompts.rows import Prompt
from engine.runs.config import ChatTemplate, PromptsFile
from engine.runs.output import OutputDirectory, OutputKind
from engine.setting_fields import Seed
from engine.storage.atomic import write_json_atomic
from engine.storage.cached_generator import CachedGenerator
from engine.storage.completion_cache import CompletionCache
from training.stats.best_of_n import OverOptimisation, Scored, over_optimisation
from training.trainers.config import GRPOTrainingConfig
from training.trainers.reward_config import Reward
from training.trainers.rewarding import Rewarding
from training.trainers.scorers import JudgeScorer, Sample

__all__ = ["CURVE", "BestOfNConfig", "run"]

CURVE = "curve.json"
_OUTPUT = OutputKind("best-of-n", "best-of-n curve", (CURVE,))
_AT_ONCE = 256
"""Answers that are sampled together."""


class BestOfNConfig(Settings):
    """What `solon best-of-n` is given. Each prompt is answered `samples` times."""

    constitution: str = Field(
        description="What answers are worth: its checks, and a judge's verdicts."
    )
    prompts: PromptsFile
    policy: Annotated[str, MODEL_SPEC] = Field(description="The model that answers.")
    judge: Annotated[str, MODEL_SPEC] = Field(
        description="Says what answers are worth; checks need none. Not the judge of the rewards."
    )
    rewards: list[Reward] = Field(min_length=1, description="As in online training.")
    out: str = Field(description="Directory to write.")
    samples: int = Field(default=64, ge=2, description="Answers to each prompt.")
    principles: int | None = Field(
        default=None, ge=1, description="To judge each prompt by; null: all that apply."
    )
    chat_template: ChatTemplate = None
    sampling: Sampling = Sampling(temperature=1.0)
    seed: Seed = 0


def run(config: BestOfNConfig, report: Callable[[str], None]) -> OverOptimisation:
    """Sample, score, and write the curve. What was sampled is kept, and not sampled again.

    Raises InputError for inputs that will not do, or where no answer could be scored.
    """
    prompts = list(config.prompts.open())
    rewarding, gold = _opened(config)
    out = Path(config.out)
    with OutputDirectory(out, _OUTPUT, {"policy": config.policy}, "resume") as directory:
        directory.write("running")
        with CompletionCache(out / "completions.sqlite") as cache:
            curve = asyncio.run(_curve(config, prompts, rewarding, gold, cache, report))
            cache.flush()
        if curve is None:
            raise InputError(Problem(config.out, "no answer could be scored", "see the judge"))
        write_json_atomic(out / CURVE, asdict(curve))
        directory.write("complete")
    return curve


def _opened(config: BestOfNConfig) -> tuple[Rewarding, JudgeScorer]:
    """The rewards as online training opens them, and the judge of what answers are worth."""
    online = GRPOTrainingConfig(
        model="-", dataset="-", out="-", rewards=config.rewards, constitution=config.constitution,
        max_answer=config.sampling.max_tokens, max_length=2 * config.sampling.max_tokens + 8,
        seed=config.seed, principles=config.principles,
    )  # fmt: skip
    rewarding = Rewarding(online)
    assert rewarding.principles is not None
    require_template_use((config.policy, config.judge), config.chat_template)
    judge = open_generator(config.judge, chat_template=config.chat_template)
    return rewarding, JudgeScorer(judge, rewarding.principles, "gold")


async def _curve(
    config: BestOfNConfig,
    prompts: Sequence[Prompt],
    rewarding: Rewarding,
    gold: JudgeScorer,
    cache: CompletionCache,
    report: Callable[[str], None],
) -> OverOptimisation | None:
    policy = CachedGenerator(
        open_generator(config.policy, chat_template=config.chat_template), cache
    )
    answers = await _sampled(config, prompts, policy, report)
    await policy.close()
    has_models = any(reward.reward_models or reward.perplexity for reward in rewarding.rewards)
    reward = rewarding.reward("cuda" if has_models and uses_gpu() else "cpu")
    samples = [
        Sample(prompt.id, prompt.messages, answer.text, prompt.tags)
        for prompt, given in zip(prompts, answers, strict=True)
        for answer in given
    ]
    paid = iter(await reward.paid(samples))
    worth = iter(await gold.score(samples))
    report(f"scored {len(samples):,} answers")
    await reward.close()
    await gold.close()
    scored = []
    for given in answers:
        pairs = [(next(paid), next(worth).value, answer.tokens) for answer in given]
        scored.append([
            Scored(proxy, value, tokens)
            for proxy, value, tokens in pairs
            if proxy is not None and value is not None
        ])
    return over_optimisation(scored, " + ".join(rewarding.names), "checks and judge")


async def _sampled(
    config: BestOfNConfig,
    prompts: Sequence[Prompt],
    policy: Generator,
    report: Callable[[str], None],
) -> list[list[Answer]]:
    """Of each prompt, those that came."""
    at_once = max(1, _AT_ONCE // config.samples)
    found: list[list[Answer]] = []
    for start in range(0, len(prompts), at_once):
        some = prompts[start : start + at_once]
        seeds = range(config.seed, config.seed + config.samples)
        asked = [answer_prompt(p, policy, config.sampling, s) for p in some for s in seeds]
        answers = iter(await asyncio.gather(*asked))
        for _ in some:
            of_prompt = [next(answers) for _ in seeds]
            found.append([answer for answer in of_prompt if not answer.failed])
        report(f"answered {len(found):,} of {len(prompts):,} prompts, {config.samples} times each")
    return found
