"""A run in a process of its own, to be killed: logs the key of every completion it generates.

With a shard it is that part of the prompts, in `out/shards/I`, worked on in a `scratch` directory.
"""

import asyncio
import os
import sys
from pathlib import Path

from engine.generators.scripted import Script, ScriptedGenerator
from engine.prompts.sources import PromptSource, open_prompts
from engine.runs.answer_run import AnswerRun
from engine.runs.label_run import LabelRun
from engine.runs.run import RevisionRun
from engine.runs.scratch import ScratchCopy
from engine.runs.shards import RunPlace
from engine.settings import AnswerSettings, LabelSettings, LoopSettings, RoleModel, roles
from engine.storage.completion_cache import completion_key
from tests.engine.builders import constitution


class Logged(ScriptedGenerator):
    """Writes down what it generates before it answers."""

    def __init__(self, log: Path, delay: float) -> None:
        super().__init__(Script(delay=delay))
        self.fingerprint = "logged"
        self.log = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    async def generate(self, request):
        os.write(self.log, completion_key(self.fingerprint, request).hex().encode() + b"\n")
        return await super().generate(request)


RULES = constitution("one", "two", "three", "four")
SETTINGS = LoopSettings(rounds=2, candidates=2)


def main(
    out: str,
    prompts: str,
    log: str,
    delay: str,
    kind: str = "revise",
    shard: str | None = None,
    scratch: str | None = None,
) -> None:
    place = RunPlace.parse(out, shard, scratch)
    source = place.prompts(open_prompts(prompts))
    if place.scratch is None:
        with place.open() as directory:
            work(directory, source, Logged(Path(log), float(delay)), kind)
        return
    with ScratchCopy(place.home, place.directory, seconds=0.05):
        work(place.directory, source, Logged(Path(log), float(delay)), kind)


def work(out: Path, source: PromptSource, generator: Logged, kind: str) -> None:
    model = RoleModel(generator)
    run: RevisionRun | LabelRun | AnswerRun
    match kind:
        case "revise":
            run = RevisionRun(out, source, RULES, roles(generator), SETTINGS, window=16)
        case "label":
            run = LabelRun(out, source, RULES, model, model, LabelSettings(), window=16)
        case _:
            run = AnswerRun(out, source, model, AnswerSettings(), window=4)

    async def execute():
        try:
            await run.execute()
        finally:
            await run.close()

    asyncio.run(execute())


if __name__ == "__main__":
    main(*sys.argv[1:])
