"""Data that a fit does not see: looked at, stopped by, chosen by."""

import numpy as np
import pytest
import xarray as xr

import pysciml as ps

TIMES = np.linspace(0.2, 4, 20)


def decay(t, u, p):
    return {"x": -p.k * u.x + p.net([u.x])[0]}


@pytest.fixture(scope="module")
def problem():
    return ps.ODEProblem(decay, {"x": 2.0}, (0, 4), {"k": 0.3, "net": ps.MLP(1, 1, width=4, depth=1)})


@pytest.fixture(scope="module")
def data():
    """So noisy that a network soon fits the noise."""
    noise = 0.15 * np.random.default_rng(2).standard_normal(TIMES.size)
    return xr.Dataset({"x": ("time", 2 * np.exp(-TIMES) + noise)}, {"time": TIMES})


def test_fit_stops_by_held_out_data_and_returns_the_best(problem, data, engine):
    holdout = ps.Holdout(after=2.5, every=10, patience=3)
    optimizer = [ps.Adam(0.05, steps=200), ps.LBFGS(steps=50)]
    given = {"engine": engine, "algorithm": "Tsit5", "optimizer": optimizer, "progress": False, "verify": "never"}
    result = ps.fit(problem, data, validation=holdout, strategy=ps.GrowingHorizon(2), **given)
    looked = result.history.validation_loss.values
    seen = np.flatnonzero(np.isfinite(looked))
    horizon = result.history.horizon.values
    assert seen[0] >= np.flatnonzero(horizon == horizon.max())[0] and horizon.max() < 2.5
    assert len(seen) - 1 - np.argmin(looked[seen]) == 3 and "stopped early" in result.message
    later = data.sel(time=slice(2.5, None))
    predicted = result.predict(later.time, rtol=1e-9)
    scale = result.settings["scales"]["x"]
    assert float((((predicted.x - later.x) / scale) ** 2).mean()) == pytest.approx(np.nanmin(looked), rel=1e-4)
    assert result.data.equals(data)
    with pytest.raises(ps.ProblemError, match="the fit held data back"):
        ps.standard_errors(result)


def test_experiments_are_held_out(engine):
    problem = ps.ODEProblem(lambda t, u, p: {"x": -p.k * u.x + p.dose}, {"x": 2.0}, (0, 4), {"k": 0.3, "dose": 0.0})
    along = xr.DataArray([0.0, 1.0, 2.0], {"patient": [1, 2, 3]}, "patient")
    exact = along / 0.8 + (2 - along / 0.8) * np.exp(-0.8 * xr.DataArray(TIMES, {"time": TIMES}, "time"))
    data = xr.Dataset({"x": exact})
    optimizer = [ps.Adam(0.05, steps=40), ps.LBFGS()]
    given = {"over": {"dose": along}, "optimizer": optimizer, "engine": engine, "algorithm": "Tsit5", "progress": False}
    result = ps.fit(problem, data, validation=ps.Holdout(experiments=[3]), **given)
    assert float(result.p.k) == pytest.approx(0.8, rel=1e-4)
    assert np.nanmin(result.history.validation_loss) < 1e-6
    assert result.problem_at(patient=3).p.k == result.p.k
    np.testing.assert_allclose(
        result.predict().x.transpose("patient", "time"), exact.transpose("patient", "time"), rtol=1e-3
    )


@pytest.mark.parametrize(
    ("holdout", "message"),
    [
        (lambda: ps.Holdout(), "either after=, a time, or experiments="),
        (lambda: ps.Holdout(after=9.0), "leaves no data to be held out"),
        (lambda: ps.Holdout(after=-1.0), "leaves no data to be fitted"),
        (lambda: ps.Holdout(after=1.0, every=0), "every must be a positive integer"),
        (lambda: ps.Holdout(experiments=["a"]), "name the dims of the experiments"),
    ],
)
def test_refused(problem, data, holdout, message):
    with pytest.raises(ps.ProblemError, match=message):
        ps.fit(problem, data, validation=holdout(), engine="diffrax", progress=False)


def test_what_is_fitted_for_each_experiment_needs_its_data():
    problem = ps.ODEProblem(lambda t, u, p: {"x": -p.k * u.x}, {"x": 2.0}, (0, 4), {"k": 0.3})
    along = xr.DataArray([0.3, 0.3], {"patient": [1, 2]}, "patient")
    data = xr.Dataset({"x": (("patient", "time"), np.ones((2, TIMES.size)))}, {"time": TIMES, "patient": [1, 2]})
    with pytest.raises(ps.ProblemError, match="'k' is fitted for each experiment, so patient=2 can't be held out"):
        ps.fit(
            problem, data, over={"k": along}, trainable=["k"], validation=ps.Holdout(experiments=[2]), engine="diffrax",
            progress=False,
        )  # fmt: skip
