"""A model is named by its directory, by what a training left, or by its name on the hub."""

import json

import pytest

from constitution.problems import InputError
from engine.generators.fingerprint import fingerprint_model
from engine.generators.model_files import base_of, is_path, local_name, located_model
from engine.generators.spec import open_generator


@pytest.fixture
def run(tmp_path):
    """What `solon train` leaves: a directory with the model in `model/`."""
    (tmp_path / "run" / "model").mkdir(parents=True)
    described = json.dumps({"model_type": "llama"})
    (tmp_path / "run" / "model" / "config.json").write_text(described, encoding="utf-8")
    return tmp_path / "run"


def test_a_training_is_served_by_its_directory_as_by_its_models(run):
    assert local_name(str(run)) == str(run / "model")
    served, named = (open_generator(f"transformers:{path}") for path in (run, run / "model"))
    assert served.fingerprint == named.fingerprint
    assert served.spec == f"transformers:{run}"
    own = fingerprint_model(run / "model", backend="transformers", chat_template=None,
                            revision=None, dtype=None)  # fmt: skip
    assert named.fingerprint == own


@pytest.mark.parametrize("name", ["org/model", "gpt2", "runs/sft"])
def test_a_hubs_name_stays_as_it_is(name):
    assert not is_path(name)
    assert located_model(f"vllm:{name}", name) == name


@pytest.mark.parametrize("name", ["./model", "~nobody/model", "/model", "runs/sft/model"])
def test_a_path_must_be_there(name):
    assert is_path(name)
    with pytest.raises(InputError, match="there is no "):
        located_model(f"vllm:{name}", name)


def test_a_directory_without_a_model_is_refused(run):
    for folder, name in (("adapter", "adapter_config.json"), ("empty", "notes.txt")):
        (run / folder).mkdir()
        (run / folder / name).write_text("{}", encoding="utf-8")
        with pytest.raises(InputError, match=r"has no config\.json"):
            located_model("vllm:x", str(run / folder))


def test_an_adapters_base_is_found_where_it_was_moved(run):
    (run / "adapter").mkdir()
    (run / "base").mkdir()
    file = run / "adapter" / "adapter_config.json"
    for named, found in (("org/model", "org/model"), ("/gone/base", str(run / "base"))):
        file.write_text(json.dumps({"base_model_name_or_path": named}), encoding="utf-8")
        assert base_of(str(run / "adapter")) == found
    assert base_of(str(run / "model")) == str(run / "model")
