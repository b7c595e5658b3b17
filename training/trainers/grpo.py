"""Online RLAIF: answers sampled while training, scored against the constitution, on TRL's GRPOTrainer.

Group relative policy optimization (Shao et al. 2024, arXiv 2402.03300): each prompt is answered
several times and an answer's advantage is its reward compared with the others'. A KL term (section
4.1.1 there) keeps the policy near the model it starts as, which is the SFT policy.
"""

import asyncio
import importlib.util
import os
from collections import Counter
from pathlib import Path
from statistics import fmean
from typing import Any
from urllib.request import urlopen

from constitution.loader import load_for_judging
from constitution.problems import InputError, Problem
from engine.generators.base import Generator
from engine.generators.fingerprint import local_name, uses_gpu
from engine.generators.spec import open_generator
from engine.generators.vllm_platform import require_vllm
from engine.settings import for_stakeholder
from training.data.rows import Rows, read_rows
from training.trainers.config import GRPOTrainingConfig
from training.trainers.fit import arguments, fit, identity_of
from training.trainers.lora import check_lora, lora_config
from training.trainers.models import (
    fingerprint,
    is_adapter,
    load_model,
    load_tokenizer,
    quiet_libraries,
)
from training.trainers.output import Output, TrainingResult
from training.trainers.progress import Report, progress_callback
from training.trainers.rewards import ConstitutionalReward, Penalties, RewardCounts
from training.trainers.scorers import JudgeScorer, PrincipleDraw, RewardModelScorer, Scorer
from training.trainers.tokenized import ChatTokens, Encoded, Tokenized, tokenize, turns_for

__all__ = ["run"]

_ENDS = 0.1
"""Share of the steps that count as a training's beginning and as its end."""
_SERVER_SECONDS = 10


def run(
    config: GRPOTrainingConfig, *, overwrite: bool = False, report: Report = lambda line: None
) -> TrainingResult:
    """Train, or resume an interrupted training; what is complete already is returned as it is.

    Raises InputError for prompts, models or a directory that will not do, before anything is
    written, and Stopped when a judge is gone or answers nothing.
    """
    _check(config)
    judge = open_generator(config.judge) if config.judge else None
    principles = None
    if config.constitution is not None:
        rules = for_stakeholder(load_for_judging(config.constitution), config.stakeholder)
        principles = PrincipleDraw(rules, config.principles, config.seed, config.stakeholder)
    rows = _prompts(config, principles)
    quiet_libraries()
    tokenizer = load_tokenizer(config)
    check_lora(config, "causal")
    prepare = turns_for(tokenizer)  # TRL itself renders the prompts
    for row in (*rows.train, *rows.test):
        row["prompt"] = prepare(row["prompt"])
    trl_config = _trl_config(config)
    identity = identity_of(config) | _rewarders(config, principles, judge)
    output = Output("grpo", config, rows, identity, overwrite=overwrite)
    with output:
        if output.finished:
            return output.finished
        with trl_config.main_process_first(local=False):
            folder, longest = output.path / "data", config.longest_prompt
            data = tokenize(rows, _columns, tokenizer, longest, folder, output.is_main)
        reward = _reward(config, principles, judge, str(trl_config.device))
        trainer = _trainer(config, trl_config, data, tokenizer, reward, output, report)
        try:
            return fit(
                trainer, output, data, tokenizer, report, measure_after=lambda t: _report(t, reward)
            )
        finally:
            # On the loop that started the judge.
            closing = asyncio.run_coroutine_threadsafe(reward.close(), trainer.async_loop)
            closing.result()


def _check(config: GRPOTrainingConfig) -> None:
    processes = int(os.environ.get("WORLD_SIZE", "1"))
    problems = []
    if undivided := config.undivided(processes):
        problems.append(Problem("generations", *undivided))
    if processes % config.vllm_tensor_parallel:
        what = f"{processes} processes are not shared out among {config.vllm_tensor_parallel} each"
        problems.append(Problem("vllm_tensor_parallel", what, "set it to a divisor"))
    if config.lora is None and is_adapter(config.model):
        what = "is an adapter, beside which its whole model cannot be kept as the reference"
        problems.append(Problem(config.model, what, "set lora, or train it with lora.merge: true"))
    if problems:
        raise InputError(problems)
    if _samples_with_vllm(config):
        require_vllm()
    if config.vllm_server:
        _find_server(config.vllm_server, config.model)


def _find_server(url: str, model: str) -> None:
    """Raise InputError unless it serves; TRL itself waits for four minutes."""
    try:
        with urlopen(f"{url.rstrip('/')}/health", timeout=_SERVER_SECONDS):
            return
    except (OSError, ValueError) as error:
        start = f"VLLM_SERVER_DEV_MODE=1 vllm serve {model} --logprobs-mode processed_logprobs --max-logprobs -1"
        remedy = f"""start `{start} --weight-transfer-config '{{"backend": "nccl"}}'`"""
        raise InputError(
            Problem(f"vllm_server {url}", f"does not answer: {error}", remedy)
        ) from error


def _prompts(config: GRPOTrainingConfig, principles: PrincipleDraw | None) -> Rows:
    """The prompts, without those that no principle applies to if only a judge rewards."""
    rows = read_rows(config, "prompt")
    for number, row in enumerate([*rows.train, *rows.test]):
        row.setdefault("id", str(number))
    if principles is None:
        return rows
    rows.constitutions = (principles.constitution.content_hash,)
    for split in (rows.train, rows.test):
        kept = [row for row in split if principles.of(str(row["id"]), row.get("tags") or ())]
        rows.dropped["no principle applies"] += len(split) - len(kept)
        split[:] = kept
    rows.dropped = +rows.dropped  # without the reasons that no row has
    if not rows.train:
        what = f"none of {config.constitution}'s principles applies to any prompt"
        raise InputError(Problem("dataset", what, "give the prompts the tags that they ask for"))
    return rows


def _columns(rows: list[dict[str, Any]], chat: ChatTokens) -> Encoded:
    """`prompt`, `id` and `tags`, as the sampling and the rewards want them."""
    asked = chat.prompts(rows)
    for row, ids in zip(rows, asked, strict=True):
        columns = {"prompt": row["prompt"], "id": str(row["id"]), "tags": row.get("tags") or []}
        yield (None, 0) if ids is None else (columns, len(ids))


def _rewarders(
    config: GRPOTrainingConfig, principles: PrincipleDraw | None, judge: Generator | None
) -> dict[str, str]:
    """Who rewards, by content: part of what the trained model depends on."""
    found = {}
    if principles is not None and judge is not None:
        found["constitution"] = principles.constitution.content_hash
        found["judge"] = judge.fingerprint
    if config.reward_model is not None:
        found["reward_model"] = fingerprint(config.reward_model)
    return found


def _reward(
    config: GRPOTrainingConfig,
    principles: PrincipleDraw | None,
    judge: Generator | None,
    device: str,
) -> ConstitutionalReward:
    scorers: list[tuple[Scorer, float]] = []
    if judge is not None and principles is not None:
        scorers.append((JudgeScorer(judge, principles), config.judge_weight))
    if config.reward_model is not None:
        model = RewardModelScorer(Path(local_name(config.reward_model)), device)
        scorers.append((model, config.reward_model_weight))
    penalties = Penalties(
        longest=config.max_answer,
        soft_length=config.free_length,
        length=config.length_penalty,
        non_answer=config.non_answer_penalty,
    )
    return ConstitutionalReward(scorers, penalties)


def _trl_config(config: GRPOTrainingConfig) -> Any:
    """Sampling by vLLM beside the trainer on GPUs, by transformers elsewhere."""
    from trl import GRPOConfig

    return GRPOConfig(
        **arguments(config),
        beta=config.beta,
        num_generations=config.generations,
        num_generations_eval=1,
        max_completion_length=config.max_answer,
        temperature=config.temperature,
        use_vllm=_samples_with_vllm(config),
        vllm_mode="server" if config.vllm_server else "colocate",
        vllm_server_base_url=config.vllm_server,
        vllm_gpu_memory_utilization=config.vllm_memory,
        vllm_max_model_length=config.max_length,
        vllm_tensor_parallel_size=config.vllm_tensor_parallel,
        vllm_enable_sleep_mode=config.vllm_sleep,
    )


def _samples_with_vllm(config: GRPOTrainingConfig) -> bool:
    """Where it is not said: if a server is, or there are GPUs, vLLM, and no base in 4 bits."""
    if config.vllm is not None or config.vllm_server:
        return config.vllm is not False
    quantized = config.lora is not None and config.lora.quantize is not None
    return uses_gpu() and importlib.util.find_spec("vllm") is not None and not quantized


def _trainer(
    config: GRPOTrainingConfig,
    trl_config: Any,
    data: Tokenized,
    tokenizer: Any,
    reward: ConstitutionalReward,
    output: Output,
    report: Report,
) -> Any:
    from trl import GRPOTrainer

    class Trainer(GRPOTrainer):
        def create_model_card(self, *_: Any, **__: Any) -> None:
            """None beside checkpoints: the finished model gets ours."""

    rewarding: Any = reward
    trainer = Trainer(
        model=load_model(config, tokenizer, "causal"),
        reward_funcs=rewarding,
        args=trl_config,
        train_dataset=data.train,
        eval_dataset=data.test,
        processing_class=tokenizer,
        peft_config=lora_config(config, "causal"),
        callbacks=[progress_callback(output, report)],
    )
    reward.end_tokens = frozenset(trainer.eos_token_ids)
    return trainer


def _report(trainer: Any, reward: ConstitutionalReward) -> dict[str, Any]:
    """Reward, KL and length at the beginning and the end; the outcomes of the sampled answers."""
    from accelerate.utils import gather_object

    log = trainer.state.log_history
    names = {"reward": "reward", "kl": "kl", "length": "completions/mean_length"}
    names |= {name: name for name in log[0] if name.startswith("score/")}
    start, end = {}, {}
    for name, key in names.items():
        if curve := [line[key] for line in log if isinstance(line.get(key), int | float)]:
            some = max(1, round(_ENDS * len(curve)))
            start[name], end[name] = fmean(curve[:some]), fmean(curve[-some:])
    counts: list[RewardCounts] = gather_object([reward.counts])
    outcomes = ("answers", "rewarded", "unrewarded", "empty", "truncated")
    return {
        "tokens": trainer.state.num_input_tokens_seen,
        "start": start,
        "end": end,
        "sampled": {name: sum(getattr(c, name) for c in counts) for name in outcomes},
        "failures": dict(sum((c.failures for c in counts), Counter())),
    }
