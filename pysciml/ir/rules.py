"""Local rules of ``simplify``: what an operation becomes because of what its arguments are.

A rule takes (writer, args, attrs) and gives the position of an equal node, or None. Neutral elements are taken out
only where that is exact for every value: ``x * 1``, ``x / 1``, ``x - 0`` and ``x + (-0)`` are ``x``, but ``x + 0`` is
not (it turns -0 into 0), nor is ``x * 0`` 0 (NaN, infinity and signs).
"""

import math

import numpy as np

from .windows import compose_windows, is_whole, locate_window, windows_apart

_MOST_EXPONENT = 64


def _neutral(side, value, negative):
    """Rule: the argument other than ``side`` when that is a constant of one value, bit for bit."""

    def rule(writer, args, attrs):
        constant, other = writer.constant(args[side]), args[1 - side]
        if constant is None or np.broadcast_shapes(constant.shape, writer.shape(other)) != writer.shape(other):
            return None
        exact = np.all(constant == value) and np.all(np.signbit(constant) == negative)
        return other if exact else None

    return rule


def _involution(op):
    """Rule: ``op(op(x))`` is x."""

    def rule(writer, args, attrs):
        inner = writer.node(args[0])
        return inner.args[0] if inner.op == op else None

    return rule


def _abs(writer, args, attrs):
    inner = writer.node(args[0])
    if inner.op == "abs":
        return args[0]
    return writer.emit("abs", inner.args) if inner.op == "neg" else None


def _pow(writer, args, attrs):
    """A constant whole exponent makes an integer power."""
    exponent, base = writer.constant(args[1]), args[0]
    if exponent is None or not exponent.size:
        return None
    n = float(exponent.flat[0])
    if not n.is_integer() or abs(n) > _MOST_EXPONENT or np.any(exponent != n):
        return None
    if np.broadcast_shapes(exponent.shape, writer.shape(base)) != writer.shape(base):
        return None
    return writer.emit("integer_power", (base,), (int(n),))


def _integer_power(writer, args, attrs):
    return args[0] if attrs[0] == 1 else None


def _where(writer, args, attrs):
    """One branch when the condition is constant, or when both are the same."""
    condition, shape = writer.constant(args[0]), np.broadcast_shapes(*map(writer.shape, args))
    chosen = None
    if args[1] == args[2]:
        chosen = args[1]
    elif condition is not None and condition.size and (condition.all() or not condition.any()):
        chosen = args[1] if condition.all() else args[2]
    return None if chosen is None else writer.emit("broadcast", (chosen,), (shape,))


def _reshape(writer, args, attrs):
    (shape,), inner = attrs, writer.node(args[0])
    if shape == inner.shape:
        return args[0]
    if inner.op == "reshape":
        return writer.emit("reshape", inner.args, attrs)
    if inner.op == "broadcast" and writer.shape(inner.args[0]) == ():
        return writer.emit("broadcast", inner.args, attrs)
    return None


def _broadcast(writer, args, attrs):
    inner = writer.node(args[0])
    shape = np.broadcast_shapes(inner.shape, attrs[0])
    if shape == inner.shape:
        return args[0]
    if inner.op == "broadcast":
        return writer.emit("broadcast", inner.args, (shape,))
    return writer.emit("broadcast", args, (shape,)) if shape != attrs[0] else None


def _transpose(writer, args, attrs):
    (permutation,), inner = attrs, writer.node(args[0])
    if permutation == tuple(range(len(permutation))):
        return args[0]
    if inner.op == "transpose":
        return writer.emit("transpose", inner.args, (tuple(inner.attrs[0][i] for i in permutation),))
    if inner.op == "concatenate":
        parts = (writer.emit("transpose", (i,), attrs) for i in inner.args)
        return writer.emit("concatenate", tuple(parts), (permutation.index(inner.attrs[0]),))
    return None


def _stack(writer, args, attrs):
    if len(args) == 1:
        return writer.emit("reshape", args, ((1, *writer.shape(args[0])),))
    return None


def _concatenate(writer, args, attrs):
    """One part is itself, parts joined along one axis are joined at once, neighbouring slices one, elements stacked."""
    if len(args) == 1:
        return args[0]
    joined = _join_slices(writer, args, *attrs)
    if len(joined) < len(args):
        return writer.emit("concatenate", joined, attrs)
    parts = [writer.node(i).args if _is_joined(writer.node(i), attrs) else (i,) for i in args]
    if any(len(part) > 1 for part in parts):
        return writer.emit("concatenate", tuple(i for part in parts for i in part), attrs)
    if all(writer.shape(i) == (1,) for i in args):
        return writer.emit("stack", tuple(writer.emit("reshape", (i,), ((),)) for i in args))
    return None


def _join_slices(writer, args, axis):
    """The parts, slices of one array that follow each other along the axis in steps of 1 taken together."""
    found = [args[0]]
    for i in args[1:]:
        before, node = writer.node(found[-1]), writer.node(i)
        if before.op == node.op == "slice" and before.args == node.args:
            (starts, lengths, steps), (next_starts, next_lengths, next_steps) = before.attrs, node.attrs
            follows = tuple(s + n * (k == axis) for k, (s, n) in enumerate(zip(starts, lengths, strict=True)))
            if follows == next_starts and steps == next_steps and steps[axis] == 1:
                total = tuple(n + next_lengths[axis] * (k == axis) for k, n in enumerate(lengths))
                found[-1] = writer.emit("slice", node.args, (starts, total, steps))
                continue
        found.append(i)
    return tuple(found)


def _is_joined(node, attrs):
    return node.op == "concatenate" and node.attrs == attrs


def _slice(writer, args, attrs):
    """The whole, a slice in normal form (step 1 along axes of one element), or a slice of what lies below."""
    inner = writer.node(args[0])
    starts, lengths, steps = attrs
    if is_whole(attrs, inner.shape):
        return args[0]
    normal = (starts, lengths, tuple(1 if n <= 1 else step for n, step in zip(lengths, steps, strict=True)))
    if normal != attrs:
        return writer.emit("slice", args, normal)
    if 0 in lengths:
        return None
    below = _SLICE_OF.get(inner.op)
    return below(writer, inner, attrs) if below else None


def _slice_of_slice(writer, inner, attrs):
    return writer.emit("slice", inner.args, compose_windows(inner.attrs, attrs))


def _slice_of_broadcast(writer, inner, attrs):
    if writer.shape(inner.args[0]) != ():
        return None
    return writer.emit("broadcast", inner.args, (attrs[1],))


def _slice_of_stack(writer, inner, attrs):
    """One element, or whole elements."""
    starts, lengths, steps = attrs
    rest = (starts[1:], lengths[1:], steps[1:])
    if lengths[0] == 1:
        part = writer.emit("slice", (inner.args[starts[0]],), rest)
        return writer.emit("reshape", (part,), (lengths,))
    if is_whole(rest, inner.shape[1:]):
        return writer.emit("stack", tuple(inner.args[starts[0] + k * steps[0]] for k in range(lengths[0])))
    return None


def _slice_of_concatenate(writer, inner, attrs):
    """A slice of the one part in which it lies."""
    (axis,), (starts, lengths, steps) = inner.attrs, attrs
    ends = (starts[axis], starts[axis] + (lengths[axis] - 1) * steps[axis])
    first = 0
    for part in inner.args:
        last = first + writer.shape(part)[axis] - 1
        if first <= min(ends) and max(ends) <= last:
            moved = tuple(s - first if k == axis else s for k, s in enumerate(starts))
            return writer.emit("slice", (part,), (moved, lengths, steps))
        first = last + 1
    return None


def _slice_of_update(writer, inner, attrs):
    """Past an update that lies elsewhere, or a slice of what it put there."""
    below, node = None, inner
    while node.op == "update" and windows_apart(node.attrs, attrs):
        below = node.args[0]
        node = writer.node(below)
    inside = locate_window(node.attrs, attrs) if node.op == "update" else None
    if inside is not None:
        return writer.emit("slice", (node.args[1],), inside)
    return None if below is None else writer.emit("slice", (below,), attrs)


def _gather(writer, args, attrs):
    """Of a gather, reshape or stack: from what lies below; in even steps along one axis: a slice."""
    (indices, shape), inner = attrs, writer.node(args[0])
    if inner.op == "reshape":
        return writer.emit("gather", inner.args, attrs)
    if inner.op == "gather":
        return writer.emit("gather", inner.args, (tuple(inner.attrs[0][i] for i in indices), shape))
    if inner.op == "stack" and indices:
        return _gather_of_stack(writer, inner, indices, shape)
    if len(inner.shape) != 1 or not indices:
        return None
    step = indices[1] - indices[0] if len(indices) > 1 else 1
    if step == 0 or any(b - a != step for a, b in zip(indices[:-1], indices[1:], strict=True)):
        return None
    part = writer.emit("slice", args, ((indices[0],), (len(indices),), (step,)))
    return writer.emit("reshape", (part,), (shape,))


def _gather_of_stack(writer, inner, indices, shape):
    size = math.prod(inner.shape[1:])
    if size == 1:
        parts = tuple(writer.emit("reshape", (inner.args[i],), ((),)) for i in indices)
        return writer.emit("reshape", (writer.emit("stack", parts),), (shape,))
    owners = {i // size for i in indices}
    if len(owners) > 1:
        return None
    (owner,) = owners
    return writer.emit("gather", (inner.args[owner],), (tuple(i - owner * size for i in indices), shape))


def _update(writer, args, attrs):
    """All overwritten, overwritten again, or overwritten with what was there."""
    (base, value), node = args, writer.node(args[0])
    if is_whole(attrs, node.shape):
        return value
    if 0 in attrs[1]:
        return base
    if node.op == "update" and node.attrs == attrs:
        return writer.emit("update", (node.args[0], value), attrs)
    put = writer.node(value)
    return base if put.op == "slice" and put.args == (base,) and put.attrs == attrs else None


_SLICE_OF = {
    "slice": _slice_of_slice,
    "broadcast": _slice_of_broadcast,
    "stack": _slice_of_stack,
    "concatenate": _slice_of_concatenate,
    "update": _slice_of_update,
}

RULES = {
    "mul": [_neutral(0, 1.0, False), _neutral(1, 1.0, False)],
    "div": [_neutral(1, 1.0, False)],
    "sub": [_neutral(1, 0.0, False)],
    "add": [_neutral(0, 0.0, True), _neutral(1, 0.0, True)],
    "neg": [_involution("neg")],
    "logical_not": [_involution("logical_not")],
    "abs": [_abs],
    "pow": [_pow],
    "integer_power": [_integer_power],
    "where": [_where],
    "reshape": [_reshape],
    "broadcast": [_broadcast],
    "transpose": [_transpose],
    "stack": [_stack],
    "concatenate": [_concatenate],
    "slice": [_slice],
    "gather": [_gather],
    "update": [_update],
}
