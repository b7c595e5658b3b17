"""The stages that train: chains of steps, each going on from what the one before has left."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from engine.input_files import with_files
from engine.runs.config import LabelConfig, LabelRoles
from engine.settings import LabelSettings
from training.recipe.parts import StageParts, path_or_name
from training.recipe.paths import fingerprint_of
from training.recipe.stage import Stage
from training.recipe.steps import ON_PREFERENCES, ONLINE, TRAINERS, Step, section_name
from training.trainers.best_of_n import CURVE, BestOfNConfig
from training.trainers.reward_config import RECIPES_OWN, Reward

__all__ = ["Chains"]


@dataclass(frozen=True, slots=True)
class Chain:
    """What a chain of steps has come to: the policy (None: the base model), the directory of its
    preferences and its reward models, if any, and what its arm has spent."""

    arm: str = ""
    suffix: str = ""
    policy: Path | None = None
    preferences: Path | None = None
    reward_models: tuple[Path, ...] = ()
    spent: tuple[Path, ...] = ()

    def named(self, step: str) -> str:
        """The name of a step's stage in this arm and round."""
        return (step if self.arm in ("", step) else f"{self.arm}-{step}") + self.suffix


class Chains:
    """The trunk of a recipe, and its arms with their rounds; `trained` holds every policy, by the name of
    its stage, once `stages` has ended."""

    def __init__(self, make: StageParts) -> None:
        self.make = make
        self.trained: dict[str, Path] = {}
        self.curves: list[Path] = []
        self._curved: set[tuple[Path | None, tuple[Path, ...]]] = set()
        self._chain = Chain()
        self._made: dict[tuple[Path | None, int] | None, Path] = {}
        """Preferences by policy and round, which arms that start from one policy share; None: people's
        alone, which all share."""
        self._judging: dict[Chain, tuple[Path, ...]] = {}
        """Reward models by what they were trained after, which arms share too."""

    def stages(self) -> Iterator[Stage]:
        """In order; each arm starts where the trunk ends."""
        recipe = self.make.recipe
        for step in recipe.trunk:
            yield from self._step(step, 1)
        start = replace(self._chain, spent=())
        for arm, steps in recipe.branches.items():
            self._chain = replace(start, arm=arm)
            for number in range(1, recipe.rounds + 1):
                suffix = f"-{number}" if recipe.rounds > 1 else ""
                kept = self._chain.preferences if number == 1 else None
                self._chain = replace(self._chain, suffix=suffix, preferences=kept)
                for step in steps:
                    yield from self._step(step, number)

    def _step(self, step: Step, number: int) -> Iterator[Stage]:
        """What one step of training takes, in a round; the chain goes on from it."""
        if step == "sft":
            yield self._sft_data()
        if step in ON_PREFERENCES and self._chain.preferences is None:
            yield from self._preferences(number)
        if step == "reward-model":
            yield from self._reward_models()
            return
        if step in ONLINE and self.make.recipe.best_of_n:
            yield from self._best_of_n(step)
        name = self._chain.named(step)
        data = "sft" if step == "sft" else None
        yield self._train(
            name, step, self.make.out / "data" / data if data else self._rows_of(step)
        )
        self.trained[name] = self.make.out / name
        self._chain = replace(
            self._chain,
            policy=self.make.out / name,
            spent=(*self._chain.spent, self.make.out / name),
        )

    def _rows_of(self, step: Step) -> Path:
        """What a step after SFT learns from."""
        if step in ONLINE:
            return Path(self.make.train_prompts.file)
        assert self._chain.preferences is not None
        return self._chain.preferences

    def _reward_models(self) -> Iterator[Stage]:
        """One, or several with other seeds."""
        count, after = self.make.recipe.reward_models, replace(self._chain, arm="")
        if after not in self._judging:
            names = []
            for place in range(count):
                name = self._chain.named("reward-model") + (f"-seed{place}" if count > 1 else "")
                yield self._train(name, "reward-model", self._rows_of("reward-model"), place)
                names.append(self.make.out / name)
            self._judging[after] = tuple(names)
        made = self._judging[after]
        spent = (*self._chain.spent, *made)
        self._chain = replace(self._chain, reward_models=made, spent=spent)

    def _best_of_n(self, step: Step) -> Iterator[Stage]:
        """The curve of the rewards of an online step, once for each policy and reward model."""
        make, chain, asked = self.make, self._chain, self.make.recipe.best_of_n
        assert asked is not None
        base, key = make.paths.roles("evaluate"), (chain.policy, chain.reward_models)
        if key in self._curved:
            return
        reads = make.rules() | self._policy_read()
        rewards = self._rewards(step, reads)
        spec = make.paths.spec(str(chain.policy / "model"), "evaluate") if chain.policy else None
        name = f"best-of-n-{len(self.curves) + 1}" if self.curves else "best-of-n"
        config = BestOfNConfig(
            constitution=make.paths.constitution,
            prompts=make.held_out.model_copy(update={"limit": asked.prompts}),
            policy=spec or base.policy,
            judge=make.recipe.evaluate.judge or base.specs["judge"],
            rewards=rewards["rewards"] or [Reward(judge=rewards["judge"])],
            out=str(make.out / name),
            samples=asked.samples,
            chat_template=base.chat_template,
            sampling=make.recipe.sampling.model_copy(update={"temperature": 1.0}),
            seed=make.recipe.seed,
        )
        yield make.stage(
            name, "best of n answers by the rewards", config, name, [CURVE],
            command=("best-of-n",), reads=reads, resumes=True,
        )  # fmt: skip
        self._curved.add(key)
        self.curves.append(make.out / name / CURVE)

    def _sft_data(self) -> Stage:
        recipe, more = self.make.recipe, ["--test-share", str(self.make.recipe.test_share)]
        more += ["--every-revision"] if recipe.revise.every_revision and recipe.revises else []
        reads: dict[str, Path | str] = {}
        if helpful := recipe.helpful:
            answered = str(self.make.out / "helpful" / "answers.jsonl")
            mix = answered if helpful.answer else self.make.paths.path(helpful.file)
            reads["helpful rows"] = path_or_name(mix)
            more += ["--mix", mix, "--mix-ratio", str(helpful.ratio)]
        if recipe.demonstrations:
            given = self.make.paths.path(recipe.demonstrations)
            return self.make.rows(
                "sft-data", "demonstrations to rows", given, "trl-sft", more, reads
            )
        return self.make.rows(
            "sft-data", "revisions to rows", self.make.out / "revise", "trl-sft", more, reads
        )

    def _preferences(self, number: int) -> Iterator[Stage]:
        """The judge's between samples of the policy, people's, or both, as rows."""
        chain, people = self._chain, self.make.recipe.preferences
        key = (chain.policy, number) if people is None or people.with_judge else None
        if made := self._made.get(key):
            self._chain = replace(chain, preferences=made)
            return
        shared = key is None or chain.policy is None or chain.policy.name in self.make.recipe.trunk
        named = replace(chain, arm="").named if shared else chain.named
        name = named("preferences")
        share: tuple[str, ...] = ("--test-share", str(self.make.recipe.test_share))
        file = self.make.paths.path(people.file) if people else ""
        if people is None or people.with_judge:
            yield self._label(named("label"), self.make.recipe.seed + number - 1)
            beside: dict[str, Path | str] = {"people's": path_or_name(file)} if people else {}
            if people:
                share += ("--people", file, "--people-weight", str(people.weight))
            run = self.make.out / named("label")
            yield self.make.rows(name, "preferences to rows", run, "trl-preference", share, beside)
        else:
            yield self.make.rows(
                name, "people's preferences to rows", file, "trl-preference", share
            )
        self._made[key] = self.make.out / "data" / name
        self._chain = replace(chain, preferences=self.make.out / "data" / name)

    def _label(self, name: str, seed: int) -> Stage:
        label, base, policy = (
            self.make.recipe.label,
            self.make.paths.roles("label"),
            self._chain.policy,
        )
        spec, judge = base.policy, base.specs["judge"]
        if policy is not None:
            spec = self.make.paths.spec(str(policy / "model"), "label")
        config = LabelConfig(
            constitution=self.make.paths.constitution,
            prompts=self.make.train_prompts,
            out=str(self.make.out / name),
            roles=LabelRoles(policy=spec, judge=judge, chat_template=base.chat_template),
            label=self.make.settings(LabelSettings, label).model_copy(update={"seed": seed}),
            sampling=self.make.recipe.sampling.model_copy(
                update={"temperature": label.temperature}
            ),
            report_to=self.make.recipe.report_to,
            workers=self.make.recipe.workers,
        )
        reads = self.make.rules() | {"judge": fingerprint_of(judge)} | self._policy_read()
        return self.make.stage(
            name, "sample answers and judge them", config, name, ["records.jsonl"],
            reads=reads, resumes=True, updates=True,
        )  # fmt: skip

    def _train(self, name: str, step: Step, rows: Path, seed: int = 0) -> Stage:
        recipe, policy = self.make.recipe, self._chain.policy
        file = rows if rows.suffix else rows / "train.jsonl"
        reads: dict[str, Path | str] = {"rows": file, **self._policy_read()}
        shared: dict[str, Any] = {
            "seed": recipe.seed + seed,
            "chat_template": recipe.chat_template,
            "report_to": recipe.report_to,
        }
        if step not in self.make.recipe.trunk:
            spent = list(map(str, self._chain.spent))
            reads |= {f"cost of {d.name}": d / "manifest.json" for d in self._chain.spent}
            shared["budget"] = recipe.budget.model_copy(update={"after": spent})
        section, there = getattr(recipe, section_name(step)), ["rewards"]
        if step in ONLINE:
            shared |= self._rewards(step, reads)
        if section.get("value_model") == RECIPES_OWN:
            first = self._chain.reward_models[0]
            shared["value_model"] = str(first)
            reads["value model"] = first / "manifest.json"
            there.append("value_model")
        model = self.make.paths.base if policy is None else str(policy / "model")
        filled_in = {"model": model, "dataset": str(rows), "out": str(self.make.out / name)}
        config = TRAINERS[step].model_validate({**section, **shared, **filled_in})
        return self.make.stage(
            name, f"train with {step.upper()}", self.make.located(config, tuple(there)), name,
            ["manifest.json"], command=("train", step), reads=reads, resumes=True,
            accelerate=Path(self.make.paths.path(recipe.accelerate)) if recipe.accelerate else None,
        )  # fmt: skip

    def _policy_read(self) -> dict[str, Path | str]:
        """What a stage depends on that reads the chain's policy."""
        policy = self._chain.policy
        if policy is None:
            return {**self.make.paths.base_identity}
        return {"policy": policy / "manifest.json"}

    def _rewards(self, step: Step, reads: dict[str, Path | str]) -> dict[str, Any]:
        """The keys of an online trainer that the recipe says once; what they read goes to `reads`."""
        recipe, models = self.make.recipe, self._chain.reward_models
        judge = self.make.paths.roles(step).specs["judge"]
        found: dict[str, Any] = {
            "constitution": self.make.paths.constitution,
            "stakeholder": recipe.stakeholder,
        }
        rewards = [with_files(reward, self.make.paths.located) for reward in recipe.rewards]
        if not rewards and models:
            rewards = [Reward(reward_model=RECIPES_OWN)]
        by_judge = not rewards
        if by_judge:
            found["judge"] = judge
        reads |= self.make.rules()
        for place, reward in enumerate(rewards):
            if reward.judge == RECIPES_OWN:
                rewards[place], by_judge = reward.model_copy(update={"judge": judge}), True
            if reward.reward_model == RECIPES_OWN:
                own = [str(model) for model in models]
                rewards[place] = reward.model_copy(update={"reward_model": own})
                reads |= {model.name: model / "manifest.json" for model in models}
        reads |= {"judge": fingerprint_of(judge)} if by_judge else {}
        return {**found, "rewards": rewards}
