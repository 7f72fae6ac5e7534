"""How sure a fit is, against linear regression and the Gauss-Newton matrix."""

from dataclasses import replace

import numpy as np
import pytest
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
    assert fitted.names == misfit.names and residuals.shape == (48,)
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
    with pytest.raises(ps.ProblemError, match="give what ps.fit returned, got ODEProblem"):
        ps.standard_errors(result.problem)
    with pytest.raises(ps.UnsupportedByEngine, match="for the loss 'mae'"):
        ps.standard_errors(of(loss="mae"))
