"""Summaries of an ensemble on disk: what each piece contributes, until all are there, then the whole."""

import io
import json
import os
import shutil
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import xarray as xr

from ..datasets.store import open_sorted, saying_errors
from ..engines.base import RawEnsemble, Status
from ..errors import ProblemError
from .summaries import Summaries

_IDENTITY, _CHECKSUM = "ensemble", "checksum"
_RAN = "what ran"


class SummaryStore:
    """Pieces of ``chunk`` members, each a file of its own with a checksum, which any process writes.

    They are joined in their order, so the result does not depend on how often a run was interrupted. ``identity`` is a
    hash of all that it depends on.
    """

    def __init__(self, path: Path, summaries: Summaries, identity: str, chunk: int):
        self.path, self.summaries, self.identity = path, summaries, identity
        self.folder = path.with_name(f"{path.name}.pieces")
        size = summaries.batch.size
        self.pieces = [(start, min(start + chunk, size)) for start in range(0, size, chunk)]
        self.codes = np.zeros(0, dtype=np.int8)
        if path.exists():
            self._check(_read_identity(path))
        if self.folder.exists():
            self._check(_read_text(self.folder / _IDENTITY))

    def missing(self) -> list[tuple[int, int]]:
        """The pieces that are not there as they were written; makes room for them."""
        if self._whole() is not None:
            return []
        with saying_errors(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            _write(self.folder / _IDENTITY, self.identity.encode())
        return [piece for piece in self.pieces if self._read(piece[0]) is None]

    def add(self, start: int, raw: RawEnsemble, y: np.ndarray | None, p: np.ndarray) -> None:
        """Write what the members from ``start`` on contribute, unless they were interrupted."""
        if (raw.codes == Status.INTERRUPTED.code).any():
            return
        ran = {"algorithm": raw.algorithm, "parallel": raw.parallel, "reason": raw.reason, "versions": raw.versions}
        content = io.BytesIO()
        np.savez(content, **self.summaries.share(start, raw, y, p), **{_RAN: np.array(json.dumps(ran))})
        body = content.getvalue()
        with saying_errors(self.folder):
            _write(self.folder / f"{start}.npz", zlib.crc32(body).to_bytes(4, "little") + body)

    def finish(self, raw: RawEnsemble | None, engine: str, settings: Mapping) -> xr.Dataset:
        """The result, read from the store where it is complete."""
        ds = self._whole()
        if ds is None:
            ds, is_complete = self._join(raw, engine, settings)
            if is_complete:
                self._write(ds)
                ds = open_sorted(self.path)
        self.codes = ds["status"].values.ravel()
        return ds

    def _join(self, raw, engine, settings):
        """What the pieces that are there make, and whether they are all."""
        found = [(start, self._read(start)) for start, _ in self.pieces]
        ran = None
        for start, share in found:
            if share is not None:
                said = json.loads(str(share.pop(_RAN)))
                ran = said if ran is None else ran | {"algorithm": _both(ran["algorithm"], said["algorithm"])}
                self.summaries.take(start, share)
        if ran is not None:
            nothing = np.zeros((0, 0, 0)), np.zeros(0, dtype=np.int8)
            raw = RawEnsemble(*nothing, {}, ran["algorithm"], ran["parallel"], ran["reason"], ran["versions"])
        return self.summaries.finish(raw, engine, settings), all(share is not None for _, share in found)

    def _write(self, ds):
        """The whole result at another path first, so that it is there or not; then the pieces go."""
        draft = self.path.with_name(f"{self.path.name}.new")
        shutil.rmtree(draft, ignore_errors=True)
        with saying_errors(self.path):
            marks = {_IDENTITY: self.identity, _CHECKSUM: _checksum(ds)}
            ds.assign_attrs(marks).to_zarr(draft, zarr_format=3, consolidated=False)
            shutil.rmtree(self.path, ignore_errors=True)
            draft.replace(self.path)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _whole(self):
        """The complete result, if it is there as it was written."""
        try:
            ds = open_sorted(self.path)
            return ds if ds.attrs[_CHECKSUM] == _checksum(ds) else None
        except Exception:  # noqa: BLE001  what can't be read was not written, or is damaged, in many ways
            return None

    def _read(self, start):
        """What a piece contributes; None if it is not there as it was written."""
        try:
            content = (self.folder / f"{start}.npz").read_bytes()
            if zlib.crc32(content[4:]).to_bytes(4, "little") != content[:4]:
                return None
            with np.load(io.BytesIO(content[4:]), allow_pickle=False) as found:
                return dict(found)
        except (OSError, ValueError):
            return None

    def _check(self, found):
        """ProblemError unless what is there is this very ensemble."""
        if found != self.identity:
            what = "no ensemble of ensemble(to=..., reduce=...)" if found is None else "another ensemble"
            raise ProblemError(
                f"to={str(self.path)!r} holds {what}: its problem, values, times, tolerances, engine, chunk_size or "
                f"reduce are others; give another path, or remove it and {self.folder.name}"
            )


def _read_identity(path):
    try:
        return json.loads((path / "zarr.json").read_text())["attributes"].get(_IDENTITY)
    except (OSError, ValueError, KeyError) as error:
        raise ProblemError(f"to={str(path)!r} is there and is no Zarr store: give another path") from error


def _read_text(path):
    return path.read_text() if path.is_file() else None


def _write(path, content):
    """A file that is whole or not there, whoever else writes it."""
    draft = path.with_name(f"{path.name}.{os.getpid()}.new")
    draft.write_bytes(content)
    draft.replace(path)


def _both(one, other):
    return ", ".join(dict.fromkeys(one.split(", ") + other.split(", ")))


def _checksum(ds):
    """Of the bytes of all variables."""
    found = 0
    for name in sorted(map(str, ds.data_vars)):
        found = zlib.crc32(np.ascontiguousarray(ds[name].values).tobytes(), found)
    return found
