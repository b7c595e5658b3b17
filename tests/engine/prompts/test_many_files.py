"""Prompts as they are published: compressed, in several files, on standard input, from datasets."""

import gzip
import io
import json
import sys

import pytest

from constitution.problems import InputError
from engine.prompts.hub import HubName, read_hub_name
from engine.prompts.sources import open_prompts
from tests.engine.prompts.test_prompts import ROWS, problems_of, write_as, write_jsonl


def zstd(content):
    pyarrow = pytest.importorskip("pyarrow")
    return pyarrow.compress(content, codec="zstd", asbytes=True)


COMPRESS = {".gz": gzip.compress, ".zst": zstd}


def compressed(folder, kind, suffix, rows=ROWS):
    plain = write_as(kind, folder, rows)
    path = plain.with_name(plain.name + suffix)
    path.write_bytes(COMPRESS[suffix](plain.read_bytes()))
    return path


def texts(source):
    return [prompt.messages[-1].content for prompt in source]


@pytest.mark.parametrize("suffix", COMPRESS)
@pytest.mark.parametrize("kind", [".jsonl", ".ndjson", ".json", ".csv", ".tsv"])
def test_a_compressed_file_is_the_same_prompts(tmp_path, kind, suffix):
    source = open_prompts(compressed(tmp_path, kind, suffix))
    assert source.hash == open_prompts(write_jsonl(tmp_path / "plain.jsonl", ROWS)).hash
    assert list(source) == list(source)


@pytest.mark.parametrize("suffix", COMPRESS)
def test_files_compressed_in_parts_are_read_to_their_end(tmp_path, suffix):
    parts = [COMPRESS[suffix](json.dumps({"prompt": text}).encode() + b"\n") for text in "ab"]
    path = tmp_path / f"p.jsonl{suffix}"
    path.write_bytes(b"".join(parts))
    assert texts(open_prompts(path)) == ["a", "b"]


@pytest.mark.parametrize("suffix", COMPRESS)
@pytest.mark.parametrize("kind", [".jsonl", ".json", ".csv"])
@pytest.mark.parametrize("damage", ["cut", "other"])
def test_a_damaged_compressed_file_is_one_line(tmp_path, kind, suffix, damage):
    rows = [{"prompt": f"{number} {number * 7919 % 104729}"} for number in range(3000)]
    path = compressed(tmp_path, kind, suffix, rows)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2] if damage == "cut" else b"no such compression")
    told = problems_of(path)
    assert told.startswith(f"{path}: cannot be decompressed (") and "\n" not in told


def test_zstandard_without_arrow_says_what_to_install(tmp_path, monkeypatch):
    path = compressed(tmp_path, ".jsonl", ".zst")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    assert (
        problems_of(path) == f"{path}: needs pyarrow, which is missing; pip install 'solon[data]'"
    )


def test_a_line_of_a_compressed_file_is_named(tmp_path):
    path = compressed(tmp_path, ".jsonl", ".gz", [{"prompt": "a"}, {"prompt": ""}])
    assert problems_of(path) == f"{path}:2: the prompt is empty"


def test_a_compressed_parquet_file_is_of_no_known_kind(tmp_path):
    (tmp_path / "p.parquet.gz").write_bytes(gzip.compress(b"PAR1", mtime=0))
    assert "is not a kind of prompt file known here" in problems_of(tmp_path / "p.parquet.gz")


# Several files -------------------------------------------------------------------------------------


@pytest.fixture
def unlike(tmp_path):
    """Files whose columns differ, beside one that holds no prompts."""
    folder = tmp_path / "prompts"
    folder.mkdir()
    write_jsonl(folder / "a.jsonl", [{"prompt": "one", "x": 1}])
    (folder / "b.csv").write_text("id,prompt\n7,two\n", encoding="utf-8")
    (folder / "c.json.gz").write_bytes(
        gzip.compress(b'[{"prompt": "three", "y": {"q": 1}}]', mtime=0)
    )
    (folder / "README.md").write_text("Prompts.", encoding="utf-8")
    (folder / ".hidden.jsonl").write_text("{}", encoding="utf-8")
    return folder


def test_a_folder_is_its_files_in_order_whatever_their_columns(unlike):
    source = open_prompts(str(unlike))
    assert texts(source) == ["one", "two", "three"]
    assert [dict(prompt.extra) for prompt in source] == [{"x": 1}, {}, {"y": {"q": 1}}]
    assert [prompt.row for prompt in source] == [0, 1, 2]
    assert source.path == str(unlike)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("{0}/a.jsonl,{0}/b.csv", ["one", "two"]),
        (" {0}/b.csv , {0}/a.jsonl,", ["two", "one"]),
        ("{0}/*.jsonl", ["one"]),
        ("{0}/[ab].*", ["one", "two"]),
        ("{0}/../**/*.csv", ["two"]),
        ("{0}/a.jsonl,{0}/[ab].*", ["one", "two"]),
        ("{0}/c.json.gz,{0}", ["three", "one", "two", "three"]),
    ],
)
def test_several_files_are_named_by_a_list_or_a_pattern(unlike, given, expected):
    assert texts(open_prompts(given.format(unlike))) == expected


def test_a_file_that_is_called_like_a_list_or_a_pattern_is_that_file(tmp_path):
    for name in ("a,b.jsonl", "[ab].jsonl"):
        path = write_jsonl(tmp_path / name, [{"prompt": name}])
        assert texts(open_prompts(str(path))) == [name]


def test_a_wrong_row_of_several_files_is_told_by_its_own_file(unlike):
    write_jsonl(unlike / "d.jsonl", [{"prompt": "x", "id": "7"}, {"prompt": ""}])
    assert problems_of(str(unlike)) == (
        f"{unlike / 'd.jsonl'}:2: the prompt is empty\n"
        f"{unlike / 'd.jsonl'}:1: the id '7' is also that of {unlike / 'b.csv'}:row 1; "
        "give each row its own"
    )


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("{0}/*.xml", "{0}/*.xml: matches no file; check the pattern"),
        ("{0}/a.jsonl,{0}/e.jsonl", "{0}/e.jsonl: does not exist; did you mean {0}/a.jsonl?"),
        ("{0}/*", "{0}/README.md: is not a kind of prompt file known here"),
        ("{0}/a.jsonl," * 99 + "{0}/e.jsonl", "{0}/e.jsonl: does not exist"),
    ],
)
def test_what_is_missing_of_several_files_is_named(unlike, given, expected):
    assert expected.format(unlike) in problems_of(given.format(unlike))


def test_a_folder_of_folders_says_how_to_name_their_files(tmp_path):
    (tmp_path / "data").mkdir()
    assert f"({tmp_path}/**/*.jsonl), or hf:{tmp_path}" in problems_of(tmp_path)


# Standard input ------------------------------------------------------------------------------------


def stdin(monkeypatch, content):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content), encoding="utf-8"))


@pytest.mark.parametrize(
    "content",
    [
        b'{"prompt": "a"}\n{"prompt": "b"}\n',
        b' \n[{"prompt": "a"}, "b"]',
        gzip.compress(b'{"prompt": "a"}\n{"prompt": "b"}\n', mtime=0),
    ],
)
def test_standard_input_is_read_twice(monkeypatch, content):
    stdin(monkeypatch, content)
    source = open_prompts("-")
    assert texts(source) == texts(source) == ["a", "b"]
    assert source.path == "<stdin>"


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b'{"prompt": "a"}\n{"prompt": ""}\n', "<stdin>:2: the prompt is empty"),
        (b'[{"prompt": "a"', "<stdin>:1:16: is not JSON"),
        (gzip.compress(b"{}" * 999, mtime=0)[:30], "<stdin>: cannot be decompressed"),
        (b"PAR1 and no more", "<stdin>: is not a Parquet file"),
        (b"", "<stdin>: holds no prompts"),
    ],
)
def test_what_is_wrong_in_standard_input_names_it(monkeypatch, content, expected):
    pytest.importorskip("pyarrow")
    stdin(monkeypatch, content)
    told = problems_of("-")
    assert told.startswith(expected) and "\n" not in told


def test_a_terminal_is_not_waited_for(monkeypatch):
    stdin(monkeypatch, b"")
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True)
    assert problems_of("-").startswith("standard input: is a terminal; pipe prompts in")
    monkeypatch.setattr(sys, "stdin", None)
    assert problems_of("-").startswith("standard input: is closed")


# datasets ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("hf:org/name", HubName("org/name")),
        ("hf:org/name:test", HubName("org/name", "test")),
        ("hf:org/name?split=train%5B:9%5D", HubName("org/name", "train[:9]")),
        ("hf:org/name:train[:9]", HubName("org/name", "train[:9]")),
        ("hf:n?split=train+test&config=c", HubName("n", "train+test", "c")),
        (
            "hf:n?revision=r&data_dir=d/e&data_files=a.jsonl,b/*.jsonl&streaming=true",
            HubName("n", "train", None, "r", "d/e", ("a.jsonl", "b/*.jsonl"), True),
        ),
        ("hf:n?streaming=False", HubName("n")),
    ],
)
def test_a_name_on_the_hub_says_which_part(source, expected):
    assert read_hub_name(source) == expected


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("hf:", "names no data set; write hf:NAME"),
        ("hf:?split=x", "names no data set"),
        ("hf:n?splits=x", "`hf` has no option `splits`; did you mean `split`?"),
        ("hf:n?zzz=x", "`hf` has no option `zzz`; it has: config, split, revision"),
        ("hf:n?config=", "option `config` has no value; write key=value"),
        ("hf:n?config", "option `config` has no value; write key=value"),
        ("hf:n:test?split=train", "the split is given twice; give it once"),
        ("hf:n?streaming=maybe", "option `streaming` is 'maybe'; write streaming=true"),
    ],
)
def test_a_wrong_option_of_the_hub_is_one_line(source, expected):
    with pytest.raises(InputError) as caught:
        read_hub_name(source)
    assert str(caught.value).startswith(f"{source}: {expected}")


@pytest.fixture
def published(tmp_path, monkeypatch):
    """A folder as it is on a hub: two configurations, and splits by their files."""
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    datasets.disable_progress_bars()
    folder = tmp_path / "published"
    (folder / "more").mkdir(parents=True)
    for name, text in (("train", "a"), ("test", "b"), ("more/train", "c")):
        write_jsonl(folder / f"{name}.jsonl", [{"prompt": text}, {"prompt": f"{text} again"}])
    (folder / "README.md").write_text(
        "---\nconfigs:\n"
        "- config_name: plain\n  data_files: [{split: train, path: train.jsonl},"
        " {split: test, path: test.jsonl}]\n"
        "- config_name: more\n  data_files: more/train.jsonl\n---\n",
        encoding="utf-8",
    )
    yield f"hf:{folder}"
    datasets.enable_progress_bars()


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ("?config=plain", "a"),
        (":test?config=plain", "b"),
        ("?config=plain&split=test", "b"),
        pytest.param("?config=plain&split=test&streaming=true", "b", marks=pytest.mark.slow),
        ("?config=more", "c"),
        ("?data_files=test.jsonl", "b"),
    ],
)
def test_a_published_folder_is_read_by_part(published, options, expected):
    source = open_prompts(published + options)
    assert texts(source) == texts(source) == [expected, f"{expected} again"]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ("", "cannot be loaded: Config name is missing"),
        ("?config=none", "cannot be loaded: BuilderConfig 'none' not found"),
        (":dev?config=plain", 'cannot be loaded: Unknown split "dev"'),
        ("?data_files=none.jsonl", "cannot be loaded: Unable to find"),
    ],
)
def test_what_datasets_raises_is_one_line(published, options, expected):
    told = problems_of(published + options)
    assert told.startswith(f"{published}{options}: {expected}") and "\n" not in told


@pytest.mark.parametrize("streaming", ["", pytest.param("&streaming=true", marks=pytest.mark.slow)])
def test_a_file_that_datasets_cannot_read_is_one_line(published, streaming):
    folder = published.removeprefix("hf:")
    with open(f"{folder}/bad.jsonl", "wb") as file:
        file.write(b'{"prompt": "a"}\n{"prompt": \xff')
    source = f"{published}?data_files=bad.jsonl{streaming}"
    told = problems_of(source)
    assert told.startswith(f"{source}: ") and "\n" not in told
