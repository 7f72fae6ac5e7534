"""Patterns: exact on the usual stencils, quick on many cells, refused where they are dense."""

import time

import numpy as np
import pytest

import pysciml as ps
from pysciml.ir.sparsity import find_pattern


def pattern_of(model, u0):
    problem = ps.ODEProblem(model, u0, (0.0, 1.0), {"k": 2.0})
    return find_pattern(problem.program)


def dense(pattern):
    found = np.zeros(pattern.shape, dtype=bool)
    found[pattern.rows, pattern.columns] = True
    return found


def line(t, u, p):
    du = np.zeros_like(u)
    du[1:-1] = u[2:] - 2 * u[1:-1] + u[:-2]
    du[0], du[-1] = u[1] - u[0], u[-2] - u[-1]
    return p.k * du


def ring(t, u, p):
    return np.roll(u, 1) - u + p.k * u**2


def plane(t, u, p):
    padded = np.pad(u, 1)
    return padded[2:, 1:-1] + padded[:-2, 1:-1] + padded[1:-1, 2:] + padded[1:-1, :-2] - 4 * u


def upwind(t, u, p):
    return np.where(p.k > 0, u - np.roll(u, 1), np.roll(u, -1) - u)


N = 6
EYE = np.eye(N, dtype=bool)
LINE = EYE | np.eye(N, k=1, dtype=bool) | np.eye(N, k=-1, dtype=bool)
RING = EYE | np.roll(EYE, -1, axis=1)
MASK = np.arange(N) % 2 == 0
BANDED = np.eye(N) - np.eye(N, k=2)


@pytest.mark.parametrize(
    "model, u0, want",
    [
        (line, np.ones(N), LINE),
        (ring, np.ones(N), RING),
        (upwind, np.ones(N), RING | RING.T),
        (plane, np.ones((3, N)), np.kron(np.eye(3), LINE) + np.kron(np.eye(3, k=1) + np.eye(3, k=-1), EYE) > 0),
        (lambda t, u, p: BANDED @ u, np.ones(N), BANDED != 0),
        (lambda t, u, p: MASK * u, np.ones(N), np.diag(MASK)),
        (lambda t, u, p: np.where(MASK, u, u[::-1]), np.ones(N), np.where(MASK[:, None], EYE, EYE[::-1])),
        (lambda t, u, p: np.cumsum(u), np.ones(N), np.tri(N, dtype=bool)),
        (lambda t, u, p: u - np.mean(u), np.ones(N), np.ones((N, N), dtype=bool)),
        (lambda t, u, p: np.floor(u) + np.sign(u) + p.k, np.ones(N), np.zeros((N, N), dtype=bool)),
    ],
    ids="line ring upwind plane matrix mask where cumsum mean constant".split(),
)
def test_patterns_of_stencils(model, u0, want):
    np.testing.assert_array_equal(dense(pattern_of(model, u0)), want)


def test_two_species_on_a_plane():
    def model(t, u, p):
        reaction = u.x**2 * u.y
        return {"x": reaction - u.x + plane(t, u.x, p), "y": -reaction + p.k * plane(t, u.y, p)}

    found = dense(pattern_of(model, {"x": np.ones((3, N)), "y": np.ones((3, N))}))
    own = dense(pattern_of(plane, np.ones((3, N))))
    cells = np.eye(3 * N, dtype=bool)
    np.testing.assert_array_equal(found, np.block([[own, cells], [cells, own]]))


def test_a_hundred_thousand_cells_take_a_second():
    n = 100_000
    program = ps.ODEProblem(line, np.ones(n), (0.0, 1.0), {"k": 2.0}).program
    start = time.process_time()
    pattern = find_pattern(program)
    assert time.process_time() - start < 1.0
    assert len(pattern.columns) == 3 * n - 2
    assert len(pattern.with_diagonal().columns) == 3 * n - 2


def test_a_dense_pattern_of_many_cells_is_refused_at_once():
    n = 100_000
    for model in (lambda t, u, p: u - np.mean(u), lambda t, u, p: np.cumsum(u)):
        assert find_pattern(ps.ODEProblem(model, np.ones(n), (0.0, 1.0)).program) is None


def test_the_diagonal_is_added():
    pattern = pattern_of(lambda t, u, p: np.roll(u, 1), np.ones(N))
    np.testing.assert_array_equal(dense(pattern.with_diagonal()), RING)
    rows, columns = pattern.by_column()
    assert np.all(np.diff(columns) >= 0) and len(rows) == N
