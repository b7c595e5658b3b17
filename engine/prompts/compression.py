"""Compressed files, `.gz` and `.zst`, read as if they were not compressed."""

import gzip
import io
from pathlib import Path, PurePath
from typing import IO, Any, BinaryIO

from constitution.problems import InputError, Problem, brief, missing
from constitution.reading import open_regular

__all__ = ["is_compressed", "kind_of", "open_bytes"]


def kind_of(path: PurePath) -> str:
    """The suffix that says what a file holds, whatever it is compressed with: `.jsonl`, `.csv`, ..."""
    return (path.with_suffix("") if is_compressed(path) else path).suffix.lower()


def is_compressed(path: PurePath) -> bool:
    """Whether its name says so."""
    return path.suffix.lower() in (".gz", ".zst")


def open_bytes(path: Path) -> BinaryIO:
    """Open a file for reading what is in it. Raises OSError as `open_regular` does, and InputError,
    also while it is read, where it is damaged or the library to decompress it is missing."""
    file = open_regular(path)
    match path.suffix.lower():
        case ".gz":
            return io.BufferedReader(_Decompressed(path, gzip.GzipFile(fileobj=file), file))
        case ".zst":
            return io.BufferedReader(_Decompressed(path, _zstd(path, file), file))
    return file


def _zstd(path: Path, file: BinaryIO) -> Any:
    """Arrow reads Zstandard, which Python before 3.14 does not."""
    try:
        import pyarrow
    except ImportError as error:
        file.close()
        raise missing(str(path), "pyarrow", "data") from error
    return pyarrow.CompressedInputStream(pyarrow.PythonFile(file, "r"), "zstd")


class _Decompressed(io.RawIOBase):
    """What a decompressor gives; whatever it raises becomes an InputError with the file's name."""

    def __init__(self, path: Path, stream: Any, file: IO[bytes]) -> None:
        self._path, self._stream, self._file = path, stream, file

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill `buffer`, or a part of it. Raises InputError where the file is damaged."""
        try:
            read: bytes = self._stream.read(len(buffer))
        except Exception as error:  # OSError, EOFError, zlib.error, and Arrow's own
            what = f"cannot be decompressed ({brief(error)})"
            remedy = "it is damaged or cut off: download or compress it again"
            raise InputError(Problem(str(self._path), what, remedy)) from error
        buffer[: len(read)] = read
        return len(read)

    def close(self) -> None:
        """Close the file too."""
        if not self.closed:
            self._stream.close()
            self._file.close()
        super().close()
