import cftime
import numpy as np
import pandas as pd
import pint
import pytest
import xarray as xr

from pysciml.datasets.experiments import read_experiments
from pysciml.datasets.to_dataset import to_dataset
from pysciml.engines.base import RawSolution, Status
from pysciml.errors import ProblemError
from pysciml.problems.ode import ODEProblem

X = xr.DataArray([1.0, 2.0], dims="x", coords={"x": [0.0, 1.0]})


def model(t, u, p):
    return {"a": -p.k * u.a, "c": -u.c}


PROBLEM = ODEProblem(model, {"a": 1.0, "c": X}, (0, 10), {"k": 1.0}, units={"a": "mg", "time": "day"})
DATED = ODEProblem(lambda t, u, p: {"a": -u.a}, {"a": 1.0}, ("2020-01-01", "2020-01-11"), units={"time": "day"})


def read_one(data, problem):
    """Times and values of one experiment without replicates."""
    (one,) = read_experiments(data, problem)
    return one.times, one.values[:, 0]


def make_data(**changes):
    """Valid data of ``a`` at three times, with changes to ``xr.Dataset``'s arguments."""
    arguments = {"data_vars": {"a": ("time", [1.0, np.nan, 3.0])}, "coords": {"time": [0.0, 5.0, 10.0]}} | changes
    return xr.Dataset(**arguments)


def test_values_in_the_problems_order():
    data = make_data(data_vars={"c": (("x", "time"), [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]), "a": ("time", [7, 8, 9])})
    times, values = read_one(data, PROBLEM)
    np.testing.assert_array_equal(times, [0.0, 5.0, 10.0])
    np.testing.assert_array_equal(values, [[7, 1, 4], [8, 2, 5], [9, 3, 6]])


def test_states_without_data_are_missing():
    _, values = read_one(make_data(), PROBLEM)
    np.testing.assert_array_equal(values, [[1, np.nan, np.nan], [np.nan] * 3, [3, np.nan, np.nan]])


def test_other_coordinates_are_ignored():
    data = make_data(coords={"time": [0.0, 5.0, 10.0], "k": 2.0, "net": ("net_weight", [1.0])})
    assert read_one(data, PROBLEM)[1].shape == (3, 3)


def test_a_solution_is_data():
    raw = RawSolution(np.array([0.0, 1.0]), np.arange(6.0).reshape(1, 2, 3), (Status.SUCCESS,), "Tsit5")
    times, values = read_one(to_dataset(raw, PROBLEM, "scipy", {}), PROBLEM)
    np.testing.assert_array_equal(times, raw.t)
    np.testing.assert_array_equal(values, raw.u[0])


def test_dates():
    times = np.array(["2020-01-02", "2020-01-03", "2020-01-11"], "datetime64[ns]")
    np.testing.assert_array_equal(read_one(make_data(coords={"time": times}), DATED)[0], [1.0, 2.0, 10.0])


def test_a_rounding_error_outside_is_inside():
    data = make_data(coords={"time": [0.0, 5.0, 10.0 + 2e-15]})
    assert read_one(data, PROBLEM)[0][-1] == 10.0


BAD = [
    (lambda: make_data(data_vars={}), "data has no variables"),
    (lambda: make_data(data_vars={"aa": ("time", [1.0] * 3)}), "data variable 'aa' is not a state (they are a, c)"),
    (lambda: make_data(data_vars={"k": ("time", [1.0] * 3)}), "'k' is a parameter, not a state; leave it out"),
    (
        lambda: make_data().rename(time="year"),
        "no dimension 'time' (it has: year); write data.rename({'year': 'time'})",
    ),
    (lambda: make_data().isel(time=0), "write data.expand_dims('time')"),
    (lambda: make_data().drop_vars("time"), "write data.assign_coords(time=...)"),
    (lambda: make_data().isel(time=[]), "data is empty"),
    (lambda: make_data(coords={"time": [0.0, 5.0, 5.0]}), "the time 5 more than once; write data.groupby('time')"),
    (lambda: make_data(coords={"time": [0.0, 6.0, 5.0]}), "write data.sortby('time')"),
    (lambda: make_data(coords={"time": [0.0, 5.0, 11.0]}), "1 of 3 times outside t_span (0, 10), such as 11"),
    (lambda: make_data(coords={"time": [0.0, 5.0, 11.0]}), "data.sel(time=slice(0, 10))"),
    (lambda: make_data(coords={"time": [-1.0, 5.0, 7.0]}), "such as -1"),
    (lambda: make_data(coords={"time": [0.0, np.nan, 5.0]}), "data: time has NaN"),
    (lambda: make_data(coords={"time": np.array([0, 5, 7], "timedelta64[D]")}), "np.timedelta64(1, 'D')"),
    (lambda: make_data(coords={"time": ("time", [0, 5, 7], {"units": "h"})}), "data: time is in 'h', expected 'day'"),
    (lambda: make_data(coords={"time": pd.date_range("2020", periods=3)}), "t_span is in numbers"),
    (lambda: make_data(data_vars={"a": ("time", [np.nan] * 3)}), "'a' has only NaN; leave it out: data.drop_vars('a')"),
    (lambda: make_data(data_vars={"a": ("time", [1.0, np.inf, 2.0])}), "'a' is infinite at time 5"),
    (lambda: make_data(data_vars={"a": ("time", [1j] * 3)}), "'a' holds complex128 values"),
    (lambda: make_data(data_vars={"a": ("time", ["1"] * 3)}), "'a' holds <U1 values"),
    (lambda: make_data(data_vars={"a": ("time", [1.0] * 3, {"units": "kg"})}), "'a' is in 'kg', expected 'mg'"),
    (lambda: make_data(data_vars={"a": ("time", pint.UnitRegistry().Quantity([1.0] * 3, "mg"))}), "dequantify()"),
    (lambda: make_data(data_vars={"a": 1.0, "c": (("time", "x"), [[1.0] * 2] * 3)}), "'a' has no dimension 'time'"),
    (
        lambda: make_data(data_vars={"a": (("time", "site"), [[1.0] * 2] * 3)}),
        "write over={'site': data['site']} if each is an experiment, else data.isel(site=0) or data.mean('site')",
    ),
    (lambda: make_data(data_vars={"c": ("time", [1.0] * 3)}), "'c' lacks the dimension 'x'"),
    (lambda: make_data(data_vars={"c": (("time", "x"), [[1.0] * 3] * 3)}), "length 3 along 'x', expected 2"),
    (
        lambda: make_data(
            data_vars={"c": (("time", "x"), [[1.0] * 2] * 3)}, coords={"time": [0.0, 5.0, 10.0], "x": [0.0, 2.0]}
        ),
        "other coordinates along 'x'",
    ),
    (lambda: make_data().a, "write data.to_dataset(name='a')"),
    (lambda: {"a": [1.0]}, "data is a dict; write xr.Dataset("),
    (lambda: [1.0], "or a dict of these by experiment, got list"),
]


@pytest.mark.parametrize("make, message", BAD, ids=[message for _, message in BAD])
def test_wrong_data(make, message):
    with pytest.raises(ProblemError) as error:
        read_one(make(), PROBLEM)
    assert message in str(error.value)


def test_wrong_calendars():
    times = [cftime.DatetimeNoLeap(2020, 1, day) for day in (1, 2, 3)]
    with pytest.raises(ProblemError, match="noleap dates, expected datetime64"):
        read_one(make_data(coords={"time": times}), DATED)
    late = make_data(coords={"time": np.array(["2020-01-02", "2020-01-03", "2020-02-11"], "datetime64[ns]")})
    with pytest.raises(ProblemError, match=r"data.sel\(time=slice\('2020-01-01', '2020-01-11'\)\)"):
        read_one(late, DATED)
