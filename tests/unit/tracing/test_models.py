"""Models as scientists write them: traced, they are what plain NumPy computes."""

from functools import partial

import numpy as np
import pytest
import xarray as xr
from scipy import sparse
from support.tracing import check_model, trace

from pysciml.networks import MLP

RNG = np.random.default_rng(3)
N = 20
FIELD = RNG.normal(size=N)
PLANE = RNG.normal(size=(8, 9))
DX = 0.1
LAPLACIAN = (np.diag(-2.0 * np.ones(N)) + np.diag(np.ones(N - 1), 1) + np.diag(np.ones(N - 1), -1)) / DX**2
SPARSE, SPARSE_ARRAY = sparse.csr_matrix(LAPLACIAN), sparse.coo_array(LAPLACIAN)
GRAPH = sparse.csr_array(np.where(RNG.uniform(size=(N, N)) < 0.2, 1.0, 0.0) * RNG.normal(size=(N, N)))
EMPTY, FULL = sparse.csr_array((N, N)), sparse.csr_array(RNG.normal(size=(N, N)) * (np.arange(N) != 3))
INCIDENCE = sparse.csr_array(np.eye(N, 2 * N, k=3) - np.eye(N, 2 * N, k=11))
KERNEL = np.array([0.25, 0.5, 0.25], dtype=np.float32)
COUPLING = RNG.normal(size=(5, 5))
FORCING = xr.DataArray(RNG.normal(size=N), dims="x", coords={"x": np.arange(N)})
TABLE_T, TABLE_V = np.linspace(0, 1, 11), np.sin(np.linspace(0, 1, 11))
P = {"k": 0.5, "D": 0.1, "rates": np.array([0.1, 0.2, 0.3]), "flag": 1.0, "net": MLP(2, 2, width=5, depth=2, seed=4)}
SIR = {"S": 0.9, "I": 0.1, "R": 0.0}


def lotka_volterra(t, u, p):
    return {"hare": p.k * u.hare - u.hare * u.lynx, "lynx": u.hare * u.lynx - p.D * u.lynx}


def unpacked(t, u, p):
    hare, lynx = u
    return {"lynx": hare * lynx - lynx, "hare": hare - hare * lynx}


def by_item(t, u, p):
    return {name: -p["k"] * u[name] for name in dir(u)}


def ude(t, u, p):
    unknown = p.net([u.hare, u.lynx])
    return {"hare": u.hare + unknown[0], "lynx": -u.lynx + unknown[1]}


def unpacked_network(t, u, p):
    a, b = p.net(np.array([u.hare, u.lynx]))
    return {"hare": a, "lynx": b * np.tanh(p.net(np.stack([u.hare, t])))[0]}


def seasonal(t, u, p):
    beta = p.k * (1 + 0.3 * np.cos(2 * np.pi * t))
    new = beta * u.S * u.I
    return {"S": -new, "I": new - p.D * u.I, "R": p.D * u.I}


def pulse(t, u, p):
    dose = np.where((t > 0.2) & (t < 0.4), 1.0, 0.0)
    return {"S": dose - u.S, "I": np.heaviside(t - 0.1, 0.5) * u.I, "R": np.interp(t, TABLE_T, TABLE_V)}


def constant_derivative(t, u, p):
    return {"S": 0.0, "I": 1, "R": np.float32(0.5)}


def identity(t, u, p):
    return u


def robertson(t, y, p):
    k1, k2, k3 = 0.04, 3e7, 1e4
    a, b, c = y
    return [-k1 * a + k3 * b * c, k1 * a - k3 * b * c - k2 * b**2, k2 * b**2]


def as_array(t, u, p):
    return np.array([u[1], -u[0], 0.0])


def as_tuple(t, u, p):
    return u[1], -u[0], 1


def nested_rows(t, u, p):
    return [[u[0, 1], 2.0], [u[1, 0] * p.k, u[0, 0]]]


def lorenz_matrix(t, u, p):
    jacobian = np.array([[-10.0, 10.0, 0.0], [28.0 - u[2], -1.0, -u[0]], [u[1], u[0], -8 / 3]])
    return jacobian @ u


def heat_zeros_like(t, u, p):
    du = np.zeros_like(u)
    du[1:-1] = p.D * (u[2:] - 2 * u[1:-1] + u[:-2]) / DX**2
    du[0] = 2 * p.D * (u[1] - u[0]) / DX**2
    du[-1] = 2 * p.D * (u[-2] - u[-1]) / DX**2
    return du


def heat_added(t, u, p):
    flux = -p.D * np.diff(u) / DX
    du = np.zeros_like(u)
    du[:-1] -= flux / DX
    du[1:] += flux / DX
    return du


def heat_roll(t, u, p):
    return p.D * (np.roll(u, 1) - 2 * u + np.roll(u, -1)) / DX**2


def heat_pad(t, u, p):
    v = np.pad(u, 1, mode="edge")
    return p.D * (v[2:] - 2 * v[1:-1] + v[:-2]) / DX**2


def heat_matrix(t, u, p):
    return p.D * LAPLACIAN @ u + FORCING


def heat_sparse(t, u, p):
    return p.D * (SPARSE @ u) + SPARSE.dot(u) - u @ SPARSE_ARRAY


def network_of_nodes(t, u, p):
    return GRAPH @ np.tanh(u) - (GRAPH.T @ np.stack([u, u**2], axis=1))[:, 1] + EMPTY @ u


def dense_sparse(t, u, p):
    return FULL @ u


def rectangular(t, u, p):
    return INCIDENCE @ np.tanh(INCIDENCE.T @ u)


def heat_convolve(t, u, p):
    return np.convolve(u, KERNEL, mode="same") - u


def heat_concatenate(t, u, p):
    ghost = np.concatenate([[0.0], u, u[-1:]])
    return np.diff(ghost, n=2) / DX**2


def heat_indices(t, u, p):
    right, left = (np.arange(N) + 1) % N, np.arange(N) - 1
    return p.D * (u[right] - 2 * u + u[left])


def heat_loop(t, u, p):
    du = [0.0] * N
    for i in range(N):
        du[i] = p.D * (u[(i + 1) % N] - 2 * u[i] + u[i - 1])
    return np.array(du)


def burgers_upwind(t, u, p):
    back, ahead = u - np.roll(u, 1), np.roll(u, -1) - u
    return -np.maximum(u, 0) * back / DX - np.minimum(u, 0) * ahead / DX


def burgers_limiter(t, u, p):
    r = np.diff(u, append=u[:1]) / (np.diff(u, prepend=u[-1:]) + 1e-9)
    return -u * np.gradient(u, DX) * np.clip(np.minimum(r, 1), 0, None)


def oscillators(t, u, p):
    n = len(u) // 2
    x, v = u[:n], u[n:]
    du = np.empty_like(u)
    dx, dv = du[:n], du[n:]
    dx[:] = v
    dv[:] = -p.k * x
    dv[1:] += 0.1 * (x[:-1] - x[1:])
    dv *= 2.0
    return du


def split_and_joined(t, u, p):
    x, v = np.split(u, 2)
    return np.concatenate([v, -np.sin(x)])


def reshaped_state(t, u, p):
    grid = u.reshape(4, 5)
    out = np.zeros_like(u)
    view = out.reshape(4, 5)
    view[1:] = grid[:-1]
    view[0] -= grid[-1]
    return out


def helper(x, out):
    out[...] = np.sin(x)
    out += 1


def helper_writes(t, u, p):
    du = np.zeros_like(u)
    helper(u, du)
    helper(u[:3], du[-3:])
    return du


def where_boundary(t, u, p):
    x = np.arange(N) * DX
    return np.where(x < 1.0, -u, np.where(u > 0, u**2, np.abs(u)))


def masked(t, u, p):
    du = -1.0 * u
    inside = np.zeros(N, dtype=bool)
    inside[5:10] = True
    du[inside] *= 3.0
    du[[0, -1]] = 0.0
    du[np.array([2, 3])] += u[[3, 2]]
    return du


def accumulate(t, u, p):
    total = np.zeros_like(u)
    for k in range(1, 4):
        total += p.rates[k - 1] * u**k
    return total


def softmax(t, u, p):
    e = np.exp(u - u.max())
    return e / e.sum() - np.mean(u)


def normalised(t, u, p):
    return u / np.linalg.norm(u) + (u - u.mean()) / np.std(u)


def dataarray_constants(t, u, p):
    return FORCING * u + u * FORCING.values - np.sin(FORCING)


def kuramoto(t, u, p):
    return p.k + np.sum(np.sin(u[None, :] - u[:, None]), axis=1) / len(u)


def kuramoto_outer(t, u, p):
    return p.k + np.mean(np.sin(np.subtract.outer(u, u)), axis=0)


def gray_scott(t, u, p):
    def laplacian(z):
        return np.roll(z, 1, 0) + np.roll(z, -1, 0) + np.roll(z, 1, 1) + np.roll(z, -1, 1) - 4 * z

    reaction = u.a * u.b**2
    return {"a": p.D * laplacian(u.a) - reaction + p.k * (1 - u.a), "b": laplacian(u.b) + reaction - u.b}


def heat_2d(t, u, p):
    du = np.zeros_like(u)
    du[1:-1, 1:-1] = u[2:, 1:-1] + u[:-2, 1:-1] + u[1:-1, 2:] + u[1:-1, :-2] - 4 * u[1:-1, 1:-1]
    du[0, :] = du[1, :]
    du[:, -1] = du[:, -2]
    return du


def transposed_writes(t, u, p):
    du = np.zeros_like(u)
    for k, column in enumerate(du.T):
        column[:] = u[:, k] * k
    du.ravel()[3] = 1.0
    row, *_ = du
    row -= u[0]
    return du


def strided_ravel(t, u, p):
    z = u.T * 2.0
    flat, reshaped = np.ravel(z[-1:]), z[-1:].reshape(-1)  # the first is a copy, the second a view
    z[-1] = 0.0
    number = np.copy(u[0, 0])
    same = number
    number += 1.0
    return u + flat.sum() + reshaped.sum() + same


def einsum_2d(t, u, p):
    return np.einsum("ij,ik->kj", u, np.tanh(u @ u.T)) + np.einsum("ij->", u)


def n_body(t, u, p):
    r = u.r[None, :, :] - u.r[:, None, :]
    d = np.sqrt(np.sum(r**2, axis=-1) + 0.01)
    return {"r": u.v, "v": np.sum(r / d[..., None] ** 3, axis=1)}


def network_batch(t, u, p):
    y = p.net(np.stack([u, t * np.ones(N)], axis=-1))
    return y[:, 0] - y[..., 1]


def network_loop(t, u, p):
    return sum(p.net([u[k], t]) for k in range(3))[0] * u


def scalar_model(t, u, p):
    return -p.k * u + np.sin(t) if p is not None else -u


def scalar_in_place(t, u, p):
    x = u
    x *= 2.0
    x += 1
    return x - u


def scalar_zeros_like(t, u, p):
    du = np.zeros_like(u)
    du += 3.0
    du[...] -= u
    return du


def closed_ints(t, u, p):
    return u * np.arange(N) // 3 + (np.arange(N) % 2 == 0) * u


def stacked_helpers(t, u, p):
    x, y, z = u
    return np.stack([y - x, x * z, max([1, 2]) * abs(z)])


def records_with_arrays(t, u, p):
    dx = np.zeros_like(u.x)
    dx[:] = p.k * u.m.sum(axis=0)
    return {"m": np.outer(u.x, [1.0, 2.0, 3.0]).T * u.s, "s": u.x @ u.x, "x": dx}


def listed_values(t, u, p):
    return {"m": [u.x, 2 * u.x, [1.0, 2.0]], "s": -u.s, "x": [u.s, 1.0]}


MODELS = [
    *((m, {"hare": 3.0, "lynx": 0.7}) for m in (lotka_volterra, unpacked, by_item, ude, unpacked_network)),
    *((m, SIR) for m in (seasonal, pulse, constant_derivative, identity)),
    *((m, np.array([0.3, 0.2, -0.5])) for m in (robertson, as_array, as_tuple, lorenz_matrix, stacked_helpers)),
    (nested_rows, np.array([[1.0, 2.0], [3.0, 4.0]])),
    *(
        (m, FIELD)
        for m in (
            heat_zeros_like, heat_added, heat_roll, heat_pad, heat_matrix, heat_sparse, network_of_nodes,
            dense_sparse, rectangular, heat_convolve, heat_concatenate, heat_indices, heat_loop,
            burgers_upwind, burgers_limiter, oscillators, split_and_joined, reshaped_state, helper_writes,
            where_boundary, masked, accumulate, softmax, normalised, dataarray_constants, kuramoto, kuramoto_outer,
            network_batch, network_loop, closed_ints, identity,
        )
    ),
    (gray_scott, {"a": PLANE, "b": PLANE**2}),
    *((m, PLANE) for m in (heat_2d, transposed_writes, strided_ravel, einsum_2d, identity)),
    (n_body, {"r": RNG.normal(size=(4, 3)), "v": RNG.normal(size=(4, 3))}),
    *((m, 0.8) for m in (scalar_model, scalar_in_place, scalar_zeros_like, identity)),
    *((m, {"m": PLANE[:3, :2], "s": 0.4, "x": np.array([0.1, 0.2])}) for m in (records_with_arrays, listed_values)),
]  # fmt: skip


@pytest.mark.parametrize("model, u", MODELS, ids=lambda v: getattr(v, "__name__", ""))
def test_same_as_numpy(model, u):
    check_model(model, u, P)


@pytest.mark.parametrize(
    "p", [None, 2.0, np.array([1.0, 2.0]), MLP(1, 1, width=3, depth=1, input_range=[(0, 2)])], ids=str
)
def test_forms_of_p(p):
    def model(t, u, q):
        if q is None:
            return -u
        return u * np.sum(q([u])) if callable(q) else u * np.sum(q)

    check_model(model, 0.8, p)


def advection(t, u, p):
    du = np.zeros_like(u)
    flux = p.k * u - p.D * np.gradient(u, DX)
    du[1:-1] -= (flux[2:] - flux[:-2]) / (2 * DX)
    du[0], du[-1] = 0.0, du[-2]
    du += np.where(u > 1, -(u**3), np.interp(t, TABLE_T, TABLE_V))
    return du + 0.1 * (np.roll(u, 1) - 2 * u + np.roll(u, -1))


@pytest.mark.parametrize("n", [50, 10_000])
def test_a_large_grid_is_as_few_nodes_as_a_small_one(n):
    assert len(trace(advection, np.zeros(n), P).nodes) <= 70


def test_a_sparse_matrix_stays_sparse():
    n = 10_000
    matrix = sparse.diags_array([1.0, -2.0, 1.0], offsets=[-1, 0, 1], shape=(n, n))
    program = trace(lambda t, u, p: matrix @ u, np.zeros(n))
    assert len(program.nodes) <= 30 and sum(c.size for c in program.constants) <= 4 * n


def test_named_planes_are_few_nodes():
    program = trace(gray_scott, {"a": np.zeros((100, 100)), "b": np.zeros((100, 100))}, P)
    assert len(program.nodes) <= 90


def test_constants_are_copied():
    table = np.ones(3)
    program = trace(lambda t, u, p: table * u, np.zeros(3))
    table[:] = 5.0
    assert any(np.array_equal(c, np.ones(3)) for c in program.constants)


def test_every_node_knows_its_line():
    def model(t, u, p):
        a = np.sin(u)
        return a + _helper(u)

    def _helper(x):
        return np.linalg.norm(x) * x

    nodes = [n for n in trace(model, np.ones(4)).nodes if n.op not in ("input", "constant")]
    first = model.__code__.co_firstlineno
    assert {n.origin.file for n in nodes} == {__file__}
    assert [n.origin.line for n in nodes if n.op == "sin"] == [first + 1]
    assert [n.origin.line for n in nodes if n.op == "sqrt"] == [_helper.__code__.co_firstlineno + 1]


def returns_late(t, u, p):
    a = 2.0 * u[0]
    b = a * u[1]
    return [a, b]


class Late:
    def __call__(self, t, u, p):
        return [u[0], u[1]]


def late(k, t, u, p):
    if k > 1:
        return [u[0], k * u[1]]
    return [u[0], u[1]]


@pytest.mark.parametrize(
    "model, line",
    [
        (returns_late, returns_late.__code__.co_firstlineno + 3),
        (Late(), Late.__call__.__code__.co_firstlineno + 1),
        (partial(late, 2.0), late.__code__.co_firstlineno),
    ],
)
def test_what_is_returned_belongs_to_the_return(model, line):
    stack = [n for n in trace(model, np.ones(2)).nodes if n.op == "stack"]
    assert [(n.origin.file, n.origin.line) for n in stack] == [(__file__, line)]


def test_tracing_is_deterministic():
    assert trace(advection, FIELD, P).hash == trace(advection, FIELD, P).hash


def test_harmless_random_numbers_are_allowed():
    program = trace(lambda t, u, p: (np.random.normal() > 1e9) * 1.0 - u, FIELD)
    assert program.outputs[0].name == "du"


def test_layout_of_inputs():
    program = trace(records_with_arrays, {"m": np.ones((3, 2)), "s": 1.0, "x": np.ones(2)}, P)
    assert [(i.name, i.shape) for i in program.inputs] == [("t", ()), ("u", (9,)), ("p", (6 + P["net"].n_weights,))]
    assert [o.name for o in program.outputs] == ["du"] and program.nodes[program.outputs[0].node].shape == (9,)
