"""`solon try --watch`: a save runs the conversation again and shows only what reads differently."""

import asyncio
import contextlib
import io
from types import SimpleNamespace

import pytest
from rich.console import Console

from constitution import load_constitution
from engine.generators.base import Sampling
from engine.generators.scripted import ScriptedGenerator
from engine.prompts.sources import prompts_from
from engine.settings import roles
from scripts.commands.conversation_view import Watcher
from scripts.commands.try_watch import Session
from tests.engine.builders import paper

TEXT = """\
name: desk
principles:
  - id: kind
    statement: The assistant is kind.
  - id: short
    statement: The assistant is short.
"""


class Counted(ScriptedGenerator):
    def __init__(self):
        super().__init__()
        self.requests = 0

    async def generate(self, request):
        self.requests += 1
        return await super().generate(request)


@pytest.fixture
def desk(tmp_path):
    """A session on a file, `edit(text)` that saves it, and what has been shown since."""
    file = tmp_path / "desk.yaml"
    file.write_text(TEXT, encoding="utf-8")
    shown, model = io.StringIO(), Counted()
    console = Console(file=shown, width=200)
    quiet = SimpleNamespace(update=lambda _: None, stop=lambda: None)
    session = Session(
        str(file),
        next(iter(prompts_from(["Hello?"]))),
        roles(model, sampling=Sampling(temperature=0)),
        paper(rounds=2),
        Watcher(console, quiet),
    )

    async def until(words):
        async with asyncio.timeout(120):
            while words not in shown.getvalue():
                await asyncio.sleep(0.02)
        text = shown.getvalue()
        shown.truncate(0)
        shown.seek(0)
        return text

    async def edit(text, words):
        file.write_text(text, encoding="utf-8")
        return await until(words)

    async def play(scene):
        task = asyncio.ensure_future(session.run(load_constitution(file)))
        try:
            await scene()
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    return SimpleNamespace(
        file=file, model=model, until=until, edit=edit, play=lambda s: asyncio.run(play(s))
    )


def test_only_what_the_edited_principle_said_is_asked_and_shown_again(desk):
    async def scene():
        first = await desk.until("watching desk.yaml")
        assert "The assistant is kind." in first and "The assistant is short." in first
        asked = desk.model.requests
        drawn_last = max(("kind", "short"), key=lambda name: first.index(f"is {name}."))
        edited = TEXT.replace(f"is {drawn_last}.", f"is very {drawn_last}.")
        again = await desk.edit(edited, "watching desk.yaml")
        assert f"is very {drawn_last}." in again
        assert "Hello?" not in again
        assert (f"The assistant is {drawn_last}." in first) and again.count("critique") == 1
        assert desk.model.requests - asked == 2  # its critique and its revision

    desk.play(scene)


def test_a_save_that_models_do_not_read_runs_nothing(desk):
    async def scene():
        await desk.until("watching desk.yaml")
        asked = desk.model.requests
        told = await desk.edit(f"# a comment\n{TEXT}", "watching desk.yaml")
        assert "nothing that a model reads has changed" in told
        assert desk.model.requests == asked

    desk.play(scene)


def test_a_broken_save_is_explained_and_the_next_good_one_runs(desk):
    async def scene():
        await desk.until("watching desk.yaml")
        told = await desk.edit(TEXT.replace("statement", "statment"), "watching desk.yaml")
        assert "did you mean" in told and "desk.yaml:4" in told
        again = await desk.edit(TEXT.replace("is kind", "is gentle"), "watching desk.yaml")
        assert "is gentle." in again

    desk.play(scene)


def test_a_save_in_the_middle_of_a_run_starts_it_anew(desk):
    async def scene():
        await desk.until("watching desk.yaml")
        asked, slow = desk.model.requests, desk.model.script.model_copy(update={"delay": 0.4})
        desk.model.script = slow
        desk.file.write_text(TEXT.replace("is kind", "is gentle"), encoding="utf-8")
        while desk.model.requests == asked:
            await asyncio.sleep(0.02)
        again = await desk.edit(TEXT.replace("is kind", "is warm"), "watching desk.yaml")
        assert "is warm." in again

    desk.play(scene)
