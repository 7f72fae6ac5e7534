"""Times of events in a store: what fired in each piece, as it comes, and once all is there, arrays over batch dims."""

from collections.abc import Sequence
from math import prod

import numpy as np

from ..engines.base import NOTHING_FIRED, EnsembleFirings
from ..problems.batch import Batch
from ..problems.flat import FlatEvent
from .event_variables import event_attrs, event_rows, show_event_times

_FIRED = "fired"  # a group with an array ``(3, firing)`` a piece: member within it, time, event
_NO_DATE = int(np.iinfo(np.int64).min)

Window = tuple[slice, ...]


class EventStore:
    """Times of events of one ensemble, whose pieces are windows of its batch dims.

    How often events fire is known at the end only, so pieces are kept one by one. Arrays are made of them then, and put
    right where they were damaged.
    """

    def __init__(self, batch: Batch, events: tuple[FlatEvent, ...], block: tuple[int, ...]):
        self._batch, self._events, self._block = batch, events, block
        self._has_events = bool(batch.problem.events)

    def write(self, group, piece: int, firings: EnsembleFirings) -> list[np.ndarray]:
        """Keep what fired in a piece: what is written."""
        if not self._has_events:
            return []
        rows = np.stack([np.asarray(values, dtype=np.float64) for values in firings])
        chunks = 3, max(1, rows.shape[1])
        array = group.create_array(f"{_FIRED}/{piece}", shape=rows.shape, chunks=chunks, dtype="f8", overwrite=True)
        array[...] = rows
        return [rows]

    def read(self, group, piece: int) -> list[np.ndarray]:
        """What was written of a piece."""
        return [group[f"{_FIRED}/{piece}"][...]] if self._has_events else []

    def finish(self, group, windows: Sequence[Window]) -> None:
        """Write ``<name>_time (*batch dims, name)`` of the pieces that are there, unless it has been."""
        if not self._has_events:
            return
        widths = dict.fromkeys((event.name for event in self._batch.problem.events), 0)
        for piece, window in enumerate(windows):
            found = self._times(group, piece, window)
            widths = {name: max(width, found[name].shape[1]) for name, width in widths.items()}
        arrays = {name: self._array(group, name, width) for name, width in widths.items()}
        for piece, window in enumerate(windows):
            for name, times in self._times(group, piece, window).items():
                padded = np.full((len(times), widths[name]), np.nan)
                padded[:, : times.shape[1]] = times
                _write_changed(arrays[name], window, self._encode(padded).reshape(*map(_length, window), -1))

    def _times(self, group, piece, window):
        """Times of each event ``(member, firing)`` in a piece; none where it is not there."""
        try:
            (rows,) = self.read(group, piece)
            firings = EnsembleFirings(rows[0].astype(np.int64), rows[1], rows[2].astype(np.int64))
        except (OSError, ValueError, KeyError):
            firings = NOTHING_FIRED
        return event_rows(firings, self._batch.problem, self._events, prod(map(_length, window)))

    def _array(self, group, name, width):
        """The array of an event's times, made anew unless it has this width."""
        key, problem, shape = f"{name}_time", self._batch.problem, (*self._batch.shape, width)
        if key in group and group[key].shape == shape:
            return group[key]
        encoded, attrs = self._encode(np.zeros(0)), event_attrs(problem, name, "time of")
        if encoded.dtype == np.int64:
            since = {"units": f"nanoseconds since {problem.calendar.epoch}", "calendar": "proleptic_gregorian"}
            attrs |= since | {"_FillValue": _NO_DATE}
        return group.create_array(
            key, shape=shape, chunks=(*self._block, max(1, width)), dtype=encoded.dtype, overwrite=True,
            fill_value=attrs.get("_FillValue", np.nan), attributes=attrs,
            dimension_names=(*self._batch.over.dims, name),
        )  # fmt: skip

    def _encode(self, times):
        """Times as they are stored: dates as nanoseconds since the start."""
        shown = show_event_times(times, self._batch.problem)
        if shown.dtype.kind != "M":
            return shown
        ticks = (shown - self._batch.problem.calendar.epoch).astype(np.int64)
        return np.where(np.isnat(shown), _NO_DATE, ticks)


def _length(part):
    return part.stop - part.start


def _write_changed(array, window, values):
    """Write what is not there, or damaged."""
    try:
        is_there = np.array_equal(array[window], values, equal_nan=True)
    except Exception:  # noqa: BLE001  damage shows in many ways
        is_there = False
    if not is_there:
        array[window] = values
