"""Rows of what Arrow reads: Parquet files, data sets that `datasets` saved, and those it loads."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from constitution.problems import InputError, Problem, brief, missing
from constitution.reading import read_json
from engine.prompts.file_rows import FileRow, PromptFile, plain_row

__all__ = ["dataset_rows", "is_saved_dataset", "parquet_file", "saved_dataset"]

_BATCH = 256
_SPLITS, _STATE = "dataset_dict.json", "state.json"


def parquet_file(path: Path, name: str) -> PromptFile:
    """A Parquet file. Raises InputError where it is none."""
    try:
        from pyarrow import parquet
    except ImportError as error:
        raise missing(name, "pyarrow", "data") from error
    try:
        with parquet.ParquetFile(path) as file:
            columns = tuple(file.schema_arrow.names)
    except Exception as error:  # of a damaged file Arrow raises whatever it meets
        what = f"is not a Parquet file ({brief(error)})"
        raise InputError(Problem(name, what, "write the file again")) from error

    def batches() -> Iterator[Any]:
        with parquet.ParquetFile(path) as file:
            yield from file.iter_batches(batch_size=_BATCH)

    return PromptFile(name, lambda: _rows(name, batches(), "write the file again"), columns)


def is_saved_dataset(folder: Path) -> bool:
    """Whether `save_to_disk` of datasets wrote it."""
    return (folder / _SPLITS).exists() or (folder / _STATE).exists()


def saved_dataset(folder: Path) -> PromptFile:
    """What `save_to_disk` of datasets wrote. Raises InputError for several splits in one."""
    if (folder / _SPLITS).exists():
        splits = read_json(folder / _SPLITS, dict).get("splits")
        named = splits if isinstance(splits, list) else ["SPLIT"]
        remedy = "give " + " or ".join(str(folder / str(split)) for split in named)
        raise InputError(Problem(str(folder), "holds several splits", remedy))
    try:
        from datasets import load_from_disk
    except ImportError as error:
        raise missing(str(folder), "datasets", "data") from error
    try:
        return dataset_rows(str(folder), load_from_disk(str(folder)), "save the data set again")
    except Exception as error:
        what = f"cannot be loaded ({brief(error)})"
        raise InputError(Problem(str(folder), what, "save the data set again")) from error


def dataset_rows(name: str, dataset: Any, remedy: str) -> PromptFile:
    """The rows of a data set of datasets, streamed or not; `remedy` for what it raises."""

    def batches() -> Iterator[Any]:
        yield from dataset.with_format("arrow").iter(batch_size=_BATCH)

    columns = dataset.column_names  # of a streamed one they may not be known
    rows = tuple(columns) if columns else None
    return PromptFile(name, lambda: _rows(name, batches(), remedy), rows)


def _rows(name: str, batches: Iterator[Any], remedy: str) -> Iterator[FileRow]:
    number = 0
    while True:
        try:
            batch = next(batches, None)
            values = [] if batch is None else batch.to_pylist()
        except Exception as error:
            what = f"the rows from {number + 1} on cannot be read ({brief(error)})"
            raise InputError(Problem(name, what, remedy)) from error
        if batch is None:
            return
        for number, row in enumerate(values, number + 1):  # noqa: B020  it goes on counting
            yield plain_row(number, row)
