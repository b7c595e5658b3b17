"""The stages that a recipe asks for: each one `solon` command, what it reads and what it leaves.

Nothing is run here: `training.recipe.stage` says what has to run, and why.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from constitution.typed_yaml import Settings
from engine.input_files import named_files, with_files
from engine.runs.config import (
    AnswerConfig,
    LabelConfig,
    LabelRoles,
    PolicySpec,
    PromptsFile,
    ReviseConfig,
)
from engine.settings import AnswerSettings, LabelSettings, LoopSettings
from training.data.split import SplitConfig
from training.evaluation.config import EvaluateConfig, EvaluationSettings
from training.recipe.paths import RecipePaths, content, fingerprint_of
from training.recipe.schema import TRAINERS, Recipe
from training.recipe.stage import Stage

__all__ = ["stages_of"]

Section = TypeVar("Section", bound=Settings)
Reads = Mapping[str, Path | str]


def stages_of(recipe: Recipe, file: Path, out: Path) -> list[Stage]:
    """The stages in order, whatever they need a permission for (`training.recipe.outbound`). Raises
    InputError for a constitution or models that are not there."""
    return list(_Plan(recipe, RecipePaths(recipe, file), out).stages())


class _Plan:
    def __init__(self, recipe: Recipe, paths: RecipePaths, out: Path) -> None:
        self.recipe = recipe
        self.paths = paths
        self.out = out
        self.train_prompts = PromptsFile(file=str(out / "prompts" / "train.jsonl"))
        self.held_out = PromptsFile(file=str(out / "prompts" / "held_out.jsonl"))

    def stages(self) -> Iterator[Stage]:
        """Split, revise, SFT, rounds of preferences and DPO (or GRPO), evaluate."""
        yield self._split()
        yield self._revise()
        yield self._report()
        if self.recipe.helpful and self.recipe.helpful.answer:
            yield self._answer()
        yield self._sft_data()
        yield self._train("sft", "sft", "sft", self.paths.base)
        trained = {"sft": self.out / "sft"}
        if self.recipe.rlaif == "dpo":
            for number in range(1, self.recipe.rounds + 1):
                yield from self._round(number, trained)
        else:
            yield self._rows("grpo-data", "prompts to rows", "revise", "trl-prompt")
            yield self._train("grpo", "grpo", "grpo", str(self.out / "sft" / "model"))
            trained["grpo"] = self.out / "grpo"
        yield self._evaluate(trained)

    # Prompts and revisions ----------------------------------------------------------------------

    def _split(self) -> Stage:
        recipe = self.recipe
        config = SplitConfig(
            prompts=self._located(recipe.prompts),
            held_out=recipe.held_out
            if isinstance(recipe.held_out, float)
            else self._located(recipe.held_out),
            out=str(self.out / "prompts"),
        )
        return self._stage(
            "split", "set prompts aside", config, "prompts", ["train.jsonl", "held_out.jsonl"]
        )

    def _revise(self) -> Stage:
        config = ReviseConfig(
            constitution=self.paths.constitution,
            prompts=self.train_prompts,
            out=str(self.out / "revise"),
            roles=self.paths.roles("revise", revising=True),
            revise=self._settings(LoopSettings, self.recipe.revise),
            sampling=self.recipe.sampling,
            workers=self.recipe.workers,
        )
        others = config.roles.model_dump(exclude={"policy", "chat_template"}, exclude_none=True)
        reads = self._rules() | self.paths.base_identity
        reads |= {role: fingerprint_of(spec) for role, spec in others.items()}
        return self._stage(
            "revise", "answer, critique, revise", config, "revise", ["records.jsonl"],
            reads=reads, resumes=True, updates=True,
        )  # fmt: skip

    def _report(self) -> Stage:
        run = self.out / "revise"
        return Stage(
            name="report",
            does="write the revisions as a page",
            command=("report", str(run)),
            output=self.out / "report",
            product=(run / "report.html",),
            reads={"revisions": run / "records.jsonl"},
        )

    def _answer(self) -> Stage:
        helpful = self.recipe.helpful
        assert helpful is not None
        roles = self.paths.roles("answer")
        prompts = PromptsFile(
            file=self.paths.path(helpful.file),
            limit=helpful.limit,
            prompt_column=helpful.prompt_column,
        )
        config = AnswerConfig(
            prompts=prompts,
            out=str(self.out / "helpful"),
            roles=PolicySpec(policy=roles.policy, chat_template=roles.chat_template),
            answer=self._settings(AnswerSettings),
            sampling=self.recipe.sampling,
            workers=self.recipe.workers,
        )
        return self._stage(
            "answer", "answer helpful prompts", config, "helpful", ["answers.jsonl"],
            reads=self.paths.base_identity, resumes=True,
        )  # fmt: skip

    # Training -----------------------------------------------------------------------------------

    def _sft_data(self) -> Stage:
        more = ["--test-share", str(self.recipe.test_share)]
        more += ["--every-revision"] if self.recipe.revise.every_revision else []
        reads: dict[str, Path | str] = {}
        if helpful := self.recipe.helpful:
            answered = str(self.out / "helpful" / "answers.jsonl")
            mix = answered if helpful.answer else self.paths.path(helpful.file)
            reads["helpful rows"] = mix if mix.startswith("hf:") else Path(mix)
            more += ["--mix", mix, "--mix-ratio", str(helpful.ratio)]
        return self._rows("sft-data", "revisions to rows", "revise", "trl-sft", more, reads)

    def _round(self, number: int, trained: dict[str, Path]) -> Iterator[Stage]:
        """Sample from the newest policy, judge, and train it by DPO against itself as it was."""
        policy = list(trained.values())[-1]
        suffix = f"-{number}" if self.recipe.rounds > 1 else ""
        label, folder = f"label{suffix}", f"dpo{suffix}"
        yield self._label(label, policy, self.recipe.seed + number - 1)
        share = ("--test-share", str(self.recipe.test_share))
        does = "preferences to rows"
        yield self._rows(f"dpo-data{suffix}", does, label, "trl-preference", share)
        yield self._train(folder, "dpo", folder, str(policy / "model"))
        trained[folder] = self.out / folder

    def _label(self, name: str, policy: Path, seed: int) -> Stage:
        label, base = self.recipe.label, self.paths.roles("label")
        spec, judge = self.paths.spec(str(policy / "model"), "label"), base.specs["judge"]
        config = LabelConfig(
            constitution=self.paths.constitution,
            prompts=self.train_prompts,
            out=str(self.out / name),
            roles=LabelRoles(policy=spec, judge=judge, chat_template=base.chat_template),
            label=self._settings(LabelSettings, label).model_copy(update={"seed": seed}),
            sampling=self.recipe.sampling.model_copy(update={"temperature": label.temperature}),
            workers=self.recipe.workers,
        )
        reads = (
            self._rules() | {"judge": fingerprint_of(judge)} | {"policy": policy / "manifest.json"}
        )
        return self._stage(
            name, "sample answers and judge them", config, name, ["records.jsonl"],
            reads=reads, resumes=True, updates=True,
        )  # fmt: skip

    def _train(self, name: str, trainer: str, data: str, model: str) -> Stage:
        recipe, dataset = self.recipe, self.out / "data" / data
        section = getattr(recipe, trainer)
        shared: dict[str, Any] = {"seed": recipe.seed, "chat_template": recipe.chat_template}
        reads: dict[str, Path | str] = {"rows": dataset / "train.jsonl"}
        if model == self.paths.base:
            reads |= self.paths.base_identity
        else:
            reads["policy"] = Path(model).parent / "manifest.json"
        if trainer == "grpo":
            judge = self.paths.roles("grpo").specs["judge"]
            shared |= {"judge": judge, "constitution": self.paths.constitution}
            shared |= {"stakeholder": recipe.stakeholder}
            reads |= self._rules() | {"judge": fingerprint_of(judge)}
        filled_in = {"model": model, "dataset": str(dataset), "out": str(self.out / name)}
        config = TRAINERS[trainer].model_validate({**section, **shared, **filled_in})
        return self._stage(
            name, f"train with {trainer.upper()}", self._located(config), name,
            ["manifest.json"], command=("train", trainer), reads=reads, resumes=True,
            accelerate=Path(self.paths.path(recipe.accelerate)) if recipe.accelerate else None,
        )  # fmt: skip

    def _evaluate(self, trained: Mapping[str, Path]) -> Stage:
        base = self.paths.roles("evaluate", revising=True)
        specs = {"base": base.policy}
        for name, directory in trained.items():
            specs[name] = self.paths.spec(str(directory / "model"), "evaluate", revising=True)
        other = self.recipe.evaluate.judge
        judge = self.paths.placed(other, "evaluate", "judge") if other else base.specs["judge"]
        config = EvaluateConfig(
            constitution=self.paths.constitution,
            prompts=self.held_out,
            out=str(self.out / "evaluate"),
            models=specs,
            judge=judge,
            chat_template=base.chat_template,
            evaluate=self._located(self._settings(EvaluationSettings, self.recipe.evaluate)),
            sampling=self.recipe.sampling,
            workers=self.recipe.workers,
        )
        reads = self._rules() | {"model": fingerprint_of(base.policy)}
        reads |= {"judge": fingerprint_of(judge)}
        reads |= {name: directory / "manifest.json" for name, directory in trained.items()}
        return self._stage(
            "evaluate", "evaluate on held-out prompts", config, "evaluate",
            ["results.json", "evaluation.html"], command=("evaluate", "--overwrite"), reads=reads,
        )  # fmt: skip

    # Parts --------------------------------------------------------------------------------------

    def _settings(self, kind: type[Section], section: Settings | None = None) -> Section:
        """What a section says, and what the recipe says once for every stage."""
        said = section.model_dump(include=set(kind.model_fields)) if section else {}
        shared = kind.model_fields.keys() & {"seed", "stakeholder", "keep_truncated"}
        return kind.model_validate({**said, **{key: getattr(self.recipe, key) for key in shared}})

    def _located(self, settings: Section) -> Section:
        """The same, with the recipe's paths relative to the current folder."""
        return with_files(settings, self.paths.located)

    def _rules(self) -> dict[str, Path | str]:
        return {"constitution": self.paths.rules}

    def _rows(
        self, name: str, does: str, run: str, format: str, more: Sequence[str] = (),
        reads: Reads | None = None,
    ) -> Stage:  # fmt: skip
        """The export of a run, into `data/` and the first word of the stage's name."""
        output, records = self.out / "data" / name.replace("-data", ""), self.out / run
        words = ("export", str(records), "--format", format, *more, "--out", str(output))
        named = "preferences" if format == "trl-preference" else "revisions"
        read = {named: records / "records.jsonl", **(reads or {})}
        return Stage(name, does, words, output, (output / "train.jsonl",), read)

    def _stage(
        self, name: str, does: str, config: Settings, folder: str, product: list[str],
        *, command: tuple[str, ...] = (), reads: Reads | None = None, **more: Any,
    ) -> Stage:  # fmt: skip
        """A command with a configuration: every file that it names is an input by its content."""
        output = self.out / folder
        files: dict[str, Path | str] = {}
        for file in named_files(config):
            key = ".".join(map(str, file.location))
            files[f"{key} {file.name}" if key in files else key] = content(file)
        return Stage(
            name,
            does,
            command or (name.partition("-")[0],),
            output,
            tuple(output / file for file in product),
            {**files, **(reads or {})},
            config.model_dump(mode="json"),
            **more,
        )
