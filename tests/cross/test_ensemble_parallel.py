"""Ways to share members out: the same results from threads, and no larger errors from lanes."""

import json

import numpy as np
import pytest
import xarray as xr
from support.engines import require_engine

import pysciml as ps
from pysciml.engines.choose import choose_engine
from pysciml.engines.julia.ensemble import LANES
from pysciml.ir.evaluate import evaluate_program
from pysciml.ir.lanes import widen_program

LORENZ = ps.ODEProblem(
    lambda t, u, p: {"x": 10 * (u.y - u.x), "y": u.x * (p.r - u.z) - u.y, "z": u.x * u.y - 8 / 3 * u.z},
    {"x": 1.0, "y": 0.0, "z": 0.0}, (0.0, 10.0), {"r": 28.0},
)  # fmt: skip
ROBERTSON = ps.ODEProblem(
    lambda t, u, p: {"a": -p.k * u.a + 1e4 * u.b * u.c, "b": p.k * u.a - 1e4 * u.b * u.c - 3e7 * u.b**2,
                     "c": 3e7 * u.b**2}, {"a": 1.0, "b": 0.0, "c": 0.0}, (0.0, 1e4), {"k": 0.04},
)  # fmt: skip
BURST = ps.ODEProblem(lambda t, u, p: {"x": -p.k * u.x**2}, {"x": 1.0}, (0.0, 2.0), {"k": 1.0})
RELAXATION = ps.ODEProblem(lambda t, u, p: {"x": -p.k * (u.x - np.cos(t))}, {"x": 1.0}, (0.0, 1.0), {"k": 1.0})
R = np.linspace(5.0, 28.0, 200)


@pytest.fixture(autouse=True)
def julia():
    require_engine("julia")


def run(problem, over, parallel, saveat=(5.0, 10.0), algorithm="Tsit5", **words):
    words |= {"saveat": np.array(saveat), "parallel": parallel, "algorithm": algorithm, "engine": "julia"}
    return ps.ensemble(problem, over, **words)


def ran(ds):
    return json.loads(ds.attrs["pysciml"])["parallel"]


def assert_same(one, other):
    for name in one.data_vars:
        np.testing.assert_array_equal(one[name], other[name])


@pytest.mark.parametrize("parallel", ["serial", "lanes"])
def test_what_all_have_in_common_may_be_all_or_nothing(parallel):
    r, x = (xr.DataArray(values, dims="run") for values in (np.linspace(5.0, 9.0, 20)[::-1], np.linspace(1.0, 2.0, 20)))
    same = xr.full_like(r, 7.0)
    for over in ({"r": r}, {"x": x}, {"r": r, "x": x}, {"r": same}, {"r": same, "x": same}):
        ds = run(LORENZ, over, parallel, saveat=(0.1, 0.2))
        for k in (0, 13):
            given = {name: values.item(k) for name, values in over.items()}
            p, u0 = ({name: given[name]} if name in given else None for name in ("r", "x"))
            one = ps.solve(LORENZ.remake(p=p, u0=u0), "Tsit5", saveat=[0.1, 0.2], engine="julia")
            for name in ("x", "y", "z"):
                np.testing.assert_allclose(ds[name][k], one[name], rtol=1e-6)


@pytest.mark.parametrize("algorithm", ["Tsit5", "auto"])
def test_threads_give_the_bits_of_one_after_the_other(algorithm):
    serial, threads = (run(LORENZ, {"r": R}, word, algorithm=algorithm) for word in ("serial", "threads"))
    assert_same(serial, threads)
    assert ran(serial) == "serial" and ran(threads) in ("threads", "serial")  # the latter on one core


@pytest.mark.parametrize("algorithm", ["Rodas5P", "auto"])
def test_threads_share_no_memory_of_stiff_methods(algorithm):
    """Jacobians and their factors are each thread's own."""
    over = {"k": 10 ** np.linspace(-3, -1, 40)}
    serial, threads = (run(ROBERTSON, over, word, (1e2, 1e4), algorithm) for word in ("serial", "threads"))
    assert_same(serial, threads)
    assert serial.attrs["status"] == "SUCCESS" and (serial.statistics.sel(statistic="jacobian_evaluations") > 0).all()


@pytest.mark.parametrize("algorithm", ["Rodas5P", "FBDF", "auto"])
def test_threads_share_no_memory_of_sparse_systems(algorithm):
    problem = ps.ODEProblem(
        lambda t, u, p: 3600 * p.d * (np.roll(u, 1) - 2 * u + np.roll(u, -1)) + u * (1 - u),
        np.exp(-50 * np.linspace(-0.5, 0.5, 60) ** 2), (0.0, 0.02), {"d": 1.0},
    )  # fmt: skip
    over = {"d": np.linspace(0.5, 2.0, 8)}
    serial, threads = (run(problem, over, word, (0.01, 0.02), algorithm) for word in ("serial", "threads"))
    assert_same(serial, threads)
    assert serial.attrs["status"] == "SUCCESS"


def test_errors_in_lanes_are_no_larger_than_alone():
    # shorter than the solution's memory: differences of chaotic ends would tell nothing
    exact = run(LORENZ, {"r": R}, "serial", (2.0,), "Vern9", rtol=1e-12, atol=1e-12)
    worst = {}
    for word in ("serial", "lanes"):
        ds = run(LORENZ, {"r": R}, word, (2.0,))
        errors = [abs(ds[name] - exact[name]) / (1e-8 + 1e-6 * abs(exact[name])) for name in "xyz"]
        worst[word] = float(np.max(errors))
    assert ran(ds) == f"lanes ({LANES[0]})"
    assert 0 < worst["lanes"] <= 1.1 * worst["serial"]


def test_errors_in_stiff_lanes_are_no_larger_than_alone():
    over, words = {"k": 10 ** np.linspace(-3, -1, 130)}, {"rtol": 1e-6, "atol": 1e-10}
    exact = run(ROBERTSON, over, "threads", (1e2, 1e4), "Rodas5P", rtol=1e-11, atol=1e-15)
    worst = {}
    for word in ("serial", "lanes"):
        ds = run(ROBERTSON, over, word, (1e2, 1e4), "Rodas5P", **words)
        worst[word] = float(np.max([abs(ds[name] - exact[name]) / (1e-10 + 1e-6 * abs(exact[name])) for name in "abc"]))
        assert ds.attrs["status"] == "SUCCESS"
    assert ran(ds) == f"lanes ({LANES[0]})" and (ds.statistics.sel(statistic="jacobian_evaluations") > 0).all()
    assert 0 < worst["lanes"] <= 1.1 * worst["serial"]


def test_stiff_lanes_exchange_rows_each_by_itself():
    """Of random full matrices, scaled by up to 1e4, the pivots differ from lane to lane."""
    rng = np.random.default_rng(0)
    many = rng.standard_normal((70, 5, 5)) * 10 ** rng.uniform(0, 4, (70, 5, 1))
    many = -np.einsum("nij,nkj->nik", many, many)  # decays
    problem = ps.ODEProblem(lambda t, u, p: {"x": p.m @ u.x + np.sin(t)}, {"x": np.ones(5)}, (0.0, 1.0), {"m": many[0]})
    over = {"m": xr.DataArray(many, dims=("run", *problem.dims["m"]))}
    words = {"saveat": (0.5, 1.0), "algorithm": "Rodas5P", "rtol": 1e-8, "atol": 1e-12}
    lanes, serial = (run(problem, over, word, **words) for word in ("lanes", "serial"))
    assert ran(lanes) == "lanes (32)"
    np.testing.assert_allclose(lanes.x, serial.x, rtol=1e-6, atol=1e-11)


@pytest.mark.parametrize("algorithm", ["Tsit5", "Vern7", "Rosenbrock23", "Rodas5P", "auto"])
def test_an_integrator_kept_for_the_next_member_gives_the_bits_of_a_new_one(algorithm):
    """Also after a member that failed, in which events fired, or for which an automatic pair switched."""
    jolt = ps.Event(lambda t, u, p: u.x - 0.8, lambda t, u, p: {"y": u.y + 0.5}, name="jolt")
    problem = ps.ODEProblem(
        lambda t, u, p: {"x": -p.k * u.x**2, "y": -p.fast * (u.y - np.cos(t))}, {"x": 1.0, "y": 0.0}, (0.0, 2.0),
        {"k": 1.0, "fast": 1.0}, events=jolt,
    )  # fmt: skip
    cases = [(1.0, 1.0), (0.5, 1e5), (-1.0, 1.0), (1.0, 1.0), (-1.0, 1e5), (2.0, 30.0), (0.0, 1e5), (1.0, 1.0)]
    cases = [(k, min(fast, 100.0) if algorithm in ("Tsit5", "Vern7") else fast) for k, fast in cases]
    over = {name: xr.DataArray([case[i] for case in cases], dims="run") for i, name in enumerate(("k", "fast"))}
    saveat = np.linspace(0.0, 2.0, 6)
    many = run(problem, over, "serial", saveat, algorithm)
    for i, (k, fast) in enumerate(cases):
        new = problem.remake(p={"k": k, "fast": fast})
        one = ps.solve(new, algorithm, saveat=saveat, engine="julia", check=False)
        for name in "xy":
            np.testing.assert_array_equal(many[name][i, : one.sizes["time"]], one[name])
            assert np.isnan(many[name][i, one.sizes["time"] :]).all()
        steps = json.loads(one.attrs["pysciml"])["statistics"]
        if one.attrs["status"] == "SUCCESS":
            assert dict(zip(many.statistic.values, many.statistics[i].values, strict=True)) == steps


def test_a_group_with_a_member_that_fails_is_solved_one_by_one():
    k = np.linspace(0.5, 2.0, 2 * LANES[0] + 3)
    k[3] = -1.0  # infinite at t = 1
    serial, lanes = (run(BURST, {"k": k}, word, (0.5, 2.0)) for word in ("serial", "lanes"))
    first = slice(0, LANES[0])
    assert_same(serial.isel(k=first), lanes.isel(k=first))
    assert list(lanes.sciml.failed().index) == [-1.0] and np.isfinite(lanes.x.isel(k=3)).sum() == 1
    np.testing.assert_allclose(lanes.x[4:, -1], 1 / (1 + 2 * k[4:]), rtol=1e-5)


def test_auto_takes_lanes_for_many():
    assert ran(run(LORENZ, {"r": R[:20]}, "auto", algorithm="auto")) in ("threads", "serial")
    many = run(LORENZ, {"r": R}, "auto", algorithm="auto")
    assert ran(many).startswith("lanes") and many.attrs["algorithm"] == "Tsit5"
    over = {"k": 10 ** np.linspace(-3, -1, 300)}
    stiff = run(ROBERTSON, over, "auto", (1e4,), "auto")
    assert ran(stiff).startswith("lanes") and stiff.attrs["algorithm"] == "Rodas5P"
    assert "most are stiff" in json.loads(stiff.attrs["pysciml"])["algorithm_reason"]
    mixed = np.concatenate([np.linspace(0.5, 1.0, 280), np.linspace(1e4, 1e5, 20)])
    some = run(RELAXATION, {"k": mixed}, "auto", (1.0,), "auto")  # where few are stiff, each decides
    assert ran(some) in ("threads", "serial") and some.attrs["status"] == "SUCCESS"


def test_lanes_are_of_members_that_are_alike():
    """Drawn at random, a sweep takes about the steps of a sorted one, and its results stand where they belong."""
    rng = np.random.default_rng(0)
    problem = ps.ODEProblem(
        lambda t, u, p: {"x": u.y, "y": p.mu * (1 - u.x**2) * u.y - p.w * u.x}, {"x": 2.0, "y": 0.0}, (0.0, 5.0),
        {"mu": 1.0, "w": 1.0},
    )  # fmt: skip
    mu, w = np.geomspace(0.1, 30.0, 1024), rng.uniform(0.9, 1.1, 1024)
    steps = {}
    for name, order in (("sorted", np.arange(1024)), ("drawn", rng.permutation(1024))):
        over = {key: xr.DataArray(values[order], dims="run") for key, values in (("mu", mu), ("w", w))}
        serial, lanes = (run(problem, over, word, (5.0,), atol=1e-6) for word in ("serial", "lanes"))
        np.testing.assert_allclose(lanes.x, serial.x, rtol=1e-4, atol=1e-5)
        steps[name] = int(lanes.statistics.sel(statistic="steps").sum())
    assert steps["drawn"] < 1.1 * steps["sorted"] and steps["drawn"] < 2 * int(serial.statistics[:, 0].sum())


def test_parameters_that_are_the_same_for_all_stay_narrow():
    u0 = np.linspace(0.5, 2.0, 70)
    serial, lanes = (run(LORENZ, {"x": u0}, word, (1.0,)) for word in ("serial", "lanes"))
    assert ran(lanes).startswith("lanes")
    np.testing.assert_allclose(lanes.x, serial.x, rtol=1e-5)


def test_nothing_is_compiled_for_other_values():
    julia = choose_engine("julia")
    for word in ("threads", "lanes"):
        run(LORENZ, {"r": R}, word)
        before = julia.compilations()
        run(LORENZ, {"r": R + 0.5}, word)
        assert julia.compilations() == before


@pytest.mark.parametrize("parallel", ["threads", "lanes"])
def test_one_that_never_ends_ends_by_the_clock(parallel):
    """Explicit steps on a decay of 1e12: some 3e11 of them. The others are as without it."""
    k = np.linspace(1.0, 2.0, 20)
    k[5] = 1e12
    words = {"saveat": (0.5, 1.0), "max_steps": 10**12}
    ds = run(RELAXATION, {"k": k}, parallel, max_seconds=0.2, **words)
    failed = ds.sciml.failed()
    assert list(failed.index) == [1e12] and list(failed["status"]) == ["TIME_LIMIT"] and np.isnan(ds.x[5]).all()
    rest = np.delete(np.arange(20), 5)
    alone = run(RELAXATION, {"k": k[rest]}, "serial", **words)
    np.testing.assert_array_equal(ds.x[17:], alone.x[16:])  # those that are most alike it were in its group of lanes
    np.testing.assert_allclose(ds.x[rest], alone.x, rtol=1e-5)
    with pytest.raises(ps.SolveFailed, match="(?s)took max_seconds.*the problem is stiff") as caught:
        ps.solve(RELAXATION.remake(p={"k": 1e12}), "Tsit5", engine="julia", max_steps=10**12, max_seconds=0.1)
    assert caught.value.partial.attrs["status"] == "TIME_LIMIT" and caught.value.partial.sizes["time"] > 100


@pytest.mark.parametrize(
    "problem, over, algorithm",
    [
        (LORENZ, {"r": R}, "Rodas4"),
        (LORENZ, {"r": R}, "CVODE_Adams"),
        (ps.ODEProblem(lambda t, u, p: -p * u, np.ones(600), (0.0, 1.0), 1.0), {"p": [1.0, 2.0]}, "Tsit5"),
    ],
)
def test_lanes_are_refused_by_name(problem, over, algorithm):
    with pytest.raises(ps.UnsupportedByEngine, match="parallel='lanes' here.*parallel='threads'"):
        run(problem, over, "lanes", (1.0,), algorithm)


def test_a_wide_program_is_its_lanes_side_by_side():
    """Arrays, networks and products of matrices too, against the Program lane by lane."""
    net = ps.MLP(3, 2, width=4, depth=1)
    problem = ps.ODEProblem(
        lambda t, u, p: {"y": p.m @ u.y + t, "x": p.net([u.x, u.y[0], p.k])[0] * np.where(u.x > p.k, u.x, 1.0)},
        {"y": np.arange(3.0), "x": 1.0}, (0.0, 1.0), {"k": 0.5, "m": np.eye(3) + 1.0, "net": net},
    )  # fmt: skip
    rng, program = np.random.default_rng(0), problem.program
    n, m = problem.u0_values.size, problem.p_values.size
    u, p = rng.standard_normal((5, n)), rng.standard_normal((5, m))
    for varied in (range(m), (), (0,), (m - 1,), (0, 5, 6, m - 1)):
        given, shared = np.repeat(p[:1], 5, axis=0), np.setdiff1d(range(m), varied)
        given[:, varied] = p[:, varied]
        flat = np.concatenate([p[0, shared], p[:, varied].T.ravel()])
        (wide,) = evaluate_program(widen_program(program, 5, varied), 0.3, u.T.ravel(), flat)
        single = [evaluate_program(program, 0.3, *row)[0] for row in zip(u, given, strict=True)]
        np.testing.assert_allclose(wide.reshape(n, 5).T, single, rtol=1e-12)
