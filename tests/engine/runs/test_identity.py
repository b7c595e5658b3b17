"""What makes two runs the same run: everything that moves a record does, and nothing else."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from constitution.problems import InputError
from engine.generators.base import Sampling
from engine.generators.scripted import ScriptedGenerator
from engine.prompts.sources import open_prompts
from engine.runs.run import RevisionRun
from engine.settings import LoopSettings, Roles, roles
from tests.engine.builders import constitution

RULES = constitution("one", "two")
CAST = roles(ScriptedGenerator())
OTHER = {"max_tokens": 64, "temperature": 0.1, "top_p": 0.9, "min_tokens": 2}


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "prompts.jsonl"
    path.write_text('{"id": "p", "prompt": "Question?"}\n', encoding="utf-8")
    return open_prompts(path)


def opened(source, cast=CAST, settings=None):
    """Opens the run in one directory beside the prompts, as a command that resumes does."""
    out = Path(source.path).parent / "run"
    run = RevisionRun(out, source, RULES, cast, settings or LoopSettings())
    asyncio.run(run.close())


def test_every_field_of_sampling_is_tried_here():
    assert OTHER.keys() == Sampling.model_fields.keys()


@pytest.mark.parametrize("role", dict(CAST))
@pytest.mark.parametrize("field", OTHER)
def test_a_role_that_samples_otherwise_is_another_run(source, role, field):
    opened(source)
    model = dict(CAST)[role]
    sampling = model.sampling.model_copy(update={field: OTHER[field]})
    cast = Roles(**{**dict(CAST), role: replace(model, sampling=sampling)})
    was, now = getattr(Sampling(), field), OTHER[field]
    with pytest.raises(InputError, match=rf"{field} \({role}\) was {was}, now {now}"):
        opened(source, cast)
    opened(source)


@pytest.mark.parametrize("name", list(LoopSettings.model_fields))
def test_every_setting_of_the_loop_is_of_a_runs_identity(source, name):
    opened(source)
    value = getattr(LoopSettings(), name)
    if value is None or isinstance(value, str):
        other = "another"
    else:
        other = not value if isinstance(value, bool) else value + 1
    with pytest.raises(InputError, match=rf"{name} was "):
        opened(source, settings=LoopSettings().model_copy(update={name: other}))
