"""Which elements of an output depend on which elements of an input: sets of indices pushed through a Program.

A pattern holds what a derivative may be nonzero for, whatever the inputs' values are. Constants count: a product with
a banded matrix or with a mask depends on what they keep. Operations whose derivative is zero everywhere depend
on nothing.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..errors import PySciMLError
from .evaluate import make_step
from .expand import expand_networks
from .ops import BOOL, OPERATIONS
from .program import Program
from .simplify import simplify_program
from .slopes import SLOPES

MOST_ENTRIES = 50_000_000


@dataclass(frozen=True, eq=False)
class Pattern:
    """Rows of increasing column numbers: those of row i are ``columns[starts[i]:starts[i + 1]]``."""

    starts: np.ndarray
    columns: np.ndarray
    n_columns: int

    @property
    def shape(self) -> tuple[int, int]:
        return len(self.starts) - 1, self.n_columns

    @property
    def rows(self) -> np.ndarray:
        """The row of each entry."""
        return np.repeat(np.arange(len(self.starts) - 1), np.diff(self.starts))

    def by_column(self) -> tuple[np.ndarray, np.ndarray]:
        """Rows and columns of all entries, sorted by column, then by row."""
        order = np.argsort(self.columns, kind="stable")
        return self.rows[order], self.columns[order]

    def with_diagonal(self) -> "Pattern":
        """The same pattern with all of its diagonal."""
        here = np.arange(min(self.shape))
        return _from_entries(*self.shape, np.append(self.rows, here), np.append(self.columns, here))


class _TooMany(Exception):
    """More entries than asked for."""


def find_pattern(program: Program, wrt: str = "u", most_entries: int = MOST_ENTRIES) -> Pattern | None:
    """The pattern of the Jacobian of a Program's first output by one of its inputs, both flat in C order.

    Parameters
    ----------
    program : Program
    wrt : str, default "u"
        The input.
    most_entries : int
        Where a pattern on the way has more entries than this, there is no answer.

    Returns
    -------
    Pattern or None
        A superset of the places of nonzero derivatives; None if it is too large.

    References
    ----------
    Griewank, Walther (2008), Evaluating derivatives, 2nd edition, chapter 7, doi:10.1137/1.9780898717761
    """
    program = simplify_program(expand_networks(program))
    names = [item.name for item in program.inputs]
    if wrt not in names:
        raise PySciMLError(f"internal: no input {wrt!r}")
    try:
        return _Propagation(program, names.index(wrt), most_entries).run()
    except _TooMany:
        return None


def _from_entries(n_rows, n_columns, rows, columns) -> Pattern:
    """A pattern of entries in any order, with repetitions."""
    if len(rows):
        key = rows.astype(np.int64) * n_columns + columns
        ordered = np.all(key[1:] > key[:-1])
        key = key if ordered else np.unique(key)
        rows, columns = np.divmod(key, n_columns)
    starts = np.zeros(n_rows + 1, dtype=np.int64)
    np.cumsum(np.bincount(rows, minlength=n_rows), out=starts[1:])
    return Pattern(starts, np.asarray(columns, dtype=np.int64), n_columns)


class _Propagation:
    """The pattern of every node; None for a node that depends on nothing."""

    def __init__(self, program, position, most_entries):
        self.program = program
        self.position = position
        self.most = most_entries
        self.n_columns = math.prod(program.inputs[position].shape)
        self.patterns: list[Pattern | None] = []

    def run(self) -> Pattern:
        for node in self.program.nodes:
            self.patterns.append(self._pattern(node))
        output = self.program.outputs[0].node
        return self.patterns[output] or self._empty(self.program.nodes[output].size)

    def _pattern(self, node):
        if node.op == "input":
            n = self.n_columns
            return Pattern(np.arange(n + 1), np.arange(n), n) if node.attrs[0] == self.position else None
        if node.dtype == BOOL or all(self.patterns[i] is None for i in node.args):
            return None
        return RULES[node.op](self, node)

    def _empty(self, n_rows):
        return Pattern(np.zeros(n_rows + 1, dtype=np.int64), np.zeros(0, dtype=np.int64), self.n_columns)

    def check(self, count: int) -> None:
        if count > self.most:
            raise _TooMany

    def constant(self, i: int) -> np.ndarray | None:
        """The value of a node that is a constant, or a broadcast one."""
        node = self.program.nodes[i]
        if node.op in ("broadcast", "reshape"):
            inner = self.constant(node.args[0])
            return None if inner is None else make_step(node)(inner)
        return self.program.constants[node.attrs[0]] if node.op == "constant" else None

    def places(self, i: int) -> np.ndarray:
        """The flat positions of a node's elements, in its shape."""
        node = self.program.nodes[i]
        return np.arange(node.size).reshape(node.shape)

    def take(self, i: int, sources: np.ndarray) -> Pattern | None:
        """Row k of the result is row ``sources[k]`` of node i's pattern; -1: nothing."""
        pattern = self.patterns[i]
        if pattern is None:
            return None
        sources = np.ravel(sources)
        if len(sources) == pattern.shape[0] and np.array_equal(sources, np.arange(len(sources))):
            return pattern
        lengths = np.where(sources < 0, 0, np.diff(pattern.starts)[sources])
        starts = np.zeros(len(sources) + 1, dtype=np.int64)
        np.cumsum(lengths, out=starts[1:])
        self.check(int(starts[-1]))
        first = np.repeat(pattern.starts[:-1][sources] - starts[:-1], lengths)
        return Pattern(starts, pattern.columns[first + np.arange(starts[-1])], self.n_columns)

    def join(self, n_rows: int, parts) -> Pattern | None:
        """The union of patterns of as many rows."""
        parts = list({id(part): part for part in parts if part is not None}.values())
        if len(parts) < 2:
            return parts[0] if parts else None
        rows, columns = (np.concatenate([getattr(part, name) for part in parts]) for name in ("rows", "columns"))
        self.check(len(rows))
        return _from_entries(n_rows, self.n_columns, rows, columns)

    def merge(self, i: int, sources: np.ndarray, targets: np.ndarray, n_rows: int) -> Pattern | None:
        """Row ``targets[k]`` of the result gains row ``sources[k]`` of node i's pattern."""
        taken = self.take(i, sources)
        if taken is None:
            return None
        rows = np.repeat(np.ravel(targets), np.diff(taken.starts))
        return _from_entries(n_rows, self.n_columns, rows, taken.columns)


def _elementwise(work: _Propagation, node):
    """The union over arguments with a slope; where a constant mask or factor is zero, there is none."""
    slopes = SLOPES.get(node.op, (True,) * len(node.args))
    parts = []
    for k, i in enumerate(node.args):
        if slopes[k] is None or work.patterns[i] is None:
            continue
        sources = np.broadcast_to(work.places(i), node.shape)
        kept = _kept_by_constants(work, node, k)
        parts.append(work.take(i, sources if kept is None else np.where(kept, sources, -1)))
    return work.join(node.size, parts)


def _kept_by_constants(work, node, k):
    """Where argument k matters, as far as constants among the others tell; None: everywhere."""
    if node.op in ("mul", "zero_product"):
        other = work.constant(node.args[1 - k])
        return None if other is None else np.broadcast_to(other != 0, node.shape)
    if node.op == "where":
        condition = work.constant(node.args[0])
        return None if condition is None else np.broadcast_to(condition == (k == 1), node.shape)
    return None


def _integer_power(work, node):
    return None if node.attrs[0] == 0 else _elementwise(work, node)


def _interp(work, node):
    """Element k of x, and all of the tables."""
    parts = [work.take(node.args[0], work.places(node.args[0]))]
    for i in node.args[1:]:
        n = work.program.nodes[i].size
        one = work.merge(i, np.arange(n), np.zeros(n, dtype=np.int64), 1)
        if one is not None:
            work.check(len(one.columns) * node.size)
            starts = np.arange(node.size + 1) * len(one.columns)
            parts.append(Pattern(starts, np.tile(one.columns, node.size), work.n_columns))
    return work.join(node.size, parts)


def _reduction(work, node):
    """Each element is put where it is summed."""
    (axes,), (i,) = node.attrs, node.args
    shape = work.program.nodes[i].shape
    kept = tuple(1 if k in axes else n for k, n in enumerate(shape))
    targets = np.broadcast_to(np.arange(node.size).reshape(kept), shape)
    return work.merge(i, work.places(i), targets, node.size)


def _cumsum(work, node):
    """Element k depends on all elements up to k."""
    (axis,), (i,) = node.attrs, node.args
    n = node.shape[axis]
    work.check(node.size * (n + 1) // 2)
    first, second = np.tril_indices(n)
    places = np.moveaxis(work.places(i), axis, -1)
    return work.merge(i, places[..., second], places[..., first], node.size)


def _matmul(work, node):
    """Every product that counts: the ones with zeros of a constant matrix don't."""
    a, b = node.args
    shapes = [work.program.nodes[i].shape for i in (a, b)]
    inner, n_parts = shapes[0][-1], []
    places = [work.places(a), work.places(b)]
    left = places[0][..., None] if len(shapes[0]) > 1 else places[0][None, :, None]
    right = places[1][..., None, :, :] if len(shapes[1]) > 1 else places[1][None, :, None]
    size = math.prod(np.broadcast_shapes(left.shape, right.shape))
    work.check(size)
    left, right = np.broadcast_arrays(left, right)
    targets = np.broadcast_to(np.arange(node.size).reshape(*left.shape[:-2], 1, left.shape[-1]), left.shape)
    assert left.shape[-2] == inner
    for i, own, j, other in ((a, left, b, right), (b, right, a, left)):
        constant = work.constant(j)
        kept = ... if constant is None else np.ravel(constant)[other] != 0
        n_parts.append(work.merge(i, own[kept], targets[kept], node.size))
    return work.join(node.size, n_parts)


def _structural(work, node):
    """The positions of the arguments' elements move as values do."""
    if node.op == "broadcast":
        work.check(node.size)
    offsets = np.cumsum([0, *(work.program.nodes[i].size for i in node.args)])
    moved = make_step(node)(*(work.places(i) + offset for i, offset in zip(node.args, offsets[:-1], strict=True)))
    parts = []
    for i, low, high in zip(node.args, offsets[:-1], offsets[1:], strict=True):
        parts.append(work.take(i, np.where((moved >= low) & (moved < high), moved - low, -1)))
    return work.join(node.size, parts)


# operation -> the pattern of a node of which some argument has one
RULES: dict[str, Callable] = {
    **{name: _elementwise for name, row in OPERATIONS.items() if row.kind == "elementwise" and row.gives != BOOL},
    **{name: _structural for name, row in OPERATIONS.items() if row.kind == "structural"},
    **dict.fromkeys(("sum", "prod", "max", "min"), _reduction),
    **{"integer_power": _integer_power, "interp": _interp, "cumsum": _cumsum, "matmul": _matmul},
}
