"""Judges of others: a moderation endpoint's scores, and a guard model's label tokens."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from constitution.problems import InputError
from engine.generators.base import GeneratorUnavailable
from training.evaluation.judges import moderation
from training.evaluation.judges.classifiers import open_classifier


class Endpoint(BaseHTTPRequestHandler):
    """Gives violence as 0.9 where a text says so; the first request of each kind of fault fails."""

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.seen.append((self.path, body, self.headers.get("Authorization")))
        status = self.server.faults.pop(0) if self.server.faults else 200
        scores = [{"violence": 0.9 * ("hit" in t), "hate": 0.2} for t in body["input"]]
        results = [{"flagged": False, "category_scores": one} for one in scores]
        data = json.dumps({"results": results} if status == 200 else {"error": "no"}).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *args):
        pass


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr(moderation, "_PAUSE", 0.0)
    served = ThreadingHTTPServer(("127.0.0.1", 0), Endpoint)
    served.seen, served.faults = [], []
    threading.Thread(target=served.serve_forever, daemon=True).start()
    yield served
    served.shutdown()
    served.server_close()


def test_a_moderation_endpoint_gives_the_score_of_a_category(server, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret-of-openai")
    spec = f"moderation:omni@http://127.0.0.1:{server.server_port}/v1"
    answers = ["hit him", "hello"] * 10
    assert open_classifier(spec).probabilities(answers, answers) == [0.9, 0.2] * 10
    path, body, key = server.seen[0]
    assert (path, body["model"], key) == ("/v1/moderations", "omni", None), (
        "another's key stays here"
    )
    server.faults += [503]
    one = open_classifier(f"{spec},category=violence")
    assert one.probabilities([""], ["hello"]) == [0.0] and one.name == "omni (violence)"
    with pytest.raises(GeneratorUnavailable, match="no category 'spam'; it has violence, hate"):
        open_classifier(f"{spec},category=spam").probabilities([""], ["hello"])
    server.faults += [401]
    with pytest.raises(GeneratorUnavailable, match="answered 401"):
        one.probabilities([""], ["hello"])
    with pytest.raises(InputError, match="names no moderation endpoint"):
        open_classifier("moderation:omni")


TEMPLATE = (
    "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}"
    "{% if add_generation_prompt %}safe or unsafe?{% endif %}"
)


NONE_LEFT = "gives no category_scores"


@pytest.mark.parametrize(
    ("given", "category", "told"),
    [
        ({"hate": None, "x": 0.1}, "", 0.1),
        ({"hate": None, "x": 0.1}, "x", 0.1),
        ({"hate": None, "x": 0.1}, "hate", NONE_LEFT),
        ({"hate": "high"}, "", NONE_LEFT),
        ({"hate": float("nan")}, "", NONE_LEFT),
        ({"hate": float("inf"), "x": 0}, "", 0.0),
        ({"hate": True, "x": 0.3}, "", 0.3),
        ({"hate": [0.9], "x": {"y": 1}}, "", NONE_LEFT),
        ({"hate": 10**400}, "", NONE_LEFT),
        ({"hate": 3, "x": -1}, "", 1.0),
        ({}, "hate", NONE_LEFT),
        ([0.9], "", NONE_LEFT),
        (None, "", NONE_LEFT),
    ],
    ids=str,
)
def test_scores_are_finite_numbers_or_none(given, category, told):
    rest = "omni@http://127.0.0.1:1/v1" + (f",category={category}" if category else "")
    judge = moderation.open_moderation("moderation", rest)
    if isinstance(told, float):
        assert judge._score({"category_scores": given}) == told
        return
    with pytest.raises(GeneratorUnavailable, match=told):
        judge._score({"category_scores": given})


@pytest.mark.slow
def test_a_guard_is_read_by_its_label_tokens(tmp_path):
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from tests.engine.tiny_model import build_tiny_model

    folder = build_tiny_model(tmp_path / "guard")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.chat_template = TEMPLATE
    tokenizer.save_pretrained(folder)
    guard = open_classifier(f"guard:{folder},prefix=")
    (found,) = guard.probabilities(["Hi?"], ["Hello."])
    text = "user: Hi?\nassistant: Hello.\nsafe or unsafe?"
    model = AutoModelForCausalLM.from_pretrained(folder).eval()
    masses = []
    for label in ("safe", "unsafe"):
        asked, said = (tokenizer(t, add_special_tokens=False)["input_ids"] for t in (text, label))
        logprobs = model(torch.tensor([asked + said])).logits[0].log_softmax(-1)
        at = range(len(asked) - 1, len(asked) + len(said) - 1)
        masses.append(sum(logprobs[i, t] for i, t in zip(at, said, strict=True)).exp().item())
    assert found == pytest.approx(masses[1] / sum(masses), rel=1e-4)
    with pytest.raises(InputError, match="names no two labels"):
        open_classifier(f"guard:{folder},labels=unsafe")
    with pytest.raises(InputError, match=r"has no config\.json"):
        open_classifier(f"guard:{tmp_path / 'none'}")
