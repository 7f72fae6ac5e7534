"""External inputs: closed forms, SciPy's interpolants, gradients, and other tables, on every engine."""

import numpy as np
import pytest
import xarray as xr

import pysciml as ps

TIGHT = {"rtol": 1e-10, "atol": 1e-12}
ALGORITHMS = {"diffrax": "DP8", "julia": "Vern9"}
KNOTS = np.array([0.0, 1.0, 2.5, 3.0, 4.0])
HEIGHTS = np.array([0.0, 2.0, 1.0, 3.0, 0.0])
TIMES = np.array([0.5, 1.0, 2.0, 2.5, 3.5, 4.0])


def leak(t, u, p):
    return {"x": p.inflow(t) - p.k * u.x}


def series(values=HEIGHTS, times=KNOTS):
    return xr.DataArray(values, {"time": times}, "time", attrs={"units": "L/h"})


def make(method="linear", values=HEIGHTS, times=KNOTS, **options):
    p = {"inflow": ps.interpolate(series(values, times), method), "k": 0.5}
    return ps.ODEProblem(leak, {"x": 0.1}, (0, 4), p, units={"time": "h"}, **options)


def exact(method, t, k=0.5, x=0.1):
    """dx/dt = a + b s - k x, piece by piece, at one time."""
    for start, end, low, high in zip(KNOTS[:-1], KNOTS[1:], HEIGHTS[:-1], HEIGHTS[1:], strict=True):
        if t <= start:
            break
        s, b = min(t, end) - start, (high - low) / (end - start) if method == "linear" else 0.0
        particular = lambda s, a=low, b=b: a / k + b * s / k - b / k**2  # noqa: E731
        x = particular(s) + (x - particular(0.0)) * np.exp(-k * s)
    return x


@pytest.mark.parametrize("method", ["linear", "previous"])
def test_closed_forms(method, engine):
    ds = ps.solve(make(method), ALGORITHMS[engine], saveat=TIMES, engine=engine, **TIGHT)
    np.testing.assert_allclose(ds.x, [exact(method, t) for t in TIMES], rtol=1e-8)


def test_cubic_is_scipys_spline(engine):
    """x' = I(t), so that x is the spline's integral."""
    from scipy.interpolate import CubicSpline

    problem = make("cubic").remake(p={"k": 0.0})
    integral = CubicSpline(KNOTS, HEIGHTS).antiderivative()
    ds = ps.solve(problem, ALGORITHMS[engine], saveat=TIMES, engine=engine, **TIGHT)
    np.testing.assert_allclose(ds.x, 0.1 + integral(TIMES), rtol=1e-9)
    np.testing.assert_allclose(problem.p.inflow(TIMES), CubicSpline(KNOTS, HEIGHTS)(TIMES), rtol=1e-13, atol=1e-13)


def test_steps_are_not_stepped_over(engine):
    """A pulse far shorter than a step, found since its edges are stop times."""
    times = np.array([0.0, 60.0, 60.001, 100.0])
    pulse = xr.DataArray([0.0, 1000.0, 0.0, 0.0], {"time": times}, "time")
    problem = ps.ODEProblem(
        lambda t, u, p: {"x": p.dose(t)}, {"x": 0.0}, (0, 100), {"dose": ps.interpolate(pulse, "previous")}
    )
    ds = ps.solve(problem, saveat=[50.0, 100.0], engine=engine)
    np.testing.assert_allclose(ds.x, [0.0, 1.0], atol=1e-6)


def test_inputs_with_dims_of_their_own(engine):
    rain = xr.DataArray(
        np.arange(6.0).reshape(3, 2), {"time": [0.0, 1.0, 2.0], "place": ["hill", "vale"]}, ("time", "place"), "rain"
    )
    problem = ps.ODEProblem(
        lambda t, u, p: {"water": p.rain(t)},
        {"water": xr.DataArray([0.0, 1.0], {"place": ["hill", "vale"]}, "place")},
        (0, 2),
        {"rain": ps.interpolate(rain)},
    )
    ds = ps.solve(problem, saveat=[1.0, 2.0], engine=engine, **TIGHT)
    np.testing.assert_allclose(ds.water, [[1.0, 3.0], [4.0, 7.0]], rtol=1e-9)
    assert ds.rain.dims == ("rain_time", "place") and list(ds.rain_time) == [0.0, 1.0, 2.0]
    np.testing.assert_array_equal(ds.rain, rain)


def test_dates(engine):
    """A series in dates, moved along when the span starts elsewhere."""
    dates = np.array(["2020-01-01", "2020-01-02", "2020-01-04"], dtype="M8[ns]")
    heat = ps.interpolate(xr.DataArray([0.0, 1.0, 1.0], {"time": dates}, "time"))
    problem = ps.ODEProblem(
        lambda t, u, p: {"x": p.heat(t)}, {"x": 0.0}, (dates[0], dates[2]), {"heat": heat}, units={"time": "day"}
    )
    ds = ps.solve(problem, saveat=dates[1:], engine=engine, **TIGHT)
    np.testing.assert_allclose(ds.x, [0.5, 2.5], rtol=1e-8)
    np.testing.assert_array_equal(ds.heat_time, dates)
    later = problem.remake(t_span=(dates[1], dates[2]))
    np.testing.assert_allclose(ps.solve(later, saveat=dates[2:], engine=engine).x, [2.0], rtol=1e-8)


JULIA_WORDS = ["discrete", "forward", "forward_over_solver", "interpolating", "gauss", "quadrature", "backsolve"]
WORDS = {
    ("diffrax", "linear"): ["checkpointed"],  # one of two each: these compile long
    ("diffrax", "previous"): ["forward"],
    ("julia", "linear"): JULIA_WORDS,
    ("julia", "previous"): JULIA_WORDS,
}


@pytest.mark.parametrize("method", ["linear", "previous"])
def test_gradients_by_the_table_and_the_rest(method, engine):
    """The model is linear in the table: the loss is quadratic in it, and central differences of closed forms exact."""
    problem = make(method)
    data = xr.Dataset({"x": ("time", np.array([0.3, 1.0, 2.0, 2.5, 3.0, 2.0]))}, {"time": TIMES})
    truth = {"inflow": np.zeros(5), "k": 0.0}

    def loss(heights, k):
        x = [_solve_by_pieces(method, heights, k, t) for t in TIMES]
        return np.mean((np.array(x) - data.x.values) ** 2)

    h = 1e-5
    for i, e in enumerate(np.eye(5)):
        truth["inflow"][i] = (loss(HEIGHTS + e, 0.5) - loss(HEIGHTS - e, 0.5)) / 2
    truth["k"] = (loss(HEIGHTS, 0.5 + h) - loss(HEIGHTS, 0.5 - h)) / (2 * h)
    options = {"engine": engine, "algorithm": ALGORITHMS[engine], "loss": "mse", "wrt": ["inflow", "k"], **TIGHT}
    for word in WORDS[engine, method]:
        value, slope = ps.gradient(problem, data, sensitivity=word, **options)
        assert value == pytest.approx(loss(HEIGHTS, 0.5), rel=1e-7), word
        np.testing.assert_allclose(slope.inflow, truth["inflow"], rtol=1e-6, atol=1e-9, err_msg=word)
        assert float(slope.k) == pytest.approx(truth["k"], rel=1e-6), word
    assert slope.inflow.dims == ("inflow_time",)


def _solve_by_pieces(method, heights, k, t, x=0.1):
    for start, end, low, high in zip(KNOTS[:-1], KNOTS[1:], heights[:-1], heights[1:], strict=True):
        if t <= start:
            break
        s, b = min(t, end) - start, (high - low) / (end - start) if method == "linear" else 0.0
        at_start, at_end = low / k - b / k**2, low / k + b * s / k - b / k**2
        x = at_end + (x - at_start) * np.exp(-k * s)
    return x


def test_a_fit_leaves_inputs_alone(engine):
    truth = make()
    data = ps.solve(truth, saveat=TIMES, engine=engine, **TIGHT)[["x"]].drop_vars(["k", "inflow"], errors="ignore")
    guess = truth.remake(p={"k": 0.8})
    result = ps.fit(guess, data, optimizer=ps.LBFGS(steps=30), engine=engine, progress=False)
    assert result.settings["trained"] == ["k"] and float(result.p.k) == pytest.approx(0.5, rel=1e-4)
    np.testing.assert_array_equal(result.parameters.inflow, HEIGHTS)
    assert result.problem.p.inflow == truth.p.inflow


def test_a_fit_trains_an_input_that_is_named(engine):
    truth = make()
    data = ps.solve(truth, saveat=np.linspace(0.25, 4, 16), engine=engine, **TIGHT)[["x"]].drop_vars(
        ["k", "inflow"], errors="ignore"
    )
    guess = truth.remake(p={"inflow": np.ones(5)})
    result = ps.fit(guess, data, trainable=["inflow"], optimizer=ps.LBFGS(steps=60), engine=engine, progress=False)
    np.testing.assert_allclose(result.parameters.inflow, HEIGHTS, atol=1e-2)
    np.testing.assert_array_equal(result.parameters.inflow_time, KNOTS)
