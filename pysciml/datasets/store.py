"""Ensembles on disk: a Zarr store that is written piece by piece, read meanwhile, and gone on with after a crash."""

import shutil
import zlib
from collections.abc import Mapping
from contextlib import contextmanager
from math import prod
from pathlib import Path

import numpy as np
import xarray as xr

from ..engines.base import RawEnsemble, Status
from ..errors import ProblemError, PySciMLError
from ..problems.batch import Batch
from .attrs import variable_attrs
from .ensembles import batch_coords, ensemble_attrs, own_coords, time_coord
from .event_store import EventStore
from .status import STATUS_ATTRS

CHECKSUMS = "chunk_checksum"
_IDENTITY = "ensemble"
_NOT_DONE = 0


class Store:
    """The store of one ensemble, by pieces that are blocks of its arrays: each is written by itself, from any process.

    A piece is complete when its checksum is there, which is written last. ``identity`` is a hash of all that the
    results depend on. Once finished, ``codes`` says how all members ended; those not solved yet count as interrupted.
    """

    def __init__(self, path: Path, batch: Batch, times: np.ndarray, shown, identity: str, most: int, events=()):
        self.path, self.batch, self.identity = path, batch, identity
        self._n_times, self._shown = len(times), shown
        self.block = block_shape(batch.shape, most)
        self._events = EventStore(batch, events, self.block)
        counts = (-(-n // b) for n, b in zip(batch.shape, self.block, strict=True))
        self._grid = tuple(counts)
        self.codes = np.zeros(0, dtype=np.int8)
        self._exists = path.exists()
        if self._exists:
            self._check()

    def missing(self) -> list[tuple[int, int]]:
        """First members of the pieces that are not complete, and the first ones behind them."""
        done = self._complete() if self._exists else np.zeros(prod(self._grid), dtype=bool)
        found = []
        for piece in np.flatnonzero(~done):
            window = self._window(int(piece))
            start = int(np.ravel_multi_index([part.start for part in window], self.batch.shape))
            found.append((start, start + prod(part.stop - part.start for part in window)))
        return found

    def add(self, start: int, raw: RawEnsemble, y: np.ndarray | None, p: np.ndarray) -> None:
        """Write the piece that begins with a member, unless it was interrupted; the first one makes the store."""
        with saying_errors(self.path):
            if not self._exists and self.path.exists():  # made by another process
                self._check()
                self._exists = True
            if not self._exists:
                self._create(list(raw.statistics))
            if (raw.codes == Status.INTERRUPTED.code).any():
                return
            piece = self._piece(start)
            window, arrays = self._window(piece), self._arrays(raw, y)
            group = _open(self.path, "r+")
            for name, values in arrays.items():
                shape = tuple(part.stop - part.start for part in window)
                group[name][window] = values.reshape(*shape, *values.shape[1:])
            fired = self._events.write(group, piece, raw.firings)
            group[CHECKSUMS][piece] = _checksum([*arrays.values(), *fired])

    def finish(self, raw: RawEnsemble | None, engine: str, settings: Mapping) -> xr.Dataset:
        """The whole result, whose arrays are read when they are asked for."""
        self.codes = _open(self.path, "r")["status"][...].ravel()
        group = _open(self.path, "r+")
        with saying_errors(self.path):
            if raw is not None:
                group.attrs.update(ensemble_attrs(self.batch, self.codes, raw, engine, settings))
            self._events.finish(group, [self._window(piece) for piece in range(prod(self._grid))])
        return open_sorted(self.path).drop_vars(CHECKSUMS)

    def _check(self):
        """ProblemError unless what is there is this very ensemble."""
        try:
            found = _open(self.path, "r").attrs.get(_IDENTITY)
        except (OSError, ValueError, KeyError) as error:
            raise ProblemError(f"to={str(self.path)!r} is there and is no Zarr store: give another path") from error
        if found != self.identity:
            what = "no ensemble of ensemble(to=...)" if found is None else "another ensemble"
            raise ProblemError(
                f"to={str(self.path)!r} holds {what}: its problem, values, times, tolerances, engine or chunk_size are "
                "others; give another path, or remove it"
            )

    def _complete(self):
        """Which pieces are there, and as they were written."""
        group = _open(self.path, "r")
        found = np.zeros(prod(self._grid), dtype=bool)
        for piece in range(found.size):
            try:
                written = group[CHECKSUMS][piece]
                found[piece] = written != _NOT_DONE and written == self._checksum_there(group, piece)
            except Exception:  # noqa: BLE001  what can't be read was not written, or is damaged, in many ways
                found[piece] = False
        return found

    def _checksum_there(self, group, piece):
        window = self._window(piece)
        return _checksum([*(group[name][window] for name in self._names), *self._events.read(group, piece)])

    @property
    def _names(self):
        problem = self.batch.problem
        return (*problem.u_layout.names, *problem.y_layout.names, "status", "statistics")

    def _arrays(self, raw, y):
        """What is written, by name ``(member, ...)``."""
        problem = self.batch.problem
        found = problem.u_layout.unflatten(raw.u) | ({} if y is None else problem.y_layout.unflatten(y))
        found["status"] = raw.codes.astype(np.int8, copy=False)
        found["statistics"] = np.stack(list(raw.statistics.values()), axis=-1, dtype=np.int32)
        return {name: found[name] for name in self._names}

    def _piece(self, start):
        places = np.unravel_index(start, self.batch.shape)
        return int(np.ravel_multi_index([i // b for i, b in zip(places, self.block, strict=True)], self._grid))

    def _window(self, piece):
        """Slices of the batch dims."""
        places = np.unravel_index(piece, self._grid)
        edges = zip(places, self.block, self.batch.shape, strict=True)
        return tuple(slice(int(i) * b, min((int(i) + 1) * b, n)) for i, b, n in edges)

    def _create(self, statistics):
        """All arrays, empty; at another path first, so that a store is whole or not there."""
        draft = self.path.with_name(f"{self.path.name}.new")
        shutil.rmtree(draft, ignore_errors=True)
        coords = (
            batch_coords(self.batch) | own_coords(self.batch.problem) | {"time": time_coord(self.batch, self._shown)}
        )
        coords["statistic"] = ("statistic", np.array(statistics, dtype=object))
        xr.Dataset(coords=coords).to_zarr(draft, zarr_format=3, consolidated=False)
        group = _open(draft, "r+")
        group.attrs[_IDENTITY] = self.identity
        self._create_arrays(group, len(statistics))
        draft.replace(self.path)
        self._exists = True

    def _create_arrays(self, group, n_statistics):
        problem = self.batch.problem
        for name in (*problem.u_layout.names, *problem.y_layout.names):
            layout = problem.u_layout if name in problem.u_layout.names else problem.y_layout
            rest = self._n_times, *layout[name].shape
            attrs = variable_attrs(name, problem.units, problem.long_names)
            self._create_array(group, name, rest, ("time", *problem.dims[name]), "f8", np.nan, attrs)
        flags = STATUS_ATTRS | {"flag_values": [status.code for status in Status]}
        self._create_array(group, "status", (), (), "i1", Status.INTERRUPTED.code, flags)
        what = {"long_name": "what each solve took"}
        self._create_array(group, "statistics", (n_statistics,), ("statistic",), "i4", 0, what)
        n_pieces = prod(self._grid)
        what = {"long_name": "of each piece of the members, in order; 0: not there yet"}
        group.create_array(
            CHECKSUMS, shape=(n_pieces,), chunks=(1,), dtype="i8", fill_value=_NOT_DONE, dimension_names=("chunk",),
            attributes=what,
        )  # fmt: skip

    def _create_array(self, group, name, rest, dims, dtype, fill, attrs):
        group.create_array(
            name, shape=(*self.batch.shape, *rest), chunks=(*self.block, *(max(1, n) for n in rest)), dtype=dtype,
            fill_value=fill, dimension_names=(*self.batch.over.dims, *dims), attributes=attrs,
            compressors=_compressor(),
        )  # fmt: skip


@contextmanager
def saying_errors(path):
    """PySciMLError that says what stays, where a path can't be written."""
    try:
        yield
    except OSError as error:
        raise PySciMLError(
            f"ensemble: could not write to {path}: {error}. What is complete there stays, and the same call goes on "
            "with it"
        ) from error


def block_shape(shape: tuple[int, ...], most: int) -> tuple[int, ...]:
    """Sizes of a block of at most ``most`` elements that follow each other in C order."""
    block, room = [1] * len(shape), max(1, most)
    for k in reversed(range(len(shape))):
        block[k] = min(shape[k], room)
        if block[k] < shape[k]:
            break
        room //= shape[k]
    return tuple(block)


def _checksum(arrays):
    """Of the bytes of all arrays; never 0."""
    found = 0
    for values in arrays:
        found = zlib.crc32(np.ascontiguousarray(values), found)
    return found + 1


def _compressor():
    """Bytes of one place in all numbers side by side: less work than Zarr's own choice, and mostly smaller files."""
    from zarr.codecs import BloscCodec

    return BloscCodec(cname="lz4", clevel=1, shuffle="shuffle")


def _open(path, mode):
    import zarr

    if int(zarr.__version__.split(".")[0]) < 3:
        raise ProblemError(f"ensemble(to=...) needs zarr 3, and with it Python 3.11; this is zarr {zarr.__version__}")
    return zarr.open_group(path, mode=mode)


def open_sorted(path: Path) -> xr.Dataset:
    """What a store holds, variables by name: it lists them in the order in which a folder does."""
    ds = xr.open_zarr(path, chunks=None, consolidated=False)
    return ds[sorted(map(str, ds.data_vars))]
