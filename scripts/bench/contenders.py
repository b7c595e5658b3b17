"""The contenders of the engine benchmark: a revision run, a stage barrier, and vLLM's own limit."""

import asyncio
import random
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import jsonlines

from constitution.schema import Constitution, Principle
from engine.generators.background import quiet_descriptors
from engine.generators.base import Completion, Request, Sampling
from engine.generators.scripted import ScriptedGenerator
from engine.generators.vllm import VllmGenerator
from engine.generators.vllm_platform import engine_defaults, log_path
from engine.loop.asking import request_seed
from engine.loop.rendering import critique_request, revision_request
from engine.messages import Message, to_dicts
from engine.prompts.sources import PromptSource, open_prompts
from engine.records import Record
from engine.runs.run import RevisionRun
from engine.settings import LoopSettings, roles

__all__ = ["WORDS", "EngineBench", "EngineFigures", "FixedLengths", "overhead", "write_prompts"]

WORDS = (
    "a about all because but can could does explain for friend from get help her his home how i if "
    "in is it know long make me money more my need neighbour of old on people plan please question "
    "safe should so story tell that the their they thing think this to want was water way we what "
    "when why will with without work would write you your"
).split()
_LENGTHS = {1: (16, 64), 3: (12, 36), 5: (16, 64)}
"""Tokens of an answer, a critique and a revision, by how many turns their prompt has."""


@dataclass(frozen=True, slots=True)
class EngineFigures:
    """One contender, once. Tokens are of the whole run; `first` is when its first record was there,
    as a share of the run."""

    seconds: float
    prompt_tokens: int
    cached_tokens: int
    decoded_tokens: int
    first: float


class FixedLengths:
    """The same model, each completion as long as its place in the benchmark says."""

    def __init__(self, generator: VllmGenerator) -> None:
        self.generator = generator
        self.seen: list[tuple[Request, Completion]] = []

    def __getattr__(self, name: str) -> Any:
        """All else is the model's."""
        return getattr(self.generator, name)

    async def close(self) -> None:
        """Leave the model running: the next contender uses it."""

    async def generate(self, request: Request) -> Completion:
        """A completion of the length drawn for this conversation and turn, then a hard stop."""
        tokens = length(request.priority, len(request.messages))
        exactly = {"max_tokens": tokens, "min_tokens": tokens}
        sampling = request.sampling.model_copy(update=exactly)
        request = replace(request, sampling=sampling)
        completion = await self.generator.generate(request)
        self.seen.append((request, completion))
        return replace(completion, finish_reason="stop")


def length(row: int, turns: int) -> int:
    """How many tokens to generate for this conversation after so many turns."""
    return random.Random(row * 10 + turns).randint(*_LENGTHS[turns])


def write_prompts(path: Path, count: int, words: int) -> PromptSource:
    """Made-up requests of `words` / 2 to `words` * 3 / 2 words, no two with a common prefix."""
    draw = random.Random(0)
    with jsonlines.open(path, "w") as file:
        for row in range(count):
            said = " ".join(draw.choices(WORDS, k=draw.randint(words // 2, words * 3 // 2)))
            file.write({"id": f"p{row}", "prompt": f"{row}: {said}?"})
    return open_prompts(path)


Ask = Callable[[Constitution, Principle], str]
Messages = tuple[Message, ...]
_STAGES: tuple[tuple[str, Ask | None], ...] = (
    ("policy", None),
    ("critic", critique_request),
    ("reviser", revision_request),
)
SETTINGS = LoopSettings(
    select="random", accept="always", framing="conversation", few_shot=False, final_check=False,
    rounds=1, longest_revision=1e9,
)  # fmt: skip
"""Three turns for every prompt, whatever the model writes: no verdict says who is done."""
SAMPLING = Sampling(max_tokens=64, temperature=0.0)


class EngineBench:
    """The contenders, over the same prompts and principles."""

    def __init__(
        self, model: VllmGenerator, source: PromptSource, constitution: Constitution, folder: Path
    ) -> None:
        self.model = model
        self.source = source
        self._rows = {prompt.id: row for row, prompt in enumerate(source)}
        self.constitution = constitution
        self.folder = folder
        self.requests: list[tuple[Request, Completion]] = []
        self.principles: dict[int, str] = {}
        self._offline: Any = None

    async def engine(self) -> EngineFigures:
        """A revision run; remembers its requests for `raw`."""
        await self.model.engine.reset_prefix_cache()
        fixed: Any = FixedLengths(self.model)
        with tempfile.TemporaryDirectory(dir=self.folder) as out:
            models = roles(fixed, sampling=SAMPLING)
            run = RevisionRun(Path(out) / "run", self.source, self.constitution, models, SETTINGS)
            began, first = time.perf_counter(), 0.0
            async for result in run.stream():
                first = first or time.perf_counter() - began
                if isinstance(result, Record):
                    self.principles[self._rows[result.id]] = result.rounds[0].principle
            seconds = time.perf_counter() - began
            await run.close()
        self.requests = fixed.seen
        completions = [completion for _, completion in fixed.seen]
        return EngineFigures(seconds, *_tokens(completions), first / seconds)

    async def raw(self) -> EngineFigures:
        """Everything `engine` asked, at once, in the order of the conversations."""
        await self.model.engine.reset_prefix_cache()
        ordered = sorted(self.requests, key=lambda pair: (pair[0].priority, len(pair[0].messages)))
        began = time.perf_counter()
        completions = await asyncio.gather(*(self.model.generate(r) for r, _ in ordered))
        return EngineFigures(time.perf_counter() - began, *_tokens(completions), 0.0)

    def barrier(self) -> EngineFigures:
        """Three passes through `LLM.chat`, each over the prompts for which `engine` asked as much: no
        critique, no revision."""
        llm = self._offline
        llm.reset_prefix_cache()
        conversations = {row: prompt.messages for row, prompt in enumerate(self.source)}
        outputs: list[Any] = []
        began = time.perf_counter()
        for role, ask in _STAGES:
            if ask is not None:
                conversations = self._asked(conversations, ask)
            sampling = [self._sampling(row, len(said), role) for row, said in conversations.items()]
            messages = [to_dicts(said) for said in conversations.values()]
            replies = llm.chat(messages, sampling, use_tqdm=False)
            outputs += replies
            conversations = {
                row: (*said, Message("assistant", reply.outputs[0].text))
                for (row, said), reply in zip(conversations.items(), replies, strict=True)
            }
        seconds = time.perf_counter() - began
        prompt_tokens = sum(len(o.prompt_token_ids) for o in outputs)
        cached = sum(o.num_cached_tokens or 0 for o in outputs)
        decoded = sum(len(o.outputs[0].token_ids) for o in outputs)
        return EngineFigures(seconds, prompt_tokens, cached, decoded, 1.0)

    def _asked(self, conversations: Mapping[int, Messages], ask: Ask) -> dict[int, Messages]:
        """Those that `engine` went on with, each with the next request."""
        went_on = {(request.priority, len(request.messages)) for request, _ in self.requests}
        asked = {row: self.constitution.principle(name) for row, name in self.principles.items()}
        return {
            row: (*said, Message("user", ask(self.constitution, asked[row])))
            for row, said in conversations.items()
            if (row, len(said) + 1) in went_on
        }

    def _sampling(self, row: int, turns: int, role: str) -> Any:
        from vllm import SamplingParams

        tokens = length(row, turns)
        return SamplingParams(
            max_tokens=tokens,
            min_tokens=tokens,
            temperature=SAMPLING.temperature,
            top_p=SAMPLING.top_p,
            seed=request_seed(SETTINGS.seed, str(row), role, 0),
        )

    def start_offline(self) -> None:
        """Load the same model, with the same arguments, behind vLLM's offline interface."""
        from vllm import LLM

        arguments = {**engine_defaults(), "disable_log_stats": True, **self.model.options}
        with quiet_descriptors(log_path()):
            self._offline = LLM(
                model=str(self.model.model), enable_prefix_caching=True, **arguments
            )


def _tokens(completions: list[Completion]) -> tuple[int, int, int]:
    computed = sum(c.prompt_tokens for c in completions), sum(c.cached_tokens for c in completions)
    return *computed, sum(c.completion_tokens for c in completions)


async def overhead(source: PromptSource, constitution: Constitution, folder: Path) -> float:
    """Our own seconds per conversation with three calls each, everything written to disk."""
    with tempfile.TemporaryDirectory(dir=folder) as out:
        cast = roles(ScriptedGenerator())
        run = RevisionRun(Path(out) / "run", source, constitution, cast, SETTINGS)
        began = time.perf_counter()
        await run.execute()
        seconds = time.perf_counter() - began
        await run.close()
    return seconds / source.count
