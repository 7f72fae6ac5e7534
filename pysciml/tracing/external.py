"""External inputs as values: what ``p.I`` is, inside a model and outside."""

from functools import lru_cache

import numpy as np

from ..ir.evaluate import evaluate_program
from ..ir.program import Input, Program, ProgramBuilder
from .lifting import lift, make_value, to_float
from .network import holds_traced
from .recorder import active_recorder
from .remedies import NotANumber
from .source import TraceAttributeError, trace_error
from .table import Table, add_lookup
from .tracer import Traced


class ExternalInput(NotANumber):
    """A table that can be called with a time: ``p.I(t)``."""

    def __init__(self, table: Table, flat):
        self._table = table
        self._flat = flat

    def __call__(self, t):
        if isinstance(self._flat, Traced) or holds_traced(t):
            time, flat = to_float(lift(t)), to_float(lift(self._flat))
            return make_value(add_lookup(active_recorder(), self._table, flat._node, time._node, time.shape))
        t = np.asarray(t, dtype=float)
        return np.asarray(evaluate_program(_lookup_program(self._table, t.shape), self._flat, t)[0])

    def _key(self):
        if isinstance(self._flat, Traced):
            raise trace_error("external inputs can't be compared inside a model", "")
        return self._table, np.asarray(self._flat).tobytes()

    def __eq__(self, other):
        return isinstance(other, ExternalInput) and self._key() == other._key()

    def __hash__(self):
        return hash(self._key())

    def __repr__(self):
        shape = f" of shape {self._table.shape}" if self._table.shape else ""
        return f"<{self._table.method} input{shape}, {self._table.n_times} times>"

    def __refuse__(self):
        return trace_error(f"{self!r} is an external input, not a number or array", "Call it: `p.I(t)`.")

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        raise trace_error(
            f"an external input has no .{name}", "It can be called with a time: `p.I(t)`.", kind=TraceAttributeError
        )

    def __reduce__(self):
        return ExternalInput, (self._table, np.asarray(self._flat))


@lru_cache(maxsize=64)
def _lookup_program(table: Table, t_shape: tuple[int, ...]) -> Program:
    builder = ProgramBuilder([Input("table", (table.size,)), Input("t", t_shape)])
    return builder.build([("value", add_lookup(builder, table, 0, 1, t_shape))])


def input_parts(external: ExternalInput) -> tuple[Table, np.ndarray]:
    """The table's kind and its flat values ``(size,)``, outside a model."""
    return external._table, np.asarray(external._flat)
