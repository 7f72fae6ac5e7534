"""Optimizers on both engines: they reach a minimum, and first-order ones visit the same points."""

import numpy as np
import pytest
import xarray as xr
from support.engines import ENGINES, require_engine

import pysciml as ps

FIRST_ORDER = [
    ps.Adam(ps.Cosine(0.1), steps=60),
    ps.AdamW(ps.Warmup(10, 0.05), weight_decay=0.3, steps=60),
    ps.Lion(ps.Exponential(0.1, 1e-3), steps=60),
    ps.RMSProp(ps.Warmup(5, ps.Cosine(0.1, 0.01)), steps=60, clip=0.2),
]


def line():
    """Solved without an error by both engines: nothing depends on the state, and on time it does linearly."""

    def model(t, u, p):
        return {"x": p.a + p.b * t + p.net([1.0])[0], "y": p.b}

    times = np.linspace(0.5, 3, 6)
    data = xr.Dataset({"x": ("time", 0.4 * times + 0.2 * times**2), "y": ("time", 0.8 * times)}, {"time": times})
    p = {"a": 1.0, "b": -0.5, "net": ps.MLP(1, 1, width=2, depth=1)}
    return ps.ODEProblem(model, {"x": 0.0, "y": 0.0}, (0, 3), p), data


@pytest.mark.parametrize("optimizer", FIRST_ORDER, ids=lambda item: type(item).__name__)
def test_first_order_optimizers_visit_the_same_points(optimizer):
    problem, data = line()
    found = {}
    for engine in ENGINES:
        require_engine(engine)
        options = {"strategy": ps.GrowingHorizon(2), "progress": False, "verify": "never", "algorithm": "Tsit5"}
        found[engine] = ps.fit(problem, data, optimizer=optimizer, engine=engine, **options)
    one, other = found.values()
    np.testing.assert_allclose(one.history.loss, other.history.loss, rtol=1e-10)
    np.testing.assert_allclose(one.history.gradient_norm, other.history.gradient_norm, rtol=1e-9)
    np.testing.assert_allclose(one.problem.p_values, other.problem.p_values, rtol=1e-10)
    assert one.loss < float(one.history.loss[30])


def curved(engine):
    """A problem with a curved valley."""
    require_engine(engine)
    problem = ps.ODEProblem(
        lambda t, u, p: {"x": p.a * u.x - p.b * u.x * u.y, "y": p.b * u.x * u.y - p.d * u.y},
        {"x": 1.0, "y": 1.0},
        (0, 3),
        {"a": 1.5, "b": 1.0, "d": 2.0},
    )
    saveat = np.linspace(0.25, 3, 12)
    data = ps.solve(problem, "Tsit5", saveat=saveat, rtol=1e-9, atol=1e-9, engine=engine)[["x", "y"]]
    return problem.remake(p={"a": 1.3, "b": 1.15, "d": 1.8}), data


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    ("optimizer", "error"),
    [
        ("bfgs", 1e-6),
        ("lbfgs", 1e-6),
        (ps.Lion(ps.Exponential(0.03, 1e-5), steps=250), 1e-3),
        (ps.RMSProp(ps.Exponential(0.03, 1e-5), steps=250), 1e-3),
    ],
    ids=["bfgs", "lbfgs", "lion", "rmsprop"],
)
def test_optimizers_reach_the_minimum(engine, optimizer, error):
    problem, data = curved(engine)
    options = {"strategy": (), "progress": False, "verify": "never", "algorithm": "Tsit5"}
    result = ps.fit(problem, data, optimizer=optimizer, engine=engine, rtol=1e-8, **options)
    np.testing.assert_allclose([float(result.p[name]) for name in "abd"], [1.5, 1.0, 2.0], rtol=error)
