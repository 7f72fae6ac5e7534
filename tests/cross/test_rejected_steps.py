"""Solves that fail inside a fit, on both engines: rejected steps with a reason, and fits that give up."""

import numpy as np
import pytest
import xarray as xr
from support.engines import ENGINES, require_engine

import pysciml as ps

OPTIONS = {"strategy": (), "progress": False, "verify": "never", "algorithm": "Tsit5"}


def wall(k=0.1):
    """A solution that is infinite at t = 1 / k: nothing beyond k = 0.5 can be solved to t = 2."""
    return ps.ODEProblem(lambda t, u, p: {"x": p.k * u.x**2}, {"x": 1.0}, (0, 2), {"k": k})


def meanings(history):
    """The reasons in a history, by name."""
    names = history.status.attrs["flag_meanings"].split()
    by_code = dict(zip(history.status.attrs["flag_values"], names, strict=True))
    return [by_code[code] for code in history.status.values]


@pytest.mark.parametrize("engine", ENGINES)
def test_a_rejected_step_has_a_reason(engine):
    require_engine(engine)
    data = xr.Dataset({"x": ("time", [50.0])}, {"time": [1.0]}).reindex(time=[1.0, 2.0])
    result = ps.fit(wall(), data, loss="mse", optimizer=ps.Adam(2.0, steps=30), engine=engine, **OPTIONS)
    history = result.history
    is_rejected = np.isnan(history.loss.values)
    assert result.status is ps.Status.SUCCESS and is_rejected.any() and not is_rejected.all()
    np.testing.assert_array_equal(history.rejected, is_rejected)
    assert history.status.dtype == history.rejected.dtype == np.int64
    reasons = {name for name, rejected in zip(meanings(history), is_rejected, strict=True) if rejected}
    assert reasons <= {"unstable", "step_too_small", "max_steps"}
    assert {name for name, rejected in zip(meanings(history), is_rejected, strict=True) if not rejected} == {"success"}
    assert 0.1 < float(result.p.k) < 0.501 and np.isfinite(result.loss)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_fit_that_finds_no_way_gives_up_at_the_best(engine, tmp_path):
    """From the least data misfit that can be solved each step leads out, however short."""
    require_engine(engine)

    def model(t, u, p):
        return {"x": np.where(p.k > 0.3, np.inf, p.k)}

    problem = ps.ODEProblem(model, {"x": 0.0}, (0, 2), {"k": 0.3})
    data = xr.Dataset({"x": ("time", [5.0, 10.0])}, {"time": [1.0, 2.0]})
    options = OPTIONS | {"optimizer": [ps.Adam(0.1, steps=100), ps.LBFGS()], "engine": engine, "checkpoint": tmp_path}
    result = ps.fit(problem, data, **options)
    assert result.status is ps.Status.GAVE_UP
    assert "gave up" in result.message and "learning rate" in result.message
    assert float(result.p.k) == 0.3 and np.isfinite(result.loss)
    assert 25 < result.history.sizes["iteration"] < 35 and result.history.loss.isnull().all()
    again = ps.fit(problem, data, **options)
    assert (again.status, again.message, again.problem) == (result.status, result.message, result.problem)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_horizon_that_can_not_be_solved_leaves_the_last_that_could(engine):
    """The data up to t = 1 ask for what blows up soon after."""
    require_engine(engine)
    times = np.linspace(0.25, 2, 8)
    data = xr.Dataset({"x": ("time", 1 / (1 - 0.9 * np.minimum(times, 1.0)))}, {"time": times})
    options = OPTIONS | {"strategy": ps.GrowingHorizon(2), "optimizer": [ps.Adam(0.05, steps=300), ps.LBFGS()]}
    result = ps.fit(wall(0.6), data, engine=engine, **options)
    assert result.status is ps.Status.FAILED and "start of stage 2, to t = 2" in result.message
    assert float(result.p.k) == pytest.approx(0.9, abs=0.02)
    assert result.loss < 1e-2 and set(result.history.horizon.values) == {1.0}


@pytest.mark.parametrize("engine", ENGINES)
def test_a_line_search_counts_its_rejected_trials(engine):
    require_engine(engine)
    data = xr.Dataset({"x": ("time", [1 / 0.1, 1 / 0.05])}, {"time": [1.8, 1.9]})
    problem = wall(0.4)
    result = ps.fit(problem, data, loss="mse", optimizer=ps.LBFGS(steps=40), engine=engine, **OPTIONS)
    assert int(result.history.rejected.sum()) > 0
    assert np.isfinite(result.history.loss).all()
    assert result.loss < float(ps.objective(problem, data, loss="mse", engine=engine).value(np.array([0.4])))
