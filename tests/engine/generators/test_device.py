"""Models that only answer are loaded by one rule."""

import builtins
import json
from pathlib import Path

import pytest

from engine.generators import device
from engine.generators.device import AS_IT_IS, load_frozen
from tests.engine.tiny_model import build_tiny_tokenizer
from training.trainers.answer_scorers import PerplexityScorer
from training.trainers.scorers import RewardModelScorer

LOADERS = {
    "reward": lambda path: RewardModelScorer(path, "cpu")._load(),
    "perplexity": lambda path: PerplexityScorer(path, 10.0, "cpu")._load(),
}


@pytest.mark.parametrize("loader", LOADERS.values(), ids=LOADERS)
def test_a_scorers_model_that_brings_code_is_refused_without_a_question(
    loader, tmp_path, monkeypatch
):
    asked = []
    monkeypatch.setattr(builtins, "input", lambda *text: asked.append(text) or "n")
    build_tiny_tokenizer(tmp_path)
    classes = ("AutoConfig", "AutoModelForCausalLM", "AutoModelForSequenceClassification")
    described = {"model_type": "mine", "auto_map": dict.fromkeys(classes, "mine.Mine")}
    (tmp_path / "config.json").write_text(json.dumps(described), encoding="utf-8")
    (tmp_path / "mine.py").write_text("class Mine: pass\n", encoding="utf-8")
    with pytest.raises(ValueError, match="trust_remote_code"):
        loader(tmp_path)
    assert asked == []


class Recorded:
    """Stands in for a class of transformers, and for what it loads."""

    def from_pretrained(self, path: Path, **given: object) -> "Recorded":
        self.path, self.given = path, given
        return self

    def to(self, device: str) -> "Recorded":
        self.device = device
        return self

    def eval(self) -> "Recorded":
        return self


@pytest.mark.parametrize(("gpu", "dtype"), [(False, "float32"), (True, "float16")])
def test_a_frozen_model_is_on_the_gpu_in_what_that_computes(gpu, dtype, tmp_path, monkeypatch):
    monkeypatch.setattr(device, "uses_gpu", lambda: gpu)
    monkeypatch.setattr(device, "has_bfloat16", lambda: False)
    build_tiny_tokenizer(tmp_path)
    described = {"model_type": "llama", "dtype": "bfloat16"}
    (tmp_path / "config.json").write_text(json.dumps(described), encoding="utf-8")
    tokenizer, model = load_frozen(Recorded(), tmp_path, **AS_IT_IS)
    assert tokenizer.eos_token == "<|im_end|>"
    assert model.given == {**AS_IT_IS, "dtype": dtype}
    assert (model.path, model.device) == (tmp_path, "cuda" if gpu else "cpu")
    assert load_frozen(Recorded(), tmp_path, "cpu", dtype="auto")[1].given["dtype"] == "auto"
