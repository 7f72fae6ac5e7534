"""Warm starts, from a place where the fit itself finds a wrong minimum, or needs far more steps."""

import numpy as np
import pytest
import xarray as xr

import pysciml as ps


def lotka_volterra(t, u, p):
    return {"x": p.a * u.x - p.b * u.x * u.y, "y": p.c * u.x * u.y - p.d * u.y}


TRUTH = {"a": 1.1, "b": 0.4, "c": 0.1, "d": 0.4}
FAR = {"a": 0.5, "b": 0.9, "c": 0.3, "d": 0.9}
TIMES = np.arange(0.5, 20.1, 0.5)
PROBLEM = ps.ODEProblem(lotka_volterra, {"x": 10.0, "y": 10.0}, (0, 20), FAR)
SHORT = [ps.Adam(steps=5), ps.LBFGS(steps=60)]


@pytest.fixture(scope="module")
def data():
    exact = ps.solve(PROBLEM.remake(p=TRUTH), "Tsit5", saveat=TIMES, engine="diffrax", rtol=1e-8)
    rng = np.random.default_rng(0)
    return exact[["x", "y"]] + xr.Dataset({k: ("time", 0.1 * rng.standard_normal(TIMES.size)) for k in "xy"})


def fit(data, engine, strategy, **options):
    options = {"algorithm": "Tsit5", "optimizer": SHORT, "verify": "never", "progress": False} | options
    return ps.fit(PROBLEM, data, strategy=strategy, engine=engine, **options)


def error(result):
    return max(abs(float(result.p[name]) / value - 1) for name, value in TRUTH.items())


def test_warm_starts_find_what_single_shooting_misses(data, engine):
    assert error(fit(data, engine, ())) > 0.1
    for strategy in (ps.Collocation(), ps.MultipleShooting(steps=200)):
        found = fit(data, engine, [strategy])
        assert error(found) < 0.02
        (told,) = found.settings["warm_starts"]
        assert told["strategy"] == repr(strategy) and told["last"] < 0.1 * told["first"] and told["iterations"] > 5


def test_best_of_several_starts_goes_on(data):
    """Two rounds of halving; the same seed draws the same, another seed others."""
    strategy, optimizer = [ps.MultiStart(starts=4, spread=0.3, steps=5)], ps.Adam(steps=1)
    runs = [fit(data, "diffrax", strategy, optimizer=optimizer, seed=seed) for seed in (0, 0, 1)]
    assert runs[0].problem == runs[1].problem != runs[2].problem
    assert runs[0].settings["warm_starts"][0]["iterations"] == 4 + 2
    assert runs[0].loss <= fit(data, "diffrax", (), optimizer=ps.Adam(steps=1)).loss


def test_networks_start_with_other_weights():
    """Of three starts of a network one is taken that others than the first's weights."""
    net = ps.MLP(1, 1, width=4, depth=1)
    problem = ps.ODEProblem(lambda t, u, p: {"x": p.net([u.x])[0]}, {"x": 1.0}, (0, 2), {"net": net})
    times = np.linspace(0.1, 2, 12)
    data = xr.Dataset({"x": ("time", np.exp(-times) + 0.3 * times)}, {"time": times})
    options = {"engine": "diffrax", "progress": False, "verify": "never", "optimizer": ps.Adam(steps=1)}
    plain = ps.fit(problem, data, strategy=(), **options)
    several = ps.fit(problem, data, strategy=[ps.MultiStart(starts=4, steps=2), ps.Collocation(steps=30)], **options)
    assert several.loss < plain.loss
    first, last = (several.settings["warm_starts"][1][key] for key in ("first", "last"))
    assert last < first
    learnt = ps.fit(problem.remake(p=plain.p), data, strategy=ps.MultiStart(starts=2, spread=0.1, steps=1), **options)
    (told,) = learnt.settings["warm_starts"]  # which all begin at what was learnt
    assert told["first"] == pytest.approx(plain.loss, rel=0.5) and learnt.loss <= plain.loss


def test_fit_with_warm_starts_is_found_again(data, tmp_path):
    strategy = [ps.MultiStart(starts=2, steps=2), ps.MultipleShooting(steps=2), ps.GrowingHorizon(2)]
    optimizer = ps.Adam(steps=4)
    first, second = (fit(data, "diffrax", strategy, optimizer=optimizer, checkpoint=tmp_path / "fit") for _ in range(2))
    assert first.problem == second.problem and first.loss == second.loss


@pytest.mark.parametrize(
    ("strategy", "drop", "message"),
    [
        (ps.Collocation(), "y", "needs data of every state, and 'y' has 0"),
        (ps.MultipleShooting(50), [], "make it smaller"),
    ],
)
def test_refused(data, strategy, drop, message):
    with pytest.raises(ps.ProblemError, match=message):
        fit(data.drop_vars(drop), "diffrax", [strategy])


@pytest.mark.parametrize("strategy", [ps.Collocation(), ps.MultipleShooting()])
def test_events_are_refused(data, strategy):
    dose = ps.Event(times=[2.0], effect=lambda t, u, p: {"x": u.x + 1})
    problem = ps.ODEProblem(lotka_volterra, {"x": 10.0, "y": 10.0}, (0, 20), FAR, events=dose)
    with pytest.raises(ps.ProblemError, match="leave it out"):
        ps.fit(problem, data, strategy=[strategy], engine="julia", progress=False, verify="never")


@pytest.mark.parametrize(
    "make", [lambda: ps.Collocation(0), lambda: ps.MultipleShooting(1), lambda: ps.MultiStart(spread=0)]
)
def test_numbers_out_of_range(make):
    with pytest.raises(ps.ProblemError, match="must be a"):
        make()
