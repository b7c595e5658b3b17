"""Generate, critique, revise, judge: the engine behind `solon revise` and `solon label`, for use
from Python."""

import sys
from typing import TYPE_CHECKING

from constitution.lazy import first_asked

if TYPE_CHECKING:
    from engine.api import revise, revise_async
    from engine.generators.base import (
        Choice,
        Completion,
        GenerationError,
        Generator,
        GeneratorUnavailable,
        Request,
        Sampling,
    )
    from engine.generators.spec import open_generator
    from engine.judging.judge import judge_answer
    from engine.judging.label import label_prompt
    from engine.judging.preference import Judge
    from engine.judging.records import LabelledPair, LabelRecord, Preference, SampledAnswer
    from engine.loop.asking import ConversationFailed
    from engine.loop.critique_revise import critique_and_revise
    from engine.messages import Conversation, Message
    from engine.prompts.sources import Prompt, PromptSource, open_prompts, prompts_from
    from engine.records import DropReason, Failure, Flag, Outcome, Record, Round, Verdict
    from engine.runs.label_run import LabelRun
    from engine.runs.plan import Plan, plan_run
    from engine.runs.run import Progress, RevisionRun, RunResult
    from engine.runs.scheduler import Window, revise_all, stream
    from engine.settings import LabelSettings, LoopSettings, RoleModel, Roles, roles
    from engine.storage.atomic import StorageFull
    from engine.storage.completion_cache import CompletionCache

__all__ = [  # noqa: RUF022  grouped by purpose
    # run
    "revise",
    "revise_async",
    "RevisionRun",
    "LabelRun",
    "RunResult",
    "Progress",
    "Plan",
    "plan_run",
    # one conversation, many conversations
    "critique_and_revise",
    "judge_answer",
    "label_prompt",
    "Judge",
    "revise_all",
    "stream",
    "Window",
    # settings
    "LoopSettings",
    "LabelSettings",
    "RoleModel",
    "Roles",
    "Sampling",
    "roles",
    # models
    "Choice",
    "Completion",
    "CompletionCache",
    "Generator",
    "Request",
    "open_generator",
    # data
    "Conversation",
    "DropReason",
    "Failure",
    "Flag",
    "LabelRecord",
    "LabelledPair",
    "Message",
    "Outcome",
    "Preference",
    "Prompt",
    "PromptSource",
    "Record",
    "Round",
    "SampledAnswer",
    "Verdict",
    "open_prompts",
    "prompts_from",
    # errors
    "ConversationFailed",
    "GenerationError",
    "GeneratorUnavailable",
    "StorageFull",
]

_HOMES = (
    "messages",
    "generators.base",
    "records",
    "prompts.sources",
    "storage.atomic",
    "settings",
    "judging.records",
    "loop.asking",
    "loop.critique_revise",
    "judging.judge",
    "judging.preference",
    "judging.label",
    "storage.completion_cache",
    "generators.spec",
    "runs.plan",
    "runs.scheduler",
    "runs.run",
    "runs.label_run",
    "api",
)

__getattr__ = first_asked(sys.modules[__name__], _HOMES)
