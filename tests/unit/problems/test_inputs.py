"""External inputs at the door: what may be one, what covers a span, what remake takes, copies and files."""

import pickle

import numpy as np
import pytest
import xarray as xr
from scipy.interpolate import CubicSpline, interp1d

import pysciml as ps
from pysciml.errors import ProblemError, TraceError
from pysciml.problems.schema import problem_from_json, problem_to_json
from pysciml.tracing.table import Table

TIMES = np.array([0.0, 0.3, 1.0, 2.0])
VALUES = np.array([1.0, 3.0, -1.0, 0.5])


def series(values=VALUES, times=TIMES, **attrs):
    return xr.DataArray(values, {"time": times}, "time", attrs=attrs)


def make(method="linear", da=None, t_span=(0, 2), extrapolate=None, f=None, **options):
    given = ps.interpolate(series() if da is None else da, method, extrapolate=extrapolate)
    f = f or (lambda t, u, p: {"x": p.I(t) - u.x})
    return ps.ODEProblem(f, {"x": 0.0}, t_span, {"I": given, "k": 1.0}, **options)


@pytest.mark.parametrize("method", ["linear", "previous", "cubic"])
@pytest.mark.parametrize("shape", [(), (2, 3)])
def test_values_are_scipys(method, shape):
    """At random times, at the knots, and one float before them."""
    rng = np.random.default_rng(1)
    times = np.sort(rng.uniform(-3, 1900, 12))
    values = rng.normal(size=(12, *shape))
    da = xr.DataArray(values, {"time": times}, ("time", "a", "b")[: 1 + len(shape)])
    problem = make(method, da, (times[0], times[-1]), f=lambda t, u, p: {"x": np.sum(p.I(t))})
    at = np.concatenate([rng.uniform(times[0], times[-1], 40), times, np.nextafter(times[1:], -np.inf)])
    expected = CubicSpline(times, values)(at) if method == "cubic" else interp1d(times, values, method, axis=0)(at)
    got = problem.p.I(at)
    assert got.shape == (len(at), *shape)
    np.testing.assert_allclose(got, expected, rtol=1e-11, atol=1e-11)
    if method == "previous":
        np.testing.assert_array_equal(got, expected)
    assert problem.p.I(times[3]).shape == shape


def test_tables_are_data_of_the_program():
    """Another table, the same Program; the values stand in ``p``."""
    problem = make()
    other = problem.remake(p={"I": ps.interpolate(series(2 * VALUES, [0.0, 0.1, 1.5, 2.5]))})
    assert other.program is problem.program and other != problem
    np.testing.assert_array_equal(other.p.I([0.1, 1.5]), [6.0, -2.0])
    assert problem.remake(p={"I": VALUES + 1}).p.I(0.3) == 4.0
    assert problem.remake(p={"I": other.p.I}) == other
    assert problem.remake(p=other.p) == other


def test_a_splines_slopes_follow_new_values():
    problem = make("cubic").remake(p={"I": VALUES**2})
    np.testing.assert_allclose(problem.p.I([0.1, 1.7]), CubicSpline(TIMES, VALUES**2)([0.1, 1.7]), rtol=1e-12)


def test_only_steps_make_stop_times():
    assert make("linear").stop_times.size == 0 and make("cubic").stop_times.size == 0
    np.testing.assert_array_equal(make("previous").stop_times, [0.3, 1.0])
    np.testing.assert_array_equal(make("previous", t_span=(0.5, 2)).stop_times, [1.0])


def test_end_values_are_held():
    problem = make(t_span=(-1, 5), extrapolate="hold")
    np.testing.assert_array_equal(problem.p.I([-1.0, 5.0]), [1.0, 0.5])
    cubic = make("cubic", t_span=(-1, 5), extrapolate="hold")
    np.testing.assert_array_equal(cubic.p.I([-1.0, 5.0]), [1.0, 0.5])


@pytest.mark.parametrize("method", ["linear", "cubic"])
def test_copies_and_files(method):
    problem = make(method, units={"I": "mm", "time": "h"})
    for copy in (pickle.loads(pickle.dumps(problem)), problem_from_json(problem_to_json(problem))):
        assert copy == problem and hash(copy) == hash(problem)
        assert copy.p.I == problem.p.I and copy.p_layout["I"].table == Table(method, 4)
    assert f"{method} input, 4 times from 0 to 2, values from -1 to 3  mm" in repr(problem)


@pytest.mark.parametrize(
    "damage", [{"method": "exec"}, {"n_times": 3}, {"extrapolate": "yes"}, {"n_times": 0}, {"shape": [2]}]
)
def test_a_damaged_table_is_refused(damage):
    import json

    raw = json.loads(problem_to_json(make()))
    raw["parameters"]["entries"][0]["table"] |= damage
    with pytest.raises(ProblemError, match="damaged"):
        problem_from_json(json.dumps(raw))


GAP = VALUES.copy()
GAP[1] = np.nan
DATES = np.arange("2020", "2024", dtype="M8[Y]").astype("M8[ns]")


@pytest.mark.parametrize(
    "build, message",
    [
        (lambda: ps.interpolate(VALUES), "give an xarray.DataArray over 'time', got ndarray"),
        (lambda: ps.interpolate(series().to_dataset(name="I")), "got Dataset; pick one of its variables"),
        (lambda: ps.interpolate(series().to_series()), "got a pandas Series; write"),
        (lambda: ps.interpolate(series().rename(time="t")), "no dimension 'time' (it has: t)"),
        (lambda: ps.interpolate(series().drop_vars("time")), "has no times"),
        (lambda: ps.interpolate(series()[:1]), "needs at least two times, got 1"),
        (lambda: ps.interpolate(series(GAP)), "NaN at time 0.3 (1 of 4 values); write da.dropna('time')"),
        (lambda: ps.interpolate(series(VALUES.astype(str))), "give real numbers"),
        (lambda: ps.interpolate(series(), "cubik"), "unknown method 'cubik'; one of linear, cubic, previous; did you"),
        (lambda: ps.interpolate(series(), extrapolate="linear"), "extrapolate must be None or 'hold', got 'linear'"),
        (lambda: make(t_span=(0, 3)), "p['I'] has values from t = 0.0 to 2.0, which does not cover t_span (0, 3)"),
        (lambda: make(t_span=(-1, 2)), "does not cover t_span (-1, 2)"),
        (lambda: make().remake(t_span=(0, 3)), "does not cover t_span (0, 3)"),
        (lambda: make().remake(p={"I": ps.interpolate(series()[:3])}), "with 3 times, expected a linear input with 4"),
        (lambda: make().remake(p={"I": ps.interpolate(series(), "cubic")}), "is a cubic input with 4 times, expected"),
        (lambda: make().remake(p={"I": 1.0}), "give ps.interpolate(...), or values of shape (4,)"),
        (lambda: make().remake(p={"I": GAP}), "p['I'] is NaN at index [1]"),
        (lambda: make().remake(p={"k": ps.interpolate(series())}), "remake: p['k'] is an external input, but"),
        (lambda: make(da=series(times=[0.0, 1.0, 0.5, 2.0])), "times must increase, but 0.5 comes after 1.0"),
        (lambda: make(da=series(times=[0.0, 1.0, 1.0, 2.0])), "da.drop_duplicates('time')"),
        (lambda: make(da=series(times=DATES)), "but t_span is in numbers"),
        (lambda: ps.ODEProblem(lambda t, u, p: -u, ps.interpolate(series()), (0, 1)), "u0['u'] is an external input"),
    ],
)  # fmt: skip
def test_words_for_bad_inputs(build, message):
    with pytest.raises(ProblemError) as error:
        build()
    assert message in str(error.value)


@pytest.mark.parametrize(
    "f, message",
    [
        (lambda t, u, p: {"x": p.I * 2}, "is an external input, not a number or array"),
        (lambda t, u, p: {"x": p.I.mean()}, "an external input has no .mean"),
        (lambda t, u, p: {"x": p.I}, "external input"),
    ],
)
def test_an_input_is_called(f, message):
    with pytest.raises(TraceError, match=message):
        make(f=f)


def test_units_of_time_agree():
    da = series()
    da["time"].attrs["units"] = "day"
    with pytest.raises(ProblemError, match=r"p\['I'\]: time is in 'day', expected 'h'"):
        make(da=da, units={"time": "h"})


def test_a_spline_is_not_trained():
    data = xr.Dataset({"x": ("time", [0.1])}, {"time": [1.0]})
    with pytest.raises(ProblemError, match="'I' is a cubic input, which can't be trained; write method='linear'"):
        ps.objective(make("cubic"), data, trainable=["I"], engine="diffrax")
    assert ps.objective(make("linear"), data, engine="diffrax").names == ("k",)
    assert ps.objective(make("linear"), data, trainable=["I"], engine="diffrax").names[:2] == ("I[0]", "I[1]")
