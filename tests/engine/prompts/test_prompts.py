"""Prompts: every format reads the same, and everything wrong is told by line before it costs."""

import csv
import json
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from constitution.problems import InputError
from engine.messages import Message
from engine.prompts import sources as prompts_module
from engine.prompts.rows import BadPrompt, Columns, parse_prompt
from engine.prompts.sources import Prompt, open_prompts, prompts_from
from engine.records import Outcome, Record

SHARED = Path(__file__).parents[4] / "shared" / "data"
ROWS = [
    {"id": "a", "prompt": "First, é", "tags": "x, y", "source": "s"},
    {"id": "b", "prompt": "Second\nline", "tags": "", "source": "t"},
]
USER, ASSISTANT = {"role": "user", "content": "q"}, {"role": "assistant", "content": "r"}
SYSTEM = {"role": "system", "content": "s"}


def write_jsonl(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def write_as(kind, folder, rows):
    path = folder / f"prompts{kind}"
    match kind:
        case ".jsonl" | ".ndjson":
            write_jsonl(path, rows)
        case ".json":
            path.write_text(json.dumps(rows), encoding="utf-8")
        case ".csv" | ".tsv":
            with path.open("w", encoding="utf-8", newline="") as file:
                writer = csv.DictWriter(file, rows[0], delimiter="," if kind == ".csv" else "\t")
                writer.writeheader()
                writer.writerows(rows)
        case ".parquet":
            pyarrow = pytest.importorskip("pyarrow")
            parquet = pytest.importorskip("pyarrow.parquet")
            parquet.write_table(pyarrow.Table.from_pylist(rows), path)
        case "":
            pytest.importorskip("datasets").Dataset.from_list(rows).save_to_disk(path)
    return path


def problems_of(path, **options):
    with pytest.raises(InputError) as caught:
        open_prompts(path, **options)
    return str(caught.value)


@pytest.mark.parametrize("kind", [".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".parquet", ""])
def test_every_format_gives_the_same_prompts_and_hash(tmp_path, kind):
    source = open_prompts(write_as(kind, tmp_path, ROWS))
    expected = [
        Prompt("a", 0, (Message("user", "First, é"),), ("x", "y"), {"source": "s"}),
        Prompt("b", 1, (Message("user", "Second\nline"),), (), {"source": "t"}),
    ]
    assert list(source) == list(source) == expected
    assert (source.count, source.path) == (2, str(tmp_path / f"prompts{kind}"))
    assert source.hash == open_prompts(write_jsonl(tmp_path / "other.jsonl", ROWS)).hash


@pytest.mark.parametrize("change", [{"id": "c"}, {"prompt": "x"}, {"tags": "z"}, {"source": "u"}])
def test_hash_covers_every_column(tmp_path, change):
    before = open_prompts(write_jsonl(tmp_path / "before.jsonl", ROWS))
    after = open_prompts(write_jsonl(tmp_path / "after.jsonl", [ROWS[0], ROWS[1] | change]))
    assert before.hash != after.hash


def test_conversations_and_system_column(tmp_path):
    rows = [
        {"messages": [SYSTEM, USER, ASSISTANT, USER]},
        {"prompt": [USER]},
        {"prompt": "q", "system": "s"},
        {"messages": [USER], "prompt": None, "system": "", "tags": None},
        {"prompt": ["q"], "id": 7, "tags": ["a", "b", "a"]},
    ]
    roles = [
        "".join(message.role[0] for message in prompt.messages) for prompt in prompts_from(rows)
    ]
    assert roles == ["suau", "u", "su", "u", "u"]
    source = list(open_prompts(write_jsonl(tmp_path / "p.jsonl", rows)))
    assert source == list(prompts_from(rows))
    assert (source[-1].id, source[-1].tags) == ("7", ("a", "b"))


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({}, "has no 'prompt' or 'messages'"),
        ({"prompt": None}, "the prompt is empty"),
        ({"prompt": " \n"}, "the prompt is empty"),
        ({"prompt": 3}, "'prompt' is a number"),
        ({"prompt": {"a": 1}}, "'prompt' is an object"),
        ({"prompt": []}, "'prompt' is an empty list"),
        ({"prompt": ["a", "b"]}, "lists 2 texts without the assistant's answers"),
        ({"prompt": "a\0b"}, "the prompt holds a NUL character"),
        ({"prompt": "\ud800"}, "the prompt holds half a surrogate pair"),
        ({"prompt": "q", "messages": [USER]}, "has both 'prompt' and 'messages'"),
        ({"prompt": "q", "id": ""}, "the id in 'id' is empty"),
        ({"prompt": "q", "id": " "}, "the id in 'id' is empty"),
        ({"prompt": "q", "id": None}, "the id in 'id' is empty"),
        ({"prompt": "q", "id": 1.5}, "the id in 'id' is a number; give a text or an integer"),
        ({"prompt": "q", "id": True}, "the id in 'id' is true or false"),
        ({"prompt": "q", "tags": 3}, "'tags' is a number"),
        ({"prompt": "q", "tags": [1]}, "'tags' is a list; give a list of texts"),
        ({"prompt": "q", "system": 3}, "'system' is a number"),
        ({"messages": [SYSTEM, USER], "system": "s"}, "a 'system' column and a system message"),
        ({"messages": [USER, ASSISTANT]}, "ends with an assistant turn, so nothing is left"),
        ({"messages": [SYSTEM]}, "holds only a system message"),
        ({"messages": [USER, SYSTEM]}, "message 2 is 'system' where 'assistant' is expected"),
        ({"messages": [SYSTEM, ASSISTANT]}, "message 2 is 'assistant' where 'user' is expected"),
        ({"messages": [{"role": "human", "content": "q"}]}, "unknown role 'human'; write 'user'"),
        ({"messages": [{"from": "human"}]}, "message 1 has 'from'; a message needs 'role'"),
        ({"messages": ["q", USER]}, "lists 2 texts"),
        ({"messages": [USER, 3]}, "message 2 is a number"),
        ({"messages": [USER | {"content": ""}]}, "message 1 is empty"),
        ({"messages": [USER | {"content": [1]}]}, "the content of message 1 is a list"),
        ({"messages": [{"role": ["user"], "content": "q"}]}, "has the unknown role"),
        ({"prompt": "q", "note": "\ud800"}, "a column holds text that is not Unicode"),
    ],
)
def test_wrong_row_is_told_by_line(tmp_path, row, expected):
    path = write_jsonl(tmp_path / "p.jsonl", [{"prompt": "fine"}, row])
    message = problems_of(path)
    assert message.startswith(f"{path}:2: ")
    assert expected in message


def test_wrong_lines_are_all_told(tmp_path):
    path = tmp_path / "p.jsonl"
    lines = [
        b'\xef\xbb\xbf{"prompt": "fine, after a byte order mark"}',
        b'{"prompt": "never closed"',
        b"",
        b'["prompt"]',
        b"null",
        b'{"prompt": "\xff"}',
        b'{"prompt": "a", "prompt": "b"}',
        b'{"prompt": "a", "score": NaN}',
        b"[" * 100_000,
    ]
    path.write_bytes(b"\n".join(lines))
    expected = {
        2: "is not JSON: Expecting ',' delimiter (column 26)",
        4: 'is not a JSON object; write {"prompt": ...}',
        5: "is not a JSON object",
        6: "is not UTF-8 (byte 13); save the file as UTF-8",
        7: "is not JSON: the key 'prompt' is there twice",
        8: "is not JSON: NaN is not a JSON value",
        9: "is not JSON: nested too deeply",
    }
    told = problems_of(path).split("\n")
    assert len(told) == len(expected)
    for line, (number, what) in zip(told, expected.items(), strict=True):
        assert line.startswith(f"{path}:{number}: {what}")


def test_first_problems_are_shown_few_of_a_kind_and_the_rest_counted(tmp_path):
    same = [{"prompt": ""}] * 10
    different = [{"prompt": "q", "id": "x" * number} for number in range(1, 31) for _ in range(2)]
    told = problems_of(write_jsonl(tmp_path / "p.jsonl", same + different)).split("\n")
    assert len(told) == 21
    assert sum("the prompt is empty" in line for line in told) == 3
    assert told[-1] == f"{tmp_path / 'p.jsonl'}: and 20 more problems"


def test_equal_prompts_without_ids_are_numbered_in_order_and_others_keep_theirs(tmp_path):
    texts = ["a", "b", "a", "a", "c"]
    rows = [{"prompt": text} for text in texts]
    ids = [prompt.id for prompt in open_prompts(write_jsonl(tmp_path / "p.jsonl", rows))]
    assert ids == [ids[0], ids[1], f"{ids[0]}-2", f"{ids[0]}-3", ids[4]]
    assert all(len(id) == 16 and int(id, 16) >= 0 for id in (ids[0], ids[1], ids[4]))
    assert ids == [prompt.id for prompt in prompts_from(texts)]
    longer = write_jsonl(tmp_path / "longer.jsonl", [{"prompt": "new"}, *rows])
    assert [prompt.id for prompt in open_prompts(longer)][1:] == ids


def test_duplicate_ids_name_both_rows(tmp_path):
    rows = [{"prompt": "q", "id": "one"}, {"prompt": "r", "id": 2}, {"prompt": "s", "id": "2"}]
    path = write_jsonl(tmp_path / "p.jsonl", rows)
    assert problems_of(path) == (
        f"{path}:3: the id '2' is also that of {path}:2; give each row its own"
    )


def test_given_id_equal_to_one_made_from_content_is_a_duplicate(tmp_path):
    made = [prompt.id for prompt in prompts_from(["q", "q"])]
    for id in made:
        rows = [{"prompt": "q"}, {"prompt": "q"}, {"prompt": "r", "id": id}]
        assert "is also that of" in problems_of(write_jsonl(tmp_path / "p.jsonl", rows))
        with pytest.raises(InputError, match=r"prompts\[2\]: the id .* came before"):
            list(prompts_from(rows))


def test_digests_that_collide_are_no_duplicates(tmp_path, monkeypatch):
    monkeypatch.setattr(prompts_module, "_id_digest", lambda id: 7)
    path = write_jsonl(tmp_path / "p.jsonl", [{"prompt": "a", "id": "x"}, {"prompt": "b"}])
    assert [prompt.messages[0].content for prompt in open_prompts(path)] == ["a", "b"]


@settings(max_examples=40, deadline=None)
@given(
    rows=st.lists(
        st.fixed_dictionaries(
            {"prompt": st.sampled_from(["a", "b", "c"])}, optional={"id": st.sampled_from("uvwxyz")}
        ),
        min_size=1,
        max_size=8,
    )
)
def test_ids_are_unique_or_the_file_is_refused(tmp_path_factory, rows):
    path = write_jsonl(tmp_path_factory.mktemp("prompts") / "p.jsonl", rows)
    given = [row["id"] for row in rows if "id" in row]
    if len(set(given)) < len(given):
        assert "is also that of" in problems_of(path)
        return
    ids = [prompt.id for prompt in open_prompts(path)]
    assert len(set(ids)) == len(rows)
    assert ids == [prompt.id for prompt in prompts_from(rows)]


@pytest.mark.parametrize("kind", [".csv", ".parquet", ""])
def test_missing_prompt_column_is_told_once_with_the_flag_to_use(tmp_path, kind):
    path = write_as(kind, tmp_path, [{"Behavior": "q", "n": "1"}, {"Behavior": "r", "n": "2"}])
    assert problems_of(path) == (
        f"{path}: has no 'prompt' or 'messages'; it has 'Behavior', 'n'; "
        "if the prompt is in 'Behavior', add --prompt-column Behavior"
    )
    assert "has no column 'nope'; it has 'Behavior', 'n'" in problems_of(path, prompt_column="nope")
    source = open_prompts(path, prompt_column="Behavior", id_column="n", tags_column="n", limit=1)
    assert [(prompt.id, prompt.extra) for prompt in source] == [("1", {})]


def test_several_foreign_columns_are_all_offered(tmp_path):
    path = write_jsonl(tmp_path / "p.jsonl", [{"question": "q", "text": "t"}])
    assert "add --prompt-column with one of question, text" in problems_of(path)
    path = write_jsonl(tmp_path / "p.jsonl", [{"ask": "q"}])
    assert "name the column of the prompt with --prompt-column NAME" in problems_of(path)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"prompt,n\nq\n", "p.csv:row 1: has 1 cells where the header has 2; put quotes"),
        (b"prompt,n\nq,1\nq,2,3\n", "p.csv:row 2: has 3 cells where the header has 2"),
        (b'prompt\nq\n"r\ns\n', "p.csv:row 2: cannot be read, nor the rows after it: unexpected"),
        (b"prompt\n\xff\n", "p.csv:row 1: is not UTF-8"),
        (b"prompt,prompt\nq,r\n", "p.csv:1: has the column 'prompt' more than once"),
        (b"prompt\n", "p.csv: holds no prompts"),
        (b"", "p.csv: holds no prompts"),
    ],
)
def test_broken_csv_is_told_by_row(tmp_path, text, expected):
    (tmp_path / "p.csv").write_bytes(text)
    assert expected in problems_of(tmp_path / "p.csv")


def test_csv_with_a_byte_order_mark_and_windows_line_ends(tmp_path):
    (tmp_path / "p.csv").write_bytes(b'\xef\xbb\xbfprompt,tags\r\n"q, r","a,b"\r\n\r\ns,\r\n')
    source = list(open_prompts(tmp_path / "p.csv"))
    assert [(p.messages[0].content, p.tags) for p in source] == [("q, r", ("a", "b")), ("s", ())]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b'{"prompt": "q"}', 'is not a list of objects, it is one object; write [{"prompt"'),
        (b'[{"prompt": "q"}', "p.json:1:17: is not JSON"),
        (b'{"prompt": "q"}\n{"prompt": "r"}', "p.json:2:1: is not JSON: Extra data; one object on"),
        (b"\xff", "p.json:1: is not UTF-8"),
        (b"[]", "holds no prompts"),
        (b"[3]", "p.json:row 1: is int, not an object or a text"),
    ],
)
def test_broken_json_is_told(tmp_path, text, expected):
    (tmp_path / "p.json").write_bytes(text)
    assert expected in problems_of(tmp_path / "p.json")


def test_json_list_of_texts_is_read(tmp_path):
    (tmp_path / "p.json").write_text('["q", "r"]', encoding="utf-8")
    assert [prompt.messages[0].content for prompt in open_prompts(tmp_path / "p.json")] == [*"qr"]


def test_files_that_are_not_there_or_no_prompts(tmp_path):
    path = write_jsonl(tmp_path / "prompts.jsonl", ROWS)
    assert f"does not exist; did you mean {path}?" in problems_of(tmp_path / "prompt.jsonl")
    assert "there is no folder" in problems_of(tmp_path / "nowhere" / "prompts.jsonl")
    (tmp_path / "empty").mkdir()
    assert "a folder without prompt files, and not one that" in problems_of(tmp_path / "empty")
    (tmp_path / "p.txt").write_text("q", encoding="utf-8")
    assert "is not a kind of prompt file known here; give .jsonl" in problems_of(tmp_path / "p.txt")
    (tmp_path / "p.jsonl").write_bytes(b"")
    assert "holds no prompts" in problems_of(tmp_path / "p.jsonl")
    assert "limit: is 0" in problems_of(path, limit=0)


def test_parquet_that_is_none_and_missing_extra(tmp_path, monkeypatch):
    pytest.importorskip("pyarrow")
    path = tmp_path / "p.parquet"
    path.write_bytes(b"PAR?")
    assert "is not a Parquet file" in problems_of(path)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setitem(sys.modules, "datasets", None)
    assert "needs pyarrow, which is missing; pip install 'solon[data]'" in problems_of(path)
    assert "needs datasets, which is missing; pip install 'solon[data]'" in problems_of("hf:x:test")


def test_dataset_with_splits_asks_for_one(tmp_path):
    datasets = pytest.importorskip("datasets")
    rows = datasets.Dataset.from_list(ROWS)
    datasets.DatasetDict(train=rows, test=rows).save_to_disk(tmp_path / "d")
    assert f"give {tmp_path / 'd' / 'train'} or" in problems_of(tmp_path / "d")
    assert open_prompts(tmp_path / "d" / "test").count == 2


def test_limit_reads_no_further(tmp_path):
    path = write_jsonl(tmp_path / "p.jsonl", [*ROWS, {"prompt": ""}])
    source = open_prompts(path, limit=2)
    assert source.count == len(list(source)) == 2


def test_file_that_changes_after_the_check_is_noticed(tmp_path):
    path = write_jsonl(tmp_path / "p.jsonl", ROWS)
    source = open_prompts(path)
    write_jsonl(path, [{"prompt": ""}])
    with pytest.raises(InputError, match="changed while it was being read"):
        list(source)


def test_prompts_from_takes_prompts_as_they_are():
    prompt = Prompt("mine", 5, (Message("user", "q"),))
    assert next(prompts_from([prompt])) is prompt
    with pytest.raises(InputError, match=r"prompts\[1\]: is int"):
        list(prompts_from(["q", 3]))


@pytest.mark.parametrize(
    ("file", "options", "count"),
    [
        ("simplesafetytests/simplesafetytests.csv", {"prompt_column": "prompts_final"}, 100),
        ("self_instruct/seed_tasks.jsonl", {"prompt_column": "instruction"}, 175),
        ("fastchat/vicuna_bench_question.jsonl", {"prompt_column": "turns"}, 80),
        ("red_instruct/adversarialqa.json", {}, 500),
    ],
)
def test_public_prompt_sets_are_read(file, options, count):
    if not (SHARED / file).exists():
        pytest.skip("the public data sets are not here")
    source = open_prompts(SHARED / file, **options)
    assert len({prompt.id for prompt in source}) == source.count == count


def nested(levels):
    value = "x"
    for _ in range(levels):
        value = [value]
    return value


def test_a_column_nested_deeper_than_records_can_hold_is_refused(tmp_path):
    deep = write_jsonl(tmp_path / "deep.jsonl", [{"prompt": "a", "x": nested(180)}])
    assert "deep.jsonl:1: a column is nested more than 150 deep" in problems_of(deep)
    fine = write_jsonl(tmp_path / "fine.jsonl", [{"prompt": "a", "x": nested(150)}])
    (prompt,) = open_prompts(fine)
    record = Record(
        id="a",
        row=0,
        prompt=prompt.messages,
        answer="",
        final="",
        outcome=Outcome.DROPPED,
        constitution="",
        extra=dict(prompt.extra),
    )
    assert Record.model_validate_json(record.model_dump_json()) == record


def test_a_column_that_holds_itself_is_refused():
    endless = []
    endless += [endless, endless]
    with pytest.raises(BadPrompt, match="nested"):
        _ = parse_prompt({"prompt": "a", "x": endless}, Columns()).canonical


def test_a_number_that_json_cannot_hold_is_refused_and_not_silently_null(tmp_path):
    path = tmp_path / "prompts.jsonl"
    path.write_text('{"prompt": "a", "x": 1e999}\n', encoding="utf-8")
    assert "prompts.jsonl:1: a column cannot be saved as JSON" in problems_of(path)


def test_what_is_missing_in_a_table_is_null(tmp_path):
    rows = [{"prompt": "a", "x": 1.5}, {"prompt": "b", "x": float("nan")}]
    first, second = open_prompts(write_as(".parquet", tmp_path, rows))
    assert (first.extra, second.extra) == ({"x": 1.5}, {"x": None})


def test_whole_numbers_that_became_fractions_are_ids(tmp_path):
    rows = [{"prompt": "a", "id": 3.0}, {"prompt": "b", "id": -4.0}]
    for kind in (".parquet", ".jsonl"):
        source = open_prompts(write_as(kind, tmp_path, rows))
        assert [prompt.id for prompt in source] == ["3", "-4"]
    for id in (3.5, 1e300, 2.0**60):
        path = write_jsonl(tmp_path / "p.jsonl", [{"prompt": "a", "id": id}])
        assert "the id in 'id' is a number; give a text or an integer" in problems_of(path)


def test_a_csv_header_with_an_open_quote_is_told(tmp_path):
    (tmp_path / "p.csv").write_bytes(b'"prompt\nq\n')
    assert "p.csv:1: is not a CSV header: unexpected end of data" in problems_of(tmp_path / "p.csv")


def test_a_cell_may_be_long(tmp_path):
    rows = [{"id": "a", "prompt": "long " * 40_000}]
    (prompt,) = open_prompts(write_as(".csv", tmp_path, rows))
    assert len(prompt.messages[0].content) == 200_000
