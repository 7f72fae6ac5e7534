"""New arrays in the model: zeros_like and its kin, choices among several, and joining of arrays."""

import numpy as np

from .calls import REFUSED, implements
from .indexing import take_along
from .lifting import is_bool, lift, make_value, node_of, record, to_bool, to_float, unify
from .recorder import active_recorder
from .shaping import (
    atleast_1d,
    atleast_2d,
    atleast_3d,
    broadcast_to,
    expand_dims,
    flip,
    moveaxis,
    normalize_axis,
    ravel,
    reshape_view,
    transpose,
)
from .source import trace_error
from .tracer import Traced
from .ufuncs import choose


def _full(prototype, fill, dtype, order, shape):
    value, recorder = lift(prototype), active_recorder()
    as_bool = is_bool(value) if dtype is None else np.dtype(dtype) == np.bool_
    layout = np.empty_like(value._layout, order=order, shape=shape)
    if isinstance(fill, int | float | np.generic | np.ndarray):
        array = np.asarray(fill, dtype=bool if as_bool else float)
        return make_value(recorder.constant(np.broadcast_to(array, layout.shape)), layout, is_cell=True)
    fill = to_bool(fill) if as_bool else to_float(fill)
    return make_value(broadcast_to(fill, layout.shape)._node, layout, is_cell=True)


@implements(np.zeros_like, np.empty_like)
def _zeros_like(a, dtype=None, order="K", subok=True, shape=None):
    return _full(a, 0.0, dtype, order, shape)


@implements(np.ones_like)
def _ones_like(a, dtype=None, order="K", subok=True, shape=None):
    return _full(a, 1.0, dtype, order, shape)


@implements(np.full_like)
def _full_like(a, fill_value, dtype=None, order="K", subok=True, shape=None):
    return _full(a, fill_value, dtype, order, shape)


@implements(np.select)
def _select(condlist, choicelist, default=0.0):
    result = lift(default)
    for condition, choice in reversed(list(zip(condlist, choicelist, strict=True))):
        result = choose(condition, choice, result)
    return make_value(result._node, result._layout, is_cell=True, sure=result._sure)


@implements(np.piecewise)
def _piecewise(x, condlist, funclist, *args, **kw):
    x = lift(x)
    conditions = list(condlist) if isinstance(condlist, list | tuple) else [condlist]
    values = [f(x, *args, **kw) if callable(f) else f for f in funclist]
    result = values.pop() if len(values) > len(conditions) else 0.0
    for condition, value in zip(conditions, values, strict=True):  # the last condition that holds wins
        result = choose(condition, value, result)
    return make_value(node_of(result), is_cell=True)


@implements(np.linspace)
def _linspace(start, stop, num=50, endpoint=True, axis=0):
    start, stop = lift(start), lift(stop)
    weights = np.linspace(0.0, 1.0, num, endpoint).reshape((num,) + (1,) * max(start.ndim, stop.ndim))
    return moveaxis(start + (stop - start) * weights, 0, axis)


# ---- joining ----


def join(values: list[Traced], axis: int) -> Traced:
    """``np.concatenate`` of traced values, with the memory order that NumPy gives it."""
    values = unify(values)
    if len({v.ndim for v in values}) != 1 or not values[0].ndim:
        shapes = ", ".join(str(v.shape) for v in values)
        raise trace_error(
            f"np.concatenate needs arrays of equal dimension, got shapes {shapes}",
            "Use np.stack for numbers, x[None] or x[:, None] to add an axis.",
        )
    axis = normalize_axis(axis, values[0].ndim)
    result = record("concatenate", *values, attrs=(axis,))
    if result.ndim > 1:
        result._layout = np.empty_like(np.concatenate([v._layout for v in values], axis))
        result._sure = all(v._sure for v in values)
    return result


@implements(np.concatenate, "concat", structural=True)
def concatenate(arrays, axis=0):
    """``np.concatenate``."""
    values = [lift(a) for a in arrays]
    return join([reshape_view(v, -1) for v in values], 0) if axis is None else join(values, axis)


@implements(np.stack, structural=True)
def stack(arrays, axis=0):
    """``np.stack``: one node."""
    values = unify([lift(a) for a in arrays])
    if len({v.shape for v in values}) != 1:
        raise trace_error(
            f"np.stack needs arrays of one shape, got {', '.join(str(v.shape) for v in values)}",
            "Use np.concatenate for arrays of different length.",
        )
    axis = normalize_axis(axis, values[0].ndim + 1)
    if axis == 0:
        return record("stack", *values)
    return join([expand_dims(v, axis) for v in values], axis)


@implements(np.hstack, structural=True)
def _hstack(tup):
    values = [atleast_1d(a) for a in tup]
    return join(values, 0 if values[0].ndim == 1 else 1)


@implements(np.vstack, structural=True)
def _vstack(tup):
    return join([atleast_2d(a) for a in tup], 0)


@implements(np.dstack, structural=True)
def _dstack(tup):
    return join([atleast_3d(a) for a in tup], 2)


@implements(np.column_stack, structural=True)
def _column_stack(tup):
    values = [lift(a) for a in tup]
    return join([v if v.ndim > 1 else transpose(atleast_2d(v)) for v in values], 1)


@implements(np.append)
def _append(arr, values, axis=None):
    return concatenate([ravel(arr), ravel(values)] if axis is None else [arr, values], axis or 0)


@implements(np.block)
def _block(arrays):
    if not isinstance(arrays, list):
        return lift(arrays)
    depth, inner = 0, arrays
    while isinstance(inner, list):
        depth, inner = depth + 1, inner[0]
    return _join_block(arrays, depth, depth)


def _join_block(arrays, depth, ndim):
    if not isinstance(arrays, list):
        value = lift(arrays)
        return reshape_view(value, (1,) * (ndim - value.ndim) + value.shape)
    return join([_join_block(item, depth - 1, ndim) for item in arrays], -depth)


# ---- taking apart and repeating ----


@implements(np.split, np.array_split)
def _array_split(ary, indices_or_sections, axis=0):
    value = lift(ary)
    axis = normalize_axis(axis, value.ndim)
    bounds = [r.tolist() for r in np.array_split(np.arange(value.shape[axis]), indices_or_sections)]
    starts = np.cumsum([0] + [len(b) for b in bounds]).tolist()
    if np.ndim(indices_or_sections):
        edges = [0, *indices_or_sections, value.shape[axis]]
        return [value[(slice(None),) * axis + (slice(a, b),)] for a, b in zip(edges[:-1], edges[1:], strict=True)]
    return [value[(slice(None),) * axis + (slice(a, b),)] for a, b in zip(starts[:-1], starts[1:], strict=True)]


@implements(np.hsplit)
def _hsplit(ary, indices_or_sections):
    return _array_split(ary, indices_or_sections, 0 if lift(ary).ndim == 1 else 1)


@implements(np.vsplit)
def _vsplit(ary, indices_or_sections):
    return _array_split(ary, indices_or_sections, 0)


def gather(value: Traced, pick) -> Traced:
    """A copy of elements: ``pick`` says from an array of positions which ones, as NumPy would pick them."""
    indices = np.asarray(pick(np.arange(value.size).reshape(value.shape)))
    return record("gather", value, attrs=(tuple(indices.ravel().tolist()), indices.shape))


@implements(np.take, structural=True)
def _take(a, indices, axis=None, mode="raise"):
    if isinstance(indices, Traced):
        raise trace_error("np.take with traced positions: which elements are taken must be known", "Use np.interp.")
    value = lift(a)
    try:
        return gather(value, lambda positions: np.take(positions, indices, axis, mode=mode))
    except IndexError as error:
        raise trace_error(f"np.take: {error}", "Indices are checked while tracing.") from None


@implements(np.repeat, structural=True)
def _repeat(a, repeats, axis=None):
    return gather(lift(a), lambda positions: np.repeat(positions, repeats, axis))


@implements(np.tile, structural=True)
def _tile(A, reps):
    return gather(lift(A), lambda positions: np.tile(positions, reps))


@implements(np.delete, structural=True)
def _delete(arr, obj, axis=None):
    return gather(lift(arr), lambda positions: np.delete(positions, obj, axis))


@implements(np.rot90)
def _rot90(m, k=1, axes=(0, 1)):
    value = lift(m)
    axes = tuple(normalize_axis(one, value.ndim) for one in axes)
    if k % 4 in (2, 3):
        value = flip(value, axes if k % 4 == 2 else axes[0])
    return value.swapaxes(*axes) if k % 2 and k % 4 == 3 else flip(value.swapaxes(*axes), axes[0]) if k % 2 else value


@implements(np.roll, structural=True)
def _roll(a, shift, axis=None):
    value = lift(a)
    if axis is None:
        flat = _roll(reshape_view(value, -1), shift, 0)
        return reshape_view(flat, value.shape)
    shifts, axes = np.broadcast_arrays(np.atleast_1d(shift), np.atleast_1d(axis))
    if shifts.dtype.kind not in "iu":
        raise trace_error(f"np.roll shifts by whole cells, got {shift!r}", "Use an int that is known while tracing.")
    for amount, one in zip(shifts.tolist(), axes.tolist(), strict=True):
        one = normalize_axis(one, value.ndim)
        n = value.shape[one]
        value = take_along(value, np.roll(np.arange(n), amount), one) if n and amount % n else make_value(value._node)
    return value


@implements(np.diag)
def _diag(v, k=0):
    value = lift(v)
    if value.ndim == 2:
        return value.diagonal(k)
    return _scattered(value, np.diag(np.ones(value.size, dtype=bool), k))


def _scattered(value, mask):
    zeros = active_recorder().constant(np.zeros(mask.shape))
    indices = tuple(np.flatnonzero(mask).tolist())
    return make_value(active_recorder().add("scatter", (zeros, to_float(value)._node), (indices,)))


@implements(np.diagflat)
def _diagflat(v, k=0):
    return _diag(ravel(v), k)


@implements(np.tril)
def _tril(m, k=0):
    value = lift(m)
    return choose(np.tri(*value.shape[-2:], k=k, dtype=bool), value, 0.0)


@implements(np.triu)
def _triu(m, k=0):
    value = lift(m)
    return choose(np.tri(*value.shape[-2:], k=k - 1, dtype=bool), 0.0, value)


@implements(np.meshgrid)
def _meshgrid(*xi, copy=True, sparse=False, indexing="xy"):
    values = [ravel(x) for x in xi]
    n = len(values)
    values = [reshape_view(v, (1,) * k + (-1,) + (1,) * (n - k - 1)) for k, v in enumerate(values)]
    if indexing == "xy" and n > 1:
        values = [v.swapaxes(0, 1) for v in values]
    shape = np.broadcast_shapes(*(v.shape for v in values))
    return tuple(v.copy() if sparse else make_value(broadcast_to(v, shape)._node) for v in values)


@implements(np.fill_diagonal)
def _fill_diagonal(a, val, wrap=False):
    n = min(a.shape)
    a[(np.arange(n),) * a.ndim] = val


REFUSED |= {
    "sort": "The order of traced values is not known while tracing.",
    "argsort": "The order of traced values is not known while tracing.",
    "argmax": "The position of a maximum is not known while tracing; np.max works.",
    "argmin": "The position of a minimum is not known while tracing; np.min works.",
    "searchsorted": "For a table use np.interp(x, xs, ys); for a choice np.where.",
    "digitize": "For a table use np.interp(x, xs, ys); for a choice np.where.",
    "unique": "Which values are equal is not known while tracing.",
    "nonzero": "Use np.where(condition, a, b).",
    "flatnonzero": "Use np.where(condition, a, b).",
    "argwhere": "Use np.where(condition, a, b).",
    "extract": "Use np.where(condition, a, b).",
    "compress": "Use np.where(condition, a, b).",
    "median": "The order of traced values is not known while tracing; np.mean works.",
    "percentile": "The order of traced values is not known while tracing; np.mean works.",
    "quantile": "The order of traced values is not known while tracing; np.mean works.",
    "allclose": "Its answer would decide what is computed: use np.where(np.abs(a - b) < tolerance, x, y).",
    "isclose": "Write np.abs(a - b) < tolerance.",
    "array_equal": "Its answer would decide what is computed: use np.where(a == b, x, y).",
    "array_equiv": "Its answer would decide what is computed: use np.where(a == b, x, y).",
    "put": "Write x[[1, 2]] = values.",
    "place": "Write np.where(mask, values, x).",
    "putmask": "Write np.where(mask, values, x).",
    "insert": "Use np.concatenate([x[:k], [value], x[k:]]).",
    "cumprod": "Use np.exp(np.cumsum(np.log(x))) for positive x, or a loop.",
    "multiply.accumulate": "Use np.exp(np.cumsum(np.log(x))) for positive x, or a loop.",
    "apply_along_axis": "Functions of arrays take axis=: np.sum(x, axis=1).",
    "save": "The model function only computes; save results after solving.",
    "savetxt": "The model function only computes; save results after solving.",
}
