"""Experiments solved side by side (lanes on Julia, vmap on diffrax): what one after the other gives."""

import numpy as np
import pytest
import xarray as xr
from support.engines import require_engine

import pysciml as ps
from pysciml.engines.diffrax import sums
from pysciml.engines.julia import objective_lanes

TIMES, N = np.linspace(0.0, 3.0, 7), 40
RUN = {"run": np.arange(N)}
NORMAL = ps.Normal(sigma=0.5)


def draw(rng, low, high):
    return xr.DataArray(rng.uniform(low, high, N), RUN, "run")


def make(engine, **words):
    """A network for all, a rate fitted for each, a known input of each, start values, and missing data."""
    rng, net = np.random.default_rng(0), ps.MLP(2, 1, width=4, depth=1)

    def f(t, u, p):
        return {"x": p.net([u.x, u.y])[0] - p.k * u.x + p.dose, "y": p.a * u.x - u.y}

    problem = ps.ODEProblem(
        f, {"x": 1.0, "y": 0.5}, (0.0, 3.0), {"k": 1.0, "net": net, "dose": 0.0, "a": 0.5},
        observe=lambda t, u, p: {"sum": p.a * u.x + p.dose * u.y},
    )  # fmt: skip
    values = {name: (("run", "time"), rng.normal(1.0, 0.5, (N, TIMES.size))) for name in ("x", "sum")}
    data = xr.Dataset(values, {**RUN, "time": TIMES})
    data["x"][3, 2:] = data["sum"][5, 1] = np.nan
    over = {"x": draw(rng, 0.5, 1.5), "k": draw(rng, 0.5, 2.0), "dose": draw(rng, 0.0, 1.0)}
    words = {"trainable": ["k", "net", "a"], "over": over, "algorithm": "Tsit5", "verify": "never"} | words
    return ps.objective(problem, data, engine=engine, **words)


@pytest.fixture
def one_by_one(monkeypatch):
    """A function that makes an objective of which nothing is solved side by side."""

    def make_alone(engine, **words):
        with monkeypatch.context() as patch:
            for module in (sums, objective_lanes):
                patch.setattr(module, "MANY", 10**9)
            return make(engine, **words)

    return make_alone


@pytest.mark.parametrize(
    "engine, algorithm, loss, rtol, trainable",
    [
        ("julia", "Tsit5", "nmse", 1e-12, ["k", "net", "a"]),
        ("julia", "Tsit5", NORMAL, 1e-12, ["k", "net", "a"]),
        ("julia", "Tsit5", NORMAL, 1e-12, ["net", "a"]),  # what differs is known
        ("julia", "Rodas5P", NORMAL, 1e-12, ["k", "net", "a"]),
        ("julia", "Rodas5P", NORMAL, 1e-12, ["net", "a"]),
        ("diffrax", "Tsit5", NORMAL, 1e-6, ["k", "a"]),  # compiles sooner
    ],
)
def test_the_gradient_is_the_sum_of_the_single_ones(engine, algorithm, loss, rtol, trainable, one_by_one):
    """Lanes take steps together, which tight tolerances make as good as equal; under vmap each has its own."""
    require_engine(engine)
    words = {"loss": loss, "rtol": rtol, "atol": rtol, "trainable": trainable, "algorithm": algorithm}
    together, alone = make(engine, **words), one_by_one(engine, **words)
    assert "side by side" in together.reason and "side by side" not in alone.reason
    for x in (together.x0, together.x0 + 0.1 * np.random.default_rng(1).standard_normal(together.x0.size)):
        (value, gradient), (expected, slope) = together(x), alone(x)
        assert value == pytest.approx(expected, rel=1e-10) == together.value(x)
        np.testing.assert_allclose(gradient, slope, rtol=1e-10, atol=1e-10 * np.abs(slope).max())
        for _ in range(3):  # in several threads, too
            np.testing.assert_array_equal(together(x)[1], gradient)


def test_threads_that_end_together_lose_nothing():
    """Two groups in two threads, thousands of times, long enough to be shared out: fits are the same to the bit."""
    require_engine("julia")
    doses, times = xr.DataArray(np.linspace(0.0, 3.9, N), RUN, "run"), np.linspace(0.0, 3.0, 30)
    problem = ps.ODEProblem(lambda t, u, p: {"x": p.dose - p.k * u.x}, {"x": 2.0}, (0.0, 3.0), {"k": 0.7, "dose": 0.0})
    data = xr.Dataset({"x": (("run", "time"), np.exp(-times) * np.ones((N, 1)))}, {**RUN, "time": times})
    words = {"algorithm": "Tsit5", "rtol": 1e-12, "atol": 1e-12, "verify": "never", "strategy": (), "progress": False}
    words |= {"optimizer": ps.Adam(1e-3, steps=1500), "over": {"dose": doses}, "engine": "julia"}
    first, *others = (ps.fit(problem, data, **words) for _ in range(3))
    for other in others:
        np.testing.assert_array_equal(other.history.loss, first.history.loss)


@pytest.mark.parametrize("algorithm", ["Tsit5", "Rodas5P"])
def test_errors_of_lanes_are_no_larger_than_one_by_one(algorithm, one_by_one):
    require_engine("julia")
    exact = make("julia", rtol=1e-12, atol=1e-12)
    slope, both = exact(exact.x0)[1], (make, one_by_one)
    errors = [np.linalg.norm(one("julia", algorithm=algorithm)(exact.x0)[1] - slope) for one in both]
    assert 0 < errors[0] <= 1.1 * errors[1]


def make_robertson(engine, **words):
    """Initial states and a rate of each, so that pivots of lanes differ."""
    rng, times = np.random.default_rng(2), np.logspace(-4, 4, 6)

    def f(t, u, p):
        slow, fast, back = p.k * u.a, 3e7 * p.q * u.b**2, 1e4 * u.b * u.c
        return {"a": back - slow, "b": slow - back - fast, "c": fast}

    problem = ps.ODEProblem(f, {"a": 1.0, "b": 0.0, "c": 0.0}, (0.0, 1e4), {"k": 0.04, "q": 1.0})
    values = {name: (("run", "time"), rng.uniform(0.5, 1.0, (N, times.size))) for name in ("a", "c")}
    data = xr.Dataset(values, {**RUN, "time": times})
    words = {"trainable": ["k", "q"], "over": {"a": draw(rng, 0.5, 1.5), "q": draw(rng, 0.5, 2.0)}} | words
    return ps.objective(problem, data, engine=engine, loss=NORMAL, verify="never", **words)


def test_stiff_experiments():
    """By another method, one by one: their gradients by the other engine's steps, and differences."""
    require_engine("julia")
    require_engine("diffrax")
    lanes = make_robertson("julia", algorithm="Rodas5P", rtol=1e-9, atol=1e-12)
    automatic = make_robertson("julia", rtol=1e-9, atol=1e-12)
    other = make_robertson("diffrax", algorithm="Kvaerno5", rtol=1e-9, atol=1e-12)
    assert "side by side" in lanes.reason and "side by side" in automatic.reason
    x = lanes.x0 + 0.05 * np.random.default_rng(3).standard_normal(lanes.x0.size)
    (value, gradient), (expected, slope) = lanes(x), other(x)
    assert value == pytest.approx(expected, rel=1e-8)
    for found in (slope, automatic(x)[1]):
        np.testing.assert_allclose(gradient, found, rtol=1e-6, atol=1e-6 * np.abs(gradient).max())
    v = np.random.default_rng(4).standard_normal(x.size)
    ahead, behind = (lanes.value(x + step * v) for step in (1e-5, -1e-5))
    assert (ahead - behind) / 2e-5 == pytest.approx(gradient @ v, rel=1e-5)


def test_one_that_fails_is_a_rejected_step(engine):
    """x' = c k x^2 is infinite at 1 / (c k), for the last experiments first."""
    k = xr.DataArray(np.linspace(0.1, 0.9, N), RUN, "run")
    problem = ps.ODEProblem(lambda t, u, p: {"x": p.c * p.k * u.x**2}, {"x": 1.0}, (0.0, 1.0), {"k": 0.5, "c": 1.0})
    times = xr.DataArray([0.5, 0.8], {"time": [0.5, 0.8]}, "time")
    data = xr.Dataset({"x": 1.0 / (1.0 - 1.1 * k * times)})
    words = {"over": {"k": k}, "trainable": ["c"], "engine": engine, "algorithm": "Tsit5", "verify": "never"}
    objective = ps.objective(problem, data, **words)
    assert "side by side" in objective.reason and np.isfinite(objective(objective.x0)[1]).all()
    value, gradient = objective(np.array([1.6]))
    assert np.isnan(value) and np.isnan(gradient).all()
    if engine == "diffrax":
        return  # what is rejected is looked at one by one there, as without groups
    result = ps.fit(problem, data, optimizer=ps.Adam(2.0, steps=30), strategy=(), progress=False, **words)
    history = result.history
    names = dict(zip(history.status.attrs["flag_values"], history.status.attrs["flag_meanings"].split(), strict=True))
    reasons = {names[code] for code in history.status.values[history.rejected.values > 0]}
    assert reasons and reasons <= {"unstable", "step_too_small", "max_steps"}
    assert float(result.p.c) == pytest.approx(1.1, abs=0.1)


@pytest.mark.parametrize("words", [{"algorithm": "Rodas4"}, {"sensitivity": "forward"}, {"loss": "whole"}])
def test_what_lanes_are_not_for_is_solved_one_by_one(words):
    require_engine("julia")
    if words.get("loss") == "whole":
        words = {"loss": lambda prediction, data, p: np.sum((prediction.x - data.x) ** 2)}
    assert "side by side" not in make("julia", trainable=["a"], **words).reason
