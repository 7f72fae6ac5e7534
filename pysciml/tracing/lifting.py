"""From nodes to traced values and from anything a user writes to a traced value."""

import numbers

import numpy as np

from ..ir.ops import BOOL, OPERATIONS
from .recorder import active_recorder
from .source import trace_error
from .tracer import Storage, Traced, TracedArray, TracedCell, TracedScalar, View

OUTPUT_REFUSALS = {
    "c": "complex values can't be traced: write real and imaginary parts as two states",
    "m": "time differences can't be traced: t is a number, the time since t_span[0]",
    "M": "dates can't be traced: t is a number, the time since t_span[0]",
    "U": "text can't be traced",
    "S": "bytes can't be traced",
    "V": "structured arrays can't be traced",
}


def make_value(node: int, layout=None, *, is_cell: bool = False, sure: bool = True) -> Traced:
    """A traced value of its own memory that holds ``node``. ``is_cell``: NumPy would give a 0-d array, not a number."""
    recorder = active_recorder()
    shape = recorder.node(node).shape
    if layout is None or layout.shape != shape:
        layout = np.empty(shape, dtype=bool)
    kind = TracedArray if shape else TracedCell if is_cell else TracedScalar
    return kind(recorder, Storage(node), layout, sure=sure)


def make_view(base: Traced, layout, read, write, *, is_cell: bool = True) -> Traced:
    """A view of ``base`` whose real array would be ``layout``, itself a view of the base's."""
    kind = TracedArray if layout.shape else TracedCell if is_cell else TracedScalar
    return kind(base._recorder, base._storage, layout, base, View(read, write), sure=base._sure)


def node_of(value) -> int:
    """The node of anything that can be lifted."""
    return lift(value)._node


def lift(value) -> Traced:
    """A traced value of a traced value, number, array, or (nested) list of these; TraceError for anything else."""
    if isinstance(value, Traced):
        return value
    refuse = getattr(type(value), "__refuse__", None)
    if refuse is not None:  # a record or a network
        raise refuse(value)
    inner = getattr(value, "data", None)
    if isinstance(inner, Traced):  # a DataArray that holds a traced array
        return inner
    if hasattr(value, "magnitude") and hasattr(value, "units"):
        raise trace_error("a pint quantity can't be traced: units are labels here", "Use its .magnitude.")
    if hasattr(value, "tocsr"):
        raise trace_error(
            "a sparse matrix can only be multiplied with an array, by @",
            "Write L @ u, and scale the product: k * (L @ u).",
        )
    if isinstance(value, np.matrix | np.ma.MaskedArray):
        raise trace_error(f"a {type(value).__name__} can't be traced", "Use np.asarray(A) with @, or .filled(0.0).")
    if isinstance(value, list | tuple):
        return _lift_items(list(value))
    if isinstance(value, bool | int | float | complex | np.generic | np.ndarray) or hasattr(value, "__array__"):
        return _lift_array(np.asarray(value))
    if isinstance(value, numbers.Real):  # a fraction
        return _lift_array(np.asarray(float(value)))
    raise trace_error(
        f"{_describe(value)} can't be part of a computation with traced values",
        "Numbers, NumPy arrays, and lists of these can.",
    )


def _describe(value) -> str:
    text = repr(value)
    return f"{text if len(text) < 40 else 'this'} ({type(value).__name__})" if value is not None else "None"


def _lift_array(array: np.ndarray) -> Traced:
    if array.dtype == object:
        if array.ndim == 0:
            return lift(_element(array))
        flat = _lift_items(list(array.ravel()))
        if flat.shape != (array.size,):
            raise trace_error("an object array holds arrays", "Join arrays with np.stack([a, b]).")
        return make_value(active_recorder().add("reshape", (flat._node,), (array.shape,))) if array.ndim > 1 else flat
    if array.dtype.kind not in "biuf":
        raise trace_error(OUTPUT_REFUSALS.get(array.dtype.kind, f"{array.dtype} arrays can't be traced"))
    node = active_recorder().constant(array)
    return make_value(node, np.empty_like(array, dtype=bool, subok=False))


def _element(array):
    value = array.item()
    if isinstance(value, np.ndarray):
        raise trace_error("an object array holds arrays", "Join arrays with np.stack([a, b]).")
    return value


def _lift_items(items: list) -> Traced:
    """One stack node of items of equal shape; a constant if nothing in them is traced."""
    if not any(_holds_traced(item) for item in items):
        try:
            array = np.asarray(items)
        except ValueError:
            raise trace_error("a list has rows of different lengths", "Give every row the same length.") from None
        if array.dtype != object:
            return _lift_array(array)
    return record("stack", *unify([lift(item) for item in items]))


def _holds_traced(value) -> bool:
    if isinstance(value, list | tuple):
        return any(_holds_traced(item) for item in value)
    return isinstance(value, Traced) or (isinstance(value, np.ndarray) and value.dtype == object)


def is_bool(value: Traced) -> bool:
    """Whether a traced value is of type bool."""
    return value._recorder.node(value._storage.node).dtype == BOOL


def to_float(value) -> Traced:
    """The value as floats."""
    value = lift(value)
    return _elementwise_node("to_float", (value,)) if is_bool(value) else value


def to_bool(value) -> Traced:
    """The truth of each element: what is not zero."""
    value = lift(value)
    return value if is_bool(value) else elementwise("not_equal", value, 0.0)


def unify(values: list[Traced]) -> list[Traced]:
    """All bools, or all floats."""
    return values if all(is_bool(v) for v in values) else [to_float(v) for v in values]


def record(op: str, *values, attrs: tuple = (), layout=None) -> Traced:
    """One node on anything that can be lifted."""
    return make_value(active_recorder().add(op, tuple(node_of(v) for v in values), attrs), layout)


def elementwise(op: str, *values, attrs: tuple = ()) -> Traced:
    """One elementwise operation, bools turned into floats where it computes with floats."""
    row = OPERATIONS[op]
    convert = {"float": to_float, "bool": to_bool}.get(row.takes or "", lift)
    return _elementwise_node(op, tuple(convert(v) for v in values), attrs)


def _elementwise_node(op, values, attrs=()):
    node = active_recorder().add(op, tuple(v._node for v in values), attrs)
    return make_value(node, combined_layout(values), sure=all(v._sure for v in values))


def is_c_ordered(value: Traced) -> bool:
    """Whether the real array would surely lie in C order."""
    return value.ndim < 2 or (value._sure and value._layout.flags.c_contiguous)


def combined_layout(values):
    """The memory order that NumPy gives to an elementwise result of these; None is C order."""
    if all(is_c_ordered(v) for v in values):
        return None
    layouts = [v._layout for v in values]
    result = layouts[0]
    if len(layouts) == 1:
        return np.empty_like(result)
    for other in layouts[1:]:
        result = np.logical_or(result, other)
    return result
