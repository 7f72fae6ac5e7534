import json
import warnings

import numpy as np
import pytest
import xarray as xr

from pysciml.datasets.to_dataset import (
    gradient_to_dataset,
    parameters_to_dataset,
    to_arrays,
    to_dataset,
)
from pysciml.engines.base import RawSolution, Status
from pysciml.networks import MLP
from pysciml.problems.ode import ODEProblem


def mixed_model(t, u, p):
    return {"n": p.k * u.n + 0 * p.count, "c": -p.d * u.c + p.net([u.n])[0] + 0.0 * p.table[0, 0]}


def mixed_problem():
    """Scalars, a field with coordinates, array parameters with and without dims, a network, an integer."""
    c = xr.DataArray(
        [1.0, 2.0, 3.0],
        dims="x",
        coords={"x": ("x", [0.0, 0.5, 1.0], {"units": "m"}), "site": ("x", ["a", "b", "c"])},
        attrs={"units": "mg/L", "long_name": "concentration"},
    )
    p = {
        "k": 0.5,
        "d": xr.DataArray([1.0, 2.0, 3.0], dims="x", attrs={"units": "1/day"}),
        "table": np.arange(4.0).reshape(2, 2),
        "count": 3,
        "net": MLP(1, 1, width=2, depth=1),
    }
    units = {"n": "1", "k": "1/day", "time": "days"}
    return ODEProblem(mixed_model, {"n": 2.0, "c": c}, (0, 2), p, units=units, name="mixed")


def raw_solution(problem, t, status=Status.SUCCESS, message=""):
    u = np.arange(len(t) * problem.u_layout.size, dtype=float).reshape(1, len(t), -1)
    versions, statistics = {"scipy": "1"}, {"steps": np.int64(7)}
    return RawSolution(np.asarray(t, float), u, (status,), "Tsit5", "not stiff", message, statistics, versions)


def solution(problem, t=(0.0, 1.0, 2.0), **options):
    return to_dataset(raw_solution(problem, t), problem, "scipy", {"rtol": 1e-6, "saveat": None}, **options)


def test_one_variable_a_state():
    ds = solution(mixed_problem())
    assert set(ds.data_vars) == {"n", "c"}
    assert ds.n.dims == ("time",) and ds.c.dims == ("time", "x")
    np.testing.assert_array_equal(ds.n, [0.0, 4.0, 8.0])
    np.testing.assert_array_equal(ds.c, [[1, 2, 3], [5, 6, 7], [9, 10, 11]])
    assert ds.n.attrs == {"long_name": "n", "units": "1"}
    assert ds.c.attrs == {"long_name": "concentration", "units": "mg/L"}
    assert ds.time.attrs == {"long_name": "time", "units": "day"}
    assert ds.x.attrs == {"units": "m"} and ds.site.values.tolist() == ["a", "b", "c"]


def test_parameters_are_coordinates():
    problem = mixed_problem()
    ds = solution(problem)
    assert set(ds.coords) == {"time", "x", "site", "k", "d", "table", "count", "net"}
    assert ds.k.dims == () and float(ds.k) == 0.5 and ds.k.attrs["units"] == "1/day"
    assert ds.d.dims == ("x",) and ds.d.attrs["units"] == "1/day"
    assert ds.table.dims == ("table_dim_0", "table_dim_1")
    assert ds["count"].dtype == np.int64 and int(ds["count"]) == 3
    assert ds.net.dims == ("net_weight",)
    np.testing.assert_array_equal(ds.net, problem.p_values[problem.p_layout["net"].slice])


def test_bare_forms():
    ds = solution(ODEProblem(lambda t, u, p: -p * u, np.ones(2), (0, 2), 3.0))
    assert ds.u.dims == ("time", "state") and float(ds.p) == 3.0
    ds = solution(ODEProblem(lambda t, u, p: -u, 1.0, (0, 2)))
    assert ds.u.dims == ("time",) and set(ds.coords) == {"time"} and ds.time.attrs == {"long_name": "time"}
    ds = solution(ODEProblem(lambda t, u, p: -u, np.ones((2, 2)), (0, 2)))
    assert ds.u.dims == ("time", "u_dim_0", "u_dim_1")


def test_attrs_are_plain():
    problem = mixed_problem()
    attrs = solution(problem).attrs
    assert all(type(value) in (str, int, float) for value in attrs.values())
    assert {k: attrs[k] for k in ("title", "engine", "algorithm", "status")} == {
        "title": "mixed",
        "engine": "scipy",
        "algorithm": "Tsit5",
        "status": "SUCCESS",
    }
    assert attrs["program_hash"] == problem.program.hash
    about = json.loads(attrs["pysciml"])
    assert about["settings"] == {"rtol": 1e-6, "saveat": None}
    assert about["algorithm_reason"] == "not stiff" and about["statistics"] == {"steps": 7}
    assert {"pysciml", "numpy", "xarray", "scipy"} <= set(about["versions"])


def test_dates_come_back():
    problem = ODEProblem(lambda t, u, p: -u, 1.0, ("2020-01-01", "2020-01-03"), units={"time": "day"})
    ds = solution(problem)
    expected = np.array(["2020-01-01", "2020-01-02", "2020-01-03"], "datetime64[ns]")
    np.testing.assert_array_equal(ds.time.values, expected)
    assert "units" not in ds.time.attrs
    t, arrays = to_arrays(raw_solution(problem, [0.0, 1.0]), problem)
    assert t.dtype == expected.dtype and arrays["u"].shape == (2,)


def test_times_are_the_users_as_far_as_the_solve_came():
    problem = ODEProblem(lambda t, u, p: -u, 1.0, (0, 0.3))
    asked = np.array([0.1, 0.1 + 0.2])  # the last is one rounding error outside the span
    ds = to_dataset(raw_solution(problem, [0.1, 0.3]), problem, "scipy", {}, asked)
    np.testing.assert_array_equal(ds.time, asked)
    ds = to_dataset(raw_solution(problem, [0.1], Status.UNSTABLE, "boom"), problem, "scipy", {}, asked)
    np.testing.assert_array_equal(ds.time, asked[:1])
    assert ds.attrs["status"] == "UNSTABLE" and json.loads(ds.attrs["pysciml"])["status_message"] == "boom"


@pytest.mark.parametrize("form", ["h5netcdf", "netcdf4", "zarr"])
@pytest.mark.parametrize("calendar", [None, "datetime64", "noleap"])
def test_round_trips(form, calendar, tmp_path):
    if calendar is None:
        ds = solution(mixed_problem(), (0.0, 0.25, 2.0))
    else:
        span = ("2020-01-01", "2020-03-01")
        if calendar == "noleap":
            span = tuple(xr.date_range("2020-01-01", periods=2, freq="60D", calendar="noleap", use_cftime=True))
        ds = solution(ODEProblem(lambda t, u, p: -p.k * u, 1.0, span, {"k": 2.0}, units={"time": "day"}))
    path = tmp_path / "solution"
    warnings.filterwarnings("ignore", "Consolidated metadata")
    warnings.filterwarnings("error", "The data type")  # one for which Zarr has no settled form
    if form == "zarr":
        ds.to_zarr(path)
        read = xr.load_dataset(path, engine="zarr")
    else:
        ds.to_netcdf(path, engine=form)
        read = xr.load_dataset(path, engine=form)
    assert read.time.dtype.kind == ("f" if calendar is None else "M" if calendar == "datetime64" else "O")
    xr.testing.assert_equal(read, ds)
    assert set(read.coords) == set(ds.coords) and read.attrs == ds.attrs
    for name in ds.variables:
        assert read[name].attrs == ds[name].attrs and read[name].dims == ds[name].dims


@pytest.mark.parametrize("unit", ["days", "hours", "minutes", "seconds", "ms", "milliseconds", "years", "h", "month"])
def test_numeric_time_stays_numeric(unit, tmp_path):
    """xarray reads plurals such as ``days`` as durations, in every variable: labels are written singular."""
    problem = ODEProblem(
        lambda t, u, p: {"delay": -u.delay}, {"delay": 1.0}, (0, 2), units={"delay": unit, "time": unit}
    )
    solution(problem).to_netcdf(tmp_path / "a.nc", engine="h5netcdf")
    read = xr.load_dataset(tmp_path / "a.nc", engine="h5netcdf")
    assert read.time.dtype == np.float64 and read.delay.dtype == np.float64
    assert read.time.attrs["units"] == problem.units["time"]


def test_parameters_and_gradients():
    problem = mixed_problem()
    ds = parameters_to_dataset(problem)
    assert set(ds.data_vars) == {"k", "d", "table", "count", "net"} and set(ds.coords) == {"x", "site"}
    assert ds.k.attrs["units"] == "1/day"
    again = problem.remake(p=ds)
    np.testing.assert_array_equal(again.p_values, problem.p_values)
    doubled = parameters_to_dataset(problem, 2 * problem.p_values)
    assert float(doubled.k) == 1.0 and int(doubled["count"]) == 6
    slope = gradient_to_dataset(problem, {"k": 0.5, "u0_c": np.ones(3), "count": 0.25, "net.0.weight": np.ones((2, 1))})
    assert slope.u0_c.dims == ("x",) and float(slope["count"]) == 0.25 and slope["net.0.weight"].shape == (2, 1)
    assert slope.k.attrs == {"long_name": "d loss / d k"}
