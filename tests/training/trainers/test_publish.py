"""A hub is asked before anything is trained, and a failed upload is made up for."""

import json

import pytest

from constitution.problems import InputError, Stopped
from tests.training.trainer_data import settings
from training.data.rows import Rows
from training.trainers import publish
from training.trainers.config import SFTTrainingConfig
from training.trainers.output import Output, TrainingResult, _front_matter


class Hub:
    def __init__(self, **broken):
        self.broken, self.asked = broken, []

    def __getattr__(self, name):
        def call(*_, **options):
            self.asked.append(name)
            if name in self.broken:
                raise self.broken[name]

        return call


@pytest.fixture
def hub(monkeypatch):
    found = Hub()
    monkeypatch.setattr(publish, "_api", lambda: found)
    return found


def output(tmp_path, name="me/model"):
    chosen = settings("model", "rows", tmp_path / "out", push_to_hub=name)
    return Output("sft", SFTTrainingConfig(**chosen), Rows([], [], "0", ()), {})


def finish(done):
    with done.directory:
        (done.path / "model").mkdir()
        done.complete(TrainingResult("sft", done.path, 1, 1.0, {"train": 1}, {}, {}))


def published(tmp_path):
    return json.loads((tmp_path / "out" / "manifest.json").read_bytes()).get("published")


def test_who_may_not_write_there_learns_it_before_training(tmp_path, hub):
    hub.broken["create_repo"] = OSError("401 Unauthorized")
    with pytest.raises(InputError, match=r"push_to_hub: me/model cannot be written: 401.*HF_TOKEN"):
        output(tmp_path).find_finished()
    assert not (tmp_path / "out").exists()


def test_nobody_is_asked_where_nothing_is_published(tmp_path, hub):
    assert output(tmp_path, None).find_finished() is None and hub.asked == []


def test_a_failed_upload_is_made_up_for_once(tmp_path, hub):
    done = output(tmp_path)
    finish(done)
    hub.broken["upload_folder"] = OSError("502 Bad Gateway")
    with pytest.raises(Stopped, match=r"not on the hub: 502.*the same command publishes it"):
        done.publish()
    with pytest.raises(Stopped):
        output(tmp_path).find_finished()
    assert published(tmp_path) is None
    del hub.broken["upload_folder"]
    assert output(tmp_path).find_finished().already_complete
    assert published(tmp_path) == "me/model"
    hub.asked.clear()
    assert output(tmp_path).find_finished().already_complete and hub.asked == []
    output(tmp_path, "me/other").find_finished()
    assert published(tmp_path) == "me/other"


@pytest.mark.parametrize(
    ("model", "base"),
    [
        ("hf:org/model", "org/model"),
        ("org/model", "org/model"),
        ("runs/sft/model", None),
        ("./model", None),
        ("embedded", None),
    ],
)
def test_a_card_names_a_base_that_is_on_the_hub(model, base):
    front = _front_matter({"config": {"model": model}, "trainer": "dpo"})
    assert front.get("base_model") == base
