"""objective, gradient, fit and FitResult on the embedded engine: what they promise beside converging."""

import numpy as np
import pytest
import xarray as xr
from scipy.optimize import minimize
from support.engines import require_engine

import pysciml as ps
from pysciml.api.fit_plan import find_decayed
from pysciml.api.fit_result import FitResult
from pysciml.api.objective import make_misfit


def decay(t, u, p):
    return {"x": -p.k * u.x + p.source}


@pytest.fixture
def problem():
    require_engine("diffrax")
    return ps.ODEProblem(decay, {"x": 2.0}, (0, 4), {"k": 0.3, "source": 0.0, "n": 2}, units={"x": "g", "time": "h"})


@pytest.fixture
def data():
    times = np.linspace(0, 4, 9)
    x = 2 * np.exp(-0.7 * times)
    x[3] = np.nan
    return xr.Dataset({"x": ("time", x)}, {"time": times})


OPTIONS = {"engine": "diffrax", "progress": False}


def test_objective_with_scipy(problem, data):
    objective = ps.objective(
        problem, data, trainable={"k": ps.Positive(), "source": ps.Interval(-1, 1)}, engine="diffrax"
    )
    assert objective.names == ("k", "source")
    assert objective.bounds == [(0.0, None), (-1, 1)]
    found = minimize(objective, objective.x0, jac=True, bounds=objective.bounds, method="L-BFGS-B")
    np.testing.assert_allclose(found.x, [0.7, 0.0], atol=1e-4)
    best = objective.problem(found.x)
    assert float(best.p.k) == found.x[0] and float(best.p.n) == 2
    np.testing.assert_array_equal(objective.unflatten(found.x)["source"], found.x[1])


def test_objective_is_the_mean_over_finite_values(problem, data):
    saveat = data.time.values
    prediction = ps.solve(problem, saveat=saveat, engine="diffrax", rtol=1e-10, atol=1e-12).x
    residual = (prediction - data.x).values
    for loss, scale in (("mse", 1.0), ("nmse", float(data.x.std()))):
        objective = ps.objective(problem, data, loss=loss, engine="diffrax", rtol=1e-10, atol=1e-12)
        assert objective.value(objective.x0) == pytest.approx(np.nanmean((residual / scale) ** 2), rel=1e-8)


def test_objective_checks_x(problem, data):
    objective = ps.objective(problem, data, engine="diffrax")
    with pytest.raises(ps.ProblemError, match=r"shape \(2,\)"):
        objective(np.zeros(3))


def test_gradient_has_the_problems_names(problem, data):
    value, gradient = ps.gradient(problem, data, wrt=["k", "u0_x"], engine="diffrax")
    assert list(gradient.data_vars) == ["k", "u0_x"]
    step = 1e-5
    for name, change in (("k", {"p": {"k": 0.3 + step}}), ("u0_x", {"u0": {"x": 2.0 + step}})):
        other = ps.gradient(problem.remake(**change), data, engine="diffrax")[0]
        assert float(gradient[name]) == pytest.approx((other - value) / step, rel=1e-3)


def test_gradient_of_a_network_is_one_variable(data):
    require_engine("diffrax")
    net = ps.MLP(1, 1, width=3, depth=1)
    problem = ps.ODEProblem(lambda t, u, p: {"x": p.net([u.x])[0]}, {"x": 2.0}, (0, 4), {"net": net})
    whole = ps.gradient(problem, data, engine="diffrax")[1]
    assert dict(whole.sizes) == {"net_weight": net.n_weights}
    part = ps.gradient(problem, data, wrt=["net.0.*"], engine="diffrax")[1]
    assert set(part.data_vars) == {"net.0.weight", "net.0.bias"}
    weight = net.layers[0]
    np.testing.assert_allclose(part["net.0.weight"].values.ravel(order="F"), whole.net.values[weight.weight], rtol=1e-9)
    np.testing.assert_allclose(part["net.0.bias"].values, whole.net.values[weight.bias], rtol=1e-9)


def test_fit_finds_the_rate(problem, data):
    result = ps.fit(problem, data, **OPTIONS)
    assert result.status is ps.Status.SUCCESS
    assert float(result.p.k) == pytest.approx(0.7, abs=1e-4)
    assert float(result.parameters.n) == 2  # an integer is a setting
    assert result.loss < 1e-7
    columns = "loss gradient_norm horizon seconds rejected status validation_loss terms".split()
    assert list(result.history.data_vars) == columns
    assert result.history.horizon.values[0] == 1.0 and result.history.horizon.values[-1] == 4.0
    assert (np.diff(result.history.seconds) >= 0).all()
    assert "k = 0.7" in repr(result)


def test_same_seed_same_result(problem, data):
    short = [ps.Adam(steps=20), ps.LBFGS(steps=5)]
    one, two = (ps.fit(problem, data, optimizer=short, seed=4, **OPTIONS) for _ in range(2))
    assert one.problem == two.problem
    np.testing.assert_array_equal(one.history.loss, two.history.loss)


def test_single_shooting_sees_the_whole_span_at_once(problem, data):
    result = ps.fit(problem, data, strategy=(), optimizer=ps.Adam(steps=5), **OPTIONS)
    assert set(result.history.horizon.values) == {4.0}


def test_bounds_hold(problem, data):
    result = ps.fit(problem, data, trainable={"k": ps.Interval(0.1, 0.5)}, **OPTIONS)
    assert 0.45 < float(result.p.k) < 0.5


def test_initial_values_can_be_trained(problem, data):
    start = problem.remake(u0={"x": 1.0}, p={"k": 0.5})
    result = ps.fit(start, data, trainable=["k", "u0_x"], **OPTIONS)
    np.testing.assert_allclose([float(result.p.k), float(result.problem.u0.x)], [0.7, 2.0], atol=1e-3)
    assert float(result.parameters.u0_x) == float(result.problem.u0.x)
    assert f"u0_x = {float(result.problem.u0.x):.6g}" in repr(result)


def test_a_fit_that_explains_nothing_says_so(problem, data):
    start = problem.remake(p={"k": 1e4})  # everything has decayed before the first datum, and no slope leads back
    result = ps.fit(start, data, trainable={"k": ps.Positive()}, **OPTIONS)
    assert result.loss >= 1.0 and "the mean of the data is no worse" in repr(result)


def test_fit_goes_on_from_a_learnt_network(data):
    """A second fit starts with the function that the first one ended with."""
    require_engine("diffrax")
    net = ps.MLP(1, 1, width=4, depth=1)
    problem = ps.ODEProblem(lambda t, u, p: {"x": p.net([u.x])[0]}, {"x": 2.0}, (0, 4), {"net": net})
    first = ps.fit(problem, data, optimizer=ps.Adam(steps=40), **OPTIONS)
    second = ps.fit(first.problem, data, optimizer=ps.Adam(1e-12, steps=1), strategy=(), **OPTIONS)
    assert second.loss == pytest.approx(first.loss, rel=1e-9)


def test_weight_decay_is_of_weights_of_networks(data):
    require_engine("diffrax")
    net = ps.MLP(1, 1, width=2, depth=1)
    problem = ps.ODEProblem(lambda t, u, p: {"x": p.k + p.net([u.x])[0]}, {"x": 2.0}, (0, 4), {"k": 1.0, "net": net})
    misfit = make_misfit(problem, data, "nmse", None, "diffrax", "auto", 1e-6, 1e-8, "auto")
    assert find_decayed(misfit).tolist() == [False] + [True] * 2 + [False] * 2 + [True] * 2 + [False]


def test_failed_solves_are_rejected_steps():
    """Adam's first long steps blow the solution up; the fit comes back and ends well."""
    require_engine("diffrax")
    problem = ps.ODEProblem(lambda t, u, p: {"x": p.k * u.x**2}, {"x": 1.0}, (0, 1), {"k": 0.9})
    data = xr.Dataset({"x": ("time", [1 / 0.9, 1 / 0.8])}, {"time": [0.5, 1.0]})
    wild = [ps.Adam(0.5, steps=60), ps.LBFGS(steps=30)]
    flipped = ps.fit(problem.remake(p={"k": -5.0}), data, optimizer=wild, strategy=(), **OPTIONS)
    assert np.isnan(flipped.history.loss.values).any()
    assert float(flipped.p.k) == pytest.approx(0.2, abs=1e-3)


def test_unsolvable_start_says_so():
    require_engine("diffrax")
    problem = ps.ODEProblem(lambda t, u, p: {"x": p.k * u.x**2}, {"x": 1.0}, (0, 1), {"k": 50.0})
    data = xr.Dataset({"x": ("time", [1.0, 2.0])}, {"time": [0.5, 1.0]})
    with pytest.raises(ps.SolveFailed, match="could not be solved at its start values"):
        ps.fit(problem, data, optimizer=ps.Adam(1e-6, steps=3), **OPTIONS)


@pytest.mark.parametrize("name", ["fit.nc", "fit.zarr"])
def test_save_and_load(problem, data, tmp_path, name):
    result = ps.fit(problem, data, optimizer=ps.Adam(steps=10), **OPTIONS)
    result.save(tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == [name]
    loaded = FitResult.load(tmp_path / name)
    assert loaded.problem == result.problem
    assert loaded.settings == result.settings and loaded.status is result.status and loaded.loss == result.loss
    xr.testing.assert_identical(loaded.history, result.history)
    xr.testing.assert_identical(loaded.data, data)
    xr.testing.assert_allclose(loaded.predict(), result.predict(), rtol=1e-14)


def test_load_refuses_what_is_no_fit(tmp_path, data):
    with pytest.raises(ps.ProblemError, match="there is no file"):
        FitResult.load(tmp_path / "none.nc")
    data.to_netcdf(tmp_path / "data.nc", engine="h5netcdf")
    with pytest.raises(ps.ProblemError, match="not a file that FitResult.save wrote"):
        FitResult.load(tmp_path / "data.nc")
    (tmp_path / "text.nc").write_text("no")
    with pytest.raises(ps.ProblemError, match="can't be read"):
        FitResult.load(tmp_path / "text.nc")


def test_predict_defaults_and_changes(problem, data):
    result = ps.fit(problem, data, optimizer=ps.Adam(steps=5), **OPTIONS)
    np.testing.assert_array_equal(result.predict().time, data.time)
    assert float(result.predict([6.0]).time[0]) == 6.0  # past the span
    assert float(result.predict([1.0], u0={"x": 4.0}).x[0]) == pytest.approx(
        2 * float(result.predict([1.0]).x[0]) - float(result.predict([1.0], u0={"x": 0.0}).x[0]), rel=1e-5
    )
    assert result.predict().attrs["engine"] == "diffrax"


@pytest.mark.parametrize("call", ["fit", "objective", "gradient"])
def test_unknown_keywords_name_the_nearest(problem, data, call):
    with pytest.raises(ps.ProblemError, match="unknown keyword 'reltol'.*did you mean 'rtol'"):
        getattr(ps, call)(problem, data, reltol=1e-3)


def test_progress_says_what_is_trained(problem, data, capsys):
    ps.fit(problem, data, optimizer=ps.Adam(steps=3), engine="diffrax")
    said = capsys.readouterr().err
    assert "training k, source" in said
    last = said.split("\r")[-1]
    assert "3/3" in last and "it/s" in last
    assert all(f"{word}=" in last for word in ("loss", "gradient", "horizon"))
