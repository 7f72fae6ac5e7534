"""Every NumPy function that can be traced: the same value and shape as plain NumPy, on the same numbers."""

import inspect

import numpy as np
import pytest
import scipy.special
from support.tracing import check_expression

RNG = np.random.default_rng(7)
INPUTS = {
    "x": RNG.normal(size=6),
    "y": RNG.normal(size=6),
    "m": RNG.normal(size=(3, 4)),
    "q": RNG.normal(size=(4, 4)),
    "c": RNG.normal(size=(2, 3, 4)),
    "w": RNG.uniform(0.1, 0.9, size=6),
    "v": RNG.normal(size=3),
    "a": 0.7,
    "b": -1.3,
}
A = RNG.normal(size=(6, 6))
B = RNG.normal(size=(4, 2))
K = np.array([1.0, -2.0, 1.0])
XP, FP = np.array([-2.0, -0.5, 0.1, 1.0, 3.0]), np.array([1.0, 3.0, -1.0, 0.5, 2.0])
INTS = np.array([3, 1, 2, 0, 5, 4])
MASK = np.array([True, False, True, True, False, False])
F_ORDERED = np.asfortranarray(RNG.normal(size=(3, 4)))

EXPRESSIONS = [
    # operators
    lambda p: p.x + p.y - 2 * p.x * p.y / (3 + p.w),
    lambda p: 1 / p.x - p.a + (-p.b) + (+p.a),
    lambda p: p.x**2 + p.w**0.5 + 2.0**p.x + p.w**p.y + p.w**-1 + p.x**3.0,
    lambda p: p.w ** np.array([1, 2, 3, 4, 5, 6]),
    lambda p: abs(p.x) + round(p.a) + round(p.b, 1) + abs(p.b),
    lambda p: p.x // 0.3 + p.x % 0.3 + 7 // p.w + 7 % p.w,
    lambda p: sum(divmod(p.x, 0.4)) + sum(divmod(3.0, p.w)),
    lambda p: np.float64(2.0) * p.x + np.float64(3) ** p.a + np.ones(6) * p.a,
    lambda p: np.float32(0.1) * p.x,
    lambda p: np.arange(6) * p.x + np.ones(6, dtype=np.float32) + INTS,
    lambda p: p.x + [1, 2, 3, 4, 5, 6],
    lambda p: [1, 2, 3, 4, 5, 6] - p.x,
    lambda p: A @ p.x + p.x @ A,
    lambda p: p.m @ p.q @ B,
    lambda p: p.c @ p.q,
    lambda p: p.x @ p.y,
    lambda p: np.ones(6) @ p.x,
    lambda p: p.m + p.m[0] + p.m[:, :1],
    # comparisons and logic
    lambda p: (p.x > 0) * p.y,
    lambda p: (p.x > 0) + (p.y > 0),
    lambda p: (p.x > 0) * (p.y > 0),
    lambda p: (p.x > 0) + 1.0,
    lambda p: True * (p.x > 0) + True,
    lambda p: ((p.x > 0) & (p.y < 0.2)) | ~(p.w >= 0.5),
    lambda p: (p.x > 0) ^ (p.y > 0),
    lambda p: (0 < p.x) != (0 <= p.y),
    lambda p: (p.x == p.x) + (p.x != p.y) * 1.0,
    lambda p: np.logical_and(p.x > 0, p.y) * 1 + np.logical_or(p.x > 0, p.y > 0) + np.logical_not(p.x > 0),
    lambda p: np.logical_xor(p.x > 0, p.y > 0),
    lambda p: np.where(p.x > 0, p.y, 0),
    lambda p: np.where(MASK, p.x, p.y),
    lambda p: np.where(p.x > 0, True, p.y > 0),
    lambda p: np.where(p.a > 0, 1.0, 2.0),
    lambda p: np.where(p.m > 0, p.m, p.m[0]),
    lambda p: np.maximum(p.x > 0, p.y > 0),
    lambda p: np.sum(p.x > 0) + np.mean(p.x > 0) + (p.x > 0).sum(),
    lambda p: np.any(p.x > 5) + np.all(p.x > -9) + np.any(p.m > 0, axis=1).sum(),
    lambda p: np.count_nonzero(p.x > 0),
    lambda p: np.max(p.x > 0) + np.min(p.x > 0),
    lambda p: np.select([p.x > 0.5, p.x > -0.5], [p.y, -p.y], default=3.0),
    lambda p: np.piecewise(p.x, [p.x < 0, p.x >= 0], [lambda z: z**2, 1.0]),
    lambda p: np.piecewise(p.x, [p.x < 0], [lambda z: z**2, lambda z: -z]),
    lambda p: np.isnan(p.x) + np.isfinite(p.x) + np.isinf(1 / (p.x * 0)),
    # ufuncs beyond the table's own names
    lambda p: np.square(p.x) + np.reciprocal(p.x) + np.exp2(p.x) + np.positive(p.x) + np.negative(p.x),
    lambda p: np.logaddexp(p.x, p.y) + np.logaddexp2(p.x, p.y),
    lambda p: np.heaviside(p.x, 0.5) + np.heaviside(p.x * 0, 0.25),
    lambda p: np.floor_divide(p.x, p.w) + np.fmod(p.x, p.w) + np.remainder(p.x, -p.w) + np.mod(p.x, 2),
    lambda p: np.floor_divide(1.0, 0.1 + 0 * p.x),
    lambda p: np.deg2rad(p.x) + np.radians(p.x) + np.rad2deg(p.x) + np.degrees(p.x),
    lambda p: np.fmax(p.x, np.nan) + np.fmin(np.nan, p.y) + np.fmax(p.x, p.y) + np.fmin(p.x, p.y),
    lambda p: np.true_divide(p.x, p.w) + np.float_power(p.w, 2) + np.power(p.w, p.y) + np.fabs(p.x) + np.rint(p.x),
    lambda p: np.signbit(p.x) + np.copysign(p.x, p.y) + np.hypot(p.x, p.y) + np.arctan2(p.x, p.y) + np.sign(p.x),
    lambda p: np.modf(p.x)[0] + np.modf(p.x)[1] + np.divmod(p.x, 0.3)[0],
    lambda p: np.clip(p.x, -0.5, 0.5) + np.clip(p.x, None, p.a) + p.x.clip(0) + np.clip(p.x, p.b, p.a),
    lambda p: np.conj(p.x) + np.real(p.x) + np.imag(p.x) + p.x.real + p.x.imag + p.x.conj(),
    lambda p: np.sinc(p.x) + np.sinc(0 * p.x),
    lambda p: np.nan_to_num(p.x / (0 * p.x), nan=1.0, posinf=5.0),
    lambda p: np.round(p.x, 1) + np.around(p.x) + np.round(100 * p.x, -1) + p.x.round(2),
    lambda p: scipy.special.expit(10 * p.x) + scipy.special.expit(-800 + 0 * p.x) + scipy.special.logit(p.w),
    lambda p: scipy.special.xlogy(p.x, p.w) + scipy.special.xlogy(0 * p.x, 0 * p.x) + scipy.special.xlog1py(p.x, p.w),
    lambda p: scipy.special.exp10(p.x),
    lambda p: np.add.reduce(p.m) + np.maximum.reduce(p.m, axis=0) + np.add.accumulate(p.m)[-1],
    lambda p: np.multiply.outer(p.x, p.y) + np.subtract.outer(p.x, p.y),
    # shapes
    lambda p: p.m.T + p.m.transpose().copy() + np.transpose(p.m) + p.m.swapaxes(0, 1),
    lambda p: np.transpose(p.c, (2, 0, 1)) + p.c.transpose(2, 0, 1) + np.moveaxis(p.c, -1, 0),
    lambda p: np.moveaxis(p.c, [0, 1], [-1, 0]) + np.moveaxis(p.c, (0, 2), (2, 1)).transpose(0, 1, 2) * 0 + 1,
    lambda p: p.m.reshape(4, 3) + p.m.reshape((4, -1)) + np.reshape(p.m, (4, 3)) + p.m.reshape(4, 3, order="F"),
    lambda p: p.m.ravel() + np.ravel(p.m) + p.m.flatten() + p.m.ravel(order="F") + p.m.T.ravel(),
    lambda p: p.x.reshape(2, 3)[1] + p.x[None, :3][0] + p.x[:3, np.newaxis].squeeze(),
    lambda p: (
        np.squeeze(p.x.reshape(1, 6, 1)) + np.expand_dims(p.x, 0)[0] + np.expand_dims(p.x, (0, 2)).squeeze(axis=(0, 2))
    ),
    lambda p: np.broadcast_to(p.v, (2, 3)) + np.broadcast_to(p.a, (2, 3)),
    lambda p: np.atleast_1d(p.a) + np.atleast_2d(p.x) + np.atleast_3d(p.x)[0].T,
    lambda p: np.flip(p.m) + np.flip(p.m, 1) + np.flipud(p.m) + np.fliplr(p.m),
    lambda p: np.rot90(p.m) + np.rot90(p.m, 3) + np.rot90(p.m, -1) + np.rollaxis(p.m, 1),
    lambda p: np.rot90(p.c, 2, (0, 2)) + np.rot90(p.q, -2)[:3] + np.rot90(p.q, 4)[0],
    lambda p: np.diagonal(p.q) + np.diag(p.q) + p.q.diagonal() + np.trace(p.q) + p.q.trace(),
    lambda p: np.diag(p.v) + np.diag(p.v[:2], k=1) + np.diagflat(p.v),
    lambda p: np.tril(p.q) + np.triu(p.q, 1) * 2,
    lambda p: np.shape(p.m)[0] + np.size(p.m) + np.ndim(p.m) + p.m.size + p.m.ndim + len(p.m) + p.x,
    lambda p: sum(np.broadcast_arrays(p.m, p.a)),
    lambda p: np.isscalar(p.a) * p.a,
    # joining and taking apart
    lambda p: np.concatenate([p.x, p.y, [1.0, 2.0]]) + np.concatenate([p.x, p.y, p.v[:2]], axis=None),
    lambda p: np.concatenate([p.m, p.q], axis=0) * 2,
    lambda p: np.concatenate((p.m, p.m.T[:3, :]), axis=1),
    lambda p: np.hstack([p.x, p.a, p.y]),
    lambda p: np.hstack([p.m, p.m]) + np.vstack([p.x[:4], p.y[:4], p.w[:4]])[:, :1],
    lambda p: np.vstack([p.x, p.y]) + np.stack([p.x, p.y]),
    lambda p: np.stack([p.x, p.y], axis=1) + np.column_stack([p.x, p.y]) + np.stack([p.x, p.y], axis=-1),
    lambda p: np.stack([p.a, p.b, 1.0]) + np.array([p.a, p.b, 2.0]),
    lambda p: np.dstack([p.m, p.m]),
    lambda p: np.block([[p.m, p.m], [p.q, p.q]]),
    lambda p: np.block([p.x, p.v]),
    lambda p: np.append(p.x, 1.0),
    lambda p: np.concatenate([np.array([p.a, p.b]), p.x]),
    lambda p: np.split(p.x, 3)[1] + np.array_split(p.x, 4)[0] + np.split(p.x, [2, 4])[2] + np.hsplit(p.x, 3)[0],
    lambda p: np.split(p.m, 2, axis=1)[1] + np.vsplit(p.q, [2])[0][:, :2][0],
    lambda p: np.roll(p.x, 1) + np.roll(p.x, -2) + np.roll(p.x, 7) + np.roll(p.x, 0),
    lambda p: np.roll(p.m, 1, axis=0) + np.roll(p.m, -1, axis=1) + np.roll(p.m, 2) + np.roll(p.m, (1, 2), axis=(0, 1)),
    lambda p: np.repeat(p.x, 2) + np.repeat(p.x, [1, 2, 3, 4, 1, 1]) + p.x.repeat(2) + np.tile(p.x, 2),
    lambda p: np.repeat(p.m, 2, axis=0) + np.tile(p.m, (2, 1)),
    lambda p: np.take(p.x, INTS) + np.take(p.m, [0, 2], axis=1).ravel() + p.x.take([0, 1, 2, 3, -1, -2]),
    lambda p: np.take(p.x, [7, -9], mode="wrap"),
    lambda p: np.delete(p.x, 2),
    lambda p: np.meshgrid(p.x, p.v)[0] + np.meshgrid(p.x, p.v)[1],
    lambda p: np.meshgrid(p.x, p.v, indexing="ij")[0] + np.meshgrid(p.x, p.v, indexing="ij", sparse=True)[1],
    lambda p: np.linspace(p.a, 2.0, 6) + np.linspace(0.0, p.x, 6)[:, 0],
    # differences and stencils
    lambda p: np.diff(p.x) + np.diff(p.x, prepend=0)[1:] + np.diff(p.x, append=p.a)[:-1],
    lambda p: np.diff(p.m, axis=0)[:, :2] + np.diff(p.m, n=2)[:2],
    lambda p: np.diff(p.x, prepend=p.x[-1:]) + np.ediff1d(p.x)[0],
    lambda p: np.gradient(p.x) + np.gradient(p.x, 0.1) + np.gradient(p.x, 0.1, edge_order=2) + np.gradient(p.x, p.a),
    lambda p: np.gradient(p.x, XP_6) + np.gradient(p.x, XP_6, edge_order=2),
    lambda p: np.gradient(p.m, axis=1) + sum(np.gradient(p.m, 0.1, 0.2)) + np.gradient(p.m, XP_6[:3], axis=0),
    lambda p: np.pad(p.x, 1) + np.pad(p.x, (1, 1), mode="edge") + np.pad(p.x, 1, mode="wrap"),
    lambda p: np.pad(p.x, (2, 3), mode="reflect") + np.pad(p.x, (2, 3), mode="symmetric"),
    lambda p: np.pad(p.x, 1, constant_values=(1.0, 2.0)) + np.pad(p.x, 1, mode="constant", constant_values=p.a),
    lambda p: np.pad(p.m, ((1, 0), (0, 2)), mode="edge") + np.pad(p.m, ((1, 0), (0, 2))),
    lambda p: np.pad(p.m, 1, mode="wrap") + np.pad(p.m, 1, "edge") + np.pad(p.m, ((1, 1), (1, 1)), constant_values=3.0),
    lambda p: np.interp(p.x, XP, FP) + np.interp(p.x, XP, FP, left=0.0, right=-1.0) + np.interp(p.a, XP, FP),
    lambda p: np.interp(p.m, XP, FP) + np.interp(p.a, XP, p.x[:5]),
    lambda p: np.interp(p.x * 10, XP, FP, period=5.3),
    lambda p: np.trapezoid(p.x) + np.trapezoid(p.x, dx=0.1) + np.trapezoid(p.x, XP_6) + np.trapezoid(p.m, axis=0).sum(),
    lambda p: np.convolve(p.x, K) + np.convolve(K, p.x, "full") + np.convolve(np.pad(p.x, 2), K, mode="valid"),
    lambda p: np.convolve(p.x, K, "same") + np.convolve(p.x, p.v, mode="same") + np.convolve(p.x, K[:2], "same"),
    lambda p: np.polyval([1.0, p.a, 2.0], p.x) + np.polyval(K, p.x),
    # reductions
    lambda p: p.x.sum() + np.sum(p.m) + np.sum(p.x**2) + sum(p.x) + sum([p.a, p.b]),
    lambda p: p.m.sum(axis=0) + np.sum(p.m, axis=-2) + p.c.sum(axis=(0, 1)) + np.sum(p.m, 0, keepdims=True)[0],
    lambda p: np.sum(p.x, initial=2.0) + np.prod(p.m, axis=1).sum() + p.v.prod(),
    lambda p: np.mean(p.m, axis=1, keepdims=True) + p.m.mean(0) + p.m.mean(),
    lambda p: p.m - p.m.mean(axis=1, keepdims=True) + np.var(p.m, ddof=1) + np.std(p.m, axis=0) + p.x.std() + p.x.var(),
    lambda p: p.x.max() + np.min(p.m, axis=0) + np.amax(p.x) + np.amin(p.x) + np.ptp(p.x) + np.max(p.m),
    lambda p: (
        np.average(p.x, weights=p.w)
        + np.average(p.m, axis=0).sum()
        + np.average(p.m, axis=1, weights=[1, 2, 3, 4]).sum()
    ),
    lambda p: np.cumsum(p.x) + p.x.cumsum() + np.cumsum(p.m, axis=1)[0, 0] + np.cumsum(p.m)[5],
    lambda p: np.linalg.norm(p.x) + np.linalg.norm(p.m) + np.linalg.norm(p.x, 1) + np.linalg.norm(p.x, np.inf),
    lambda p: np.linalg.norm(p.m, axis=1) + np.linalg.norm(p.m, axis=-1, ord=1) + np.linalg.norm(p.m, "fro"),
    lambda p: np.linalg.norm(p.m, 1) + np.linalg.norm(p.m, np.inf) + np.linalg.norm(p.x, 3) + np.linalg.norm(0 * p.x),
    lambda p: np.linalg.norm(p.m, axis=0, keepdims=True) + np.linalg.norm(p.c, axis=(1, 2)).sum(),
    lambda p: np.nansum(np.where(p.x > 0, p.x, np.nan)),
    # linear algebra
    lambda p: (
        np.dot(p.x, p.y) + np.dot(A, p.x) + p.x.dot(A) + np.dot(2.0, p.x) + np.vdot(p.x, p.y) + np.inner(p.x, p.y)
    ),
    lambda p: np.dot(p.c, p.q) + np.inner(p.c, p.q) + np.matmul(p.c, p.q),
    lambda p: np.dot(p.c, p.c.transpose(0, 2, 1)),
    lambda p: np.outer(p.x, p.v) + np.kron(p.x, p.v).reshape(6, 3),
    lambda p: np.kron(p.m, B),
    lambda p: np.tensordot(p.m, p.q, 1) + np.tensordot(p.m, p.q, axes=([1], [1])) + np.tensordot(p.m, p.q, axes=(1, 0)),
    lambda p: np.tensordot(p.c, p.m, axes=2) + np.tensordot(p.m, p.m, 2),
    lambda p: np.cross(p.v, p.y[:3]) + np.cross(p.v, K) + np.cross(p.m[:, :3], p.v)[0],
    lambda p: np.linalg.matrix_power(p.q, 3) + np.linalg.multi_dot([p.q, p.q, p.q]),
    lambda p: np.einsum("ij,j->i", A, p.x) + np.einsum("i,ij", p.x, A) + np.einsum("i,i->i", p.x, p.y),
    lambda p: np.einsum("ij,jk,kl->il", p.m, p.q, B) + np.einsum("ij->", p.m) + np.einsum("ij,ij->", p.m, p.m),
    lambda p: np.einsum("ii->i", p.q) + np.einsum("ii", p.q) + np.einsum("ij->j", p.m) + np.einsum("ij->ji", p.q)[0],
    lambda p: np.einsum("bij,jk->bik", p.c, p.q) + np.einsum("bij,bij->b", p.c, p.c)[:, None, None],
    lambda p: np.einsum("...j,jk->...k", p.c, p.q) + np.einsum("...ij->...ji", p.c).swapaxes(1, 2),
    lambda p: np.einsum("i,j->ji", p.x, p.v) + np.einsum("ijk,j,k->i", p.c, p.v, p.q[0])[0],
    lambda p: np.einsum("ij,kj->ikj", p.m, p.q) + np.einsum("bik,bjk->bij", p.c, p.c)[0, 0, 0],
    # indexing
    lambda p: p.x[2] + p.x[-1] + p.m[1, 2] + p.m[-1][-2] + p.x[::2].sum() + p.x[::-1][0] + p.x[4:1:-1][0],
    lambda p: p.m[1:, ::-2] + p.m[..., 1:3][1:] + p.m[1:][:, 2:] + p.c[1, 1:, 2:] + p.c[0, ..., 2:][:2],
    lambda p: p.x[[0, 2, 2]] + p.x[INTS][:3] + p.m[[0, 1, 2], [1, 2, 3]] + p.x[np.array([True, False] * 3)],
    lambda p: p.x[MASK] + p.x[~MASK] + p.m[:, [0, 2]][:, 0] + p.m[np.ix_([0, 1, 2], [1])][:, 0],
    lambda p: p.m[p_mask(p.m)] + p.m[:, np.array([True, False, False, True])].sum(),
    lambda p: p.x[(np.arange(6) + 1) % 6] - 2 * p.x + p.x[np.arange(6) - 1],
    lambda p: p.c[:, [0, 1], [1, 2]] + p.c[[0, 1], :, [1, 2]][:, :2],
    lambda p: p.c[0, :, [1, 2]] + p.x[np.int64(1)] + p.x[np.array(1)] + p.x[()][0] + p.m[()][0, 0] + p.x[...][0],
    lambda p: p.x[None, ..., None][0, :, 0] + p.x[1:1].sum() + p.x[5:100][0],
    lambda p: [x for x in p.m][1] + np.array([r.sum() for r in p.m])[0],
    lambda p: sum(x * k for k, x in enumerate(p.x)),
    # copies, constants and conversions
    lambda p: p.x.copy() + np.copy(p.x) + p.x.astype(float) + p.x.astype(np.float64) + (p.x > 0).astype(float),
    lambda p: np.zeros_like(p.x) + np.ones_like(p.m)[0, 0] + np.full_like(p.x, 3.0) + np.full_like(p.x, p.a),
    lambda p: np.zeros_like(p.x, shape=3) + np.empty_like(p.v) * 0 + np.zeros_like(p.a),
    lambda p: np.multiply(p.x, p.y, out=np.zeros_like(p.x)),
    lambda p: F_ORDERED * p.m + F_ORDERED.T.reshape(3, 4) * (F_ORDERED * p.m).ravel().reshape(3, 4),
    lambda p: (p.m.T + 1).ravel() + (p.m.T + 1).reshape(-1) + np.zeros_like(p.m.T).ravel(),
    # lists, object arrays
    lambda p: np.array([p.a, p.b]) * 2 + np.sin(np.array([p.a, p.b])) ** 2,
    lambda p: np.exp(np.array([p.a, p.b])) + np.sqrt(np.array([p.a, 1 - p.b])) + np.square(np.array([p.a, p.b])),
    lambda p: np.arctan2(np.array([p.a, p.b]), np.array([p.b, p.a])) + np.abs(np.array([p.a, p.b])),
    lambda p: np.array([[p.a, p.b], [0, p.a * p.b]]) + np.ones((2, 2)),
    lambda p: np.array([[p.a, p.b], [0, 1]]) @ np.array([p.b, 2.0]),
    lambda p: A[:2, :2] @ np.array([p.a, p.b]),
    lambda p: np.floor(np.array([p.a, p.b])) + np.tanh(np.array([p.a, p.b])),
    lambda p: (
        np.array([p.a, p.b]).sum() + np.array([p.a, p.b]).dot(np.array([1.0, 2.0])) + np.sum(np.array([p.a, p.b]))
    ),
    lambda p: np.linalg.norm(np.array([p.a, p.b])) + np.linalg.norm(np.array([[p.a, p.b], [p.b, p.a]]), axis=0),
    lambda p: np.where(p.x[:2] > 0, np.array([p.a, p.b]), 0.0),
    lambda p: p.x[:2] * np.array([p.a, p.b]) + np.array([p.a, p.b]) * p.y[:2],
]
XP_6 = np.array([0.0, 0.3, 0.5, 1.1, 1.2, 2.0])


def p_mask(m):
    mask = np.zeros(m.shape, dtype=bool)
    mask[:, 1] = True
    return mask


def _label(expression):
    return inspect.getsource(expression).strip().removeprefix("lambda p: ").rstrip(",")[:60]


@pytest.mark.parametrize("expression", EXPRESSIONS, ids=_label)
def test_same_as_numpy(expression):
    if not hasattr(np, "trapezoid") and "trapezoid" in expression.__code__.co_names:
        pytest.skip("NumPy 1")
    with np.errstate(all="ignore"):
        check_expression(expression, **INPUTS)


UNARY = (
    "exp expm1 log log1p log2 log10 sqrt cbrt sin cos tan arcsin arccos arctan sinh cosh tanh arcsinh arctanh "
    "floor ceil rint trunc sign absolute fabs square reciprocal negative positive exp2 deg2rad rad2deg "
    "isnan isfinite isinf"
).split()


@pytest.mark.parametrize("name", UNARY)
def test_unary_ufuncs_on_arrays_and_on_numbers(name):
    function = getattr(np, name)
    check_expression(lambda p: function(p.w) * 1.0, **INPUTS)
    check_expression(lambda p: function(p.w[0]) * 1.0 + function(p.w).sum(), **INPUTS)


@pytest.mark.parametrize("name", "logaddexp logaddexp2 fmax fmin hypot arctan2 copysign heaviside".split())
def test_binary_ufuncs_at_infinity_and_nan(name):
    special = np.array([0.0, -0.0, 1.0, -2.5, np.inf, -np.inf, np.nan, 800.0, -800.0])
    a, b = (z.ravel() for z in np.meshgrid(special, special))
    with np.errstate(all="ignore"):
        check_expression(lambda p: getattr(np, name)(p.a, p.b), a=a, b=b)


def test_expit_and_logaddexp_have_no_kink_where_their_branches_meet():
    for h in (1e-4, 1e-5):
        assert abs((scipy.special.expit(h) - scipy.special.expit(-h)) / (2 * h) - 0.25) < 1e-8
    check_expression(lambda p: scipy.special.expit(p.x), x=np.array([-1e-300, 0.0, 1e-300, -30.0, 30.0, 750.0, -750.0]))
    check_expression(lambda p: np.logaddexp(p.x, 0.0), x=np.array([-1e-300, 0.0, 1e-300, -30.0, 30.0, 750.0, -750.0]))
