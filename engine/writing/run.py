"""A run that writes prompts: briefs and what came of each, in a directory, and a file of prompts."""

from pathlib import Path

from constitution.schema import Constitution, Principle
from engine.generators.base import GenerationError, Request
from engine.judging.calibrate import calibrated_judge
from engine.loop.asking import gathered, request_seed
from engine.loop.reply import reply_of
from engine.runs.directory import PROMPTS
from engine.runs.output import Mode
from engine.runs.run import Run, RunSpec
from engine.settings import LoopSettings, RoleModels
from engine.storage.atomic import replacing
from engine.storage.jsonl import json_line, read_jsonl
from engine.writing.briefs import briefs_of, wanted
from engine.writing.choice import choose_prompts, row_of
from engine.writing.cleaning import listed
from engine.writing.records import PromptKind, WrittenPrompt
from engine.writing.settings import PromptSettings
from engine.writing.spread import spread_of
from engine.writing.wording import situations_request
from engine.writing.writer import Situations, write_prompt

__all__ = ["PromptsRun"]

_SITUATION_TOKENS = 16
_MOST_WORDS = 10
"""Of a situation: one that is longer is a message already, or a remark about the list."""


class PromptsRun(Run[WrittenPrompt]):
    """A run that writes prompts from a constitution. Raises as Run does.

    When every brief has its record, the prompts that are kept are written to `file`, whole or not at
    all, and the manifest says how they spread.
    """

    def __init__(
        self,
        out: Path,
        file: Path,
        constitution: Constitution,
        models: RoleModels,
        settings: PromptSettings,
        *,
        mode: Mode = "resume",
        window: int | None = None,
    ) -> None:
        self.file = file
        self.constitution = constitution
        self.settings = settings
        self._situations: Situations = {}
        spec = RunSpec(
            kind=PROMPTS,
            prompts=briefs_of(constitution, settings),
            constitution=constitution,
            models=models,
            settings=settings,
            work=lambda behind: (
                lambda prompt, on_tokens: write_prompt(
                    prompt, constitution, behind, settings, self._situations, on_tokens
                )
            ),
            expected_tokens=400 + models["writer"].sampling.max_tokens,
        )
        super().__init__(out, spec, mode, window)

    @property
    def complete(self) -> bool:
        """Whether every brief has its record already, and the prompts are there."""
        return super().complete and self.file.is_file()

    async def prepare(self) -> None:
        """Calibrate the judge, where one is asked, and have the writer list what users may write about;
        a list that fails is empty. Raises InputError as `calibrated_judge` does."""
        if self.settings.hard is not None:
            await self._calibrate()
        if not self.settings.situations:
            return
        principles = self.constitution.principles
        ordinary, *tempting = await gathered(map(self._listed, (None, *principles)))
        self._situations = {
            (principle.id, kind): found if kind is PromptKind.TEMPTING else ordinary
            for principle, found in zip(principles, tempting, strict=True)
            for kind in PromptKind
        }
        counts = {f"{at}/{kind}": len(said) for (at, kind), said in self._situations.items()}
        self.directory.found["situations"] = counts

    async def _calibrate(self) -> None:
        judge, found = await calibrated_judge(
            self.models["judge"],
            self.constitution,
            LoopSettings(judge_anyway=self.settings.judge_anyway),
            known=self.directory.found.get("calibration"),
        )
        if found:
            self.directory.found["calibration"] = found.as_dict()
        self.models = {**self.models, "judge": judge}

    async def _listed(self, principle: Principle | None) -> tuple[str, ...]:
        """What messages that test the principle may be about; without one, ordinary messages."""
        writer, count = self.models["writer"], self.settings.situations
        asked = situations_request(self.constitution, principle, count)
        about = principle.id if principle else "ordinary"
        seed = request_seed(self.settings.seed, about, "writer", "situations")
        sampling = writer.sampling.bounded(_SITUATION_TOKENS * count)
        try:
            completion = await writer.generator.generate(Request(asked, sampling, seed))
        except GenerationError:
            return ()
        items = listed(reply_of(completion).text)
        items = items[:-1] if completion.finish_reason == "length" else items
        return tuple(dict.fromkeys(one for one in items if _is_situation(one)))

    def finish(self) -> None:
        """Write the prompts that are kept, and note how they spread."""
        path = self.directory.path / "records.jsonl"
        records = (WrittenPrompt.model_validate(row) for row in read_jsonl(path))
        tests = [t.prompt for p in self.constitution.principles for t in p.tests]
        chosen = choose_prompts(records, wanted(self.settings), tests)
        self.directory.found["spread"] = {
            **spread_of(chosen.prompts),
            "alike": chosen.alike,
            "beyond": chosen.beyond,
        }
        self.file.parent.mkdir(parents=True, exist_ok=True)
        with replacing(self.file) as file:
            for one in chosen.prompts:
                file.write(json_line(row_of(one)))


def _is_situation(text: str) -> bool:
    """Whether it says what a message is about: in a few words, and as no label of what follows."""
    return (
        len(text.split()) <= _MOST_WORDS and len(text) <= 20 * _MOST_WORDS and text[-1] not in ":*"
    )
