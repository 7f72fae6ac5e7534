"""Shapes: views where NumPy makes views, copies where it makes copies."""

import math

import numpy as np

from .calls import implements, implements_method
from .lifting import is_c_ordered, lift, make_value, make_view, to_bool, to_float
from .recorder import active_recorder
from .source import trace_error
from .tracer import Traced, TracedCell, TracedScalar


def normalize_axis(axis, ndim: int) -> int:
    """An axis as a non-negative int."""
    if isinstance(axis, Traced) or not isinstance(axis, int | np.integer):
        raise trace_error(f"an axis must be an int, got {axis!r}", "Write axis=0, axis=1, ...")
    if not -ndim <= axis < max(ndim, 1):
        raise trace_error(
            f"axis {axis} is out of bounds for an array of {ndim} dimensions", "Axes count from 0, or back from -1."
        )
    return int(axis) % max(ndim, 1)


def normalize_axes(axis, ndim: int) -> tuple[int, ...]:
    """One axis, several, or None (all) as a sorted tuple."""
    if axis is None:
        return tuple(range(ndim))
    axes = [normalize_axis(a, ndim) for a in (axis if isinstance(axis, tuple | list) else (axis,))]
    if len(set(axes)) != len(axes):
        raise trace_error(f"an axis is given twice in {axis}", "Name each axis once.")
    return tuple(sorted(axes)) if ndim else ()  # NumPy takes axis 0 of a number


def copy_value(value: Traced, layout=None) -> Traced:
    """A copy in memory of its own."""
    is_cell = isinstance(value, TracedCell)
    return make_value(value._node, layout, is_cell=is_cell, sure=value._sure)


def reshape_view(value: Traced, shape, function=np.reshape) -> Traced:
    """C-order reshape: a view if the real array allows it, as NumPy's ``reshape`` or ``ravel`` decides."""
    recorder, old = value._recorder, value.shape
    shape = _complete(shape, value.size, old)
    layout = np.ravel(value._layout) if function is np.ravel else np.reshape(value._layout, shape)
    is_view = np.may_share_memory(layout, value._layout) or value.size == 0
    is_number = isinstance(value, TracedScalar) and not isinstance(value, TracedCell)
    if not is_c_ordered(value) and not value._sure:
        is_view = False
        _freeze(value)
    if not is_view or is_number:
        node = value._node if shape == old else recorder.add("reshape", (value._node,), (shape,))
        result = make_value(node, layout, is_cell=True)
        if not value._sure:
            _freeze(result)
        return result

    def read(base):
        return base if shape == old else recorder.add("reshape", (base,), (shape,))

    def write(base, node):
        return node if shape == old else recorder.add("reshape", (node,), (old,))

    return make_view(value, layout, read, write)


def _freeze(value):
    """Refuse later changes of an array of which a reshape may or may not be a view."""
    if value._storage.refusal is None:
        value._storage.refusal = (
            "this array was reshaped, and whether NumPy made a view or a copy depends on its memory order",
            "Take a copy before reshaping or changing it: `x = x.copy()`.",
        )


def _complete(shape, size, old) -> tuple[int, ...]:
    shape = tuple(shape) if isinstance(shape, list | tuple | np.ndarray) else (shape,)
    if any(isinstance(n, Traced) for n in shape):
        raise trace_error("a shape can't depend on a traced value", "Use x.shape, len(x), or an int closed over.")
    shape = tuple(int(n) for n in shape)
    known = math.prod(n for n in shape if n != -1)
    if -1 in shape and known and size % known == 0 and shape.count(-1) == 1:
        shape = tuple(size // known if n == -1 else n for n in shape)
    if math.prod(shape) != size or -1 in shape:
        raise trace_error(f"can't reshape an array of shape {old} into {shape}", "The number of elements must stay.")
    return shape


def transpose_view(value: Traced, permutation: tuple[int, ...]) -> Traced:
    """The view with permuted axes."""
    recorder = value._recorder
    if permutation == tuple(range(value.ndim)):
        return make_view(
            value, value._layout, lambda base: base, lambda base, node: node, is_cell=isinstance(value, TracedCell)
        )
    inverse = tuple(int(k) for k in np.argsort(permutation))
    return make_view(
        value,
        value._layout.transpose(permutation),
        lambda base: recorder.add("transpose", (base,), (permutation,)),
        lambda base, node: recorder.add("transpose", (node,), (inverse,)),
    )


def _check_order(order, value):
    """Whether elements are counted in Fortran order."""
    if order in ("A", "K"):
        if value.ndim > 1 and not (value._sure and value._layout.flags.c_contiguous):
            raise trace_error(f'order="{order}" depends on the memory of an array', 'Use order="C" or order="F".')
        return False
    return order == "F"


@implements(np.reshape)
def reshape(a, shape=None, order="C", *, newshape=None, copy=None):
    """``np.reshape``."""
    value = lift(a)
    shape = newshape if shape is None else shape
    if _check_order(order, value):
        shape = _complete(shape, value.size, value.shape)
        result = transpose(reshape_view(transpose(value), shape[::-1]))
    else:
        result = reshape_view(value, shape)
    return copy_value(result) if copy else result


@implements(np.ravel)
def ravel(a, order="C"):
    """``np.ravel``."""
    value = lift(a)
    value = transpose(value) if _check_order(order, value) else value
    return reshape_view(value, -1, np.ravel)  # a view only of contiguous memory, where reshape also makes strided ones


@implements(np.transpose, "permute_dims")
def transpose(a, axes=None):
    """``np.transpose``."""
    value = lift(a)
    if isinstance(axes, tuple) and len(axes) == 1 and isinstance(axes[0], tuple | list):
        axes = axes[0]
    axes = range(value.ndim)[::-1] if axes is None else axes
    permutation = tuple(normalize_axis(k, value.ndim) for k in axes)
    if sorted(permutation) != list(range(value.ndim)):
        raise trace_error(f"axes {tuple(axes)} do not fit an array of {value.ndim} dimensions", "Name each axis once.")
    return transpose_view(value, permutation)


@implements(np.swapaxes)
def swapaxes(a, axis1, axis2):
    """``np.swapaxes``."""
    value = lift(a)
    order = list(range(value.ndim))
    i, j = normalize_axis(axis1, value.ndim), normalize_axis(axis2, value.ndim)
    order[i], order[j] = order[j], order[i]
    return transpose_view(value, tuple(order))


@implements("matrix_transpose")
def matrix_transpose(x):
    """``np.matrix_transpose``."""
    return swapaxes(x, -1, -2)


@implements(np.moveaxis)
def moveaxis(a, source, destination):
    """``np.moveaxis``."""
    value = lift(a)
    return transpose_view(value, _moved(value.ndim, source, destination))


def _moved(ndim, source, destination):
    sources = [normalize_axis(k, ndim) for k in (source if isinstance(source, tuple | list) else [source])]
    targets = [
        normalize_axis(k, ndim) for k in (destination if isinstance(destination, tuple | list) else [destination])
    ]
    order = [k for k in range(ndim) if k not in sources]
    for target, axis in sorted(zip(targets, sources, strict=True)):
        order.insert(target, axis)
    return tuple(order)


@implements(np.rollaxis)
def _rollaxis(a, axis, start=0):
    value = lift(a)
    axis, start = normalize_axis(axis, value.ndim), start + value.ndim if start < 0 else start
    return moveaxis(value, axis, start - 1 if axis < start else start)


@implements(np.squeeze)
def squeeze(a, axis=None):
    """``np.squeeze``."""
    value = lift(a)
    axes = [k for k, n in enumerate(value.shape) if n == 1] if axis is None else normalize_axes(axis, value.ndim)
    if any(value.shape[k] != 1 for k in axes):
        raise trace_error(f"can't squeeze axis {axis} of an array of shape {value.shape}", "Its length must be 1.")
    return value if not axes else reshape_view(value, tuple(n for k, n in enumerate(value.shape) if k not in axes))


@implements(np.expand_dims)
def expand_dims(a, axis):
    """``np.expand_dims``."""
    value = lift(a)
    n_new = len(axis) if isinstance(axis, tuple | list) else 1
    axes = normalize_axes(axis, value.ndim + n_new)
    old = iter(value.shape)
    return reshape_view(value, tuple(1 if k in axes else next(old) for k in range(value.ndim + n_new)))


@implements(np.atleast_1d)
def atleast_1d(*arys):
    """``np.atleast_1d``."""
    return _at_least(arys, lambda v: v if v.ndim else reshape_view(v, (1,)))


@implements(np.atleast_2d)
def atleast_2d(*arys):
    """``np.atleast_2d``."""
    return _at_least(arys, lambda v: v if v.ndim > 1 else reshape_view(v, (1, v.size)))


@implements(np.atleast_3d)
def atleast_3d(*arys):
    """``np.atleast_3d``."""
    shapes = {0: lambda s: (1, 1, 1), 1: lambda s: (1, *s, 1), 2: lambda s: (*s, 1)}
    return _at_least(arys, lambda v: reshape_view(v, shapes[v.ndim](v.shape)) if v.ndim < 3 else v)


def _at_least(arrays, function):
    results = [function(lift(a)) for a in arrays]
    return results[0] if len(results) == 1 else tuple(results)


@implements(np.broadcast_to)
def broadcast_to(array, shape):
    """``np.broadcast_to``: a read-only view."""
    value = lift(array)
    shape = tuple(shape) if isinstance(shape, list | tuple) else (shape,)
    recorder = active_recorder()
    try:
        layout = np.broadcast_to(value._layout, shape)
    except ValueError:
        raise trace_error(
            f"shape {value.shape} can't be broadcast to {shape}", "Axes are matched from the last one."
        ) from None
    return make_view(value, layout, lambda base: recorder.add("broadcast", (base,), (shape,)), None)


@implements(np.broadcast_arrays)
def broadcast_arrays(*args):
    """``np.broadcast_arrays``."""
    values = [lift(a) for a in args]
    shape = np.broadcast_shapes(*(v.shape for v in values))
    return tuple(broadcast_to(v, shape) for v in values)


@implements(np.flip)
def flip(m, axis=None):
    """``np.flip``: a view."""
    value = lift(m)
    if value.ndim == 0:
        return make_value(value._node)
    axes = normalize_axes(axis, value.ndim)
    return value[tuple(slice(None, None, -1) if k in axes else slice(None) for k in range(value.ndim))]


@implements(np.flipud)
def flipud(m):
    """``np.flipud``."""
    return flip(m, 0)


@implements(np.fliplr)
def fliplr(m):
    """``np.fliplr``."""
    return flip(m, 1)


@implements(np.diagonal)
def diagonal(a, offset=0, axis1=0, axis2=1):
    """``np.diagonal``: a read-only view."""
    value, recorder = lift(a), active_recorder()
    if value.ndim < 2:
        raise trace_error(
            f"np.diagonal needs two dimensions, got shape {value.shape}", "np.diag(x) of 1-D makes a matrix."
        )
    indices = np.diagonal(np.arange(value.size).reshape(value.shape), offset, axis1, axis2)
    layout = np.diagonal(value._layout, offset, axis1, axis2)
    attrs = (tuple(indices.ravel().tolist()), indices.shape)
    return make_view(value, layout, lambda base: recorder.add("gather", (base,), attrs), None)


@implements(np.shape)
def _shape(a):
    return lift(a).shape


@implements(np.ndim)
def _ndim(a):
    return lift(a).ndim


@implements(np.size)
def _size(a, axis=None):
    return lift(a).size if axis is None else lift(a).shape[axis]


@implements(np.copy)
def copy(a, order="K", subok=False):
    """``np.copy``: of a number a 0-d array."""
    value = lift(a)
    return make_value(value._node, np.copy(value._layout, order=order), is_cell=True, sure=value._sure)


@implements_method("copy")
def _copy_method(value, order="C"):
    if order not in ("C", "K", "A"):
        raise trace_error(f"order={order!r} can't be traced here", "Leave order out.")
    return copy_value(value, np.empty(value.shape, dtype=bool))


@implements_method("flatten")
def _flatten(value, order="C"):
    return copy_value(reshape(value, -1, order), np.empty(value.size, dtype=bool))


@implements_method("conj", "conjugate")
def _conj(value):
    return value


@implements_method("fill")
def _fill(array, value):
    array[...] = value


@implements_method("astype")
def _astype(value, dtype, order="K", casting="unsafe", subok=True, copy=True):
    if np.dtype(dtype) == np.bool_:
        return to_bool(value)
    if np.dtype(dtype) != np.float64:
        raise trace_error(
            f"astype({dtype!r}): traced values are float64 or bool", "Use np.trunc(x) or np.floor(x) for whole numbers."
        )
    return copy_value(to_float(value), np.copy(value._layout))


@implements(np.iscomplexobj)
def _iscomplexobj(x):
    return False


@implements(np.isrealobj)
def _isrealobj(x):
    return True


@implements(np.result_type)
def _result_type(*arrays_and_dtypes):
    return np.dtype(np.float64)
