"""What becomes of rows that people labelled."""

import json

import pytest

from constitution.problems import InputError
from training.evaluation.judges.labelled_answers import LabelColumns, read_labelled_answers


def write(path, *rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def row(answer="No.", label=1, prompt="Why?", **more):
    return {"prompt": prompt, "answer": answer, "label": label, **more}


def test_labels_are_words_or_numbers_and_prompts_may_be_missing(tmp_path):
    words = ["true", "Yes", 1, 1.0, True, 0.5, "no", "FALSE", 0, "0", 0.49]
    rows = [row(f"answer {i}", label) for i, label in enumerate(words)]
    del rows[0]["prompt"]
    data = read_labelled_answers([write(tmp_path / "a.jsonl", *rows)])
    assert [one.label for one in data.answers] == [True] * 6 + [False] * 5
    assert data.answers[0].prompt == () and data.answers[0].question == ""
    assert data.answers[1].question == "Why?"
    assert data.base_rate == 6 / 11 and not data.dropped


def test_rows_that_cannot_be_used_are_counted_by_reason(tmp_path):
    path = tmp_path / "a.jsonl"
    write(
        path,
        row("kept"),
        row(""),
        row("x", None),
        row("x", "perhaps"),
        row("x", 2),
        row("x", prompt=7),
        row("twice"),
        row("twice"),
        row("both", 1),
        row("both", 0),
    )
    path.write_text(path.read_text(encoding="utf-8") + "{\n", encoding="utf-8")
    data = read_labelled_answers([str(path)])
    assert [one.answer for one in data.answers] == ["kept", "twice"]
    assert data.dropped == {
        "no answer": 1,
        "no label": 1,
        "label is not true, false or from 0 to 1": 2,
        "prompt cannot be read": 1,
        "repetition": 1,
        "labelled both ways": 2,
        "row cannot be read": 1,
    }


def test_several_labels_count_by_their_mean_over_files_with_different_columns(tmp_path):
    (tmp_path / "one.csv").write_text(
        '# a comment, with commas\n# another\nprompt,answer,a,b\n"Q\n#1",yes,1,0.5\nQ2,no,0,\nQ3,x\n',
        encoding="utf-8",
    )
    (tmp_path / "two.csv").write_text("prompt,answer,c\nQ3,oh,0.25\n", encoding="utf-8")
    files = [str(tmp_path / "one.csv"), str(tmp_path / "two.csv")]
    data = read_labelled_answers(files, LabelColumns(labels=("a", "b", "c")), threshold=0.75)
    assert [(one.score, one.label) for one in data.answers] == [
        (0.75, True),
        (0.0, False),
        (0.25, False),
    ]
    assert [one.group for one in data.answers] == ["one", "one", "two"]
    assert data.answers[0].question == "Q\n#1"
    assert data.dropped == {"row cannot be read": 1}


def test_a_column_that_is_not_there_is_one_line_that_lists_those_that_are(tmp_path):
    file = write(tmp_path / "a.jsonl", {"objective": "Q", "response": "A", "human_score": 1})
    with pytest.raises(InputError) as caught:
        read_labelled_answers([file], LabelColumns(prompt="ask", group="model"))
    told = [str(problem) for problem in caught.value.problems]
    assert [line.split("; ")[1].split()[1] for line in told] == [
        "--answer-column",
        "--label-column",
        "--by",
        "--prompt-column",
    ]
    assert "'human_score'" in told[0]


def test_the_limit_is_of_usable_rows_and_nothing_left_is_told(tmp_path):
    file = write(tmp_path / "a.jsonl", row(""), *(row(f"a{i}") for i in range(9)))
    assert len(read_labelled_answers([file], limit=3).answers) == 3
    with pytest.raises(InputError, match=r"no labelled answers \(no answer 1\)"):
        read_labelled_answers([write(tmp_path / "b.jsonl", row(""))])


def test_ratings_ask_for_their_scale_and_may_run_either_way(tmp_path):
    file = write(tmp_path / "a.jsonl", *(row(f"answer {n}", 1 + n % 5) for n in range(60)))
    with pytest.raises(InputError, match=r"has the label 3, and labels go from 0 to 1; .*1:5"):
        read_labelled_answers([file])
    up = read_labelled_answers([file], LabelColumns(scale=(1, 5)))
    down = read_labelled_answers([file], LabelColumns(scale=(5, 1)))
    assert len(up.answers) == len(down.answers) == 60 and not up.dropped
    assert [one.score for one in up.answers[:5]] == [0, 0.25, 0.5, 0.75, 1]
    assert [one.score for one in down.answers[:5]] == [1, 0.75, 0.5, 0.25, 0]
