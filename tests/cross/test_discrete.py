"""Gradients of the solver's own steps: against forward mode and diffrax; what can't be reversed is refused.

That they are right to rounding, for every method that is reversed, is tested beside the Julia half (``julia/test``).
"""

import re
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from support.engines import require_engine
from support.problems import CASES

import pysciml as ps
from pysciml.engines.choose import load_engine
from pysciml.engines.julia.checks import EXPLICIT, ROSENBROCK
from pysciml.errors import UnsupportedByEngine
from pysciml.ir import outer

TIGHT = {"rtol": 1e-11, "atol": 1e-12}


@pytest.fixture(scope="module")
def julia():
    require_engine("julia")
    return load_engine("julia")


def both(problem, data, algorithm="Vern9", other="julia", wrt=None, **options):
    """Value and gradient from the steps, and from forward mode or another engine."""
    options = {**TIGHT, **options}
    words = {"julia": (algorithm, "forward"), "diffrax": ("DP8", "auto")}
    found = []
    for engine, (word, sensitivity) in (("julia", (algorithm, "discrete")), (other, words[other])):
        o = ps.objective(
            problem, data, trainable=wrt, engine=engine, algorithm=word, sensitivity=sensitivity, **options
        )
        found.append(o(o.x0))
    return found


def assert_equal(found, rtol=1e-7):
    (value, gradient), (other_value, other) = found
    assert value == pytest.approx(other_value, rel=rtol)
    assert np.all(np.isfinite(gradient)) and np.any(gradient)
    np.testing.assert_allclose(gradient, other, rtol=rtol, atol=rtol * np.max(np.abs(other)))


def neural(n_layers=2, width=12):
    net = ps.MLP(2, 2, width=width, depth=n_layers, seed=1)
    return ps.ODEProblem(lambda t, u, p: p.net(u**3), np.array([2.0, 0.0]), (0.0, 1.5), {"net": net})


def neural_data():
    times = np.linspace(0.0, 1.5, 30)
    spiral = np.array([[-0.1, 2.0], [-2.0, -0.1]])
    truth = ps.ODEProblem(lambda t, u, p: (u**3) @ spiral, np.array([2.0, 0.0]), (0.0, 1.5))
    return ps.solve(truth, "Tsit5", saveat=times, engine="julia", rtol=1e-9)


def test_it_is_what_auto_means(julia):
    problem = CASES["lotka_volterra"].problem()
    data = ps.solve(problem, saveat=np.arange(1900.0, 1911), engine="julia")
    for word in ("auto", "Tsit5", "Vern9", "DP5"):
        assert ps.objective(problem, data, engine="julia", algorithm=word).sensitivity == "discrete"
    assert ps.objective(problem, data, engine="julia", algorithm="Rodas5P").sensitivity == "discrete"
    assert ps.objective(problem, data, engine="julia", algorithm="Kvaerno3").sensitivity != "discrete"


@pytest.mark.parametrize("algorithm", ["Tsit5", "Vern7", "Vern9", "BS3"])
def test_a_neural_equation_against_forward_mode(julia, algorithm):
    loose = {"rtol": 1e-7, "atol": 1e-9} if algorithm == "BS3" else {}
    assert_equal(both(neural(), neural_data(), algorithm, loss="mse", **loose), 1e-5 if loose else 1e-8)


def test_a_wide_network_against_forward_mode(julia, monkeypatch):
    """Weights' cotangents are kept as factors, more of them than fit into the memory for them."""
    monkeypatch.setattr(outer, "LEAST", 500)
    assert_equal(both(neural(2, 30), neural_data(), "Vern7", loss="mse", rtol=1e-10, atol=1e-12), 1e-7)
    assert_equal(both(neural(2, 30), neural_data(), "Rodas5P", loss="mse", rtol=1e-7, atol=1e-9), 1e-4)


def test_a_neural_equation_against_diffrax(julia):
    require_engine("diffrax")
    assert_equal(both(neural(), neural_data(), other="diffrax", loss="mse"))


def test_many_states(julia):
    """A front on 250 cells, whose stages are computed again, and whose matrices are sparse."""
    n = 250
    x = np.linspace(0.0, 1.0, n)

    def front(t, u, p):
        inner = p.spread * (n - 1) ** 2 * (u[2:] - 2 * u[1:-1] + u[:-2])
        return np.concatenate([np.zeros(1), inner, np.zeros(1)]) + p.rate * u * (1 - u)

    problem = ps.ODEProblem(front, np.exp(-50 * x**2), (0.0, 0.2), {"spread": 1e-3, "rate": 5.0})
    data = ps.solve(problem, "Tsit5", saveat=[0.05, 0.13, 0.2], engine="julia") * 1.1
    options = {"trainable": ["spread", "rate"], "engine": "julia", "rtol": 1e-9, "atol": 1e-11}
    words = (("Tsit5", "forward"), ("Tsit5", "discrete"), ("Rodas5P", "discrete"))
    made = [ps.objective(problem, data, algorithm=word, sensitivity=s, **options) for word, s in words]
    with pytest.warns(RuntimeWarning, match="the problem is stiff for Tsit5"):  # two numbers for all cells are right
        forward, explicit, implicit = (o(o.x0) for o in made)
    assert_equal([explicit, forward])
    assert_equal([implicit, explicit])


def test_inputs_that_jump_and_observables_with_gaps(julia):
    """Steps end on the jumps; where there is no datum an observable may be NaN."""
    times = np.array([0.0, 1.0, 2.0, 4.0])
    gate = ps.interpolate(xr.DataArray([1.0, 3.0, 0.5, 0.5], {"time": times}, "time"), "previous")
    table = ps.interpolate(xr.DataArray([1.0, 2.0, 4.0, 1.0], {"time": times}, "time"))
    problem = ps.ODEProblem(
        lambda t, u, p: {"x": p.gate(t) * p.table(t) - p.k * u.x * p.scale},
        lambda p: {"x": 0.5 * p.start},
        (0, 4),
        {"k": 0.5, "start": 1.0, "scale": 1.2, "gate": gate, "table": table},
        observe=lambda t, u, p: {"flow": p.k * u.x, "late": p.scale * np.sqrt(t - 1.0) * u.x**2},
    )
    data = xr.Dataset(
        {"flow": ("time", [0.5, 0.7, np.nan, 1.0]), "late": ("time", [np.nan, 0.7, 1.0, 2.0])},
        {"time": [0.0, 1.5, 2.5, 4.0]},
    )
    wrt = ["k", "start", "scale", "table"]
    found = both(problem, data, "Vern7", wrt=wrt)
    assert_equal(found)
    for algorithm in ("Tsit5", "Rodas5P"):
        assert_equal(both(problem, data, algorithm, wrt=wrt, rtol=1e-9, atol=1e-10), 1e-6)


def test_the_branch_that_where_drops_adds_nothing(julia):
    def model(t, u, p):
        return {"x": np.where(u.x > 5.0, np.sqrt(5.0 - u.x) / (u.x - u.x), -p.k * u.x)}

    problem = ps.ODEProblem(model, {"x": 1.0}, (0.0, 1.0), {"k": 0.7})
    data = xr.Dataset({"x": ("time", [0.9, 0.8])}, {"time": [0.5, 1.0]})
    assert_equal(both(problem, data, wrt=["k", "u0_x"]))


def test_data_at_the_start_only(julia):
    problem = CASES["lotka_volterra"].problem()
    data = xr.Dataset({"hare": ("time", [20.0])}, {"time": [problem.t_span[0]]})
    assert_equal(both(problem, data, wrt=["u0_hare"], loss="mse"))


def stiff():
    problem = CASES["robertson"].problem()
    return problem, 1.1 * ps.solve(problem, "Rodas5P", saveat=[0.1, 1.0, 100.0], engine="julia", rtol=1e-8)


@pytest.mark.parametrize("algorithm", ["Rodas5P", "Rodas4"])
def test_a_stiff_problem_against_forward_mode(julia, algorithm):
    """Rates of 0.04 to 3e7: slopes relative to them."""
    problem, data = stiff()
    found = both(problem, data, algorithm, wrt=["k1", "k2", "k3", "u0_*"], rtol=1e-9, atol=1e-13)
    rates = np.array([*problem.u0_values, *problem.p_values])
    rates = np.where(rates == 0, 1e-6, rates)
    assert_equal([(value, gradient * rates) for value, gradient in found], 1e-5)


def test_a_stiff_problem_of_more_states_against_forward_mode(julia):
    """Whose sums are not in registers, and whose matrices' factors are kept."""
    rates = np.arange(1.0, 14.0) ** 3

    def f(t, u, p):
        return p.k[0] * np.roll(u, 1) ** 2 - p.k[1] * rates * u + np.cos(t)

    problem = ps.ODEProblem(f, np.ones(13), (0.0, 2.0), {"k": np.array([1.0, 2.0])})
    data = 1.1 * ps.solve(problem, "Rodas5P", saveat=np.linspace(0.3, 2.0, 4), engine="julia", rtol=1e-6)
    assert_equal(both(problem, data, "Rodas5P", rtol=1e-9, atol=1e-11), 1e-6)


def test_a_stiff_neural_equation_against_forward_mode(julia):
    net = ps.MLP(1, 1, width=5, depth=1, seed=2)
    problem = ps.ODEProblem(
        lambda t, u, p: {"x": -p.k * (u.x - np.cos(t)), "y": p.net(np.stack([u.x]))[0] - u.y},
        {"x": 0.0, "y": 1.0}, (0.0, 2.0), {"k": 1000.0, "net": net},
    )  # fmt: skip
    data = xr.Dataset({"y": ("time", [0.5, 0.4, 0.3])}, {"time": [0.5, 1.1, 2.0]})
    assert_equal(both(problem, data, "Rodas5P", rtol=1e-9, atol=1e-11), 1e-6)


def test_what_auto_finds_stiff_is_reversed_too(julia):
    problem, data = stiff()
    o = ps.objective(problem, data, engine="julia", sensitivity="discrete")
    assert (o.algorithm, o.sensitivity) == ("Rodas5P", "discrete")


@pytest.mark.parametrize("algorithm", ["FBDF", "VCABM", "SSPRK43", "Rosenbrock32"])
def test_methods_that_are_not_reversed_are_refused_by_name(julia, algorithm):
    problem, data = stiff()
    with pytest.raises(UnsupportedByEngine, match=f"'discrete' with the algorithm '{algorithm}'.*Tsit5"):
        ps.objective(problem, data, engine="julia", algorithm=algorithm, sensitivity="discrete")


def test_both_halves_reverse_the_same_methods():
    for words, name in ((EXPLICIT, "explicit"), (ROSENBROCK, "rosenbrock")):
        text = (Path(ps.__file__).parents[1] / "julia" / "src" / f"{name}.jl").read_text()
        (found,) = re.findall(rf'const {name.upper()} = split\("([^"]*)"\)', text)
        assert set(found.split()) == words


def test_the_embedded_engine_refuses_the_word():
    require_engine("diffrax")
    problem = CASES["lotka_volterra"].problem()
    data = xr.Dataset({"hare": ("time", [20.0])}, {"time": [1901.0]})
    with pytest.raises(UnsupportedByEngine, match="'discrete'"):
        ps.objective(problem, data, engine="diffrax", sensitivity="discrete")


def test_a_fit_of_a_network_ends_where_its_data_come_from(julia):
    data = neural_data().isel(time=slice(0, 12))
    result = ps.fit(
        neural(1, 16), data, engine="julia", algorithm="Tsit5", progress=False, seed=0,
        optimizer=[ps.Adam(0.05, steps=100), ps.LBFGS(steps=100)],
    )  # fmt: skip
    assert "discrete" in str(result) and result.loss < 1e-4
