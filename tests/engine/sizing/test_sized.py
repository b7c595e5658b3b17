"""Where a model's size comes from: its configuration here, the hub, or the number in its name."""

import json

import pytest

from engine.sizing import sized
from engine.sizing.sized import Sizes
from tests.engine.sizing.published import PUBLISHED, fill_cache

LLAMA = "meta-llama/Llama-3.1-8B-Instruct"


def test_the_hubs_cache_is_read(tmp_path, monkeypatch):
    fill_cache(tmp_path, monkeypatch, [LLAMA])
    model = Sizes().of(LLAMA)
    assert model.shape.parameters == PUBLISHED[LLAMA][1] and "by its name" not in str(model)


def test_a_directory_and_an_adapter_in_one_are_read(tmp_path):
    (tmp_path / "base").mkdir()
    (tmp_path / "adapter").mkdir()
    config = json.dumps({**PUBLISHED[LLAMA][0], "quantization_config": {"bits": 4}})
    (tmp_path / "base" / "config.json").write_text(config, encoding="utf-8")
    named = json.dumps({"base_model_name_or_path": str(tmp_path / "base")})
    (tmp_path / "adapter" / "adapter_config.json").write_text(named, encoding="utf-8")
    model = Sizes().of(str(tmp_path / "adapter"))
    assert model.shape.parameters == PUBLISHED[LLAMA][1] and model.bits == 4


def test_what_a_training_on_an_adapter_left_is_read_where_it_was_moved(tmp_path):
    for folder in ("base", "adapter"):
        (tmp_path / "moved" / folder).mkdir(parents=True)
    config = json.dumps(PUBLISHED[LLAMA][0])
    (tmp_path / "moved" / "base" / "config.json").write_text(config, encoding="utf-8")
    named = json.dumps({"base_model_name_or_path": str(tmp_path / "first" / "base")})
    adapter = tmp_path / "moved" / "adapter"
    (adapter / "adapter_config.json").write_text(named, encoding="utf-8")
    assert Sizes().of(str(adapter)).shape.parameters == PUBLISHED[LLAMA][1]
    (adapter / "adapter_config.json").write_text("{}", encoding="utf-8")
    assert Sizes().of(str(adapter)).shape is None


@pytest.mark.parametrize(
    ("name", "billions"),
    [
        ("Qwen/Qwen2.5-7B-Instruct", 7),
        ("mistralai/Mixtral-8x7B-Instruct-v0.1", 46.5),
        ("HuggingFaceTB/SmolLM2-135M", 0.135),
        ("Qwen/Qwen3-30B-A3B", 30),
        ("google/gemma-2-9b-it", 9),
    ],
)
def test_without_a_configuration_the_name_counts_and_says_so(name, billions):
    model = Sizes().of(name)
    assert model.shape.parameters == pytest.approx(billions * 1e9, rel=0.01)
    assert "by its name alone: its config.json is not on this machine" in str(model)


def test_the_active_part_of_a_name_counts():
    assert Sizes().of("Qwen/Qwen3-30B-A3B").shape.active == 3 * 10**9


@pytest.mark.parametrize("name", ["microsoft/phi", "no such directory", "org/v2.5", "x/999999999B"])
def test_a_name_without_a_number_is_not_sized(name):
    model = Sizes().of(name)
    assert model.shape is None and "its size is not known" in str(model)


def test_a_damaged_configuration_is_no_traceback(tmp_path):
    (tmp_path / "config.json").write_text("{", encoding="utf-8")
    assert Sizes().of(str(tmp_path)).shape is None


def test_the_hub_is_asked_only_if_told_to(tmp_path, monkeypatch):
    asked = []
    file = tmp_path / "config.json"
    file.write_text(json.dumps(PUBLISHED[LLAMA][0]), encoding="utf-8")
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    monkeypatch.setattr(sized, "_fetched", lambda name: asked.append(name) or file)
    assert "by its name" in str(Sizes().of(LLAMA)) and not asked
    sizes = Sizes(ask_hub=True)
    assert sizes.of(LLAMA).shape == sizes.of(f"hf:{LLAMA}").shape and asked == [LLAMA]
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert "by its name" in str(Sizes(ask_hub=True).of(LLAMA)) and len(asked) == 1


def test_a_hub_that_is_not_reached_is_not_waited_for(monkeypatch):
    def refused(*_):
        raise OSError

    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    monkeypatch.setattr(sized, "_PROXIES", ())
    monkeypatch.setattr(sized.socket, "create_connection", refused)
    assert "nor is the hub reached" in str(Sizes(ask_hub=True).of("org/model-7B"))
