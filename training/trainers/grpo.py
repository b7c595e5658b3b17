"""Online RL: answers sampled while training, and rewarded; and GRPO, on TRL's GRPOTrainer.

Group relative policy optimization (Shao et al. 2024, arXiv 2402.03300): each prompt is answered
several times and an answer's advantage is its reward compared with the others'. A KL term (section
4.1.1 there) keeps the policy near the model it starts as, which is the SFT policy. What the loss is
averaged over is a setting: by default over all tokens of a step, as DAPO does (Yu et al. 2025, arXiv
2503.14476).
"""

import asyncio
import importlib.util
import os
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from statistics import fmean
from typing import Any
from urllib.request import urlopen

from constitution.problems import InputError, Problem
from engine.generators.fingerprint import uses_gpu
from engine.generators.model_files import is_adapter
from engine.generators.vllm_platform import require_vllm
from training.data.rows import Rows, read_rows
from training.trainers.config import GRPOTrainingConfig, OnlineTrainingConfig
from training.trainers.fit import arguments, fit, identity_of
from training.trainers.lora import check_lora, lora_config
from training.trainers.models import load_model, load_tokenizer, quiet_libraries
from training.trainers.output import Output, TrainingResult
from training.trainers.progress import Report, progress_callback
from training.trainers.rewarding import Rewarding
from training.trainers.rewards import ConstitutionalReward, RewardCounts
from training.trainers.tokenized import ChatTokens, Encoded, Tokenized, tokenize, turns_for

__all__ = ["OnlineMethod", "run", "sampling_arguments", "train_online"]

_ENDS = 0.1
"""Share of the steps that count as a training's beginning and as its end."""
_SERVER_SECONDS = 10


@dataclass(frozen=True, slots=True)
class OnlineMethod:
    """A trainer's name, and by its configuration TRL's trainer class and configuration."""

    name: str
    setup: Callable[[Any], tuple[Any, Any]]


def train_online(
    method: OnlineMethod,
    config: OnlineTrainingConfig,
    *,
    overwrite: bool = False,
    report: Report = lambda line: None,
) -> TrainingResult:
    """Train, or resume an interrupted training; what is complete already is returned as it is.

    Raises InputError for prompts, models or a directory that will not do, before anything is
    written, and Stopped when a judge is gone or answers nothing.
    """
    _check(config)
    rewarding = Rewarding(config)
    rows = _prompts(config, rewarding)
    quiet_libraries()
    tokenizer = load_tokenizer(config)
    check_lora(config, "causal")
    prepare = turns_for(tokenizer)  # TRL itself renders the prompts
    for row in (*rows.train, *rows.test):
        row["prompt"] = prepare(row["prompt"])
    trainer_class, trl_config = method.setup(config)
    identity = identity_of(config) | rewarding.identity()
    output = Output(method.name, config, rows, identity, overwrite=overwrite)
    with output:
        if output.finished:
            return output.finished
        with trl_config.main_process_first(local=False):
            folder, longest = output.path / "data", config.longest_prompt
            data = tokenize(rows, _columns, tokenizer, longest, folder, output.is_main)
        reward = rewarding.reward(str(trl_config.device))
        trainer = _trainer(trainer_class, config, trl_config, data, tokenizer, reward)
        trainer.add_callback(progress_callback(output, report))
        try:
            return fit(
                trainer, output, data, tokenizer, report, measure_after=lambda t: _report(t, reward)
            )
        finally:
            # On the loop that started the judge.
            closing = asyncio.run_coroutine_threadsafe(reward.close(), trainer.async_loop)
            closing.result()


def _check(config: OnlineTrainingConfig) -> None:
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


def _prompts(config: OnlineTrainingConfig, rewarding: Rewarding) -> Rows:
    """The prompts, each with its stakeholder, without those that no principle applies to if principles
    alone reward."""
    principles = rewarding.principles
    rows = read_rows(config, "prompt")
    for number, row in enumerate([*rows.train, *rows.test]):
        row.setdefault("id", str(number))
    if principles is None:
        return rows
    rows.constitutions = (principles.constitution.content_hash,)
    for split in (rows.train, rows.test):
        for row in split:
            row["stakeholder"] = row.get("stakeholder") or principles.profile(str(row["id"]))
        if not rewarding.by_principles_alone:
            continue
        kept = [
            row
            for row in split
            if principles.of(str(row["id"]), row.get("tags") or (), row["stakeholder"])
        ]
        rows.dropped["no principle applies"] += len(split) - len(kept)
        split[:] = kept
    rows.dropped = +rows.dropped  # without the reasons that no row has
    if not rows.train:
        what = f"none of {config.constitution}'s principles applies to any prompt"
        raise InputError(Problem("dataset", what, "give the prompts the tags that they ask for"))
    return rows


def _columns(rows: list[dict[str, Any]], chat: ChatTokens) -> Encoded:
    """`prompt`, `id`, `tags` and `stakeholder`, as the sampling and the rewards want them."""
    asked = chat.prompts(rows)
    for row, ids in zip(rows, asked, strict=True):
        columns = {"prompt": row["prompt"], "id": str(row["id"]), "tags": row.get("tags") or []}
        columns["stakeholder"] = str(row.get("stakeholder") or "")
        yield (None, 0) if ids is None else (columns, len(ids))


def sampling_arguments(config: OnlineTrainingConfig) -> dict[str, Any]:
    """Keyword arguments of TRL's online trainers: sampling by vLLM beside the trainer on GPUs, by
    transformers elsewhere."""
    return {
        **arguments(config),
        "beta": config.beta,
        "num_generations": config.generations,
        "num_generations_eval": 1,
        "max_completion_length": config.max_answer,
        "temperature": config.temperature,
        "use_vllm": _samples_with_vllm(config),
        "vllm_mode": "server" if config.vllm_server else "colocate",
        "vllm_server_base_url": config.vllm_server,
        "vllm_gpu_memory_utilization": config.vllm_memory,
        "vllm_max_model_length": config.max_length,
        "vllm_tensor_parallel_size": config.vllm_tensor_parallel,
        "vllm_enable_sleep_mode": config.vllm_sleep,
    }


def _samples_with_vllm(config: OnlineTrainingConfig) -> bool:
    """Where it is not said: if a server is, or there are GPUs, vLLM, and no base in 4 bits."""
    if config.vllm is not None or config.vllm_server:
        return config.vllm is not False
    quantized = config.lora is not None and config.lora.quantize is not None
    return uses_gpu() and importlib.util.find_spec("vllm") is not None and not quantized


def _trainer(
    base: Any,
    config: OnlineTrainingConfig,
    trl_config: Any,
    data: Tokenized,
    tokenizer: Any,
    reward: ConstitutionalReward,
) -> Any:
    class Trainer(base):  # type: ignore[misc]
        def create_model_card(self, *_: Any, **__: Any) -> None:
            """None beside checkpoints: the finished model gets ours."""

    trainer = Trainer(
        model=load_model(config, tokenizer, "causal"),
        reward_funcs=reward,
        args=trl_config,
        train_dataset=data.train,
        eval_dataset=data.test,
        processing_class=tokenizer,
        peft_config=lora_config(config, "causal"),
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
        "start": start,
        "end": end,
        "sampled": {name: sum(getattr(c, name) for c in counts) for name in outcomes},
        "failures": dict(sum((c.failures for c in counts), Counter())),
        "vetoed": dict(sum((c.vetoed for c in counts), Counter())),
    }


def _grpo(config: GRPOTrainingConfig) -> tuple[Any, Any]:
    from trl import GRPOConfig, GRPOTrainer

    return GRPOTrainer, GRPOConfig(**sampling_arguments(config), loss_type=config.loss)


run = partial(train_online, OnlineMethod("grpo", _grpo))
"""Train by a GRPOTrainingConfig, as `train_online` does."""
