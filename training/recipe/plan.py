"""The stages that a recipe asks for: each one `solon` command, what it reads and what it leaves.

Nothing is run here: `training.recipe.stage` says what has to run, and why.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from engine.runs.config import (
    AnswerConfig,
    PolicySpec,
    PromptsFile,
    ReviseConfig,
)
from engine.settings import AnswerSettings, LoopSettings
from training.data.split import SplitConfig
from training.evaluation.config import EvaluateConfig, EvaluationSettings
from training.recipe.chains import Chains
from training.recipe.parts import StageParts, path_or_name
from training.recipe.paths import RecipePaths, fingerprint_of
from training.recipe.schema import Recipe
from training.recipe.stage import Stage

__all__ = ["stages_of"]


def stages_of(recipe: Recipe, file: Path, out: Path) -> list[Stage]:
    """The stages in order, whatever they need a permission for (`training.recipe.outbound`). Raises
    InputError for a constitution or models that are not there."""
    return list(_Plan(StageParts(recipe, RecipePaths(recipe, file), out)).stages())


class _Plan:
    def __init__(self, make: StageParts) -> None:
        self.make = make

    def stages(self) -> Iterator[Stage]:
        """Split, revise, train, evaluate."""
        recipe, chains = self.make.recipe, Chains(self.make)
        if recipe.prompts is None:
            yield self._prompts()
        yield self._split()
        if recipe.revises:
            yield self._revise()
            yield self._report()
        if "sft" in recipe.steps and recipe.helpful and recipe.helpful.answer:
            yield self._answer()
        yield from chains.stages()
        yield self._evaluate(chains.trained, chains.curves)

    # Prompts and revisions ----------------------------------------------------------------------

    def _prompts(self) -> Stage:
        """Those of people's rows."""
        recipe = self.make.recipe
        named = recipe.preferences.file if recipe.preferences else recipe.demonstrations
        assert named is not None
        file, out = self.make.paths.path(named), self.make.out / "data" / "prompts"
        words = ("export", file, "--format", "trl-prompt", "--out", str(out))
        rows = {"rows": path_or_name(file)}
        return Stage("prompts", "prompts of the rows", words, out, (out / "train.jsonl",), rows)

    def _split(self) -> Stage:
        recipe = self.make.recipe
        config = SplitConfig(
            prompts=self.make.located(recipe.prompts)
            if recipe.prompts
            else PromptsFile(file=str(self.make.out / "data" / "prompts" / "train.jsonl")),
            held_out=recipe.held_out
            if isinstance(recipe.held_out, float)
            else self.make.located(recipe.held_out),
            out=str(self.make.out / "prompts"),
            **self._header(),
        )
        return self.make.stage(
            "split", "set prompts aside", config, "prompts", ["train.jsonl", "held_out.jsonl"],
            reads=self.make.rules() if recipe.value_header else {},
        )  # fmt: skip

    def _header(self) -> dict[str, Any]:
        """What the prompts say of their stakeholders."""
        recipe = self.make.recipe
        if not recipe.value_header:
            return {}
        return {
            "value_header": True,
            "constitution": self.make.paths.constitution,
            "stakeholder": recipe.stakeholder,
            "seed": recipe.seed,
        }

    def _revise(self) -> Stage:
        config = ReviseConfig(
            constitution=self.make.paths.constitution,
            prompts=self.make.train_prompts,
            out=str(self.make.out / "revise"),
            roles=self.make.paths.roles("revise", revising=True),
            revise=self.make.settings(LoopSettings, self.make.recipe.revise),
            report_to=self.make.recipe.report_to,
            sampling=self.make.recipe.sampling,
            workers=self.make.recipe.workers,
        )
        others = config.roles.model_dump(exclude={"policy", "chat_template"}, exclude_none=True)
        reads = self.make.rules() | self.make.paths.base_identity
        reads |= {role: fingerprint_of(spec) for role, spec in others.items()}
        return self.make.stage(
            "revise", "answer, critique, revise", config, "revise", ["records.jsonl"],
            reads=reads, resumes=True, updates=True,
        )  # fmt: skip

    def _report(self) -> Stage:
        run = self.make.out / "revise"
        return Stage(
            name="report",
            does="write the revisions as a page",
            command=("report", str(run)),
            output=self.make.out / "report",
            product=(run / "report.html",),
            reads={"revisions": run / "records.jsonl"},
        )

    def _answer(self) -> Stage:
        helpful = self.make.recipe.helpful
        assert helpful is not None
        roles = self.make.paths.roles("answer")
        prompts = PromptsFile(
            file=self.make.paths.path(helpful.file),
            limit=helpful.limit,
            prompt_column=helpful.prompt_column,
        )
        config = AnswerConfig(
            prompts=prompts,
            out=str(self.make.out / "helpful"),
            roles=PolicySpec(policy=roles.policy, chat_template=roles.chat_template),
            answer=self.make.settings(AnswerSettings),
            sampling=self.make.recipe.sampling,
            workers=self.make.recipe.workers,
        )
        return self.make.stage(
            "answer", "answer helpful prompts", config, "helpful", ["answers.jsonl"],
            reads=self.make.paths.base_identity, resumes=True,
        )  # fmt: skip

    def _evaluate(self, trained: Mapping[str, Path], curves: Sequence[Path]) -> Stage:
        base = self.make.paths.roles("evaluate", revising=True)
        specs = {"base": base.policy}
        for name, directory in trained.items():
            specs[name] = self.make.paths.spec(str(directory / "model"), "evaluate", revising=True)
        other = self.make.recipe.evaluate.judge
        judge = self.make.paths.placed(other, "evaluate", "judge") if other else base.specs["judge"]
        config = EvaluateConfig(
            constitution=self.make.paths.constitution,
            prompts=self.make.held_out,
            out=str(self.make.out / "evaluate"),
            models=specs,
            against="sft" if "sft" in trained and len(trained) > 1 else None,
            judge=judge,
            curves=list(map(str, curves)),
            chat_template=base.chat_template,
            evaluate=self.make.located(
                self.make.settings(EvaluationSettings, self.make.recipe.evaluate)
            ),
            report_to=self.make.recipe.report_to,
            sampling=self.make.recipe.sampling,
            workers=self.make.recipe.workers,
        )
        reads = self.make.rules() | {"model": fingerprint_of(base.policy)}
        reads |= {"judge": fingerprint_of(judge)}
        reads |= {name: directory / "manifest.json" for name, directory in trained.items()}
        return self.make.stage(
            "evaluate", "evaluate on held-out prompts", config, "evaluate",
            ["results.json", "evaluation.html"], command=("evaluate", "--overwrite"), reads=reads,
        )  # fmt: skip
