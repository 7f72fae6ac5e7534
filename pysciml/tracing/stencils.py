"""Differences, gradients, padding, tables and sums along an axis: what discretised equations are made of."""

import numpy as np

from .calls import implements
from .creation import join
from .indexing import take_along
from .lifting import elementwise, is_bool, lift, make_value, record, to_float
from .reductions import reduce
from .shaping import broadcast_to, normalize_axis
from .source import trace_error
from .tracer import Traced
from .ufuncs import choose


def cut(value: Traced, axis: int, start, stop=None) -> Traced:
    """A slice along one axis."""
    return value[(slice(None),) * axis + (slice(start, stop),)]


@implements(np.diff)
def diff(a, n=1, axis=-1, prepend=None, append=None) -> Traced:
    """``np.diff``."""
    value = lift(a)
    axis = normalize_axis(axis, value.ndim)
    edges = [_edge(value, axis, edge) for edge in (prepend, append)]
    parts = [part for part in (edges[0], value, edges[1]) if part is not None]
    value = join(parts, axis) if len(parts) > 1 else value
    if is_bool(value):
        raise trace_error("np.diff of bools can't be traced", "Multiply by 1.0 first.")
    for _ in range(n):
        value = elementwise("sub", cut(value, axis, 1), cut(value, axis, 0, -1))
    return value


def _edge(value, axis, edge):
    if edge is None:
        return None
    edge = lift(edge)
    return edge if edge.ndim else broadcast_to(edge, (*value.shape[:axis], 1, *value.shape[axis + 1 :]))


@implements(np.ediff1d)
def _ediff1d(ary, to_end=None, to_begin=None):
    if to_end is not None or to_begin is not None:
        raise trace_error("np.ediff1d: to_end and to_begin can't be traced", "Use np.concatenate.")
    return diff(lift(ary).reshape(-1))


@implements(np.gradient)
def gradient(f, *varargs, axis=None, edge_order=1):
    """``np.gradient`` with scalar spacings or constant coordinates."""
    value = to_float(f)
    axes = (
        tuple(range(value.ndim))
        if axis is None
        else tuple(normalize_axis(k, value.ndim) for k in np.atleast_1d(axis).tolist())
    )
    steps = varargs * len(axes) if len(varargs) == 1 else varargs or (1.0,) * len(axes)
    if len(steps) != len(axes):
        raise trace_error(f"np.gradient: {len(varargs)} spacings for {len(axes)} axes", "Give one, or one an axis.")
    if any(value.shape[k] < edge_order + 1 for k in axes):
        raise trace_error(f"np.gradient: shape {value.shape} is too short", f"It needs {edge_order + 1} points.")
    parts = [_gradient(value, step, k, edge_order) for step, k in zip(steps, axes, strict=True)]
    return parts[0] if len(parts) == 1 else tuple(parts)


def _gradient(value, step, axis, edge_order):
    step = lift(step)
    if step.ndim == 0:
        inner = (cut(value, axis, 2) - cut(value, axis, 0, -2)) / (2.0 * step)
        ends = _uniform_ends(value, step, axis, edge_order)
    else:
        inner, ends = _uneven(value, step, axis, edge_order)
    return join([ends[0], inner, ends[1]] if value.shape[axis] > 2 else ends, axis)


def _uniform_ends(value, step, axis, edge_order):
    def point(k):
        return cut(value, axis, k, k + 1 or None)

    if edge_order == 1:
        return [(point(1) - point(0)) / step, (point(-1) - point(-2)) / step]
    first = (-1.5 * point(0) + 2.0 * point(1) - 0.5 * point(2)) / step
    return [first, (1.5 * point(-1) - 2.0 * point(-2) + 0.5 * point(-3)) / step]


def _uneven(value, points, axis, edge_order):
    """Second-order formula on uneven coordinates; the weights are constants if the coordinates are."""
    if points.shape != (value.shape[axis],):
        raise trace_error(f"np.gradient: coordinates of shape {points.shape} along an axis of {value.shape[axis]}", "")
    gaps = diff(points).reshape((-1,) + (1,) * (value.ndim - axis - 1))
    left, right = gaps[:-1], gaps[1:]
    inner = (
        -right / (left * (left + right)) * cut(value, axis, 0, -2)
        + (right - left) / (left * right) * cut(value, axis, 1, -1)
        + left / (right * (left + right)) * cut(value, axis, 2)
    )

    def point(k):
        return cut(value, axis, k, k + 1 or None)

    if edge_order == 1:
        return inner, [(point(1) - point(0)) / gaps[0], (point(-1) - point(-2)) / gaps[-1]]
    a, b = gaps[0], gaps[1]
    first = -(2 * a + b) / (a * (a + b)) * point(0) + (a + b) / (a * b) * point(1) - a / (b * (a + b)) * point(2)
    a, b = gaps[-2], gaps[-1]
    last = b / (a * (a + b)) * point(-3) - (a + b) / (a * b) * point(-2) + (2 * b + a) / (b * (a + b)) * point(-1)
    return inner, [first, last]


@implements(np.pad)
def _pad(array, pad_width, mode="constant", *, constant_values=0.0, reflect_type="even"):
    value = lift(array)
    if (
        not isinstance(mode, str)
        or mode not in ("constant", "edge", "wrap", "reflect", "symmetric")
        or reflect_type != "even"
    ):
        raise trace_error(
            f"np.pad: mode={mode!r} can't be traced", 'Use "constant", "edge", "wrap", "reflect" or "symmetric".'
        )
    if isinstance(pad_width, dict):
        pad_width = [pad_width.get(k, pad_width.get(k - value.ndim, 0)) for k in range(value.ndim)]
        pad_width = [w if isinstance(w, tuple) else (w, w) for w in pad_width]
    widths = np.broadcast_to(pad_width, (value.ndim, 2)).tolist()
    fills = _fill_pairs(constant_values, value.ndim)
    for axis, (before, after) in enumerate(widths):
        if not before and not after:
            continue
        if mode == "constant":
            value = _pad_constant(value, axis, (before, after), fills[axis])
        else:
            value = take_along(value, np.pad(np.arange(value.shape[axis]), (before, after), mode), axis)
    return make_value(value._node, is_cell=True)


def _fill_pairs(fill, ndim):
    """The two values for each axis."""
    if isinstance(fill, Traced) or np.ndim(fill) == 0:
        return [(fill, fill)] * ndim
    if len(fill) == 2 and not isinstance(fill[0], list | tuple):
        return [tuple(fill)] * ndim
    pairs = [tuple(pair) if isinstance(pair, list | tuple) else (pair, pair) for pair in fill]
    return pairs * ndim if len(pairs) == 1 else pairs


def _pad_constant(value, axis, widths, fills):
    parts = [value]
    for width, fill, place in zip(widths, fills, (0, 2), strict=True):
        if width:
            shape = (*value.shape[:axis], width, *value.shape[axis + 1 :])
            edge = broadcast_to(fill, shape) if isinstance(fill, Traced) else lift(np.full(shape, float(fill)))
            parts.insert(place, edge)
    return join(parts, axis)


@implements(np.interp)
def interp(x, xp, fp, left=None, right=None, period=None) -> Traced:
    """``np.interp`` in a table with constant ``xp``."""
    x, fp = to_float(x), to_float(fp)
    if isinstance(xp, Traced):
        raise trace_error(
            "np.interp: the places xp of the table must be constants", "Close over an array; fp may be traced."
        )
    places = np.asarray(xp, dtype=float)
    if places.ndim != 1 or fp.shape != places.shape or not places.size:
        raise trace_error(f"np.interp: xp and fp are 1-D of equal length, got {places.shape} and {fp.shape}", "")
    if period is not None:
        return _interp_periodic(x, places, fp, float(period))
    if not (np.diff(places) > 0).all():
        raise trace_error(
            "np.interp: xp must increase strictly", "Sort the table; a jump needs np.where(x < x0, a, b)."
        )
    result = record("interp", x, places, fp)
    result = result if left is None else choose(x < places[0], left, result)
    result = result if right is None else choose(x > places[-1], right, result)
    return result


def _interp_periodic(x, places, fp, period):
    period = abs(period)
    order = np.argsort(places % period, kind="stable")
    places, fp = (places % period)[order], fp[order]
    around = np.concatenate([places[-1:] - period, places, places[:1] + period])
    return interp(elementwise("mod", x, period), around, join([fp[-1:], fp, fp[:1]], 0))


@implements("trapezoid", "trapz")
def trapezoid(y, x=None, dx=1.0, axis=-1) -> Traced:
    """``np.trapezoid``."""
    value = to_float(y)
    axis = normalize_axis(axis, value.ndim)
    step = lift(dx) if x is None else diff(x) if lift(x).ndim == 1 else diff(x, axis=axis)
    if x is not None and step.ndim == 1:
        step = step.reshape((-1,) + (1,) * (value.ndim - axis - 1))
    return reduce("sum", step * (cut(value, axis, 1) + cut(value, axis, 0, -1)) / 2.0, axis)


@implements(np.convolve)
def _convolve(a, v, mode="full"):
    a, v = to_float(a), to_float(v)
    if a.ndim != 1 or v.ndim != 1 or min(a.size, v.size) > 64:
        raise trace_error("np.convolve: 1-D arrays, one of at most 64 elements, can be traced", "Use a matrix: K @ u.")
    a, v = (a, v) if a.size >= v.size else (v, a)
    n, m = a.size, v.size
    lost = {"full": 0, "same": (m - 1) // 2, "valid": m - 1}[mode]
    length = {"full": n + m - 1, "same": n, "valid": n - m + 1}[mode]
    padded = _pad_constant(a, 0, (m - 1, m - 1), (0.0, 0.0))
    terms = [cut(padded, 0, m - 1 - k + lost, m - 1 - k + lost + length) * v[k] for k in range(m)]
    return sum(terms[1:], terms[0])


@implements(np.polyval)
def _polyval(p, x):
    result = elementwise("mul", 0.0, x)
    for coefficient in p if not isinstance(p, Traced) else list(p):
        result = result * x + coefficient
    return result
