"""Ensembles: each member is what solve gives for the problem with its values, however they are put together."""

import numpy as np
import pytest
import xarray as xr
from scipy import stats
from support.engines import require_engine

import pysciml as ps
from pysciml.engines.base import Status

SAVEAT = np.linspace(0.0, 2.0, 5)
PROBLEM = ps.ODEProblem(
    lambda t, u, p: {"x": -p.k * u.x**2, "y": -p.rate * u.y}, {"x": 1.0, "y": np.array([1.0, 2.0])}, (0.0, 2.0),
    {"k": 1.0, "rate": np.array([0.5, 1.0])}, observe=lambda t, u, p: {"flux": p.k * u.x**2 + 0.0 * t},
    dims={"y": "site", "rate": "site"}, coords={"site": ["a", "b"]}, units={"k": "1/(m s)", "x": "m", "time": "s"},
)  # fmt: skip


def run(over, engine, problem=PROBLEM, **words):
    return ps.ensemble(problem, over, **({"saveat": SAVEAT, "algorithm": "Tsit5", "engine": engine} | words))


def check_member(ds, problem, engine, rtol=1e-12):
    """A member of an ensemble against the solve of its problem."""
    one = ps.solve(problem, "Tsit5", saveat=SAVEAT, engine=engine)
    for name in one.data_vars:
        assert ds[name].dims == one[name].dims
        np.testing.assert_allclose(ds[name], one[name], rtol=rtol, atol=1e-14)
        assert ds[name].attrs == one[name].attrs


def test_lists_make_an_outer_product(engine):
    ds = run({"k": [0.5, 2.0], "x": [1.0, 2.0, 3.0]}, engine)
    assert ds.x.dims == ("k", "u0_x", "time") and ds.y.dims == ("k", "u0_x", "time", "site")
    for k in (0.5, 2.0):
        for x in (1.0, 3.0):
            check_member(ds.sel(k=k, u0_x=x), PROBLEM.remake(p={"k": k}, u0={"x": x}), engine)
    assert (ds.status == Status.SUCCESS.code).all() and ds.attrs["status"] == "SUCCESS"
    assert ds.sciml.failed().empty and (ds.statistics.sel(statistic="steps") > 0).all()


def test_shared_dims_go_together_in_any_order(engine):
    k = xr.DataArray([0.5, 2.0], {"run": ["a", "b"]}, "run")
    x = xr.DataArray([3.0, 1.0], dims="run")
    rate = xr.DataArray([[1.0, 3.0], [2.0, 4.0]], dims=("site", "run"))
    ds = run({"k": k, "u0_x": x, "rate": rate}, engine)
    assert ds.x.dims == ("run", "time") and ds.rate.dims == ("run", "site") and list(ds.run) == ["a", "b"]
    check_member(ds.sel(run="b"), PROBLEM.remake(p={"k": 2.0, "rate": [3.0, 4.0]}, u0={"x": 1.0}), engine)
    other = run({"rate": rate, "u0_x": x, "k": k}, engine)
    xr.testing.assert_equal(ds, other)
    given = run(xr.Dataset({"k": k, "rate": rate, "u0_x": x}), engine, chunk_size=1)
    xr.testing.assert_equal(ds, given)


def test_one_that_fails_spoils_no_other(engine):
    ds = run({"k": [0.5, -1.0, 2.0]}, engine)  # x' = x^2 is infinite at t = 1
    failed = ds.sciml.failed()
    assert list(failed.index) == [-1.0] and failed["status"].iloc[0] in ("UNSTABLE", "STEP_TOO_SMALL")
    assert ds.attrs["status"] == "1 of 3 failed"
    for k in (0.5, 2.0):
        check_member(ds.sel(k=k), PROBLEM.remake(p={"k": k}), engine)
    reached = np.isfinite(ds.x.sel(k=-1.0))
    assert reached[:2].all() and not reached[-2:].any()
    assert (np.isfinite(ds.flux.sel(k=-1.0)) == reached).all()
    meanings = dict(zip(ds.status.attrs["flag_values"], ds.status.attrs["flag_meanings"].split(), strict=True))
    assert [meanings[code] for code in ds.status.values[[0, 2]]] == ["success"] * 2


def test_seeds_reproduce_draws(engine):
    over = {"k": stats.uniform(0.5, 1.0), "rate": stats.norm(1.0, 0.1)}
    ds = run(over, engine, trajectories=5, seed=3)
    assert ds.x.dims == ("trajectory", "time") and ds.rate.dims == ("trajectory", "site")
    xr.testing.assert_equal(ds, run(dict(reversed(over.items())), engine, trajectories=5, seed=3, chunk_size=2))
    assert not (ds.k == run(over, engine, trajectories=5, seed=4).k).any()
    member = ds.isel(trajectory=4)
    check_member(member, PROBLEM.remake(p={"k": float(member.k), "rate": member.rate.values}), engine)


def test_values_that_follow_from_parameters_and_inputs(engine):
    """Initial states as functions of p, and external inputs of each member's own."""
    series = xr.DataArray([0.0, 1.0, 2.0], {"time": [0.0, 1.0, 2.0]}, "time")
    problem = ps.ODEProblem(
        lambda t, u, p: {"x": p.rain(t) - p.k * u.x}, lambda p: {"x": 2.0 * p.k}, (0.0, 2.0),
        {"k": 1.0, "rain": ps.interpolate(series)},
    )  # fmt: skip
    many = series * xr.DataArray([1.0, 3.0], dims="site")
    ds = run({"k": [0.5, 2.0], "rain": ps.interpolate(many)}, engine, problem)
    assert ds.x.dims == ("k", "site", "time")
    new = problem.remake(p={"k": 2.0, "rain": ps.interpolate(3.0 * series)})
    check_member(ds.sel(k=2.0).isel(site=1), new, engine)


def test_stop_times_are_those_of_all_members():
    require_engine("julia")
    rain = [xr.DataArray([0.0, 1.0, 0.0], {"time": [0.0, at, 1.5]}, "time") for at in (0.5, 0.75)]
    steps = [ps.interpolate(one, method="previous", extrapolate="hold") for one in rain]
    problem = ps.ODEProblem(lambda t, u, p: {"x": p.rain(t)}, {"x": 0.0}, (0.0, 2.0), {"rain": steps[0]})
    ds = run({"rain": steps}, "julia", problem)
    np.testing.assert_allclose(ds.x[:, -1], [1.0, 0.75], rtol=1e-6)


@pytest.mark.parametrize(
    "words, message",
    [
        ({"over": {"k": [1.0, 2.0]}, "saveat": None}, "saveat is missing.*np.linspace"),
        ({"over": None}, "no values of several trajectories"),
        ({"over": {"k": 2.0}}, "no values of several trajectories"),
        ({"over": {"kk": [1.0]}}, "'kk' is neither a parameter nor a state.*did you mean 'k'"),
        ({"over": {"k": [1.0, np.nan]}}, r"over\['k'\] is NaN or infinite at k nan \(1 of 2\)"),
        ({"over": {"k": ["a", "b"]}}, "text is not a number"),
        ({"over": {"k": stats.norm()}}, "say how often to draw: trajectories"),
        ({"over": {"k": [1.0]}, "trajectories": 3}, "there is none: all would be the same"),
        ({"over": {"k": stats.norm()}, "trajectories": 0}, "trajectories must be a positive integer"),
        ({"over": {"k": stats.multivariate_normal([0, 0])}, "trajectories": 3}, r"a draw has shape \(2,\)"),
        ({"over": {"k": [1.0]}, "parallel": "thread"}, "unknown word parallel='thread'.*did you mean 'threads'"),
        ({"over": {"k": [1.0]}, "chunk_size": 0}, "chunk_size must be a positive integer"),
        ({"over": {"k": [1.0]}, "seed": -1}, "seed must be an integer"),
        ({"over": {"k": [1.0]}, "trajectory": 3}, "unknown keyword 'trajectory'.*did you mean 'trajectories'"),
        ({"over": {"k": [1.0]}, "reduce": "events"}, "needs a problem with events"),
        ({"over": {"k": xr.DataArray([1.0], dims="flux")}}, "results need as a name"),
        ({"over": {"k": xr.DataArray([1.0], dims="rate")}}, "the name of a parameter"),
    ],
)
def test_what_cant_be_is_named(words, message):
    with pytest.raises(ps.ProblemError, match=message):
        ps.ensemble(PROBLEM, **({"saveat": SAVEAT, "engine": "diffrax"} | words))


def test_events_act_in_each_member(engine):
    """Preset ones, an infusion, one by a condition, and one that ends the solve."""
    dose = ps.Event(effect=lambda t, u, p: {"x": u.x + p.k}, times=[0.5, 1.0], name="dose", sample="before")
    table = xr.Dataset({"time": ("row", [0.25]), "amount": ("row", [1.0]), "duration": ("row", [0.5])}).to_dataframe()
    infusion = ps.Schedule(table.assign(state="x"), name="infusion")
    low = ps.Event(lambda t, u, p: u.x - 0.6, lambda t, u, p: {"x": 1.0}, direction=-1, name="refill")
    end = ps.Event(lambda t, u, p: u.x - 2.5, terminal=True, name="full")
    problem = ps.ODEProblem(
        lambda t, u, p: {"x": -p.k * u.x}, {"x": 1.0}, (0.0, 2.0), {"k": 1.0},
        observe=lambda t, u, p: {"flux": p.k * u.x}, events=[dose, infusion, low, end],
    )  # fmt: skip
    k = np.array([0.5, 1.0, 3.0, 4.0])
    ds = run({"k": k}, engine, problem)
    ended = ds.status == Status.TERMINATED.code
    assert ended.any() and not ended.all() and ds.attrs["status"] == "SUCCESS"
    for value in k:
        one = ps.solve(problem.remake(p={"k": value}), "Tsit5", saveat=SAVEAT, engine=engine)
        n = one.sizes["time"]
        assert np.isnan(ds.x.sel(k=value)[n:]).all()
        for name in ("x", "flux"):
            np.testing.assert_allclose(ds[name].sel(k=value)[:n], one[name], rtol=1e-12)
        for name in ("dose", "infusion", "refill", "full"):
            times, found = one[f"{name}_time"].values, ds[f"{name}_time"]
            assert found.dims == ("k", name) and found.attrs == one[f"{name}_time"].attrs
            np.testing.assert_allclose(found.sel(k=value)[: len(times)], times, rtol=1e-12)
            assert np.isnan(found.sel(k=value)[len(times) :]).all()
    xr.testing.assert_equal(ds, run({"k": k}, engine, problem, chunk_size=3))
    few = run({"k": k}, engine, problem, chunk_size=3, reduce="events")
    assert few.refill_count.dims == ("k",) and few.refill_count.max() == ds.sizes["refill"] > 1
    np.testing.assert_array_equal(few.refill_count, np.isfinite(ds.refill_time).sum("refill"))
    np.testing.assert_array_equal(few.refill_first, ds.refill_time.min("refill"))
    np.testing.assert_array_equal(few.refill_last, ds.refill_time.max("refill"))
    assert np.isnan(few.full_last[~ended.values]).all() and (few.dose_count >= 1).all()


def test_times_of_events_are_dates_where_times_are():
    require_engine("diffrax")
    problem = ps.ODEProblem(
        lambda t, u, p: {"x": -p.k * u.x}, {"x": 1.0}, ("2020-01-01", "2020-01-11"), {"k": 0.1}, units={"time": "day"},
        events=ps.Event(lambda t, u, p: u.x - 0.5, name="half"),
    )  # fmt: skip
    ds = run({"k": [0.01, np.log(2.0) / 4]}, "diffrax", problem, saveat=["2020-01-11"])
    assert np.isnat(ds.half_time[0, 0]) and abs(ds.half_time[1, 0] - np.datetime64("2020-01-05")) < np.timedelta64(
        9, "s"
    )
    few = run({"k": [0.01, np.log(2.0) / 4]}, "diffrax", problem, saveat=["2020-01-11"], reduce="events")
    assert list(few.half_count) == [0, 1] and few.half_first[1] == ds.half_time[1, 0] and np.isnat(few.half_last[0])


def test_events_that_change_parameters_are_refused_by_name():
    switch = ps.Event(effect=lambda t, u, p: {"k": 2.0}, times=[1.0], name="switch")
    with pytest.raises(ps.UnsupportedByEngine, match="ensemble of 'problems whose events change parameters'"):
        run({"k": [1.0]}, "diffrax", PROBLEM.remake(events=[switch]))


@pytest.mark.parametrize("method", ["random", "sobol", "latin_hypercube"])
def test_samples_follow_their_distributions(method):
    given = {"k": stats.norm(2.0, 0.5), "u0_x": stats.uniform(1.0, 2.0)}
    over = ps.sample(given, 256, method=method, seed=1)
    assert dict(over.sizes) == {"trajectory": 256}
    xr.testing.assert_identical(over, ps.sample(given, 256, method=method, seed=1))
    assert not (over.k == ps.sample(given, 256, method=method, seed=2).k).any()
    for name, one in given.items():
        assert stats.kstest(over[name], one.cdf).pvalue > 0.01
    if method != "random":  # one draw in each of 256 strata
        strata = np.floor(256 * given["k"].cdf(over.k))
        assert len(np.unique(strata)) == 256


@pytest.mark.parametrize(
    "arguments, words, message",
    [
        (({}, 8), {}, "must be a dict"),
        (({"k": 1.0}, 8), {}, r"distributions\['k'\] must be a frozen distribution"),
        (({"k": stats.norm()}, 0), {}, "n must be a positive integer"),
        (({"k": stats.norm()}, 6), {"method": "sobol"}, "no power of two"),
        (({"k": stats.norm()}, 8), {"method": "sobool"}, "did you mean 'sobol'"),
    ],
)
def test_bad_samples_are_named(arguments, words, message):
    with pytest.raises(ps.ProblemError, match=message):
        ps.sample(*arguments, **words)
