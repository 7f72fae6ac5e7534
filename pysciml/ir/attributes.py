"""What the attributes and shapes of a node must be beyond its row of the table: checked for Programs from files.

A traced Program is right by construction; a file may say anything, so that everything an evaluator relies on is
checked here. ValueError says what is wrong.
"""

import math

from .network import ACTIVATIONS, count_weights
from .ops import OPERATIONS

_MOST_AXES = 32
_MOST_LENGTH = 2**40


def check_attributes(op: str, attrs: tuple, shapes: list) -> None:
    """ValueError unless ``attrs`` and the arguments' ``shapes`` fit the operation; their number fits already."""
    names = _NAMES.get(op, ())
    if len(attrs) != len(names):
        raise ValueError(f"{op} has {len(names)} attributes ({', '.join(names)}), got {len(attrs)}")
    if op in _CHECKS:
        _CHECKS[op](shapes, *attrs)


def check_shape(shape) -> None:
    """ValueError unless a shape is a tuple of lengths."""
    _check_ints("a shape", shape, 0, _MOST_LENGTH)
    if len(shape) > _MOST_AXES or math.prod(shape) > _MOST_LENGTH:
        raise ValueError(f"shape {shape} is too large")


def is_int(value) -> bool:
    """Whether a value is a plain int, which a bool is not."""
    return isinstance(value, int) and not isinstance(value, bool)


def _check_ints(what, values, low, high, length=None):
    """A tuple of ints of ``low`` to ``high``, of a given length."""
    if not isinstance(values, tuple) or not all(is_int(v) and low <= v <= high for v in values):
        raise ValueError(f"{what} must be whole numbers of {low} to {high}, got {shorten(values)}")
    if length is not None and len(values) != length:
        raise ValueError(f"{what} must be {length} numbers, got {len(values)}")


def shorten(value) -> str:
    """What an error message shows of a value from a file."""
    text = repr(value)
    return text if len(text) < 60 else text[:57] + "..."


def _check_power(shapes, exponent):
    _check_ints("the exponent", (exponent,), -(2**31), 2**31)


def _check_axes(shapes, axes):
    _check_ints("axes", axes, 0, len(shapes[0]) - 1)
    if any(a >= b for a, b in zip(axes[:-1], axes[1:], strict=True)):
        raise ValueError(f"axes must be distinct and sorted, got {axes}")


def _check_extreme(shapes, axes):
    _check_axes(shapes, axes)
    if any(shapes[0][axis] == 0 for axis in axes):
        raise ValueError(f"there is no maximum or minimum along an empty axis of shape {shapes[0]}")


def _check_axis(shapes, axis):
    _check_ints("the axis", (axis,), 0, min(map(len, shapes)) - 1)


def _check_new_shape(shapes, shape):
    check_shape(shape)


def _check_permutation(shapes, permutation):
    _check_ints("the permutation", permutation, 0, len(shapes[0]) - 1, len(shapes[0]))
    if len(set(permutation)) != len(permutation):
        raise ValueError(f"{permutation} is not a permutation")


def _check_window(shapes, starts, lengths, steps):
    """All elements of the window must lie inside the array."""
    shape = shapes[0]
    for what, values, low in (("starts", starts, 0), ("lengths", lengths, 0), ("steps", steps, -_MOST_LENGTH)):
        _check_ints(what, values, low, _MOST_LENGTH, len(shape))
    for n, start, length, step in zip(shape, starts, lengths, steps, strict=True):
        if step == 0:
            raise ValueError("a step of 0")
        if length and not (start < n and 0 <= start + (length - 1) * step < n):
            raise ValueError(f"start {start}, length {length}, step {step} leave an axis of length {n}")


def _check_update(shapes, starts, lengths, steps):
    _check_window(shapes, starts, lengths, steps)
    if shapes[1] != lengths:
        raise ValueError(f"a part of shape {lengths} can't be set to a value of shape {shapes[1]}")


def _check_gather(shapes, indices, shape):
    check_shape(shape)
    _check_ints("indices", indices, 0, math.prod(shapes[0]) - 1, math.prod(shape))


def _check_scatter(shapes, indices):
    _check_ints("indices", indices, 0, math.prod(shapes[0]) - 1)
    if len(set(indices)) != len(indices) or shapes[1] != (len(indices),):
        raise ValueError(f"{len(indices)} indices, which must be distinct, and a value of shape {shapes[1]}")


def _check_interp(shapes):
    if len(shapes[1]) != 1 or shapes[1] != shapes[2] or shapes[1] == (0,):
        raise ValueError(f"the tables must be vectors of one length, got {shapes[1]} and {shapes[2]}")


def _check_network(shapes, in_size, out_size, width, depth, activation, final_activation, input_range):
    _check_ints("in_size, out_size and width", (in_size, out_size, width), 1, 2**20)
    _check_ints("the depth", (depth,), 0, 2**10)
    for word in (activation, final_activation):
        if word not in ACTIVATIONS and not (word is None and activation is not None):
            raise ValueError(f"unknown activation {shorten(word)}")
    if shapes[0] != (count_weights(in_size, out_size, width, depth),):
        raise ValueError(f"the weights of this network have shape {shapes[0]}")
    if input_range is not None and not _is_range(input_range, in_size):
        raise ValueError(
            f"input_range must be {in_size} pairs of finite numbers (low, high), got {shorten(input_range)}"
        )


def _is_range(input_range, in_size):
    """Whether a value is one pair of finite floats an input."""
    if not isinstance(input_range, tuple) or len(input_range) != in_size:
        return False
    pairs = all(isinstance(pair, tuple) and len(pair) == 2 for pair in input_range)
    return (
        pairs
        and all(isinstance(v, float) and math.isfinite(v) for pair in input_range for v in pair)
        and all(low < high for low, high in input_range)
    )


_WINDOW = ("starts", "lengths", "steps")
_NAMES = {
    "input": ("position",),
    "constant": ("index",),
    "integer_power": ("exponent",),
    **dict.fromkeys(("sum", "prod", "max", "min"), ("axes",)),
    **dict.fromkeys(("cumsum", "concatenate"), ("axis",)),
    **dict.fromkeys(("reshape", "broadcast"), ("shape",)),
    "transpose": ("permutation",),
    **dict.fromkeys(("slice", "update"), _WINDOW),
    "gather": ("indices", "shape"),
    "scatter": ("indices",),
    "network": ("in_size", "out_size", "width", "depth", "activation", "final_activation", "input_range"),
}
_CHECKS = {
    "integer_power": _check_power,
    **dict.fromkeys(("sum", "prod"), _check_axes),
    **dict.fromkeys(("max", "min"), _check_extreme),
    **dict.fromkeys(("cumsum", "concatenate"), _check_axis),
    **dict.fromkeys(("reshape", "broadcast"), _check_new_shape),
    "transpose": _check_permutation,
    "slice": _check_window,
    "update": _check_update,
    "gather": _check_gather,
    "scatter": _check_scatter,
    "interp": _check_interp,
    "network": _check_network,
}
assert _NAMES.keys() | _CHECKS.keys() <= OPERATIONS.keys()
