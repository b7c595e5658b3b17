"""A run that attacks a model: every attempt in a directory, and the successes as prompts."""

from pathlib import Path

from constitution.problems import InputError, Problem
from constitution.schema import Constitution
from engine.judging.calibrate import calibrated_judge
from engine.messages import to_dicts
from engine.prompts.files import in_memory
from engine.prompts.sources import PromptSource
from engine.redteam.attack import attack_prompt
from engine.redteam.figures import attack_figures
from engine.redteam.records import AttackRecord
from engine.redteam.settings import RedTeamSettings
from engine.runs.directory import REDTEAM, SUCCESSES
from engine.runs.output import Mode
from engine.runs.run import Run, RunSpec
from engine.settings import LoopSettings, RoleModels
from engine.storage.atomic import replacing
from engine.storage.jsonl import json_line, read_jsonl

__all__ = ["RedTeamRun", "prompts_of_tests"]


class RedTeamRun(Run[AttackRecord]):
    """A run that attacks. Raises as Run does.

    The successes are written to the file `successes`, whole or not at all, when every prompt has its
    record: prompts as `solon revise` reads them.
    """

    def __init__(
        self,
        out: Path,
        prompts: PromptSource,
        constitution: Constitution,
        models: RoleModels,
        settings: RedTeamSettings,
        *,
        mode: Mode = "resume",
        window: int | None = None,
    ) -> None:
        self.constitution = constitution
        self.settings = settings
        spec = RunSpec(
            kind=REDTEAM,
            prompts=prompts,
            constitution=constitution,
            models=models,
            settings=settings,
            work=lambda behind: (
                lambda prompt, on_tokens: attack_prompt(
                    prompt, constitution, behind, settings, on_tokens
                )
            ),
            expected_tokens=4 * models["target"].sampling.max_tokens,
            idle=frozenset() if constitution.needs_judge else frozenset({"judge"}),
        )
        super().__init__(out, spec, mode, window)
        self.successes = out / SUCCESSES

    @property
    def complete(self) -> bool:
        """Whether every prompt has its record already, and the successes are there."""
        return super().complete and self.successes.is_file()

    async def prepare(self) -> None:
        """Calibrate the judge. Raises InputError for one that cannot tell the constitution's own
        answers apart, unless the settings take it anyway."""
        judge, found = await calibrated_judge(
            self.models["judge"],
            self.constitution,
            LoopSettings(judge_anyway=self.settings.judge_anyway),
            known=self.directory.found.get("calibration"),
        )
        if found:
            self.directory.found["calibration"] = found.as_dict()
        self.models = {**self.models, "judge": judge}

    def finish(self) -> None:
        """Write the successes as prompts, and note the figures."""
        records = [
            AttackRecord.model_validate(row)
            for row in read_jsonl(self.directory.path / "records.jsonl")
        ]
        self.directory.found["attacks"] = attack_figures(records).as_dict()
        with replacing(self.successes) as file:
            for record in records:
                file.writelines(map(json_line, _rows(record)))


def _rows(record: AttackRecord) -> list[dict[str, object]]:
    """The successful attempts that end with a user's turn, each as a prompt."""
    return [
        {
            "id": f"{record.id}/{attempt.tactic}-{attempt.turn}",
            "prompt": to_dicts(attempt.asked),
            "tags": [*dict.fromkeys((record.principle, *record.tags))],
            "principle": record.principle,
            "kind": "tempting",
            "tactic": attempt.tactic,
            "turn": attempt.turn,
            "answer": attempt.answer,
            "probability": attempt.verdict.probability,
            "target": record.models.get("target"),
            "constitution": record.constitution,
        }
        for attempt in record.attempts
        if attempt.success and attempt.asked[-1].role == "user"
    ]


def prompts_of_tests(constitution: Constitution) -> PromptSource:
    """The prompts of the principles' own tests. Raises InputError where there are none."""
    rows = [
        {"id": f"{principle.id}/test/{number}", "prompt": test.prompt, "principle": principle.id}
        for principle in constitution.principles
        for number, test in enumerate(principle.tests)
    ]
    if not rows:
        remedy = "give --prompts FILE; `solon prompts` writes one"
        raise InputError(Problem(constitution.name, "has no tests to begin with", remedy))
    return PromptSource(in_memory(rows, f"tests of {constitution.name}"))
