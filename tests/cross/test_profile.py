"""Profile likelihoods: exact intervals of linear models, their invariance, and verdicts on what can't be told."""

from dataclasses import replace

import numpy as np
import pytest
import xarray as xr
from support.engines import require_engine

import pysciml as ps

TIMES = np.linspace(0.5, 5, 12)
QUICK = {"optimizer": "lbfgs", "strategy": (), "progress": False, "verify": "never"}


def make_data(values):
    return xr.Dataset({"x": ("time", values + 0.05 * np.cos(9 * TIMES))}, {"time": TIMES})


def test_a_linear_model(engine):
    problem = ps.ODEProblem(lambda t, u, p: {"x": p.a + p.b * t}, {"x": 1.0}, (0, 5), {"a": 1.0, "b": 0.1})
    result = ps.fit(problem, make_data(1 + 0.7 * TIMES + 0.15 * TIMES**2), engine=engine, **QUICK)
    found = ps.profile(result, level=0.9)
    design = np.stack([TIMES, TIMES**2 / 2], axis=1)
    best, squares, *_ = np.linalg.lstsq(design, result.data.x.values - 1, rcond=None)
    error = np.sqrt(np.diag(squares / 10 * np.linalg.inv(design.T @ design)))
    assert list(found.parameter.values) == ["a", "b"] and list(found.verdict.values) == ["identifiable"] * 2
    np.testing.assert_allclose(found.estimate, best, atol=1e-3 * error.min())
    np.testing.assert_allclose(found.upper, best + 1.812461 * error, atol=1e-3 * error.min())  # Student's t, 10, 95 %
    np.testing.assert_allclose(found.lower, best - 1.812461 * error, atol=1e-3 * error.min())
    np.testing.assert_allclose(found.threshold, 1.812461**2, rtol=1e-6)
    parabola = ((found.value - found.estimate) / xr.DataArray(error, dims="parameter")) ** 2
    np.testing.assert_allclose(found.rise, parabola, atol=1e-3)
    of_a = found.isel(parameter=0)
    slope = -(design[:, 0] @ design[:, 1]) / (design[:, 1] @ design[:, 1])
    np.testing.assert_allclose(
        of_a.others.sel(parameter_2="b"), best[1] + slope * (of_a.value - best[0]), atol=1e-3 * error[1]
    )


def test_invariance():
    """The interval of a logarithm is the logarithm of the interval."""
    require_engine("julia")
    data = make_data(0.5 * TIMES)
    ends = []
    for rate, q in ((lambda p: p.q, 0.4), (lambda p: np.exp(p.q), -0.5)):
        problem = ps.ODEProblem(lambda t, u, p, rate=rate: {"x": rate(p)}, {"x": 0.0}, (0, 5), {"q": q})
        found = ps.profile(ps.fit(problem, data, engine="julia", **QUICK))
        ends.append([float(found.lower[0]), float(found.upper[0])])
    np.testing.assert_allclose(np.exp(ends[1]), ends[0], rtol=2e-5)


def test_verdicts():
    require_engine("julia")
    product = ps.ODEProblem(lambda t, u, p: {"x": -p.k * p.m * u.x}, {"x": 1.0}, (0, 5), {"k": 1.0, "m": 0.3})
    result = ps.fit(product, make_data(np.exp(-0.3 * TIMES)), engine="julia", **QUICK)
    found = ps.profile(result)
    assert set(found.verdict.values) == {"structurally non-identifiable"}
    assert np.isinf(found.lower).all() and np.isinf(found.upper).all()
    of_k = found.others.sel(parameter="k").dropna("point")
    product = of_k.sel(parameter_2="k") * of_k.sel(parameter_2="m")
    np.testing.assert_allclose(product, product[0], rtol=0.02)  # it follows the hyperbola on which the fit is as good
    alone = ps.profile(replace(result, settings=result.settings | {"trained": ["k"]}), "k")
    assert list(alone.verdict.values) == ["identifiable"]
    far = make_data(2 * np.exp(-0.8 * TIMES))  # both may change their sign together, which one step can't follow
    start = ps.ODEProblem(lambda t, u, p: {"x": -p.k * p.m * u.x}, {"x": 2.0}, (0, 5), {"k": 0.5, "m": 1.0})
    found = ps.profile(ps.fit(start, far, engine="julia", **QUICK), "k")
    assert list(found.verdict.values) == ["structurally non-identifiable"]

    # a rate that saturates far above the data: the half-saturation has a lower end only
    saturating = ps.ODEProblem(
        lambda t, u, p: {"x": -p.rate * u.x / (1 + u.x / p.half)}, {"x": 1.0}, (0, 5), {"rate": 0.4, "half": 2.0}
    )
    values = ps.solve(saturating, saveat=TIMES, engine="julia").x.values
    bounded = {"rate": ps.Positive(), "half": ps.Positive()}
    result = ps.fit(saturating, make_data(values), trainable=bounded, engine="julia", **QUICK)
    found = ps.profile(result)
    assert list(found.verdict.values) == ["identifiable", "practically non-identifiable"]
    assert 0 < found.lower.sel(parameter="half") < 2 and np.isinf(found.upper.sel(parameter="half"))
    assert (found.others > 0).where(found.others.notnull(), True).all()


def test_wrong_arguments():
    require_engine("julia")
    problem = ps.ODEProblem(lambda t, u, p: {"x": p.a}, {"x": 1.0}, (0, 5), {"a": 1.0})
    result = ps.fit(problem, make_data(1 + 0.7 * TIMES), engine="julia", **QUICK)
    with pytest.raises(ps.ProblemError, match="'aa' was not trained; the names are a; did you mean 'a'?"):
        ps.profile(result, ["aa"])
    with pytest.raises(ps.ProblemError, match="level must be between"):
        ps.profile(result, level=2)
    with pytest.raises(ps.ProblemError, match="1 data for 1 parameters"):
        ps.profile(replace(result, data=result.data.isel(time=[3])))
    exact = ps.solve(result.problem, saveat=TIMES, engine="julia")[["x"]]
    with pytest.raises(ps.ProblemError, match="meets the data exactly"):
        ps.profile(replace(result, data=exact.drop_vars("a"), settings=result.settings | {"loss": "mse"}))
    with pytest.raises(ps.UnsupportedByEngine, match="for the loss 'mae'"):
        ps.profile(ps.objective(result.problem, result.data, loss="mae", engine="julia"))


def test_a_likelihood():
    """Counts about a known mean: the rise is Poisson's deviance."""
    require_engine("julia")
    problem = ps.ODEProblem(lambda t, u, p: {"x": 0 * u.x}, {"x": 4.0}, (0, 5), {"a": 1.0})
    counts = np.array([3, 5, 2, 6, 4, 8, 3, 5, 7, 2, 4, 5])
    data = xr.Dataset({"x": ("time", counts)}, {"time": TIMES})
    misfit = ps.objective(problem, data, loss=ps.Poisson(), trainable=["u0_x"], engine="julia")
    found = ps.profile(misfit)
    np.testing.assert_allclose(found.estimate, counts.mean(), atol=1e-3 * np.sqrt(4.5 / 12))
    mean = found.value
    deviance = 2 * counts.size * (mean - counts.mean() - counts.mean() * np.log(mean / counts.mean()))
    np.testing.assert_allclose(found.rise, deviance, atol=1e-4)
    np.testing.assert_allclose(found.threshold, 3.841459, rtol=1e-6)
