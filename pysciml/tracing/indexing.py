"""Items of traced arrays: views by slices, copies by index arrays, and assignment through both."""

import operator

import numpy as np

from .calls import implements
from .lifting import is_bool, lift, make_value, make_view, record, to_float, unify
from .recorder import active_recorder
from .source import trace_error
from .tracer import Traced, TracedScalar


def _check_key(key) -> tuple:
    """The index as a tuple of ints, slices, None, Ellipsis and index arrays; TraceError for anything traced."""
    parts = key if isinstance(key, tuple) else (key,)
    checked = []
    for part in parts:
        bounds = (part.start, part.stop, part.step) if isinstance(part, slice) else (part,)
        if any(_is_traced(bound) for bound in bounds):
            raise trace_error(
                "an index can't depend on a traced value: which elements are taken must be known while tracing",
                "For a condition use np.where(condition, a, b); for a table np.interp(x, xs, ys).",
            )
        if not isinstance(part, slice | int | np.integer | type(None)) and part is not Ellipsis:
            part = _index_array(part)
        checked.append(part)
    return tuple(checked)


def _is_traced(part):
    if isinstance(part, list | tuple):
        return any(_is_traced(item) for item in part)
    return isinstance(part, Traced) or (isinstance(part, np.ndarray) and part.dtype == object)


def _index_array(part):
    array = np.asarray(part)
    if array.size == 0 and isinstance(part, list):
        array = array.astype(int)
    if array.dtype.kind not in "iub":
        raise trace_error(
            f"an index must be an int, a slice, or an array of ints or bools, got {part!r}",
            "Floats, names and dates can't be indices: find the position outside the model.",
        )
    return array


def _is_basic(key) -> bool:
    return not any(isinstance(part, np.ndarray | bool) for part in key)


def _layout_item(value: Traced, key):
    """NumPy's own answer: the part of the layout that an index takes."""
    try:
        return value._layout[key]
    except IndexError as error:
        raise trace_error(
            f"{error} (the array has shape {value.shape})", "Indices are checked while tracing."
        ) from None


def _slices(shape, key):
    """Starts, lengths and steps along each axis of a basic index."""
    n_axes = sum(part is not None and part is not Ellipsis for part in key)
    fill = (slice(None),) * (len(shape) - n_axes)
    if not any(part is Ellipsis for part in key):
        key = (*key, Ellipsis)
    parts = [p for part in key for p in (fill if part is Ellipsis else (part,)) if p is not None]
    ranges = []
    for part, n in zip(parts, shape, strict=True):
        if isinstance(part, slice):
            ranges.append(range(*part.indices(n)))
        else:
            start = operator.index(part) % n
            ranges.append(range(start, start + 1))
    starts = tuple(r.start if len(r) else 0 for r in ranges)
    return starts, tuple(len(r) for r in ranges), tuple(r.step for r in ranges)


def slice_view(value: Traced, key, layout) -> Traced:
    """The view that a basic index makes."""
    attrs = _slices(value.shape, key)
    lengths, shape, recorder = attrs[1], layout.shape, value._recorder
    is_whole = lengths == value.shape and all(step == 1 for step in attrs[2])

    def read(base):
        part = base if is_whole else recorder.add("slice", (base,), attrs)
        return part if lengths == shape else recorder.add("reshape", (part,), (shape,))

    def write(base, node):
        part = node if lengths == shape else recorder.add("reshape", (node,), (lengths,))
        if is_whole:
            return part
        return recorder.add("update", (base, part), attrs) if 0 not in lengths else base

    return make_view(value, layout, read, write)


def _is_number(value, key):
    """Whether an index takes one element of an array as a number, not as a 0-d array."""
    return len(key) == value.ndim and all(isinstance(part, int | np.integer) for part in key)


@implements(operator.getitem)
def get_item(value: Traced, key) -> Traced:
    """``value[key]``: a view for a basic index, a copy for index arrays and single elements."""
    key = _check_key(key)
    if not _is_basic(key):
        layout = _layout_item(value, key)
        indices = _flat_indices(value.shape, key)
        attrs = (tuple(indices.ravel().tolist()), indices.shape)
        return make_value(
            active_recorder().add("gather", (value._node,), attrs), np.empty_like(layout), sure=value._sure
        )
    if _is_number(value, key):
        _layout_item(value, key)
        view = slice_view(value, key, np.empty((), dtype=bool))
        return make_value(view._node)
    layout = _layout_item(value, key)
    if key == () and isinstance(value, TracedScalar):  # a 0-d array gives its number
        return make_value(value._node)
    return slice_view(value, key, layout)


def _flat_indices(shape, key):
    return np.arange(int(np.prod(shape))).reshape(shape)[key]


@implements(operator.setitem)
def set_item(value: Traced, key, new) -> None:
    """``value[key] = new``."""
    key = _check_key(key)
    value._check_writable()
    if _is_basic(key):
        if _is_number(value, key):
            _layout_item(value, key)
            target = slice_view(value, key, np.empty((), dtype=bool))
        else:
            target = slice_view(value, key, _layout_item(value, key))
        if not _is_same_memory(target, new):
            target._assign(_fit(new, target)._node)
        return
    _layout_item(value, key)
    indices = _flat_indices(value.shape, key)
    flat = _fit(new, value, indices.shape)
    last = dict(zip(indices.ravel().tolist(), range(indices.size), strict=True))  # of equal indices the last one wins
    if not last:
        return
    flat = record("reshape", flat, attrs=((indices.size,),)) if flat.shape != (indices.size,) else flat
    if len(last) < indices.size:
        flat = record("gather", flat, attrs=(tuple(last.values()), (len(last),)))
    value._assign(active_recorder().add("scatter", (value._node, flat._node), (tuple(last),)))


def _is_same_memory(target: Traced, new) -> bool:
    """Whether ``new`` is the very part of memory that it is assigned to: ``x[1:] += y`` ends with this."""
    if not isinstance(new, Traced) or new._storage is not target._storage or new._base is not target._base:
        return False
    pointers = [(v._layout.__array_interface__["data"][0], v._layout.strides, v.shape) for v in (new, target)]
    return target.ndim > 0 and pointers[0] == pointers[1]


def _fit(new, target: Traced, shape=None) -> Traced:
    """``new`` in the type of ``target`` and broadcast to its shape (or ``shape``)."""
    shape = target.shape if shape is None else shape
    new = lift(new)
    if is_bool(target) and not is_bool(new):
        raise trace_error("a float can't be stored in a bool array", "Compare first: `mask[k] = x > 0`.")
    new = new if is_bool(target) else to_float(new)
    if new.shape == shape:
        return new
    extra = new.ndim - len(shape)
    if extra > 0 and all(n == 1 for n in new.shape[:extra]):  # NumPy drops leading axes of length 1 in assignments
        new = record("reshape", new, attrs=(new.shape[extra:],))
    try:
        fits = np.broadcast_shapes(new.shape, shape) == shape
    except ValueError:
        fits = False
    if not fits:
        raise trace_error(
            f"a value of shape {new.shape} can't be assigned to a part of shape {shape}",
            "The value must have the shape of the part, or broadcast to it.",
        )
    return new if new.shape == shape else record("broadcast", new, attrs=(shape,))


@implements(np.copyto)
def copy_to(dst: Traced, src) -> None:
    """Fill an array made in the model with new values."""
    if not isinstance(dst, Traced):
        raise trace_error("np.copyto into a plain NumPy array can't be traced", "Start from np.zeros_like(u).")
    dst._check_writable()
    new = lift(src)
    if new.ndim > dst.ndim:
        raise trace_error(f"a result of shape {new.shape} can't be stored in an array of shape {dst.shape}", "")
    dst._assign(_fit(new, dst)._node)


def take_along(value: Traced, indices: np.ndarray, axis: int) -> Traced:
    """Constant ``indices`` along one axis: slices joined where there are few runs, else one gather."""
    runs = _runs(indices)
    if len(runs) <= 4:
        index = (slice(None),) * axis
        parts = [value[(*index, _run_slice(run))] for run in runs]
        return make_value(parts[0]._node) if len(parts) == 1 else record("concatenate", *unify(parts), attrs=(axis,))
    return value[(slice(None),) * axis + (indices,)]


def _runs(indices: np.ndarray) -> list[np.ndarray]:
    """Consecutive stretches of indices that go up or down by one."""
    runs, start = [], 0
    for k in range(1, len(indices) + 1):
        if k < len(indices):
            step = indices[k] - indices[k - 1]
            if step in (1, -1) and (k - start < 2 or step == indices[start + 1] - indices[start]):
                continue
        runs.append(indices[start:k])
        start = k
        if len(runs) > 4:
            break
    return runs


def _run_slice(run: np.ndarray) -> slice:
    first, last = int(run[0]), int(run[-1])
    if last >= first:
        return slice(first, last + 1)
    return slice(first, last - 1 if last else None, -1)
