"""A run in a process of its own, to be killed: logs the key of every completion it generates."""

import asyncio
import os
import sys
from pathlib import Path

from engine.generators.scripted import Script, ScriptedGenerator
from engine.prompts.sources import open_prompts
from engine.runs.answer_run import AnswerRun
from engine.runs.label_run import LabelRun
from engine.runs.run import RevisionRun
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


def main(out: str, prompts: str, log: str, delay: str, kind: str = "revise") -> None:
    generator = Logged(Path(log), float(delay))
    source, model = open_prompts(prompts), RoleModel(generator)
    run: RevisionRun | LabelRun | AnswerRun
    match kind:
        case "revise":
            run = RevisionRun(Path(out), source, RULES, roles(generator), SETTINGS, window=16)
        case "label":
            run = LabelRun(Path(out), source, RULES, model, model, LabelSettings(), window=16)
        case _:
            run = AnswerRun(Path(out), source, model, AnswerSettings(), window=4)

    async def work():
        try:
            await run.execute()
        finally:
            await run.close()

    asyncio.run(work())


if __name__ == "__main__":
    main(*sys.argv[1:])
