"""A run that writes prompts: briefs and what came of each, in a directory, and a file of prompts."""

from pathlib import Path

from constitution.schema import Constitution, Principle
from engine.generators.base import GenerationError, Request
from engine.judging.calibrate import calibrated
from engine.loop.asking import gathered, request_seed
from engine.loop.reply import reply_of
from engine.runs.directory import PROMPTS
from engine.runs.output import Mode
from engine.runs.run import Run, RunSpec
from engine.settings import LoopSettings, RoleModels, Roles
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

_LONGEST_SITUATION = 300


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
        a list that fails is empty. Raises InputError as `calibrated` does."""
        if self.settings.hard is not None:
            await self._calibrate()
        if not self.settings.situations:
            return
        lists = [(p, kind) for p in self.constitution.principles for kind in PromptKind]
        found = await gathered(self._listed(principle, kind) for principle, kind in lists)
        self._situations = {
            (principle.id, kind): said for (principle, kind), said in zip(lists, found, strict=True)
        }
        counts = {f"{name}/{kind}": len(said) for (name, kind), said in self._situations.items()}
        self.directory.found["situations"] = counts

    async def _calibrate(self) -> None:
        policy, judge = self.models["policy"], self.models["judge"]
        settings = LoopSettings(judge_anyway=self.settings.judge_anyway)
        known = self.directory.found.get("calibration")
        roles = Roles(policy, judge, judge, judge)
        roles, found = await calibrated(roles, self.constitution, settings, known=known)
        if found:
            self.directory.found["calibration"] = found.as_dict()
        self.models = {**self.models, "judge": roles.judge}

    async def _listed(self, principle: Principle, kind: PromptKind) -> tuple[str, ...]:
        writer, count = self.models["writer"], self.settings.situations
        asked = situations_request(self.constitution, principle, kind, count)
        seed = request_seed(self.settings.seed, principle.id, "situations", kind)
        sampling = writer.sampling.model_copy(update={"max_tokens": 40 * count})
        try:
            completion = await writer.generator.generate(Request(asked, sampling, seed))
        except GenerationError:
            return ()
        items = listed(reply_of(completion).text)
        items = items[:-1] if completion.finish_reason == "length" else items
        return tuple(dict.fromkeys(one for one in items if len(one) <= _LONGEST_SITUATION))

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
