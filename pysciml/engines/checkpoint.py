"""Files that a killed fit goes on from: arrays that are written whole, and the answers of an objective, one by one."""

import io
import os
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np

from ..errors import ProblemError


def write_whole(path: Path, content: bytes) -> None:
    """Write a file that a reader finds whole or as it was before."""
    part = path.with_name(path.name + ".part")
    try:
        with open(part, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        part.unlink(missing_ok=True)
        raise
    part.replace(path)


def write_arrays(path: Path, **arrays) -> None:
    """Write named arrays as one whole file."""
    content = io.BytesIO()
    np.savez(content, **arrays)
    write_whole(path, content.getvalue())


def read_arrays(path: Path | None) -> dict[str, np.ndarray] | None:
    """What :func:`write_arrays` wrote; None if there is nothing, or nothing whole."""
    if path is None:
        return None
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return dict(arrays)
    except (OSError, ValueError, EOFError, zlib.error, zipfile.BadZipFile):
        return None


class Journal:
    """The answers ``(n,)`` of a function in the order of the questions, one record an answer, the last maybe torn.

    An optimizer that always does the same with the same answers is brought back by them to where it was killed, with
    its whole state, whatever that is.
    """

    def __init__(self, path: Path | None, size: int):
        self._path, self._file, self._read = path, None, 0
        content = b"" if path is None or not path.exists() else path.read_bytes()
        width = 8 * (size + 1)
        self._records = np.frombuffer(content[: len(content) // width * width]).reshape(-1, size + 1)
        self.trouble = ""  # what made the writing stop

    def answer(self, x: np.ndarray, compute: Callable[[], np.ndarray]) -> np.ndarray:
        """The recorded answer at ``x (k,)``, else what ``compute`` gives, which is recorded."""
        if self._read < len(self._records):
            answer = np.array(self._records[self._read, 1:])
            if self._records[self._read, 0] == _checksum(x, answer):
                self._read += 1
                return answer
            if self._read + 1 < len(self._records):
                raise foreign_journal(self._path)
        answer = compute()
        self._record(x, answer)
        return answer

    def _record(self, x, answer):
        if self._path is None or self.trouble:
            return
        try:
            if self._file is None:
                self._file = open(self._path, "ab")  # noqa: SIM115
                self._file.truncate(8 * self._records.shape[1] * self._read)
            self._file.write(np.concatenate([[_checksum(x, answer)], answer]).tobytes())
            self._file.flush()
        except OSError as error:
            self.trouble = str(error)

    def close(self) -> None:
        """Close the file, if it was opened."""
        if self._file is not None:
            try:
                self._file.close()
            except OSError as error:
                self.trouble = self.trouble or str(error)


def _checksum(x, answer):
    return float(zlib.crc32(np.concatenate([x, answer]).tobytes()))


def foreign_journal(path: Path | str) -> ProblemError:
    """The error of a journal whose points an optimizer does not visit here."""
    return ProblemError(
        f"checkpoint: {str(path)!r} was written by another version, or on another kind of processor: the fit does not "
        "come by the points in it. Delete this file, and the fit goes on from the beginning of its present stage"
    )
