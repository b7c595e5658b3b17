"""The stages that a recipe asks for: each one `solon` command, what it reads and what it leaves.

Nothing is run here: `training.recipe.stage` says what has to run, and why.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from training.recipe.paths import RecipePaths, fingerprint_of
from training.recipe.schema import Prompts, Recipe
from training.recipe.stage import Stage

__all__ = ["stages_of"]


def stages_of(recipe: Recipe, file: Path, out: Path) -> list[Stage]:
    """The stages in order. Raises InputError for files, a constitution or models that are not there."""
    return list(_Plan(recipe, RecipePaths(recipe, file), out).stages())


class _Plan:
    def __init__(self, recipe: Recipe, places: RecipePaths, out: Path) -> None:
        self.recipe = recipe
        self.places = places
        self.out = out
        self.train_prompts = out / "prompts" / "train.jsonl"
        self.held_out = out / "prompts" / "held_out.jsonl"

    def stages(self) -> Iterator[Stage]:
        """Split, revise, SFT, rounds of preferences and DPO (or GRPO), evaluate."""
        yield self._split()
        yield self._revise()
        yield self._report()
        if self.recipe.helpful and self.recipe.helpful.answer:
            yield self._answer(self.recipe.helpful.file)
        yield self._sft_data()
        yield self._train("sft", "sft", "sft-data", self.places.base, self.recipe.sft)
        trained = {"sft": self.out / "sft"}
        if self.recipe.rlaif == "dpo":
            for number in range(1, self.recipe.rounds + 1):
                yield from self._round(number, trained)
        else:
            yield self._prompt_rows()
            start = str(self.out / "sft" / "model")
            yield self._train("grpo", "grpo", "grpo-data", start, self.recipe.grpo)
            trained["grpo"] = self.out / "grpo"
        yield self._evaluate(trained)

    # Prompts and revisions ----------------------------------------------------------------------

    def _split(self) -> Stage:
        recipe, reads = self.recipe, {"prompts": self.places.content(self.recipe.prompts.file)}
        command = ["split", *self._prompts_options(recipe.prompts)]
        if isinstance(recipe.held_out, float):
            command += ["--held-out", str(recipe.held_out)]
        else:
            aside = recipe.held_out
            reads["held-out prompts"] = self.places.content(aside.file)
            command += ["--held-out", self.places.path(aside.file)]
            command += _option("--held-out-column", aside.prompt_column)
            command += _option("--held-out-limit", aside.limit)
        return self._stage(
            "split", "set prompts aside", command, "prompts", ["train.jsonl", "held_out.jsonl"],
            reads=reads,
        )  # fmt: skip

    def _revise(self) -> Stage:
        revise = self.recipe.revise
        command = [
            "revise", "--constitution", self.places.constitution, "--prompts", str(self.train_prompts),
            "--model", self.places.spec(self.places.base, revising=True), "--rounds", str(revise.rounds),
            "--seed", str(self.recipe.seed), *self._sampling(),
            *(["--every-principle"] if revise.every_principle else []),
            *(["--stop-when-compliant"] if revise.stop_when_compliant else []),
            *_option("--stakeholder", revise.stakeholder), *self._keeping(),
        ]  # fmt: skip
        reads = {
            "constitution": self.places.rules,
            "prompts": self.train_prompts,
            **self.places.base_identity,
        }
        return self._stage(
            "revise", "answer, critique, revise", command, "revise", ["records.jsonl"],
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

    def _answer(self, file: str) -> Stage:
        helpful = self.recipe.helpful
        prompts = Prompts(
            file=file,
            limit=helpful.limit if helpful else None,
            prompt_column=helpful.prompt_column if helpful else None,
        )
        command = [
            "answer", *self._prompts_options(prompts), "--model", self.places.spec(self.places.base),
            "--seed", str(self.recipe.seed), *self._sampling(), *self._keeping(),
        ]  # fmt: skip
        reads = {"helpful prompts": self.places.content(file), **self.places.base_identity}
        return self._stage(
            "answer", "answer helpful prompts", command, "helpful", ["answers.jsonl"],
            reads=reads, resumes=True,
        )  # fmt: skip

    # Training -----------------------------------------------------------------------------------

    def _sft_data(self) -> Stage:
        command = ["export", str(self.out / "revise"), "--format", "trl-sft"]
        command += ["--test-share", str(self.recipe.test_share)]
        command += ["--every-revision"] if self.recipe.revise.every_revision else []
        reads: dict[str, Path | str] = {"revisions": self.out / "revise" / "records.jsonl"}
        if helpful := self.recipe.helpful:
            answered = self.out / "helpful" / "answers.jsonl"
            mix = answered if helpful.answer else self.places.content(helpful.file)
            reads["helpful rows"] = mix
            command += ["--mix", str(mix), "--mix-ratio", str(helpful.ratio)]
        return self._stage(
            "sft-data", "revisions to rows", command, "data/sft", ["train.jsonl"], reads=reads
        )

    def _round(self, number: int, trained: dict[str, Path]) -> Iterator[Stage]:
        """Sample from the newest policy, judge, and train it by DPO against itself as it was."""
        policy = list(trained.values())[-1]
        suffix = f"-{number}" if self.recipe.rounds > 1 else ""
        yield self._label(f"label{suffix}", policy, self.recipe.seed + number - 1)
        run = self.out / f"label{suffix}"
        yield self._stage(
            f"dpo-data{suffix}", "preferences to rows",
            ["export", str(run), "--format", "trl-preference",
             "--test-share", str(self.recipe.test_share)],
            f"data/dpo{suffix}", ["train.jsonl"], reads={"preferences": run / "records.jsonl"},
        )  # fmt: skip
        name = f"dpo{suffix}"
        start = str(policy / "model")
        yield self._train(name, "dpo", f"dpo-data{suffix}", start, self.recipe.dpo)
        trained[f"dpo{suffix}"] = self.out / name

    def _label(self, name: str, policy: Path, seed: int) -> Stage:
        label, sampling = self.recipe.label, self.recipe.sampling
        command = [
            "label", "--constitution", self.places.constitution, "--prompts", str(self.train_prompts),
            "--policy", self.places.spec(str(policy / "model")), "--judge", self.places.judge,
            "--samples", str(label.samples), "--method", label.method,
            "--ensemble", str(label.ensemble), "--pairs", label.pairs,
            *(["--chain-of-thought"] if label.chain_of_thought else []),
            "--temperature", str(label.temperature), "--top-p", str(sampling.top_p),
            "--max-tokens", str(sampling.max_tokens), "--seed", str(seed), *self._keeping(),
        ]  # fmt: skip
        reads = {
            "constitution": self.places.rules,
            "prompts": self.train_prompts,
            "policy": policy / "manifest.json",
            **self.places.judge_identity,
        }
        return self._stage(
            name, "sample answers and judge them", command, name, ["records.jsonl"],
            reads=reads, resumes=True, updates=True,
        )  # fmt: skip

    def _prompt_rows(self) -> Stage:
        run = self.out / "revise"
        return self._stage(
            "grpo-data", "prompts to rows", ["export", str(run), "--format", "trl-prompt"],
            "data/grpo", ["train.jsonl"], reads={"revisions": run / "records.jsonl"},
        )  # fmt: skip

    def _train(
        self, name: str, trainer: str, data: str, model: str, section: Mapping[str, Any]
    ) -> Stage:
        dataset = self.out / "data" / data.replace("-data", "")
        config = {**section, "model": model, "dataset": str(dataset)}
        config.setdefault("seed", self.recipe.seed)
        if trainer == "grpo":
            config |= {"judge": self.places.judge, "constitution": self.places.constitution}
        reads: dict[str, Path | str] = {"rows": dataset / "train.jsonl"}
        if model == self.places.base:
            reads |= self.places.base_identity
        else:
            reads["policy"] = Path(model).parent / "manifest.json"
        if trainer == "grpo":
            reads |= {**self.places.judge_identity, "constitution": self.places.rules}
        accelerate = self.recipe.accelerate
        return self._stage(
            name, f"train with {trainer.upper()}", ["train", trainer], name, ["manifest.json"],
            reads=reads, config=config, resumes=True,
            accelerate=Path(self.places.path(accelerate)) if accelerate else None,
        )  # fmt: skip

    def _evaluate(self, trained: Mapping[str, Path]) -> Stage:
        evaluate = self.recipe.evaluate
        specs = {"base": self.places.evaluated(self.places.base)}
        specs |= {
            name: self.places.evaluated(str(directory / "model"))
            for name, directory in trained.items()
        }
        named = [part for name, spec in specs.items() for part in ("--model", f"{name}={spec}")]
        judge = evaluate.judge or self.recipe.judge or specs["base"]
        tasks = [self.places.content(file) for file in evaluate.tasks]
        command = [
            "evaluate", "--constitution", self.places.constitution, "--prompts", str(self.held_out),
            *named, "--judge", judge, "--seed", str(self.recipe.seed),
            "--principles", str(evaluate.principles), "--method", evaluate.method,
            *_option("--per-set", evaluate.per_set),
            *(part for name in evaluate.attacks for part in ("--attack", name)),
            *(part for file in tasks for part in ("--task", str(file))),
            *self._sampling(), "--overwrite",
        ]  # fmt: skip
        reads: dict[str, Path | str] = {
            "constitution": self.places.rules,
            "held-out prompts": self.held_out,
            "model": fingerprint_of(specs["base"]),
            "judge": fingerprint_of(judge),
            **{f"questions of {file}": file for file in tasks},
            **{name: directory / "manifest.json" for name, directory in trained.items()},
        }
        return self._stage(
            "evaluate", "evaluate on held-out prompts", command, "evaluate",
            ["results.json", "evaluation.html"], reads=reads,
        )  # fmt: skip

    # Parts --------------------------------------------------------------------------------------

    def _stage(
        self, name: str, does: str, command: list[str], folder: str, product: list[str],
        **more: Any,
    ) -> Stage:  # fmt: skip
        output = self.out / folder
        files = tuple(output / file for file in product)
        return Stage(name, does, (*command, "--out", str(output)), output, files, **more)

    def _sampling(self) -> list[str]:
        s = self.recipe.sampling
        return [
            "--max-tokens", str(s.max_tokens), "--temperature", str(s.temperature),
            "--top-p", str(s.top_p),
        ]  # fmt: skip

    def _keeping(self) -> list[str]:
        return ["--keep-truncated"] if self.recipe.keep_truncated else []

    def _prompts_options(self, prompts: Prompts) -> list[str]:
        return [
            "--prompts", self.places.path(prompts.file),
            *_option("--limit", prompts.limit),
            *_option("--prompt-column", prompts.prompt_column),
            *_option("--id-column", prompts.id_column),
            *_option("--tags-column", prompts.tags_column),
        ]  # fmt: skip


def _option(name: str, value: object) -> list[str]:
    return [] if value is None else [name, str(value)]
