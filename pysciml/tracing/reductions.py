"""Sums, extremes, averages, norms and running sums."""

import numpy as np

from .calls import REFUSED, implements, implements_reduction
from .lifting import elementwise, is_bool, is_c_ordered, lift, make_value, record, to_bool, to_float
from .shaping import normalize_axes, normalize_axis, reshape_view
from .source import trace_error
from .tracer import Traced
from .ufuncs import choose


def reduce(op: str, value: Traced, axis=None, keepdims: bool = False) -> Traced:
    """One reduction node; bools become numbers."""
    value = to_float(value)
    axes = normalize_axes(axis, value.ndim)
    if op in ("max", "min") and any(value.shape[k] == 0 for k in axes):
        raise trace_error(f"np.{op} of an array without elements (shape {value.shape})", "Check the slice.")
    result = record(op, value, attrs=(axes,)) if axes else make_value(value._node)
    if not is_c_ordered(value) and result.ndim > 1:
        result._layout = np.logical_or.reduce(value._layout, axis=axes)
        result._sure = value._sure
    if not keepdims:
        return result
    return make_value(reshape_view(result, tuple(1 if k in axes else n for k, n in enumerate(value.shape)))._node)


@implements(np.sum)
def sum_(a, axis=None, keepdims=False, initial=None):
    """``np.sum``."""
    result = reduce("sum", lift(a), axis, keepdims)
    return result if initial is None else result + initial


@implements(np.prod)
def prod(a, axis=None, keepdims=False, initial=None):
    """``np.prod``."""
    result = reduce("prod", lift(a), axis, keepdims)
    return result if initial is None else result * initial


@implements(np.max, np.amax)
def max_(a, axis=None, keepdims=False, initial=None):
    """``np.max``."""
    value = lift(a)
    if is_bool(value):
        return any_(value, axis, keepdims)
    result = reduce("max", value, axis, keepdims)
    return result if initial is None else elementwise("maximum", result, initial)


@implements(np.min, np.amin)
def min_(a, axis=None, keepdims=False, initial=None):
    """``np.min``."""
    value = lift(a)
    if is_bool(value):
        return all_(value, axis, keepdims)
    result = reduce("min", value, axis, keepdims)
    return result if initial is None else elementwise("minimum", result, initial)


@implements(np.any)
def any_(a, axis=None, keepdims=False):
    """``np.any``."""
    return elementwise("greater", reduce("max", to_bool(a), axis, keepdims), 0.5)


@implements(np.all)
def all_(a, axis=None, keepdims=False):
    """``np.all``."""
    return elementwise("greater", reduce("min", to_bool(a), axis, keepdims), 0.5)


@implements(np.count_nonzero)
def _count_nonzero(a, axis=None, *, keepdims=False):
    return reduce("sum", to_bool(a), axis, keepdims)


@implements(np.ptp)
def _ptp(a, axis=None, keepdims=False):
    return max_(a, axis, keepdims) - min_(a, axis, keepdims)


def _count(value, axis):
    return float(np.prod([value.shape[k] for k in normalize_axes(axis, value.ndim)], dtype=int))


@implements(np.mean)
def mean(a, axis=None, keepdims=False):
    """``np.mean``."""
    value = lift(a)
    return reduce("sum", value, axis, keepdims) / _count(value, axis)


@implements(np.var)
def var(a, axis=None, ddof=0, keepdims=False, *, correction=None):
    """``np.var``."""
    value = to_float(a)
    ddof = ddof if correction is None else correction
    distance = value - mean(value, axis, keepdims=True)
    return reduce("sum", distance * distance, axis, keepdims) / (_count(value, axis) - ddof)


@implements(np.std)
def _std(a, axis=None, ddof=0, keepdims=False, *, correction=None):
    return root(var(a, axis, ddof, keepdims, correction=correction))


@implements(np.average)
def _average(a, axis=None, weights=None, *, keepdims=False):
    if weights is None:
        return mean(a, axis, keepdims)
    value, weights = lift(a), lift(weights)
    if weights.shape != value.shape:
        if weights.ndim != 1 or axis is None:
            raise trace_error(
                "np.average: weights have the shape of a, or are 1-D with axis given", "Use np.sum(a * w)."
            )
        shape = [1] * value.ndim
        shape[normalize_axis(axis, value.ndim)] = weights.size
        weights = reshape_view(weights, tuple(shape))
    total = reduce("sum", weights * np.ones(value.shape), axis, keepdims)
    return reduce("sum", value * weights, axis, keepdims) / total


def root(value) -> Traced:
    """Square root of what is never negative, with derivative 0 (not infinity) at 0."""
    is_zero = elementwise("equal", value, 0.0)
    return choose(is_zero, 0.0, elementwise("sqrt", choose(is_zero, 1.0, value)))


@implements(np.linalg.norm)
def _norm(x, ord=None, axis=None, keepdims=False):
    value = to_float(x)
    axes = normalize_axes(axis, value.ndim)
    is_flat = ord is None and axis is None
    if len(axes) > 1 and not is_flat and ord not in (None, "fro"):
        return _matrix_norm(value, ord, axis, keepdims)
    if ord is None or ord == "fro" or ord == 2:
        return root(reduce("sum", value * value, axes, keepdims))
    if ord in (np.inf, -np.inf):
        return reduce("max" if ord > 0 else "min", abs(value), axes, keepdims)
    if ord == 1:
        return reduce("sum", abs(value), axes, keepdims)
    if isinstance(ord, int | float) and ord != 0:
        return reduce("sum", abs(value) ** ord, axes, keepdims) ** (1.0 / ord)
    raise trace_error(
        f"np.linalg.norm: ord={ord!r} can't be traced", "Use ord=None, 1, 2, inf, or another number but 0."
    )


def _matrix_norm(value, ord, axis, keepdims):
    """Largest or smallest sum of a row or column."""
    rows, columns = (normalize_axis(k, value.ndim) for k in (axis if axis is not None else (0, 1)))
    kinds = {
        1: ("max", rows, columns),
        -1: ("min", rows, columns),
        np.inf: ("max", columns, rows),
        -np.inf: ("min", columns, rows),
    }
    if ord not in kinds or value.ndim < 2:
        raise trace_error(f"np.linalg.norm of a matrix: ord={ord!r} can't be traced", 'Use "fro", 1 or inf.')
    op, inner, outer = kinds[ord]
    sums = reduce("sum", abs(value), inner, keepdims=True)
    return reduce(op, sums, (inner, outer), keepdims)


@implements(np.cumsum)
def cumsum(a, axis=None):
    """``np.cumsum``."""
    value = to_float(a)
    if axis is None or value.ndim == 0:
        value, axis = reshape_view(value, -1), 0
    return record("cumsum", value, attrs=(normalize_axis(axis, value.ndim),))


@implements("cumulative_sum")
def _cumulative_sum(x, /, *, axis=None):
    return cumsum(x, axis)


@implements(np.nansum)
def _nansum(a, axis=None, keepdims=False):
    value = to_float(a)
    return reduce("sum", choose(elementwise("isnan", value), 0.0, value), axis, keepdims)


def _ufunc_reduction(function):
    """``np.add.reduce`` and its kin: axis 0 unless said otherwise."""
    return lambda a, axis=0, keepdims=False, initial=None: function(
        a, axis, keepdims, **({} if initial is None else {"initial": initial})
    )


for _name, _function in {
    "add": sum_, "multiply": prod, "maximum": max_, "minimum": min_, "logical_or": any_, "logical_and": all_,
}.items():  # fmt: skip
    implements_reduction("reduce", _name)(_ufunc_reduction(_function))
implements_reduction("accumulate", "add")(lambda a, axis=0: cumsum(a, axis))

REFUSED |= dict.fromkeys(
    [
        "linalg.solve",
        "linalg.inv",
        "linalg.pinv",
        "linalg.lstsq",
        "linalg.det",
        "linalg.slogdet",
        "linalg.cholesky",
        "linalg.qr",
    ],
    "Compute it outside f where the matrix is constant and use `matrix @ u`; write small ones out in closed form.",
)
REFUSED |= dict.fromkeys(
    [
        "linalg.eig",
        "linalg.eigh",
        "linalg.eigvals",
        "linalg.eigvalsh",
        "linalg.svd",
        "linalg.matrix_rank",
        "linalg.cond",
    ],
    "Compute it outside f where the matrix is constant.",
)
REFUSED |= dict.fromkeys(
    ["fft.fft", "fft.ifft", "fft.rfft", "fft.irfft", "fft.fft2", "fft.ifft2"],
    "Build the differentiation matrix once outside f and use `D @ u`, or np.roll for differences.",
)
