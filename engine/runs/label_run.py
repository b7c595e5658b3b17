"""A run that labels: prompts, their sampled answers and the judge's preferences, in a directory."""

from pathlib import Path

from constitution.schema import Constitution
from engine.judging.label import label_prompt
from engine.judging.records import LabelRecord
from engine.prompts.sources import PromptSource
from engine.runs.directory import LABEL
from engine.runs.output import Mode
from engine.runs.run import Run, RunSpec
from engine.settings import LabelSettings, RoleModel

__all__ = ["LabelRun"]


class LabelRun(Run[LabelRecord]):
    """A run that samples, pairs and judges. Raises as Run does."""

    def __init__(
        self,
        out: Path,
        prompts: PromptSource,
        constitution: Constitution,
        policy: RoleModel,
        judge: RoleModel,
        settings: LabelSettings,
        *,
        mode: Mode = "resume",
        window: int | None = None,
    ) -> None:
        spec = RunSpec(
            kind=LABEL,
            prompts=prompts,
            constitution=constitution,
            models={"policy": policy, "judge": judge},
            settings=settings,
            work=lambda models: (
                lambda prompt, on_tokens: label_prompt(
                    prompt,
                    constitution,
                    models["policy"],
                    models["judge"],
                    settings,
                    on_tokens=on_tokens,
                )
            ),
            expected_tokens=2 * policy.sampling.max_tokens,
            requests=settings.samples,
        )
        super().__init__(out, spec, mode, window)
