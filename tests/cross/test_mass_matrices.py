"""Mass matrices: semi-explicit differential-algebraic equations against closed forms and Robertson's as an ODE."""

import numpy as np
import pytest
from support.engines import require_engine

import pysciml as ps
from pysciml.errors import UnsupportedByEngine
from pysciml.problems import schema


def pair(t, u, p):
    """x' = -z x, 0 = z - p.a cos(t): x = exp(-a sin t)."""
    return {"x": -u.z * u.x, "z": u.z - p.a * np.cos(t)}


ALGEBRAIC = {"z": 0}


def make_pair(mass=ALGEBRAIC, z0=0.7):
    return ps.ODEProblem(pair, {"x": 1.0, "z": z0}, (0, 3), {"a": 0.7}, mass_matrix=mass)


TIMES = np.linspace(0, 3, 7)


def check_pair(ds, bound=50, rtol=1e-7):
    for name, want in (("x", np.exp(-0.7 * np.sin(TIMES))), ("z", 0.7 * np.cos(TIMES))):
        assert ds[name].dims == ("time",)
        assert np.max(np.abs(ds[name].values - want) / (rtol + rtol * np.abs(want))) < bound


@pytest.mark.parametrize("word", ["auto", "FBDF"])
def test_an_algebraic_equation(word):
    require_engine("julia")
    ds = ps.solve(make_pair(), word, saveat=TIMES, rtol=1e-7, atol=1e-7, engine="julia")
    check_pair(ds, bound=200 if word == "FBDF" else 50)
    assert ds.attrs["algorithm"] == ("Rodas5P" if word == "auto" else word)


def test_forms_of_a_mass_matrix_are_one():
    diagonal = make_pair(np.array([1.0, 0.0]))
    assert diagonal == make_pair(np.diag([1.0, 0.0])) == make_pair() != make_pair(None)
    assert make_pair(np.eye(2)) == make_pair(None)
    text = schema.problem_to_json(diagonal)
    assert schema.problem_from_json(text) == diagonal
    assert diagonal.remake(p={"a": 1.0}).mass_matrix is not None


def test_inconsistent_start_values_are_made_consistent():
    require_engine("julia")
    ds = ps.solve(make_pair(z0=5.0), "Rodas5P", saveat=TIMES, rtol=1e-7, atol=1e-7, engine="julia")
    check_pair(ds)


def test_a_full_regular_matrix():
    require_engine("julia")
    mass = np.array([[2.0, 1.0], [0.5, 3.0]])
    problem = ps.ODEProblem(lambda t, u, p: -u, np.array([1.0, -1.0]), (0, 1), mass_matrix=mass)
    ds = ps.solve(problem, "Rodas5P", saveat=[1.0], rtol=1e-9, atol=1e-9, engine="julia")
    values, vectors = np.linalg.eig(-np.linalg.inv(mass))
    want = vectors @ (np.exp(values) * np.linalg.solve(vectors, [1.0, -1.0]))
    np.testing.assert_allclose(next(iter(ds.data_vars.values())).values[0], want, rtol=1e-7)


def test_robertson_by_conservation():
    """The third equation replaced by a + b + c = 1."""
    require_engine("julia")

    def model(t, u, p):
        slow, fast, back = 0.04 * u.a, 3e7 * u.b**2, 1e4 * u.b * u.c
        return {"a": -slow + back, "b": slow - back - fast, "c": u.a + u.b + u.c - 1}

    def plain(t, u, p):
        slow, fast, back = 0.04 * u.a, 3e7 * u.b**2, 1e4 * u.b * u.c
        return {"a": -slow + back, "b": slow - back - fast, "c": fast}

    start, options = {"a": 1.0, "b": 0.0, "c": 0.0}, {"saveat": [1.0, 1e3, 1e5], "rtol": 1e-8, "atol": 1e-11}
    got = ps.solve(ps.ODEProblem(model, start, (0, 1e5), mass_matrix={"c": 0}), "Rodas5P", engine="julia", **options)
    want = ps.solve(ps.ODEProblem(plain, start, (0, 1e5)), "Rodas5P", engine="julia", **options)
    for name in start:
        np.testing.assert_allclose(got[name], want[name], rtol=1e-6)


@pytest.mark.parametrize("word", ["Tsit5", "KenCarp4", "CVODE_BDF"])
def test_methods_without_mass_matrices_refuse(word):
    require_engine("julia")
    with pytest.raises(UnsupportedByEngine, match=f"{word}.*takes no mass matrix.*Rodas5P"):
        ps.solve(make_pair(), word, engine="julia")


def test_the_other_engine_refuses():
    require_engine("diffrax")
    with pytest.raises(UnsupportedByEngine, match="'mass matrix'; engine='julia' does"):
        ps.solve(make_pair(), engine="diffrax")


def cells(c):
    """Differences of neighbours on a line with c = 0 beyond its ends."""
    ends = np.array([c[1] - 2 * c[0]]), np.array([c[-2] - 2 * c[-1]])
    return np.concatenate([ends[0], c[2:] - 2 * c[1:-1] + c[:-2], ends[1]])


def make_grid(n):
    """Heat on n cells, lost by a rate z of each that an algebraic equation gives: c = exp(-(k + 1) t) sin(pi x)."""
    x, rate = np.arange(1, n + 1) / (n + 1), 0.1 * (n + 1.0) ** 2

    def model(t, u, p):
        return {"c": p.rate * cells(u.c) - u.z, "z": u.z - u.c}

    start = {"c": np.sin(np.pi * x), "z": np.zeros(n)}
    k = 4 * rate * np.sin(np.pi / (2 * n + 2)) ** 2
    problem = ps.ODEProblem(model, start, (0, 1), {"rate": rate}, mass_matrix={"z": 0})
    return problem, np.exp(-(k + 1) * TIMES[:3])[:, None] * np.sin(np.pi * x)


@pytest.mark.parametrize(("word", "n"), [("auto", 400), ("FBDF", 400)])
def test_a_grid_with_algebraic_rows(word, n):
    """The Jacobian is sparse from 100 states on."""
    require_engine("julia")
    problem, want = make_grid(n)
    ds = ps.solve(problem, word, saveat=TIMES[:3], rtol=1e-7, atol=1e-7, engine="julia")
    for name in ("c", "z"):
        assert ds[name].shape == want.shape
        assert np.max(np.abs(ds[name].values - want)) < 50e-7


def test_many_algebraic_rows_are_quick():
    """Full matrices of so many states would take minutes."""
    require_engine("julia")
    problem, want = make_grid(5000)
    ds = ps.solve(problem, "Rodas5P", saveat=TIMES[:3], rtol=1e-5, atol=1e-5, engine="julia")
    assert np.max(np.abs(ds.c.values - want)) < 50e-5


def test_a_full_matrix_beside_a_sparse_jacobian():
    """Finite elements: the mass of neighbours is coupled."""
    require_engine("julia")
    n = 150
    x, h = np.arange(1, n + 1) / (n + 1), 1 / (n + 1)
    mass = (np.diag(np.full(n, 4.0)) + np.diag(np.ones(n - 1), 1) + np.diag(np.ones(n - 1), -1)) / 6
    problem = ps.ODEProblem(lambda t, u, p: cells(u) / h**2, np.sin(np.pi * x), (0, 0.1), mass_matrix=mass)
    ds = ps.solve(problem, "Rodas5P", saveat=[0.1], rtol=1e-8, atol=1e-10, engine="julia")
    rate = 4 * np.sin(np.pi * h / 2) ** 2 / h**2 / ((2 + np.cos(np.pi * h)) / 3)
    np.testing.assert_allclose(
        ds[next(iter(ds.data_vars))].values[0], np.exp(-0.1 * rate) * np.sin(np.pi * x), rtol=1e-6
    )
