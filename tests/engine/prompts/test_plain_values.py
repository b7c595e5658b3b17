"""Columns hold what data libraries have; records hold JSON. What was replaced is counted."""

import json
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from uuid import UUID

import pytest

from constitution.problems import InputError
from engine.prompts.plain_values import PlainValues, Replaced
from engine.prompts.rows import BadPrompt, Columns, parse_prompt
from engine.prompts.sources import open_prompts, prompts_from

NAN, INF = float("nan"), float("inf")


def plain(value):
    values = PlainValues()
    return values.row({"x": value})["x"], values.replaced


@pytest.mark.parametrize(
    ("value", "expected", "replaced"),
    [
        (None, None, (0, 0)),
        (True, True, (0, 0)),
        (2**80, 2**80, (0, 0)),
        ("text", "text", (0, 0)),
        (1.5, 1.5, (0, 0)),
        (NAN, None, (1, 0)),
        (-INF, None, (1, 0)),
        ({"a": [1.0, NAN, {"b": INF}]}, {"a": [1.0, None, {"b": None}]}, (2, 0)),
        ((1, "a"), [1, "a"], (0, 0)),
        (date(2024, 2, 29), "2024-02-29", (0, 1)),
        (datetime(2024, 2, 29, 1, tzinfo=UTC), "2024-02-29T01:00:00+00:00", (0, 1)),
        (time(1, 2), "01:02:00", (0, 1)),
        (timedelta(hours=1), "1:00:00", (0, 1)),
        (Decimal("1.50"), "1.50", (0, 1)),
        (Decimal("NaN"), None, (1, 0)),
        (b"caf\xc3\xa9", "café", (0, 1)),
        (b"\x89PNG", None, (1, 0)),
        (bytearray(b"a"), "a", (0, 1)),
        (UUID(int=1), "00000000-0000-0000-0000-000000000001", (0, 1)),
        ({1: "a", date(2024, 1, 1): "b"}, {"1": "a", "2024-01-01": "b"}, (0, 1)),
    ],
)
def test_a_value_becomes_plain(value, expected, replaced):
    found = plain(value)
    assert found == (expected, Replaced(*replaced))
    assert json.loads(json.dumps(found[0], allow_nan=False)) == expected


def test_values_of_numpy_become_plain():
    np = pytest.importorskip("numpy")
    for value, expected, replaced in [
        (np.int64(3), 3, (0, 0)),
        (np.float32(0.5), 0.5, (0, 0)),
        (np.float64("nan"), None, (1, 0)),
        (np.bool_(True), True, (0, 0)),
        (np.str_("a"), "a", (0, 0)),
        (np.array([[1.0, np.nan], [2.0, np.inf]]), [[1.0, None], [2.0, None]], (2, 0)),
        (np.array(["a", {"b": np.int8(1)}], dtype=object), ["a", {"b": 1}], (0, 0)),
        (np.datetime64("2024-02-29T01:00", "ns"), "2024-02-29T01:00:00.000000000", (0, 1)),
        (np.datetime64("NaT"), None, (1, 0)),
        (np.timedelta64(3, "h"), "3 hours", (0, 1)),
        (np.array(5), 5, (0, 0)),
    ]:
        assert plain(value) == (expected, Replaced(*replaced))
        assert type(plain(value)[0]) in (int, float, bool, str, np.str_, list, type(None))


def test_values_of_pandas_become_plain():
    pandas = pytest.importorskip("pandas")
    assert plain(pandas.NaT) == plain(pandas.NA) == (None, Replaced(1, 0))
    assert plain(pandas.Timestamp("2024-02-29")) == ("2024-02-29T00:00:00", Replaced(0, 1))


def test_what_is_replaced_in_a_file_is_counted_once_for_the_whole_file(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    rows = [
        {"prompt": "a", "meta": {"s": NAN, "at": date(2024, 1, 1)}, "of": [b"x", b"\xff"]},
        {"prompt": "b", "meta": {"s": 1.0, "at": None}, "of": []},
    ]
    parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "p.parquet")
    source = open_prompts(tmp_path / "p.parquet")
    assert [dict(prompt.extra) for prompt in source] == [
        {"meta": {"s": None, "at": "2024-01-01"}, "of": ["x", None]},
        {"meta": {"s": 1.0, "at": None}, "of": []},
    ]
    assert source.replaced == Replaced(2, 2)


def test_rows_given_in_python_may_hold_them_too():
    (prompt,) = prompts_from([{"prompt": "a", "x": {"y": NAN}}])
    assert prompt.extra == {"x": {"y": None}}


def test_what_nothing_is_known_of_is_left_to_be_refused():
    with pytest.raises(BadPrompt, match="a column cannot be saved as JSON"):
        _ = parse_prompt({"prompt": "a", "x": plain(object())[0]}, Columns()).canonical


def test_a_row_in_python_that_holds_itself_is_refused():
    endless = []
    endless += [endless, endless]
    with pytest.raises(InputError, match=r"prompts\[0\]: a column is nested more than 150 deep"):
        list(prompts_from([{"prompt": "a", "x": endless}]))
