import asyncio

import pytest

from engine.generators.base import GeneratorUnavailable
from tests.engine.generators.servers.answering import answer, serving
from training.recipe.preflight import preflight_of_recipe
from training.recipe.schema import load_recipe

RECIPE = """
name: small
constitution: plain-answers
model: embedded
prompts: prompts.jsonl
judge: server:m@{url}
"""


@pytest.fixture(autouse=True)
def prompts(tmp_path):
    (tmp_path / "prompts.jsonl").write_text('{"prompt": "Hi?"}\n')


def test_a_judge_that_cannot_judge_stops_a_recipe_before_its_first_stage(tmp_path):
    asked = []

    def handler(body):
        asked.append(body)
        return answer("Paris")

    async def main():
        async with serving(handler) as url:
            file = tmp_path / "recipe.yaml"
            file.write_text(RECIPE.format(url=url))
            await preflight_of_recipe(*load_recipe(str(file))).passed()

    with pytest.raises(GeneratorUnavailable, match="cannot judge"):
        asyncio.run(main())
    assert asked


def test_a_recipe_without_servers_asks_nothing(tmp_path):
    (tmp_path / "recipe.yaml").write_text(RECIPE.format(url="x").replace("server:m@x", "scripted"))
    recipe = load_recipe(str(tmp_path / "recipe.yaml"))
    assert preflight_of_recipe(*recipe).tasks == {}
