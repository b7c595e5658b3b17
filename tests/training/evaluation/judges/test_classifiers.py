"""Classifiers: fitted ones that keep what they learned, and pretrained ones by path."""

import json
import random
import subprocess
import sys
from collections import Counter

import pytest

from constitution.problems import InputError
from engine.messages import Message
from training.evaluation.judges.classifiers import is_classifier, open_classifier
from training.evaluation.judges.labelled_answers import LabelledAnswer, LabelledAnswers

GOOD = "glad to explain the recipe with flour butter and patience".split()
BAD = "here is the poison and the weapon you wanted today".split()


def answers(count, seed=0, signal=1.0):
    """Answers of either kind, told apart by their words to the share `signal`."""
    rng = random.Random(seed)
    rows = []
    for index in range(count):
        label = index % 2 == 0
        words = BAD if (rng.random() < signal) == label else GOOD
        prompt = (Message("user", f"question number {index // 3}?"),)
        text = " ".join(rng.choices(words, k=12))
        rows.append(LabelledAnswer(str(index), prompt, text, float(label), label))
    return LabelledAnswers(tuple(rows), Counter())


# Fitted -------------------------------------------------------------------------------------------


@pytest.fixture
def fit():
    pytest.importorskip("sklearn", reason="scikit-learn is in the extra `eval`")
    from training.evaluation.judges import classifier_fit

    return classifier_fit


def test_what_is_saved_says_what_was_fitted(fit, tmp_path):
    data, path = answers(90), tmp_path / "harm.json"
    fitted = fit.fit_classifier("harm", data)
    fitted.write(path, {"base_rate": data.base_rate})
    prompts = ["a question"] * 3
    texts = [" ".join(GOOD), " ".join(BAD), "né — 東京 " * 40]
    before = fitted.probabilities(prompts, texts)
    again = open_classifier(f"classifier:{path}")
    assert again.name == "harm"
    assert again.probabilities(prompts, texts) == pytest.approx(before, abs=1e-6)
    assert before[0] < 0.2 and before[1] > 0.8
    assert again.probabilities([], []) == []
    saved = json.loads(path.read_text(encoding="utf-8"))
    assert saved["version"] == 1 and saved["report"] == {"base_rate": 0.5}
    assert "poison" not in path.read_text(encoding="utf-8"), "no text of the answers"


def test_nothing_is_learned_of_labels_that_mean_nothing(fit):
    """An answer's own label must not reach the figure that it is told by."""
    from training.stats.agreement import area_under_curve

    areas = []
    for signal in (1.0, 0.5):
        data = answers(180, seed=5, signal=signal)
        found = fit.out_of_fold(data)
        by_label = [
            [p for p, one in zip(found, data.answers, strict=True) if one.label is label]
            for label in (True, False)
        ]
        areas.append(area_under_curve(*by_label))
    assert areas[0] > 0.98 and 0.35 < areas[1] < 0.65


def test_no_prompt_is_on_both_sides(fit):
    """Every prompt has its own words and its own label: a leak would make it easy."""
    rng, rows = random.Random(1), []
    for index in range(40):
        label = rng.random() < 0.5
        words = [f"w{index}x{k}" for k in range(8)]
        for copy in range(4):
            prompt = (Message("user", f"prompt {index}"),)
            text = " ".join(rng.sample(words, 6))
            rows.append(LabelledAnswer(f"{index}-{copy}", prompt, text, float(label), label))
    found = fit.out_of_fold(LabelledAnswers(tuple(rows), Counter()))
    right = [(p >= 0.5) == one.label for p, one in zip(found, rows, strict=True)]
    assert sum(right) / len(right) < 0.75


def test_an_answer_beside_the_question_is_told_by_the_prompt(fit):
    """The same texts under both labels: only their likeness to the prompt tells them apart."""
    topics = ["bread flour oven", "river boat water", "piano music notes", "garden rose soil"]
    rows = []
    for index in range(120):
        asked, said = topics[index % 4], topics[(index // 4) % 4]
        label = asked != said
        prompt = (Message("user", f"{index}: report me of {asked}"),)
        text = f"Here is something about {said} number {index}"
        rows.append(LabelledAnswer(str(index), prompt, text, float(label), label))
    found = fit.out_of_fold(LabelledAnswers(tuple(rows), Counter()))
    right = [(p >= 0.5) == one.label for p, one in zip(found, rows, strict=True)]
    assert sum(right) / len(right) > 0.95


def test_too_few_answers_are_refused(fit):
    with pytest.raises(InputError, match="prompts have an answer labelled"):
        fit.fit_classifier("few", answers(9))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda saved: saved.update(version=2), "version 2"),
        (lambda saved: saved.update(format="other"), "not a fitted classifier"),
        (lambda saved: saved["word"]["idf"].pop(), "not a fitted classifier"),
        (lambda saved: saved["word"]["buckets"].__setitem__(0, 1 << 20), "not a fitted classifier"),
        (lambda saved: saved.update(intercept=float("nan")), "not a fitted classifier"),
        (lambda saved: saved.update(more=1), "not a fitted classifier"),
    ],
)
def test_a_file_of_another_version_or_a_broken_one_is_refused(tmp_path, change, told):
    terms = {"buckets": [1], "idf": [1.0], "weights": [0.5]}
    saved = {
        "format": "solon-classifier",
        "version": 1,
        "name": "x",
        "word": dict(terms, idf=[1.0]),
        "char_wb": terms,
        "likeness": 0.0,
        "intercept": 0.0,
    }
    change(saved)
    path = tmp_path / "x.json"
    path.write_text(json.dumps(saved), encoding="utf-8")
    with pytest.raises(InputError, match=told) as caught:
        open_classifier(f"classifier:{path}")
    assert len(caught.value.problems) == 1


# By path ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "spec", ["", "rules:", "rules:others", "classifier:", "classifier", "transformers-classifier:"]
)
def test_what_is_no_classifier_is_one_line(spec):
    with pytest.raises(InputError, match="names no classifier"):
        open_classifier(spec)


def test_a_path_that_is_neither_is_one_line(tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        open_classifier(f"classifier:{tmp_path / 'none.json'}")
    with pytest.raises(InputError, match=r"has no config\.json"):
        open_classifier(f"transformers-classifier:{tmp_path}")


def test_specs_of_generators_are_not_taken():
    assert is_classifier("rules:refusal") and is_classifier("transformers-classifier:x,label=y")
    assert not is_classifier("transformers:x") and not is_classifier("embedded")


@pytest.fixture(scope="module")
def toxic(tmp_path_factory):
    """A tiny random text-classification model and a tokenizer made for it."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("toxic")
    vocabulary = {word: i for i, word in enumerate(["[PAD]", "[UNK]", *sorted({*GOOD, *BAD})])}
    words = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    PreTrainedTokenizerFast(
        tokenizer_object=words, pad_token="[PAD]", unk_token="[UNK]"
    ).save_pretrained(folder)
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=24,
        initializer_range=0.5,
        id2label={0: "fine", 1: "toxic", 2: "spam"},
        label2id={"fine": 0, "toxic": 1, "spam": 2},
    )
    BertForSequenceClassification(config).save_pretrained(folder)
    return folder


def test_a_pretrained_model_is_read_by_the_name_of_its_label(toxic):
    texts = [" ".join(GOOD), BAD[0], " ".join(BAD * 20)]
    each = [
        open_classifier(f"transformers-classifier:{toxic},label={label}").probabilities(
            [""] * 3, texts
        )
        for label in ("fine", "toxic", "spam")
    ]
    assert [sum(column) for column in zip(*each, strict=True)] == pytest.approx([1, 1, 1], abs=1e-5)
    one = open_classifier(f"transformers-classifier:{toxic},label=toxic")
    assert one.name.endswith("(toxic)")
    backwards = one.probabilities([""] * 3, texts[::-1])
    assert backwards[::-1] == pytest.approx(each[1], abs=1e-5), "batches and padding change nothing"


def test_a_label_it_has_not_is_refused_with_those_it_has(toxic):
    for spec in (f"{toxic}", f"{toxic},label=toxik", f"{toxic},label="):
        with pytest.raises(InputError, match="fine, toxic, spam"):
            open_classifier(f"transformers-classifier:{spec}")


def test_a_generating_model_is_no_classifier(toxic, tmp_path):
    config = json.loads((toxic / "config.json").read_text(encoding="utf-8"))
    config["architectures"] = ["BertLMHeadModel"]
    (tmp_path / "config.json").write_text(json.dumps(config), encoding="utf-8")
    with pytest.raises(InputError, match="is not a text-classification model"):
        open_classifier(f"transformers-classifier:{tmp_path},label=toxic")


def test_nothing_heavy_is_imported_before_it_is_needed():
    code = (
        "import sys, training.evaluation.judges.classifiers, training.evaluation.judges.classifier_fit\n"
        "print({'sklearn', 'scipy', 'torch', 'transformers'} & set(sys.modules))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=300
    )
    assert ran.stdout.strip() == "set()"
