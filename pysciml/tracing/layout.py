"""Layout: how named values lie in one flat float64 vector: states and parameters, in both engines and in files."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..networks import MLP
from .table import Table


@dataclass(frozen=True)
class Entry:
    """One named value: a scalar ``()``, an array, a network's flat weights, or the flat table of an external input."""

    name: str
    shape: tuple[int, ...]
    start: int
    network: MLP | None = None
    is_float: bool = True  # an integer parameter is a setting, not something to be fitted
    table: Table | None = None

    @cached_property
    def size(self) -> int:
        return math.prod(self.shape)

    @cached_property
    def slice(self) -> slice:
        return slice(self.start, self.start + self.size)


@dataclass(frozen=True)
class Layout:
    """The entries of a flat vector in declared order, and the form in which the user's function sees them.

    ``form`` is ``"record"`` (a dict: ``u.x``, ``u["x"]``), ``"array"``, ``"scalar"``, ``"network"`` (``p`` itself is a
    network) or ``"none"``. All forms but the first and the last have exactly one entry.
    """

    form: str
    entries: tuple[Entry, ...]

    @cached_property
    def size(self) -> int:
        return sum(entry.size for entry in self.entries)

    @cached_property
    def names(self) -> tuple[str, ...]:
        return tuple(entry.name for entry in self.entries)

    def __getitem__(self, name: str) -> Entry:
        return self.entries[self.names.index(name)]

    def flatten(self, values: Mapping[str, np.ndarray]) -> np.ndarray:
        """The flat vector ``(size,)`` of arrays by name."""
        flat = np.empty(self.size)
        for entry in self.entries:
            flat[entry.slice] = np.ravel(values[entry.name])
        return flat

    def unflatten(self, flat: np.ndarray) -> dict[str, np.ndarray]:
        """Arrays by name, with leading axes kept: ``(..., size)`` gives ``(..., *shape)``."""
        if len(self.entries) == 1:
            (entry,) = self.entries
            return {entry.name: flat.reshape(flat.shape[:-1] + entry.shape)}
        return {e.name: flat[..., e.slice].reshape(flat.shape[:-1] + e.shape) for e in self.entries}


def join_layouts(*layouts: Layout) -> Layout:
    """One record of all entries, in this order."""
    entries = [entry for layout in layouts for entry in layout.entries]
    return make_layout("record", {e.name: (e.shape, e.network or e.table, e.is_float) for e in entries})


def make_layout(form: str, items: Mapping[str, tuple[tuple[int, ...], MLP | Table | None, bool]]) -> Layout:
    """Layout of ``name -> (shape, network or table, is_float)``, one after the other."""
    entries, start = [], 0
    for name, (shape, kind, is_float) in items.items():
        network, table = (None, kind) if isinstance(kind, Table) else (kind, None)
        entries.append(Entry(name, tuple(shape), start, network, is_float, table))
        start += entries[-1].size
    return Layout(form, tuple(entries))
