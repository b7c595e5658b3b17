"""What stages of a recipe are made of: settings of its sections, located files, inputs by content."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from constitution.typed_yaml import Settings
from engine.input_files import NamedFile, named_files, with_files
from engine.runs.config import PromptsFile
from training.recipe.paths import RecipePaths, content
from training.recipe.schema import Recipe
from training.recipe.stage import Stage

__all__ = ["Reads", "StageParts", "path_or_name"]

Section = TypeVar("Section", bound=Settings)
Reads = Mapping[str, Path | str]
_TRAINED = ("budget", "rewards", "value_model")
"""Keys that may name directories of the recipe's own trainings."""


class StageParts:
    """Makes the stages of a recipe that is run into `out`."""

    def __init__(self, recipe: Recipe, paths: RecipePaths, out: Path) -> None:
        self.recipe = recipe
        self.paths = paths
        self.out = out
        self.train_prompts = PromptsFile(file=str(out / "prompts" / "train.jsonl"))
        self.held_out = PromptsFile(file=str(out / "prompts" / "held_out.jsonl"))

    def settings(self, kind: type[Section], section: Settings | None = None) -> Section:
        """What a section says, and what the recipe says once for every stage."""
        said = section.model_dump(include=set(kind.model_fields)) if section else {}
        shared = kind.model_fields.keys() & {"seed", "stakeholder", "keep_truncated"}
        return kind.model_validate({**said, **{key: getattr(self.recipe, key) for key in shared}})

    def located(self, settings: Section, but: tuple[str, ...] = ()) -> Section:
        """The same, with the recipe's paths relative to the current folder; those of the keys `but` are
        so already, and those of a budget."""
        skipped = {*but, "budget"}

        def located(file: NamedFile) -> str:
            return file.name if file.location[0] in skipped else self.paths.located(file)

        return with_files(settings, located)

    def rules(self) -> dict[str, Path | str]:
        """What a stage depends on that reads the constitution."""
        return {"constitution": self.paths.rules}

    def rows(
        self, name: str, does: str, source: Path | str, format: str, more: Sequence[str] = (),
        reads: Reads | None = None,
    ) -> Stage:  # fmt: skip
        """The export of a run, or of a file of rows without what is held out, into `data/`."""
        output = self.out / "data" / name.replace("-data", "")
        words = ("export", str(source), "--format", format, *more, "--out", str(output))
        named = "preferences" if format == "trl-preference" else "revisions"
        read: Path | str
        if isinstance(source, Path):
            read = source / "records.jsonl"
        else:
            named, read = "rows", path_or_name(source)
            words += ("--leave-out", self.held_out.file)
        reads = {named: read, **(reads or {})}
        return Stage(name, does, words, output, (output / "train.jsonl",), reads)

    def stage(
        self, name: str, does: str, config: Settings, folder: str, product: list[str],
        *, command: tuple[str, ...] = (), reads: Reads | None = None, **more: Any,
    ) -> Stage:  # fmt: skip
        """A command with a configuration: every file that it names is an input by its content."""
        output = self.out / folder
        files: dict[str, Path | str] = {}
        for file in named_files(config):
            if file.location[0] in _TRAINED and file.name.startswith(f"{self.out}/"):
                continue  # not there yet: who asks for the stage names its manifest in `reads`
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


def path_or_name(file: str) -> Path | str:
    """What a stage reads: a file's content, or a hub's name."""
    return file if file.startswith("hf:") else Path(file)
