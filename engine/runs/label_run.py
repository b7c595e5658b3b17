"""A run that labels: prompts, their sampled answers and the judge's preferences, in a directory."""

from collections.abc import Awaitable, Callable
from pathlib import Path

from constitution.schema import Constitution
from engine.judging.label import label_prompt
from engine.judging.records import LabelRecord
from engine.prompts.sources import Prompt, PromptSource
from engine.runs.directory import LABEL
from engine.runs.output import Mode
from engine.runs.run import Run, RunSpec
from engine.runs.scheduler import Work
from engine.settings import LabelSettings, RoleModel, RoleModels

__all__ = ["LabelRun", "labelling"]


def labelling(
    constitution: Constitution, cast: RoleModels, settings: LabelSettings
) -> Work[LabelRecord]:
    """Label one prompt, as the work of a batch; `cast` has a policy and a judge."""

    def work(prompt: Prompt, came_back: Callable[[int], None]) -> Awaitable[LabelRecord]:
        policy, judge = cast["policy"], cast["judge"]
        return label_prompt(prompt, constitution, policy, judge, settings, on_tokens=came_back)

    return work


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
            work=lambda models: labelling(constitution, models, settings),
            expected_tokens=2 * policy.sampling.max_tokens,
            requests=settings.samples,
        )
        super().__init__(out, spec, mode, window)
