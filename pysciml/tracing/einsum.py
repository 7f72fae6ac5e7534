"""``np.einsum`` as matrix products: operands are contracted from left to right."""

import math
import string

import numpy as np

from .calls import implements
from .lifting import elementwise, make_value, to_float
from .linear import matmul
from .reductions import reduce
from .shaping import reshape_view, transpose_view
from .source import trace_error
from .tracer import Traced


@implements(np.einsum)
def einsum(subscripts, *operands, optimize=False) -> Traced:
    """``np.einsum`` with subscripts as text."""
    if not isinstance(subscripts, str):
        raise trace_error("np.einsum takes its subscripts as text here", 'Write np.einsum("ij,j->i", a, b).')
    values = [to_float(v) for v in operands]
    inputs, output = _parse(subscripts, values)
    lengths = _check_lengths(subscripts, inputs, values)
    if len(values) == 1 and sorted(inputs[0]) == sorted(output) and len(set(inputs[0])) == len(inputs[0]):
        return transpose_view(values[0], tuple(inputs[0].index(k) for k in output))  # NumPy makes a view of this
    terms = [_diagonals(labels, value) for labels, value in zip(inputs, values, strict=True)]
    labels, value = terms[0]
    for k, (other_labels, other) in enumerate(terms[1:], start=1):
        later = set(output).union(*(set(t[0]) for t in terms[k + 1 :]))
        labels, value = _contract((labels, value), (other_labels, other), later, lengths)
    labels, value = _sum_out(labels, value, set(output))
    result = transpose_view(value, tuple(labels.index(k) for k in output))
    return make_value(result._node, sure=result.ndim < 2)


def _parse(subscripts, values):
    """Labels of each operand and of the result, the ellipsis spelled out."""
    left, arrow, right = subscripts.replace(" ", "").partition("->")
    words = left.split(",")
    if len(words) != len(values):
        raise trace_error(f"np.einsum: {subscripts!r} names {len(words)} operands, got {len(values)}", "")
    spare = [c for c in string.ascii_letters if c not in subscripts]
    extra = [v.ndim - len(w.replace("...", "")) if "..." in w else 0 for w, v in zip(words, values, strict=True)]
    hidden = "".join(spare[: max(extra, default=0)])
    inputs = [w.replace("...", hidden[len(hidden) - n :] if n else "") for w, n in zip(words, extra, strict=True)]
    for word, value in zip(inputs, values, strict=True):
        if len(word) != value.ndim:
            raise trace_error(
                f"np.einsum: {subscripts!r} does not fit an operand of shape {value.shape}", "One letter an axis."
            )
    if arrow:
        return inputs, right.replace("...", hidden)
    every = "".join(inputs)
    return inputs, hidden + "".join(sorted(c for c in set(every) - set(hidden) if every.count(c) == 1))


def _check_lengths(subscripts, inputs, values):
    lengths: dict[str, int] = {}
    for word, value in zip(inputs, values, strict=True):
        for label, n in zip(word, value.shape, strict=True):
            if lengths.setdefault(label, n) not in (n, 1) and n != 1:
                raise trace_error(f"np.einsum {subscripts!r}: axis {label!r} has lengths {lengths[label]} and {n}", "")
            lengths[label] = max(lengths[label], n)
    return lengths


def _diagonals(labels: str, value: Traced):
    """Take the diagonal where an operand has a label twice."""
    unique = "".join(dict.fromkeys(labels))
    if unique == labels:
        return labels, value
    positions = np.einsum(
        np.arange(value.size).reshape(value.shape), list(map(_number, labels)), list(map(_number, unique))
    )
    flat = reshape_view(value, -1)
    return unique, flat[positions]


def _number(label):
    return string.ascii_letters.index(label)


def _sum_out(labels, value, keep):
    """Sum over the axes whose labels are not needed."""
    axes = tuple(k for k, label in enumerate(labels) if label not in keep)
    return "".join(c for c in labels if c in keep), reduce("sum", value, axes) if axes else value


def _align(labels, value, order):
    """Axes in the given order; a missing label is an axis of length 1."""
    value = transpose_view(value, tuple(labels.index(k) for k in order if k in labels))
    sizes = iter(value.shape)
    return reshape_view(value, tuple(next(sizes) if k in labels else 1 for k in order))


def _contract(a, b, later, lengths):
    """One product of two terms, summed over what is not needed later."""
    only_a, only_b = later | set(b[0]), later | set(a[0])
    (la, va), (lb, vb) = _sum_out(*a, only_a), _sum_out(*b, only_b)
    inner = "".join(k for k in la if k in lb and k not in later)
    if not inner:
        order = la + "".join(k for k in lb if k not in la)
        return order, elementwise("mul", _align(la, va, order), _align(lb, vb, order))
    va, vb = _stretch(la, va, inner, lengths), _stretch(lb, vb, inner, lengths)
    batch = "".join(k for k in la if k in lb and k in later)
    free_a = "".join(k for k in la if k not in lb)
    free_b = "".join(k for k in lb if k not in la)
    left = _matrix(la, va, batch, free_a, inner)
    right = _matrix(lb, vb, batch, inner, free_b)
    product = matmul(left, right)
    shape = product.shape[: len(batch)] + tuple(lengths[k] for k in free_a + free_b)
    return batch + free_a + free_b, reshape_view(product, shape)


def _stretch(labels, value, inner, lengths):
    shape = tuple(lengths[k] if k in inner else n for k, n in zip(labels, value.shape, strict=True))
    return value if shape == value.shape else elementwise("mul", value, np.ones(shape))


def _matrix(labels, value, batch, rows, columns):
    """The term as (batch..., rows, columns)."""
    value = transpose_view(value, tuple(labels.index(k) for k in batch + rows + columns))
    n, m = len(batch), len(batch) + len(rows)
    shape = (*value.shape[:n], math.prod(value.shape[n:m]), math.prod(value.shape[m:]))
    return reshape_view(value, shape)
