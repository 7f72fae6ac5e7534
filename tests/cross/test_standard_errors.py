"""How sure a fit is, against linear regression and the Gauss-Newton matrix."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import scipy.optimize
import scipy.stats
import xarray as xr
from support.engines import require_engine

import pysciml as ps
from pysciml.api.fitted import read_fitted

TIMES = np.linspace(0.5, 5, 12)
ENDED = {"optimizer": ps.LBFGS(steps=1), "strategy": (), "progress": False, "verify": "never"}


def make_line():
    """A solution that is linear in all that is trained: x = u0 + a t + b t**2 / 2."""
    problem = ps.ODEProblem(
        lambda t, u, p: {"x": p.a + p.b * t}, {"x": 1.0}, (0, 5), {"a": 1.0, "b": 0.1}, units={"x": "mg"}
    )
    noise = np.random.default_rng(0).normal(0, 0.1, TIMES.size)
    values = 1.0 + 0.7 * TIMES + 0.15 * TIMES**2 + noise
    values[4] = np.nan
    return problem, xr.Dataset({"x": ("time", values)}, {"time": TIMES})


@pytest.mark.parametrize("loss, engine", [("nmse", "julia"), ("mse", "julia"), ("nmse", "diffrax")])
def test_a_linear_model(engine, loss):
    require_engine(engine)
    problem, data = make_line()
    result = ps.fit(problem, data, loss=loss, trainable=["*"], engine=engine, **ENDED | {"optimizer": "lbfgs"})
    found = ps.standard_errors(result, level=0.9)
    seen = data.x.notnull().values
    design = np.stack([TIMES, TIMES**2 / 2, np.ones_like(TIMES)], axis=1)[seen]
    best, squares, *_ = np.linalg.lstsq(design, data.x.values[seen], rcond=None)
    covariance = squares / 8 * np.linalg.inv(design.T @ design)
    error = np.sqrt(np.diag(covariance))
    assert list(found.parameter.values) == ["a", "b", "u0_x"] and list(found.unit.values) == ["", "", "mg"]
    np.testing.assert_allclose(found.estimate, best, rtol=1e-4)
    np.testing.assert_allclose(found.standard_error, error, rtol=1e-4)
    np.testing.assert_allclose(found.covariance, covariance, rtol=2e-4)
    np.testing.assert_allclose(found.correlation, covariance / np.outer(error, error), rtol=1e-6)
    np.testing.assert_allclose(found.upper - found.estimate, 1.859548 * error, rtol=1e-4)  # Student's t, 8, 95 %
    np.testing.assert_allclose(found.residual_deviation.sel(variable="x"), np.sqrt(squares[0] / 8), rtol=1e-4)
    assert found.attrs == {"level": 0.9, "n_data": 11, "degrees_of_freedom": 8}


def test_the_gauss_newton_matrix():
    """Networks, arrays, observables and several states: the order of everything."""
    require_engine("julia")
    problem = ps.ODEProblem(
        lambda t, u, p: {"x": p.net([u.x, u.c[0]])[0] - p.k[1] * u.x, "c": -p.k * u.c},
        {"x": 1.0, "c": np.array([1.0, 2.0])},
        (0, 5),
        {"k": np.array([0.3, 0.5]), "net": ps.MLP(2, 1, width=2, depth=1)},
        observe=lambda t, u, p: {"y": p.k[0] * u.x},
    )
    rng = np.random.default_rng(1)
    data = xr.Dataset(
        {
            "y": ("time", rng.normal(size=12)),
            "c": (("time", "c_dim_0"), rng.normal(size=(12, 2))),
            "x": ("time", rng.normal(size=12)),
        },
        {"time": TIMES},
    )
    options = {"engine": "julia", "rtol": 1e-9, "atol": 1e-11}
    result = ps.fit(problem, data, trainable=["net.0.weight", "net.1.*", "k", "u0_c"], **ENDED, **options)
    fitted = read_fitted("test", result)
    residuals, slopes = fitted.residuals()
    misfit = ps.objective(result.problem, data, trainable=result.settings["trained"], **options)
    assert fitted.objective.names == misfit.names and residuals.shape == (48,)
    np.testing.assert_allclose(residuals @ residuals / 48, misfit.value(misfit.x0), rtol=1e-7)
    matrix = [ps.gauss_newton_vector_product(misfit, misfit.x0, v) for v in np.eye(misfit.x0.size)]
    np.testing.assert_allclose(slopes.T @ slopes / 24, matrix, rtol=1e-6, atol=1e-7 * np.max(np.abs(matrix)))


def make_decay():
    """A fit that ended at once, of a model of which x tells k * m only, and nothing of q."""
    problem = ps.ODEProblem(
        lambda t, u, p: {"x": -p.k * p.m * u.x, "z": p.q * u.x},
        {"x": 1.0, "z": 0.0},
        (0, 5),
        {"k": 1.0, "m": 0.3, "q": 1.0},
    )
    data = xr.Dataset({"x": ("time", np.exp(-0.3 * TIMES) + 0.01 * np.cos(9 * TIMES))}, {"time": TIMES})
    return ps.fit(problem, data, trainable=["k", "m"], engine="julia", **ENDED)


def test_what_the_data_do_not_tell():
    require_engine("julia")
    result = make_decay()
    with pytest.raises(ps.ProblemError, match=r"changing k by \+1 %, m by -1 % together leaves the fit as it is"):
        ps.standard_errors(result)

    def of(trained=("k", "m", "q"), loss="nmse", data=result.data):
        return replace(result, data=data, settings=result.settings | {"trained": list(trained), "loss": loss})

    with pytest.raises(ps.ProblemError, match="q has no influence on the data"):
        ps.standard_errors(of())
    with pytest.raises(ps.ProblemError, match="2 data for 3 parameters"):
        ps.standard_errors(of(data=result.data.isel(time=[2, 5])))
    assert 0 < float(ps.standard_errors(of(["k"])).standard_error[0]) < 0.1
    with pytest.raises(ps.ProblemError, match="level must be between 0 and 1"):
        ps.standard_errors(of(["k"]), level=95)
    with pytest.raises(ps.ProblemError, match="give what ps.fit or ps.objective returned, got ODEProblem"):
        ps.standard_errors(result.problem)
    with pytest.raises(ps.ProblemError, match="doesn't hold the loss 'mae'.*give the objective"):
        ps.standard_errors(of(loss="mae"))
    with pytest.raises(ps.UnsupportedByEngine, match="no engine has them for the loss mae"):
        ps.standard_errors(ps.objective(result.problem, result.data, loss="mae", engine="julia"))
    words = {"loss": ps.Normal(0.1), "trainable": ["k", "m"], "engine": "julia"}
    best = ps.fit(result.problem, result.data, **words, **ENDED | {"optimizer": "lbfgs"}).problem
    with pytest.raises(ps.ProblemError, match="k by .*, m by .* together leaves the fit as it is"):
        ps.standard_errors(ps.objective(best, result.data, **words))
    with pytest.raises(ps.ProblemError, match="isn't at its minimum here"):
        ps.standard_errors(ps.objective(best.remake(p={"k": 9.0}), result.data, **words))


def test_a_likelihood():
    """Of known normal errors: the inverse of the design's squares in units of the errors."""
    require_engine("julia")
    problem, data = make_line()
    design = np.stack([TIMES, TIMES**2 / 2], axis=1)[data.x.notnull()]
    exact = 0.04 * np.linalg.inv(design.T @ design)
    misfit = ps.objective(problem, data, loss=ps.Normal(sigma=0.2), engine="julia")
    found = ps.standard_errors(misfit)
    np.testing.assert_allclose(found.covariance, exact, rtol=1e-4)
    np.testing.assert_allclose(found.upper - found.estimate, 1.959964 * np.sqrt(np.diag(exact)), rtol=1e-4)
    assert found.attrs == {"level": 0.95, "n_data": 11}


def test_fitted_scatter():
    """Two lines with normal errors of their own: each has the intervals of its linear regression."""
    require_engine("julia")
    problem = ps.ODEProblem(
        lambda t, u, p: {"x": p.a + p.b * t, "y": p.c},
        {"x": 1.0, "y": 0.0},
        (0, 5),
        {"a": 0.7, "b": 0.3, "c": 0.5, "sx": 0.2, "sy": 0.2},
    )
    rng = np.random.default_rng(3)
    x, y = 1 + 0.7 * TIMES + 0.15 * TIMES**2 + rng.normal(0, 0.1, 12), 0.5 * TIMES + rng.normal(0, 0.3, 12)
    x[[1, 4, 7]] = np.nan
    data = xr.Dataset({"x": ("time", x), "y": ("time", y)}, {"time": TIMES})
    words = {"loss": {"x": ps.Normal("sx"), "y": ps.Normal("sy")}, "engine": "julia"}
    best = ps.fit(problem, data, optimizer="lbfgs", strategy=(), progress=False, verify="never", **words).problem
    misfit = ps.objective(best, data, **words)
    found, rises = ps.standard_errors(misfit), ps.profile(misfit, ["b", "c"])
    expected = {}
    for names, columns, values in ((["a", "b"], [TIMES, TIMES**2 / 2], x - 1), (["c"], [TIMES], y)):
        design = np.stack(columns, axis=1)[np.isfinite(values)]
        coefficients, squares, *_ = np.linalg.lstsq(design, values[np.isfinite(values)], rcond=None)
        freedom = len(design) - len(names)
        errors = np.sqrt(np.diag(squares / freedom * np.linalg.inv(design.T @ design)))
        expected |= {name: (*pair, freedom) for name, *pair in zip(names, coefficients, errors, strict=True)}
        scatter = found.estimate.sel(parameter="sy" if names == ["c"] else "sx")
        np.testing.assert_allclose(scatter, np.sqrt(squares[0] / freedom), rtol=1e-3)
    for name, (estimate, error, freedom) in expected.items():
        one, margin = found.sel(parameter=name), scipy.stats.t.ppf(0.975, freedom) * error
        np.testing.assert_allclose(one.degrees_of_freedom, freedom, rtol=0.02)
        np.testing.assert_allclose(one.standard_error, error, rtol=2e-3)
        np.testing.assert_allclose([one.lower, one.upper], [estimate - margin, estimate + margin], atol=5e-3 * error)
        if name != "a":
            ends = [rises[end].sel(parameter=name) for end in ("lower", "upper")]
            np.testing.assert_allclose(ends, [estimate - margin, estimate + margin], atol=1e-2 * error)


def test_fitted_dispersion():
    """Counts about one mean: Cox and Reid's dispersion, from their formula."""
    require_engine("julia")
    problem = ps.ODEProblem(lambda t, u, p: {"x": 0 * u.x}, {"x": 9.0}, (0, 5), {"phi": 3.0})
    counts = np.array([3, 15, 2, 6, 14, 18, 3, 5, 17, 2, 4, 25])
    data = xr.Dataset({"x": ("time", counts)}, {"time": TIMES})
    words = {"loss": ps.NegativeBinomial("phi"), "trainable": ["u0_x", "phi"], "engine": "julia"}
    best = ps.fit(problem, data, optimizer="lbfgs", strategy=(), progress=False, verify="never", **words).problem
    found, mean = ps.standard_errors(ps.objective(best, data, **words)), counts.mean()

    def adjusted(phi, share=1.0):
        likelihood = scipy.stats.nbinom.logpmf(counts, phi, phi / (phi + mean)).sum()
        return -likelihood + share * 0.5 * np.log(counts.size / (mean + mean**2 / phi))

    phi, plain = (
        scipy.optimize.minimize_scalar(adjusted, bounds=(0.1, 10), args=(share,), options={"xatol": 1e-7}).x
        for share in (1.0, 0.0)
    )
    assert phi < 0.95 * plain and abs(best.p.phi / plain - 1) < 1e-3
    alone = ps.objective(best, data, **words | {"trainable": ["phi"]})  # nothing is fitted beside it
    np.testing.assert_allclose(ps.standard_errors(alone).estimate, plain, rtol=1e-3)
    assert ps.profile(alone).lower < plain < ps.profile(alone).upper
    np.testing.assert_allclose(found.estimate.sel(parameter="phi"), phi, rtol=3e-3)
    np.testing.assert_allclose(
        found.standard_error.sel(parameter="u0_x"), np.sqrt((mean + mean**2 / phi) / counts.size), rtol=3e-3
    )


def test_experiments_with_their_own_start():
    """One slope, and a start each: linear regression with dummies. Two values of one time are replicates."""
    require_engine("julia")
    problem = ps.ODEProblem(lambda t, u, p: {"x": p.a}, {"x": 1.0}, (0, 5), {"a": 1.0})
    site, rng = np.repeat([0, 1], 9), np.random.default_rng(2)
    time = np.append(np.tile(TIMES[:8], 2), [TIMES[2], TIMES[5]])[np.argsort(np.r_[np.repeat([0, 1], 8), 0, 1])]
    x = 0.7 * time + 2.0 * site + rng.normal(0, 0.1, 18)
    table = pd.DataFrame({"site": np.array(["A", "B"])[site], "time": time, "x": x})
    over = {"x": xr.DataArray([1.0, 2.0], {"site": ["A", "B"]}, "site")}
    words = {"over": over, "trainable": ["a", "u0_x"], "loss": "mse", "engine": "julia"}
    found = ps.standard_errors(ps.fit(problem, table, **words, **ENDED | {"optimizer": "lbfgs"}))
    design = np.stack([time, site == 0, site == 1], axis=1).astype(float)
    best, squares, *_ = np.linalg.lstsq(design, x, rcond=None)
    assert list(found.parameter.values) == ["a", "u0_x(site=A)", "u0_x(site=B)"]
    np.testing.assert_allclose(found.estimate, best, rtol=1e-4)
    np.testing.assert_allclose(found.covariance, squares / 15 * np.linalg.inv(design.T @ design), rtol=1e-3)
