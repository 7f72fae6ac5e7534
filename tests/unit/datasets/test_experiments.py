import importlib.resources

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import pysciml as ps
from pysciml.datasets.experiments import read_experiments
from pysciml.datasets.from_dataset import read_dataset
from pysciml.errors import ProblemError

FOLDER = importlib.resources.files("pysciml") / "example_data"


def read_csv(name, **options):
    """A real table as a user reads it."""
    with (FOLDER / f"{name}.csv").open(encoding="utf-8") as file:
        return pd.read_csv(file, comment="#", **options)


PREDATION = ps.ODEProblem(
    lambda t, u, p: {"hare": p.a * u.hare - u.lynx, "lynx": -u.lynx},
    {"hare": 30.0, "lynx": 4.0},
    (1900, 1920),
    {"a": 0.5},
    units={"time": "year"},
)
ORAL = ps.ODEProblem(
    lambda t, u, p: {"gut": -p.ka * u.gut, "concentration": p.ka * u.gut - p.ke * u.concentration},
    lambda p: {"gut": p.dose / p.volume, "concentration": 0.0},
    (0, 25),
    {"ka": 1.5, "ke": 0.08, "volume": 0.5, "dose": 4.0},
    units={"time": "h", "dose": "mg/kg", "concentration": "mg/L"},
)
COMPETITION = ps.ODEProblem(
    lambda t, u, p: {"aurelia": p.r * u.aurelia, "caudatum": p.r * u.caudatum},
    {"aurelia": 2.0, "caudatum": 2.0},
    (0, 25),
    {"r": 0.8},
    units={"time": "day"},
)
EPIDEMIC = ps.ODEProblem(
    lambda t, u, p: {"in_bed": p.b * u.in_bed, "convalescent": u.in_bed},
    {"in_bed": 3.0, "convalescent": 0.0},
    ("1978-01-22", "1978-02-04"),
    {"b": 1.0},
    units={"time": "day"},
)


def assert_same(got, expected):
    assert [e.name for e in got] == [e.name for e in expected]
    for a, b in zip(got, expected, strict=True):
        assert a.coords == b.coords and a.problem == b.problem
        np.testing.assert_array_equal(a.times, b.times)
        np.testing.assert_array_equal(a.values, b.values)


# One experiment, in every shape of a table.

WIDE = read_csv("hare_lynx").rename(columns={"year": "time"})
SHAPES = {
    "wide": (WIDE, "time"),
    "its own name for time": (read_csv("hare_lynx"), "year"),
    "time as the index": (read_csv("hare_lynx", index_col="year"), "year"),
    "an index without a name": (read_csv("hare_lynx", index_col="year").rename_axis(None), "time"),
    "rows in any order": (WIDE.sample(frac=1, random_state=1), "time"),
    "a dataset": (ps.load_example("hare_lynx"), "time"),
    "a dataset with its own name": (ps.load_example("hare_lynx").rename(time="year"), "year"),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_one_experiment(shape):
    data, time = SHAPES[shape]
    (one,) = read_experiments(data, PREDATION, time=time)
    times, values = read_dataset(ps.load_example("hare_lynx"), PREDATION)
    assert one.name == "" and one.coords == {} and one.problem is PREDATION
    np.testing.assert_array_equal(one.times, times)
    np.testing.assert_array_equal(one.values, values[:, None])


def test_replicates_in_a_table():
    data = pd.concat([WIDE, WIDE[WIDE.time < 1903] * [1, 2, 0], pd.DataFrame({"time": [1901], "lynx": [7.0]})])
    (one,) = read_experiments(data, PREDATION)
    assert one.times.size == 21 and one.values.shape == (21, 3, 2)
    np.testing.assert_array_equal(one.values[1], [[47.2, 6.1], [94.4, 0.0], [np.nan, 7.0]])
    assert np.isnan(one.values[3:, 1:]).all()


def test_replicates_in_a_dataset():
    values = np.arange(12.0).reshape(2, 3, 2)
    data = xr.Dataset({"x": (("site", "replicate", "time"), values)}, {"site": ["A", "B"], "time": [0.0, 1.0]})
    found = read_experiments(data, DECAY, over={"k": SITES})
    np.testing.assert_array_equal(found[1].values[..., 0], values[1].T)
    (one,) = read_experiments(data.isel(site=0, drop=True), DECAY)
    np.testing.assert_array_equal(one.values[..., 0], values[0].T)
    named = read_experiments(data.isel(site=0, drop=True), DECAY, over={"replicate": data.replicate})
    assert [e.coords for e in named] == [{"replicate": k} for k in range(3)]


def test_dates():
    expected = read_experiments(ps.load_example("influenza"), EPIDEMIC)
    text = read_csv("influenza")
    for table in (text, text.assign(date=pd.to_datetime(text.date)), text.set_index("date")):
        assert_same(read_experiments(table, EPIDEMIC, time="date"), expected)
    np.testing.assert_array_equal(expected[0].times, np.arange(14.0))
    np.testing.assert_array_equal(expected[0].values[5, 0], [298, 17])


# Several experiments.


def test_experiments_of_a_long_table():
    table = read_csv("theophylline")
    known = table.groupby("subject")[["dose"]].first().to_xarray()
    found = read_experiments(table.drop(columns=["dose", "weight"]), ORAL, over=known)
    assert len(found) == 12 and {e.times.size for e in found} == {11}
    fifth = found[4]
    assert fifth.name == "5" and fifth.coords == {"subject": 5}
    assert float(fifth.problem.p.dose) == 5.86 and fifth.problem.u0_values[0] == 5.86 / 0.5
    assert fifth.times[3] == 1.0 and fifth.values[3, 0, 1] == 11.4 and np.isnan(fifth.values[..., 0]).all()
    indexed = table.set_index(["subject", "time"])[["concentration"]]
    assert_same(read_experiments(indexed, ORAL, over=known), found)
    ds = ps.load_example("theophylline")  # ragged: every time of every subject, most of them NaN
    assert_same(read_experiments(ds[["concentration"]], ORAL, over=ds[["dose"]]), found)


def test_experiments_that_differ_by_data_only():
    table = read_csv("paramecium")
    cultures = {name: rows.drop(columns="culture") for name, rows in table.groupby("culture")}
    found = read_experiments(cultures, COMPETITION, time="day")
    assert [e.coords for e in found] == [{"experiment": name} for name in ("aurelia", "caudatum", "mixed")]
    assert all(e.problem is COMPETITION for e in found) and found[2].values.shape == (25, 1, 2)
    by_column = read_experiments(table, COMPETITION, over={"culture": table.culture.unique()}, time="day")
    assert [e.name for e in by_column] == [e.name for e in found]
    ds = ps.load_example("paramecium")
    assert_same(read_experiments(ds, COMPETITION, over={"culture": ds.culture}), by_column)
    mixed = {
        "aurelia": ds.sel(culture="aurelia")[["aurelia"]],
        "caudatum": cultures["caudatum"].rename(columns={"day": "time"}),
    }
    assert_same(read_experiments(mixed, COMPETITION), found[:2])


def test_initial_values_of_each_experiment():
    ds = ps.load_example("paramecium")
    over = xr.Dataset({"u0_aurelia": ("culture", [2.0, 0.0, 2.0]), "caudatum": ("culture", [0.0, 2.0, 2.0])}, ds.coords)
    found = read_experiments(ds, COMPETITION, over=over.drop_vars("time"))
    assert [tuple(e.problem.u0_values) for e in found] == [(2, 0), (0, 2), (2, 2)]
    swapped = read_experiments(ds, COMPETITION, over=over.drop_vars("time").isel(culture=[2, 0, 1]))
    assert [e.name for e in swapped] == ["mixed", "aurelia", "caudatum"]
    np.testing.assert_array_equal(swapped[0].values, found[2].values)


def make_table(**columns):
    return pd.DataFrame({"time": [0.0, 1.0, 0.0, 2.0], "k": [1.0, 1.0, 3.0, 3.0], "x": [1.0, 2.0, 3.0, 4.0]} | columns)


SITES = xr.DataArray([1.0, 3.0], {"site": ["A", "B"]}, "site")
RUNS = xr.DataArray([0.5, 2.0], {"run": [1.0, 2.0]}, "run")
SITED = make_table(k=list("AABB")).rename(columns={"k": "site"})
DECAY = ps.ODEProblem(lambda t, u, p: {"x": -p.k * u.x}, {"x": 1.0}, (0, 2), {"k": 1.0, "m": 2.0})


def test_a_list_makes_a_dim_of_its_name():
    first, second = read_experiments(make_table(), DECAY, over={"k": [1.0, 3.0], "m": 5.0})
    assert first.coords == {"k": 1.0} and float(second.problem.p.k) == 3.0 and float(second.problem.p.m) == 5.0
    np.testing.assert_array_equal(second.times, [0, 2])


def test_lists_make_an_outer_product():
    values = np.arange(12.0).reshape(2, 3, 2)
    data = xr.Dataset({"x": (("k", "m", "time"), values)}, {"k": [1.0, 3.0], "m": [7.0, 8.0, 9.0], "time": [0.0, 1.0]})
    found = read_experiments(data, DECAY, over={"m": [8.0, 7.0, 9.0], "k": [1.0, 3.0]})
    assert [e.coords for e in found][:3] == [{"m": 8, "k": 1}, {"m": 8, "k": 3}, {"m": 7, "k": 1}]
    assert found[1].name == "8.0, 3.0"
    np.testing.assert_array_equal(found[1].values[:, 0, 0], values[1, 1])


def test_arrays_of_one_dim_go_together():
    found = read_experiments(SITED, DECAY, over={"k": SITES, "u0_x": 2 * SITES + 3})
    assert [(e.name, float(e.problem.p.k), float(e.problem.u0.x)) for e in found] == [("A", 1, 5), ("B", 3, 9)]


def test_values_without_coordinates_go_by_place():
    data = xr.Dataset({"x": (("site", "time"), np.eye(2))}, {"time": [0.0, 1.0]})
    over = {"k": xr.DataArray([1.0, 3.0], dims="site")}
    assert [e.coords for e in read_experiments(data, DECAY, over=over)] == [{"site": 0}, {"site": 1}]
    named = read_experiments(data.assign_coords(site=["A", "B"]), DECAY, over=over)
    assert [(e.name, float(e.problem.p.k)) for e in named] == [("A", 1.0), ("B", 3.0)]


def test_inputs_of_each_experiment():
    series = xr.DataArray([[0.0, 1.0], [5.0, 6.0]], {"site": ["A", "B"], "time": [0.0, 2.0]}, ("site", "time"))
    problem = ps.ODEProblem(
        lambda t, u, p: {"x": p.I(t) - u.x}, {"x": 1.0}, (0, 2), {"I": ps.interpolate(series[0].drop_vars("site"))}
    )
    for over in (
        {"I": ps.interpolate(series)},
        {"I": xr.DataArray(series.values, {"site": ["A", "B"]}, ("site", "I_time"))},
    ):
        found = read_experiments(SITED, problem, over=over)
        assert [float(e.problem.p.I(1.0)) for e in found] == [0.5, 5.5]
    listed = {"I": [ps.interpolate(series[k].drop_vars("site")) for k in (1, 0)]}
    data = {"I": (("I", "time"), np.eye(2))}
    found = read_experiments(xr.Dataset({"x": data["I"]}, {"time": [0.0, 1.0]}), problem, over=listed)
    assert [float(e.problem.p.I(1.0)) for e in found] == [5.5, 0.5]


def test_arrays_of_each_experiment():
    problem = ps.ODEProblem(
        lambda t, u, p: {"x": -(p.k * u.x).sum() * u.x}, {"x": 1.0}, (0, 2), {"k": np.array([1.0, 2.0])}
    )
    (one,) = read_experiments(make_table().drop(columns="k"), problem, over={"k": [3.0, 4.0]})
    assert one.coords == {} and list(one.problem.p.k) == [3.0, 4.0]


GRID = xr.Dataset({"x": (("site", "time"), np.eye(2))}, {"site": ["A", "B"], "time": [0.0, 1.0]})
OTHER = SITES.rename(site="experiment")
BAD = [
    # tables
    (lambda: (make_table()[:0], None), "data is empty: it has no rows"),
    (lambda: (make_table().x, None), "data is a pandas Series; write data.to_frame()"),
    (lambda: (make_table(), None), "data column 'k' is a parameter, not a state; leave it out, data.drop(columns='k')"),
    (lambda: (SITED, None), "if it tells experiments apart, write over={'site': data['site'].unique()}"),
    (
        lambda: (SITED.set_index(["site", "time"]), None),
        "index level 'site' is not a state (they are x); leave it out, data.droplevel('site'), or,",
    ),
    (lambda: (SITED.rename(columns={"x": "X"}), {"k": SITES}), "'X' is not a state (they are x)"),
    (lambda: (SITED.rename(columns={"x": "X"}), {"k": SITES}), "did you mean 'x'?"),
    (lambda: (SITED.drop(columns="x"), {"k": SITES}), "data has no column of a state (they are x"),
    (lambda: (SITED.rename(columns={"time": "Time"}), {"k": SITES}), "no column 'time' (it has: Time, site, x)"),
    (lambda: (SITED.rename(columns={"site": "place"}), {"k": SITES}), "no column 'site', by which over tells"),
    (lambda: (SITED.assign(x="a"), {"k": SITES}), "'x' holds str values such as 'a'; write data['x'] = pd.to_numeric("),
    (lambda: (SITED.assign(x=np.nan), {"k": SITES}), "'x' has only NaN; leave it out: data.drop(columns='x')"),
    (lambda: (SITED.assign(x=[1, 2, np.inf, 3]), {"k": SITES}), "'x' is infinite in row 2"),
    (lambda: (SITED.assign(time=[0, 1, np.nan, 2]), {"k": SITES}), "rows without a time; write data.dropna"),
    (lambda: (SITED.assign(time=[0, 1, 2, 3.0]), {"k": SITES}), "1 of 4 times outside t_span (0, 2), such as 3"),
    (lambda: (SITED.assign(time=[0, 1, 2, 3.0]), {"k": SITES}), "data[data['time'].between(0, 2)]"),
    (lambda: (SITED.assign(time=pd.to_timedelta([0, 1, 2, 3], "D")), {"k": SITES}), "np.timedelta64(1, 'D')"),
    (lambda: (SITED.assign(time=pd.date_range("2020", periods=4)), {"k": SITES}), "t_span is in numbers"),
    (lambda: (SITED.assign(time=list("abcd")), {"k": SITES}), "'time' holds text such as 'a'"),
    (lambda: (SITED.assign(site=["A", None, "B", "B"]), {"k": SITES}), "'site' has rows without a value"),
    (lambda: (pd.concat([SITED, SITED.x], axis=1), {"k": SITES}), "two columns 'x'"),
    (lambda: (SITED.set_index(["time", "site"]).unstack(), {"k": SITES}), "columns of several levels"),
    # which experiment is which
    (lambda: (SITED.replace("B", "C"), {"k": SITES}), "an experiment (site 'C') that is not in over; leave it out"),
    (lambda: (SITED[:2], {"k": SITES}), "no values of the experiment (site 'B'); leave it out of over and data"),
    (lambda: (SITED, {"k": SITES.drop_vars("site")}), "over has no coordinates along 'site': give it ['A', 'B']"),
    (lambda: (GRID.isel(site=[0]), {"k": SITES}), "no values of the experiment (site 'B')"),
    (lambda: (GRID * [[1], [np.nan]], {"k": SITES}), "no values of the experiment (site 'B')"),
    (lambda: (GRID.assign_coords(site=["A", "A"]), {"k": SITES}), "the experiment site 'A' twice"),
    (lambda: (GRID.isel(site=0), {"k": SITES}), "no dimension 'site', as over has (it has: time)"),
    (lambda: (GRID, None), "write over={'site': data['site']} if each is an experiment"),
    (lambda: (GRID.drop_vars("site").isel(site=[0]), {"k": SITES}), "length 1 along 'site', but over has 2"),
    (lambda: ({"A": SITED, "B": GRID}, None), "experiment 'A': data column 'site' is not a state"),
    (lambda: ({"A": GRID.isel(site=0), "B": 3}, None), "experiment 'B': data must be an xarray.Dataset"),
    (lambda: ({"A": GRID.isel(site=0)}, {"k": [1.0]}), "over needs a dimension 'experiment' (it has: k)"),
    (
        lambda: ({"A": GRID.isel(site=0)}, {"k": SITES.rename(site="experiment")}),
        "(experiment 'B'); leave it out of over and data",
    ),
    (lambda: ({"A": GRID.isel(site=0) * np.nan}, None), "'x' has only NaN in every experiment"),
    (lambda: ({"A": GRID.isel(site=0) * np.nan, "B": GRID.isel(site=0)}, None), "no values of the experiment"),
    (lambda: ({}, None), "data is a dict; write xr.Dataset("),
    # known values
    (lambda: (GRID, {"kk": SITES}), "'kk' is neither a parameter nor a state (they are k, m, x); did you mean 'k'?"),
    (lambda: (GRID, {"u0_k": SITES}), "'u0_k' is neither"),
    (lambda: (GRID, {"x": SITES, "u0_x": SITES}), "over has 'x' and 'u0_x', which are one value"),
    (lambda: (GRID, {"k": SITES, "m": SITES.assign_coords(site=["A", "C"])}), "['A', 'C'] along 'site'"),
    (lambda: (GRID, {"k": SITES, "m": SITES[:1].drop_vars("site")}), "over['m'] has length 1 along 'site'"),
    (lambda: (GRID, {"k": SITES.rename(site="time")}), "a value that changes in time is ps.interpolate(...)"),
    (lambda: (GRID, {"k": SITES * np.nan}), "over, site 'A': p['k'] is NaN"),
    (lambda: (GRID, {"k": SITES.assign_coords(site=["A", "A"])}), "over['k'] has 'A' twice along 'site'"),
    (lambda: (GRID, {"k": [1.0, 1.0]}), "over['k'] has 1.0 twice along 'k'; give each experiment a name of its own"),
    (lambda: (GRID, {"k": [3.0, 1.0, 1.0]}), "over['k'] has 1.0 twice along 'k'"),
    (
        lambda: (GRID, {"k": RUNS, "m": RUNS.assign_coords(run=[1.0, 3.0])}),
        "coordinates [1.0, 3.0] along 'run', but another entry of over has [1.0, 2.0]",
    ),
    (lambda: (GRID, {"k": []}), "over['k'] has length 0"),
    (lambda: (GRID, {"k": [[1.0, 2.0]]}), "over['k'] has shape (1, 2)"),
    (lambda: (GRID, {"k": None}), "over['k'] is None; give a list of numbers"),
    (lambda: (GRID, {"k": [[1.0], [1.0, 2.0]]}), "over['k'] has rows of different lengths"),
    (lambda: (GRID, {"site": xr.DataArray([1.0], dims="a")}), "must lie along 'site' alone"),
    (lambda: (GRID, [1.0]), "over must be a Dataset or a dict"),
    (lambda: (GRID, SITES), "over is a DataArray"),
    (lambda: (GRID, SITED), "over is a pandas DataFrame; write over.set_index("),
    (lambda: (GRID, SITED.set_index("site")), "over is a pandas DataFrame; write over.to_xarray()"),
]


@pytest.mark.parametrize("make, message", BAD, ids=[message for _, message in BAD])
def test_wrong_data(make, message):
    data, over = make()
    with pytest.raises(ProblemError) as error:
        read_experiments(data, DECAY, over=over)
    assert message in str(error.value)


def test_states_with_dims_and_units():
    x = xr.DataArray([1.0, 2.0], dims="x", coords={"x": [0.0, 1.0]})
    problem = ps.ODEProblem(lambda t, u, p: {"c": -u.c}, {"c": x}, (0, 2), {"k": 1.0}, units={"k": "1/day"})
    values = np.arange(8.0).reshape(2, 2, 2)
    data = xr.Dataset({"c": (("x", "site", "time"), values)}, {"site": ["A", "B"], "time": [0.0, 1.0], "x": x.x})
    found = read_experiments(data, problem, over={"k": SITES})
    np.testing.assert_array_equal(found[1].values[:, 0], values[:, 1].T)
    with pytest.raises(ProblemError, match=r"write data.set_index\(\['time', 'x'\]\).to_xarray\(\)"):
        read_experiments(pd.DataFrame({"time": [0.0], "c": [1.0]}), problem)
    with pytest.raises(ProblemError, match="over, site 'A': .*'1/h', expected '1/day'"):
        read_experiments(data, problem, over={"k": SITES.assign_attrs(units="1/h")})
    with pytest.raises(ProblemError, match="dimension 'x' of the state 'c'"):
        read_experiments(data, problem, over={"k": x})
    with pytest.raises(ProblemError, match="time must be the name"):
        read_experiments(data, problem, over={"k": SITES}, time=3)
