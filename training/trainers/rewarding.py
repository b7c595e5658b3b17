"""From the `rewards` of a configuration to what scores answers."""

import json
from collections import Counter
from hashlib import sha256
from pathlib import Path
from typing import Any

from constitution.loader import load_for_judging
from constitution.problems import InputError, Problem
from constitution.reading import read_bytes
from engine.generators.base import Generator
from engine.generators.model_files import local_name
from engine.generators.spec import open_generator
from engine.input_files import NamedFile, with_files
from engine.settings import for_stakeholder
from training.trainers.answer_scorers import (
    CheckScorer,
    EnsembleScorer,
    PerplexityScorer,
    PythonScorer,
)
from training.trainers.config import OnlineTrainingConfig
from training.trainers.models import fingerprint
from training.trainers.reward_config import Reward
from training.trainers.rewards import ConstitutionalReward, Penalties, Term
from training.trainers.scorers import JudgeScorer, PrincipleDraw, RewardModelScorer, Scorer

__all__ = ["Rewarding"]


class Rewarding:
    """The rewards of a configuration, opened: judges and principles, but no reward model yet.

    Raises InputError for a constitution, a judge, a principle or a function that is not there.
    """

    def __init__(self, config: OnlineTrainingConfig) -> None:
        self.config = config
        self.rewards = config.all_rewards
        self.principles: PrincipleDraw | None = None
        if config.constitution is not None:
            rules = for_stakeholder(load_for_judging(config.constitution), config.stakeholder)
            self.principles = PrincipleDraw(
                rules, config.principles, config.seed, config.stakeholder
            )
        self.names = _names(self.rewards)
        self.judges = {
            reward.judge: open_generator(reward.judge) for reward in self.rewards if reward.judge
        }
        self._check_principles()

    @property
    def by_principles_alone(self) -> bool:
        """Whether a prompt that no principle applies to has no reward at all."""
        return all(reward.needs_constitution for reward in self.rewards)

    def identity(self) -> dict[str, str]:
        """Who rewards, by content: part of what the trained model depends on."""
        found = {}
        if self.principles is not None:
            found["constitution"] = self.principles.constitution.content_hash
        for name, reward in zip(self.names, self.rewards, strict=True):
            settings = with_files(reward, _content).model_dump(mode="json", exclude_defaults=True)
            settings |= {"judge": self.judges[reward.judge].fingerprint} if reward.judge else {}
            short = reward not in self.config.rewards  # its weight is a setting of its own
            found[name] = settings[reward.kind] if short else json.dumps(settings, sort_keys=True)
        return found

    def reward(self, device: str) -> ConstitutionalReward:
        """What TRL calls; models are loaded when it first is."""
        terms = [
            Term(
                self._scorer(reward, name, device),
                reward.plain_weight,
                reward.below,
                reward.weights,
            )
            for name, reward in zip(self.names, self.rewards, strict=True)
        ]
        length = self.config.length
        assert length.soft is not None
        penalties = Penalties(
            longest=self.config.max_answer,
            soft_length=length.soft,
            length=length.penalty,
            non_answer=self.config.non_answer_penalty,
        )
        return ConstitutionalReward(terms, penalties)

    def _scorer(self, reward: Reward, name: str, device: str) -> Scorer:
        if reward.judge is not None:
            assert self.principles is not None
            return JudgeScorer(self._judge(reward.judge), self.principles, name)
        if reward.check is not None:
            assert self.principles is not None
            return CheckScorer(self.principles, frozenset(_ids(reward)), name)
        if reward.python is not None:
            return PythonScorer(reward.python, name)
        if reward.perplexity is not None:
            path = Path(local_name(reward.perplexity.model))
            return PerplexityScorer(path, reward.perplexity.above, device, name)
        members = [
            RewardModelScorer(Path(local_name(model)), device, name=name)
            for model in reward.reward_models
        ]
        alone = len(members) == 1
        return members[0] if alone else EnsembleScorer(members, reward.combine, reward.k, name)

    def _judge(self, spec: str) -> Generator:
        return self.judges[spec]

    def _check_principles(self) -> None:
        """Raises InputError for ids that the constitution has not, or that have no check."""
        if self.principles is None:
            return
        checked = {p.id for p in self.principles.constitution.principles if p.check}
        problems = [
            Problem(f"rewards {name}", f"there is no check of `{id}`", _known(checked))
            for name, reward in zip(self.names, self.rewards, strict=True)
            for id in _ids(reward)
            if id not in checked
        ]
        if any(reward.check == "all" for reward in self.rewards) and not checked:
            problems.append(Problem("rewards", "no principle has a check", "name another reward"))
        if problems:
            raise InputError(problems)


def _content(file: NamedFile) -> str:
    """Of a model its fingerprint, of a file its hash."""
    if file.mark.or_name:
        return fingerprint(file.name)
    return sha256(read_bytes(Path(file.name))).hexdigest()[:16]


def _ids(reward: Reward) -> list[str]:
    """The principles that `check` names; none stands for all."""
    named: Any = reward.check
    ids = [named] if isinstance(named, str) else list(named or ())
    return [] if ids == ["all"] else ids


def _known(ids: set[str]) -> str:
    return f"there are checks of {', '.join(sorted(ids))}" if ids else "no principle has one"


def _names(rewards: list[Reward]) -> list[str]:
    """Of their columns in the log: the kind, numbered from the second on."""
    seen: Counter[str] = Counter()
    names = []
    for reward in rewards:
        name = reward.name or reward.kind
        seen[name] += 1
        names.append(name if seen[name] == 1 else f"{name}-{seen[name]}")
    return names
