"""Tables of external inputs: how times and values lie in the flat vector, and the operations that look values up.

All of a table is data to the Program, so that another table of the same shape compiles nothing anew.
"""

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np


@dataclass(frozen=True)
class Table:
    """The kind and sizes of a table.

    In the flat vector lie its times ``(n_times,)``, its values ``(n_times, *shape)`` and, for ``"cubic"``, the slopes
    there, of the values' shape.
    """

    method: str
    n_times: int
    shape: tuple[int, ...] = ()
    extrapolate: str | None = None

    @property
    def n_values(self) -> int:
        return self.n_times * math.prod(self.shape)

    @property
    def size(self) -> int:
        return self.n_times + self.n_values * (2 if self.method == "cubic" else 1)

    @property
    def values_slice(self) -> slice:
        return slice(self.n_times, self.n_times + self.n_values)

    def times(self, flat: np.ndarray) -> np.ndarray:
        """The times ``(n_times,)`` in a flat table."""
        return flat[: self.n_times]

    def values(self, flat: np.ndarray) -> np.ndarray:
        """The values ``(n_times, *shape)`` in a flat table."""
        return flat[self.values_slice].reshape(self.n_times, *self.shape)


class Adder(Protocol):
    """What records nodes: a recorder, or the builder of a Program."""

    def add(self, op: str, args: tuple[int, ...], attrs: tuple = ()) -> int: ...

    def constant(self, value) -> int: ...


def add_lookup(adder: Adder, table: Table, flat: int, t: int, t_shape: tuple[int, ...]) -> int:
    """The node of a table's value ``(*t_shape, *shape)`` at ``t``, from the node of the flat table."""
    lookup = {"linear": _linear, "previous": _previous, "cubic": _cubic}[table.method](adder, table, flat, t)
    found = [lookup(column) for column in range(math.prod(table.shape))]
    if not table.shape:
        return found[0]
    n = len(t_shape)
    stacked = adder.add("stack", tuple(found))
    last = adder.add("transpose", (stacked,), ((*range(1, n + 1), 0),)) if n else stacked
    return adder.add("reshape", (last,), ((*t_shape, *table.shape),))


def _column(adder, table, flat, start, column=0, step=1):
    return adder.add("slice", (flat,), ((start + column,), (table.n_times,), (step,)))


def _linear(adder, table, flat, t):
    times, width = _column(adder, table, flat, 0), math.prod(table.shape)
    return lambda column: adder.add("interp", (t, times, _column(adder, table, flat, table.n_times, column, width)))


def _previous(adder, table, flat, t):
    """The position as a whole number, found by interpolation in the positions and set back where that rounded up."""
    times, width = _column(adder, table, flat, 0), math.prod(table.shape)
    positions = adder.constant(np.arange(table.n_times))
    found = adder.add("floor", (adder.add("interp", (t, times, positions)),))
    is_early = adder.add("less", (t, adder.add("interp", (found, positions, times))))
    row = adder.add("sub", (found, adder.add("to_float", (is_early,))))

    def value(column):
        return adder.add("interp", (row, positions, _column(adder, table, flat, table.n_times, column, width)))

    return value


def _cubic(adder, table, flat, t):
    """Hermite's form on the interval that holds ``t``."""

    def op(word, *args):
        return adder.add(word, args)

    n, width = table.n_times, math.prod(table.shape)
    times, positions = _column(adder, table, flat, 0), adder.constant(np.arange(n))
    first, last = (adder.add("reshape", (adder.add("slice", (times,), ((k,), (1,), (1,))),), ((),)) for k in (0, n - 1))
    t = op("minimum", op("maximum", t, first), last)
    left = op("minimum", op("floor", op("interp", t, times, positions)), adder.constant(n - 2.0))
    right = op("add", left, adder.constant(1.0))
    t0, t1 = (op("interp", side, positions, times) for side in (left, right))
    h = op("sub", t1, t0)
    s = op("div", op("sub", t, t0), h)

    def value(column):
        heights, slopes = (_column(adder, table, flat, n + k * table.n_values, column, width) for k in (0, 1))
        f0, f1 = (op("interp", side, positions, heights) for side in (left, right))
        d0, d1 = (op("mul", h, op("interp", side, positions, slopes)) for side in (left, right))
        rise = op("sub", f1, f0)
        bend0, bend1 = op("sub", d0, rise), op("sub", d1, rise)
        # f0 + s * rise + s * (1 - s) * ((1 - s) * bend0 - s * bend1)
        rest = op("sub", adder.constant(1.0), s)
        bent = op("sub", op("mul", rest, bend0), op("mul", s, bend1))
        return op("add", op("add", f0, op("mul", s, rise)), op("mul", op("mul", s, rest), bent))

    return value
