"""Gradients of differential-algebraic equations, against closed forms and differences of tight solves."""

import numpy as np
import pytest
import xarray as xr
from support.engines import require_engine

import pysciml as ps
from pysciml.errors import UnsupportedByEngine

TIGHT = {"rtol": 1e-10, "atol": 1e-11}


@pytest.fixture(scope="module", autouse=True)
def julia():
    require_engine("julia")


def make_pair(a=0.7, z0=0.7, x0=1.0):
    """x' = -z x, 0 = z - a cos(t): x = x0 exp(-a sin t)."""

    def f(t, u, p):
        return {"x": -u.z * u.x, "z": u.z - p.a * np.cos(t)}

    return ps.ODEProblem(f, {"x": x0, "z": z0}, (0, 3), {"a": a}, mass_matrix={"z": 0})


def make_four(mass=None, **options):
    """Two algebraic states, whose equations are not linear and hold parameters and differential states."""

    def f(t, u, p):
        return {
            "x": -p.k * u.x + u.z,
            "z": u.z**3 + u.z - u.x * p.a - np.sin(t + 0.3) * p.b,
            "y": p.c * u.x - u.y * u.w,
            "w": u.w * np.exp(u.z) - 1 - u.y**2,
        }

    start = {"x": 1.0, "z": 0.3, "y": 0.5, "w": 1.0}
    p = {"k": 0.7, "c": 1.3, "a": 0.8, "b": 0.5}
    return ps.ODEProblem(f, start, (0, 3), p, mass_matrix={"z": 0, "w": 0} if mass is None else mass, **options)


FOUR = ["k", "c", "a", "b", "u0_x", "u0_z", "u0_y", "u0_w"]
COUPLED = np.array([[2.0, 0.0, 0.5, 0.0], [0.0] * 4, [0.3, 0.0, 1.5, 0.0], [0.0] * 4])


def make_data(times, names):
    t = np.asarray(times, dtype=np.float64)
    return xr.Dataset({name: ("time", 0.3 + np.sin(t + k)) for k, name in enumerate(names)}, {"time": t})


def assert_right(problem, data, algorithm, names, rtol=2e-6, **options):
    """The gradient is the derivative by differences of fourth order, and its value the loss of what ``solve`` gives."""
    options = {**TIGHT, **options}
    o = ps.objective(problem, data, loss="mse", trainable=names, engine="julia", algorithm=algorithm, **options)
    value, gradient = o(o.x0)
    expected = []
    for unit in np.eye(o.x0.size):
        above, below, far_above, far_below = (o.value(o.x0 + 2e-3 * k * unit) for k in (1, -1, 2, -2))
        expected.append((8 * (above - below) - (far_above - far_below)) / (12 * 2e-3))
    np.testing.assert_allclose(gradient, expected, rtol=rtol, atol=rtol * np.max(np.abs(expected)))
    ds = ps.solve(problem, algorithm, saveat=data.time.values, engine="julia", **options)
    loss = np.mean([(ds[name].values - data[name].values) ** 2 for name in data.data_vars])
    assert value == pytest.approx(o.value(o.x0), rel=1e-11)
    assert value == pytest.approx(loss, rel=1e-6)  # of other steps
    return gradient


def test_closed_form():
    """Also where the start values given are not consistent: the algebraic one does not count."""
    for z0 in (0.7, 4.0):
        problem, t = make_pair(z0=z0, x0=1.2), np.array([0.0, 0.5, 1.3, 2.4])
        data = make_data(t, "xz")
        x, z = 1.2 * np.exp(-0.7 * np.sin(t)), 0.7 * np.cos(t)
        rx, rz = x - data.x.values, z - data.z.values
        by_a, by_x0 = np.mean([-2 * rx * np.sin(t) * x, 2 * rz * np.cos(t)]), np.mean(rx * x / 1.2)
        o = ps.objective(problem, data, loss="mse", trainable=["a", "u0_x", "u0_z"], engine="julia", **TIGHT)
        value, gradient = o(o.x0)
        assert value == pytest.approx(np.mean([rx**2, rz**2]), rel=1e-8)
        np.testing.assert_allclose(gradient, [by_a, by_x0, 0.0], rtol=1e-7)
        assert o.sensitivity == "discrete" and o.algorithm == "Rodas5P" and "for a mass matrix" in o.reason


CASES = {
    "all states": (make_four, [0.0, 0.5, 1.3, 2.4], "xzyw"),
    "the start": (make_four, [0.0], "xzyw"),
    "an algebraic state between": (make_four, [0.5, 2.4], "w"),
    "a full matrix": (lambda: make_four(COUPLED), [0.0, 0.5, 1.3, 2.4], "xzyw"),
    "a regular matrix": (lambda: make_four({"z": -0.5, "w": -2.0}), [0.0, 0.5, 1.3], "xzyw"),
    "observables": (lambda: make_four(observe=lambda t, u, p: {"q": u.z * p.b + u.w * u.x}), [0.0, 0.5, 2.4], "q"),
}


@pytest.mark.parametrize("case", CASES)
def test_the_gradient_is_the_derivative(case):
    make, times, names = CASES[case]
    gradient = assert_right(make(), make_data(times, names), "Rodas5P", FOUR)
    if case != "a regular matrix":
        assert gradient[5] == gradient[7] == 0  # what is given of an algebraic state


def test_a_sparse_grid():
    """Diffusion on a line whose ends are algebraic."""
    n = 120

    def f(t, u, p):
        inner = p.d * (u[2:] - 2 * u[1:-1] + u[:-2]) - 0.1 * u[1:-1] ** 2
        return np.concatenate([np.stack([u[0] - p.left * (1 + u[1])]), inner, np.stack([u[-1] - u[-2] + p.right])])

    mass = np.ones(n)
    mass[[0, -1]] = 0
    problem = ps.ODEProblem(f, np.linspace(1, 0.2, n), (0, 1), {"d": 3.0, "left": 0.6, "right": 0.02}, mass_matrix=mass)
    data = xr.Dataset({"u": (("time", "state"), np.full((2, n), 0.5))}, {"time": [0.4, 1.0]})
    assert_right(problem, data, "Rodas5P", ["d", "left", "right"], rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("n", [1, 3, 8])
@pytest.mark.parametrize("word", ["Rodas5P", "Rosenbrock23"])
def test_steps_of_few_states_reverse_as_others_do(n, word):
    """With the unit matrix as a mass matrix nothing is made in registers."""

    def f(t, u, p):
        return np.sin(3 * u) - p.a * t * u[::-1] - p.b * u

    found = []
    for mass in (None, np.ones(n)):
        problem = ps.ODEProblem(
            f, 0.1 * np.arange(1, n + 1), (0, 3), {"a": 1.5, "b": np.full(n, 20.0)}, mass_matrix=mass
        )
        data = xr.Dataset({"u": (("time", "state"), np.full((3, n), 0.5))}, {"time": [0.7, 1.2, 3.0]})
        options = {"rtol": 1e-6, "atol": 1e-8, "sensitivity": "discrete", "engine": "julia", "algorithm": word}
        o = ps.objective(problem, data, loss="mse", trainable=["a", "b", "u0_u"], **options)
        found.append(o(o.x0)[1])
    np.testing.assert_allclose(*found, rtol=1e-9)


def test_robertson_conserves_mass():
    """The gradient of Robertson's equations as a DAE is theirs as an ODE."""

    def f(t, u, p):
        s, r = p.k3 * u.b * u.c - p.k1 * u.a, p.k2 * u.b**2
        return {"a": s, "b": -s - r, "c": u.a + u.b + u.c - 1 if p_is_dae else r}

    found = []
    for p_is_dae in (True, False):
        problem = ps.ODEProblem(
            f, {"a": 1.0, "b": 0.0, "c": 0.0}, (0, 1e3), {"k1": 0.04, "k2": 3e7, "k3": 1e4},
            mass_matrix={"c": 0} if p_is_dae else None,
        )  # fmt: skip
        data = xr.Dataset({"a": ("time", [0.9, 0.6]), "c": ("time", [0.1, 0.4])}, {"time": [1.0, 500.0]})
        o = ps.objective(problem, data, loss="mse", engine="julia", algorithm="Rodas5P", rtol=1e-9, atol=1e-13)
        found.append(o(o.x0)[1] * o.x0)
    np.testing.assert_allclose(found[0], found[1], rtol=1e-6)


def test_a_fit_finds_a_parameter_of_an_algebraic_equation():
    data = ps.solve(make_four(), "Rodas5P", saveat=np.linspace(0, 3, 16), engine="julia", rtol=1e-9)[["x", "y"]]
    start = make_four().remake(p={"a": 0.6, "b": 0.7})
    options = {"optimizer": ps.LBFGS(steps=40), "strategy": (), "engine": "julia", "progress": False}
    result = ps.fit(start, data, trainable=["a", "b"], **options)
    assert result.p.a == pytest.approx(0.8, rel=1e-4) and result.p.b == pytest.approx(0.5, rel=1e-4)


REFUSED = {
    "another way": ({"sensitivity": "forward"}, "'forward' with mass matrices"),
    "another method": ({"algorithm": "FBDF"}, "gradients through mass matrices.*'FBDF'"),
    "ends": ({"wrt": ["t_span"]}, "gradient by t_span of 'mass matrices'"),
    "the other engine": ({"engine": "diffrax"}, "'mass matrices'; engine='julia' does"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused(case):
    options, message = REFUSED[case]
    with pytest.raises(UnsupportedByEngine, match=message):
        ps.gradient(make_pair(), make_data([0.5, 2.0], "x"), **{"engine": "julia", **options})


def test_a_method_for_diagonal_matrices():
    with pytest.raises(UnsupportedByEngine, match="'Rosenbrock23' takes diagonal mass matrices only"):
        ps.gradient(make_four(COUPLED), make_data([0.5], "x"), engine="julia", algorithm="Rosenbrock23")


def test_tangents_are_refused():
    o = ps.objective(make_pair(), make_data([0.5, 2.0], "x"), engine="julia")
    with pytest.raises(UnsupportedByEngine, match="tangents through 'mass matrices'"):
        ps.hessian_vector_product(o, o.x0, o.x0)
    with pytest.raises(UnsupportedByEngine, match="tangents through 'mass matrices'"):
        ps.sensitivities(make_pair(), engine="julia")
