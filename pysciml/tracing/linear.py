"""Products of vectors, matrices and tensors."""

import math

import numpy as np

from .calls import implements
from .lifting import elementwise, lift, record, to_float
from .reductions import reduce
from .shaping import diagonal, moveaxis, normalize_axis, reshape_view, transpose, transpose_view
from .source import trace_error
from .sparse import is_sparse, sparse_product
from .tracer import UFUNCS, Traced


def matmul(a, b) -> Traced:
    """``a @ b``; one side may be a constant sparse matrix."""
    if is_sparse(a):
        return sparse_product(a, b)
    if is_sparse(b):
        return transpose(sparse_product(b.T, transpose(a)))
    a, b = to_float(a), to_float(b)
    if not a.ndim or not b.ndim:
        raise trace_error("`@` needs arrays, and one side is a number", "Use `*`.")
    return record("matmul", a, b)


UFUNCS["matmul"] = matmul


@implements(np.dot)
def dot(a, b) -> Traced:
    """``np.dot``."""
    if is_sparse(a) or is_sparse(b):
        return matmul(a, b)
    a, b = lift(a), lift(b)
    if not a.ndim or not b.ndim:
        return elementwise("mul", a, b)
    return matmul(a, b) if b.ndim == 1 or (a.ndim <= 2 and b.ndim == 2) else tensordot(a, b, ((-1,), (-2,)))


@implements(np.vdot)
def _vdot(a, b):
    return matmul(reshape_view(lift(a), -1), reshape_view(lift(b), -1))


@implements(np.inner)
def _inner(a, b):
    a, b = lift(a), lift(b)
    if not a.ndim or not b.ndim:
        return elementwise("mul", a, b)
    return matmul(a, b) if b.ndim == 1 else tensordot(a, b, ((-1,), (-1,)))


@implements(np.outer)
def _outer(a, b):
    a, b = lift(a), lift(b)
    return elementwise("mul", reshape_view(a, (a.size, 1)), reshape_view(b, (1, b.size)))


@implements(np.tensordot)
def tensordot(a, b, axes=2) -> Traced:
    """``np.tensordot``, as one matrix product."""
    a, b = to_float(a), to_float(b)
    if isinstance(axes, int | np.integer):
        axes = (tuple(range(a.ndim - axes, a.ndim)), tuple(range(axes)))
    inner_a, inner_b = (
        [normalize_axis(k, v.ndim) for k in np.atleast_1d(x).tolist()] for x, v in zip(axes, (a, b), strict=True)
    )
    if [a.shape[k] for k in inner_a] != [b.shape[k] for k in inner_b]:
        raise trace_error(
            f"np.tensordot: shapes {a.shape} and {b.shape} do not fit along axes {axes}", "Lengths must be equal."
        )
    outer_a = [k for k in range(a.ndim) if k not in inner_a]
    outer_b = [k for k in range(b.ndim) if k not in inner_b]
    n = math.prod(a.shape[k] for k in inner_a)
    left = reshape_view(transpose_view(a, (*outer_a, *inner_a)), (-1, n) if a.size else (0, n))
    right = reshape_view(transpose_view(b, (*inner_b, *outer_b)), (n, -1) if b.size else (n, 0))
    shape = tuple(a.shape[k] for k in outer_a) + tuple(b.shape[k] for k in outer_b)
    return reshape_view(matmul(left, right), shape)


@implements(np.trace)
def _trace(a, offset=0, axis1=0, axis2=1):
    return reduce("sum", diagonal(a, offset, axis1, axis2), -1)


@implements(np.cross)
def _cross(a, b, axisa=-1, axisb=-1, axisc=-1, axis=None):
    axisa, axisb, axisc = (axisa, axisb, axisc) if axis is None else (axis, axis, axis)
    a, b = moveaxis(a, axisa, -1), moveaxis(b, axisb, -1)
    if a.shape[-1] != 3 or b.shape[-1] != 3:
        raise trace_error(
            f"np.cross needs vectors of length 3, got shapes {a.shape} and {b.shape}", "Write 2-D ones out."
        )
    parts = [a[..., i] * b[..., j] - a[..., j] * b[..., i] for i, j in ((1, 2), (2, 0), (0, 1))]
    return moveaxis(record("stack", *parts), 0, axisc)


@implements(np.kron)
def _kron(a, b):
    a, b = lift(a), lift(b)
    ndim = max(a.ndim, b.ndim)
    shape_a, shape_b = ((1,) * (ndim - v.ndim) + v.shape for v in (a, b))
    left = reshape_view(a, tuple(n for k in shape_a for n in (k, 1)))
    right = reshape_view(b, tuple(n for k in shape_b for n in (1, k)))
    return reshape_view(left * right, tuple(m * n for m, n in zip(shape_a, shape_b, strict=True)))


@implements(np.linalg.matrix_power)
def _matrix_power(a, n):
    if n < 1:
        raise trace_error("np.linalg.matrix_power: only positive powers can be traced", "Compute inverses outside f.")
    result = lift(a)
    for _ in range(n - 1):
        result = matmul(result, a)
    return result


@implements(np.linalg.multi_dot)
def _multi_dot(arrays):
    result = lift(arrays[0])
    for array in arrays[1:]:
        result = dot(result, array)
    return result


def _vecdot(a, b):
    return reduce("sum", elementwise("mul", a, b), -1)


UFUNCS["vecdot"] = _vecdot
UFUNCS["matvec"] = lambda a, b: matmul(a, lift(b)[..., None])[..., 0]
UFUNCS["vecmat"] = lambda a, b: matmul(lift(a)[..., None, :], b)[..., 0, :]
