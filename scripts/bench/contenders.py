"""The contenders of the engine benchmark: a revision run, a stage barrier, and vLLM's own limit."""

import asyncio
import json
import random
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from constitution.schema import Constitution
from engine.generators.background import quiet_descriptors
from engine.generators.base import Capacity, Choice, Completion, Request, Sampling, Score
from engine.generators.scripted import ScriptedGenerator
from engine.generators.vllm import VllmGenerator
from engine.generators.vllm_platform import engine_defaults, log_path
from engine.loop.critique_revise import request_seed
from engine.loop.rendering import critique_request, revision_request
from engine.messages import Conversation, Message, to_dicts
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
        self.spec = generator.spec
        self.fingerprint = generator.fingerprint
        self.seen: list[tuple[Request, Completion]] = []

    @property
    def capacity(self) -> Capacity:
        """The model's."""
        return self.generator.capacity

    async def start(self) -> None:
        """Start the model."""
        await self.generator.start()

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

    async def choose(
        self, messages: Conversation, choices: tuple[str, ...], *, priority: int = 0
    ) -> Choice:
        """As the model does."""
        return await self.generator.choose(messages, choices, priority=priority)

    async def score(self, messages: Conversation, *, priority: int = 0) -> Score:
        """As the model does."""
        return await self.generator.score(messages, priority=priority)


def length(row: int, turns: int) -> int:
    """How many tokens to generate for this conversation after so many turns."""
    return random.Random(row * 10 + turns).randint(*_LENGTHS[turns])


def write_prompts(path: Path, count: int, words: int) -> PromptSource:
    """Made-up requests of `words` / 2 to `words` * 3 / 2 words, no two with a common prefix."""
    draw = random.Random(0)
    with path.open("w", encoding="utf-8") as file:
        for row in range(count):
            said = " ".join(draw.choices(WORDS, k=draw.randint(words // 2, words * 3 // 2)))
            file.write(json.dumps({"id": f"p{row}", "prompt": f"{row}: {said}?"}) + "\n")
    return open_prompts(path)


_STAGES = (("policy", None), ("critic", critique_request), ("reviser", revision_request))
SETTINGS = LoopSettings(rounds=1, final_check=False, longest_revision=1e9)
SAMPLING = Sampling(max_tokens=64, temperature=0.0)


class EngineBench:
    """The contenders, over the same prompts and principles."""

    def __init__(
        self, model: VllmGenerator, source: PromptSource, constitution: Constitution, folder: Path
    ) -> None:
        self.model = model
        self.source = source
        self.constitution = constitution
        self.folder = folder
        self.requests: list[tuple[Request, Completion]] = []
        self.principles: dict[str, str] = {}
        self._offline: Any = None

    async def engine(self) -> EngineFigures:
        """A revision run; remembers its requests for `raw`."""
        await self.model.engine.reset_prefix_cache()
        fixed = FixedLengths(self.model)
        with tempfile.TemporaryDirectory(dir=self.folder) as out:
            run = RevisionRun(
                Path(out) / "run",
                self.source,
                self.constitution,
                roles(fixed, sampling=SAMPLING),
                SETTINGS,
            )
            began, first = time.perf_counter(), 0.0
            async for result in run.stream():
                first = first or time.perf_counter() - began
                if isinstance(result, Record):
                    self.principles[result.id] = result.rounds[0].principle
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
        """Three passes over all prompts through `LLM.chat`."""
        llm = self._offline
        llm.reset_prefix_cache()
        prompts = list(self.source)
        conversations = [prompt.messages for prompt in prompts]
        asked = [self.constitution.principle(self.principles[prompt.id]) for prompt in prompts]
        outputs: list[Any] = []
        began = time.perf_counter()
        for role, ask in _STAGES:
            if ask is not None:
                conversations = [
                    (*conversation, Message("user", ask(self.constitution, principle)))
                    for conversation, principle in zip(conversations, asked, strict=True)
                ]
            replies = self._chat(llm, conversations, [p.id for p in prompts], role)
            outputs += replies
            conversations = [
                (*conversation, Message("assistant", reply.outputs[0].text))
                for conversation, reply in zip(conversations, replies, strict=True)
            ]
        seconds = time.perf_counter() - began
        prompt_tokens = sum(len(o.prompt_token_ids) for o in outputs)
        cached = sum(o.num_cached_tokens or 0 for o in outputs)
        decoded = sum(len(o.outputs[0].token_ids) for o in outputs)
        return EngineFigures(seconds, prompt_tokens, cached, decoded, 1.0)

    def _chat(self, llm: Any, conversations: list[Conversation], ids: list[str], role: str) -> Any:
        from vllm import SamplingParams

        sampling = []
        for row, (conversation, name) in enumerate(zip(conversations, ids, strict=True)):
            tokens = length(row, len(conversation))
            seed = request_seed(SETTINGS.seed, name, role, 0)
            sampling.append(
                SamplingParams(
                    max_tokens=tokens,
                    min_tokens=tokens,
                    temperature=SAMPLING.temperature,
                    top_p=SAMPLING.top_p,
                    seed=seed,
                )
            )
        chats = [to_dicts(conversation) for conversation in conversations]
        return llm.chat(chats, sampling, use_tqdm=False)

    def start_offline(self) -> None:
        """Load the same model, with the same arguments, behind vLLM's offline interface."""
        from vllm import LLM

        arguments = {**engine_defaults(), "disable_log_stats": True, **self.model.options}
        with quiet_descriptors(log_path()):
            self._offline = LLM(
                model=str(self.model.model), enable_prefix_caching=True, **arguments
            )


def _tokens(completions: list[Completion]) -> tuple[int, int, int]:
    return (
        sum(c.prompt_tokens for c in completions),
        sum(c.cached_tokens for c in completions),
        sum(c.completion_tokens for c in completions),
    )


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
