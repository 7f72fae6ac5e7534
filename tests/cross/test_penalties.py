"""Penalties of the path: means of a function of time, state and parameters over the times of the data."""

import numpy as np
import pytest
import scipy.optimize
import xarray as xr

import pysciml as ps

TIMES = np.linspace(0.5, 4, 8)
DECAY = ps.ODEProblem(
    lambda t, u, p: {"a": -p.k * u.a, "b": p.gain * u.a}, {"a": 1.0, "b": 0.0}, (0, 4), {"k": 0.7, "gain": 0.5}
)
DATA = xr.Dataset({"a": ("time", np.exp(-0.6 * TIMES))}, {"time": TIMES})
TIGHT = {"algorithm": "Tsit5", "rtol": 1e-9, "atol": 1e-11}


def kept(t, u, p):
    return 3.0 * (u.a + u.b - 1.0) ** 2


def low(t, u, p):
    return np.minimum(u.a - 0.2 * p.k, 0.0) ** 2 + 0.01 * t


def exact(times, k=0.7, gain=0.5):
    return np.exp(-k * times), gain / k * (1 - np.exp(-k * times))


def test_value_and_gradient(engine):
    """Two experiments and gaps: what is added is a mean over all times, also those without data, by closed forms."""
    runs = {"one": DATA, "two": DATA.isel(time=slice(3)).assign(a=("time", [0.7, np.nan, 0.4]))}
    given = {"engine": engine, **TIGHT}
    plain = ps.objective(DECAY, runs, **given)
    found = ps.objective(DECAY, runs, penalty={"kept": kept, "low": low, "L2": ps.L2(0.1)}, **given)
    times = np.concatenate([TIMES, TIMES[[0, 2]]])  # of several series, those with data
    a, b = exact(times)
    want = np.mean(3 * (a + b - 1) ** 2)
    want += np.mean(np.minimum(a - 0.14, 0) ** 2 + 0.01 * times) + 0.1 * (0.7**2 + 0.5**2)
    value, gradient = found(found.x0)
    assert value - plain.value(plain.x0) == pytest.approx(want, rel=1e-7)
    differences = scipy.optimize.approx_fprime(found.x0, found.value, 1e-5)
    np.testing.assert_allclose(gradient, differences, rtol=1e-3)


def test_engines_agree(engine):
    want = ps.objective(DECAY, DATA, penalty=[kept, low], engine="diffrax", **TIGHT)
    found = ps.objective(DECAY, DATA, penalty=[kept, low], engine=engine, **TIGHT)
    np.testing.assert_allclose(found(found.x0)[1], want(want.x0)[1], rtol=1e-6)


def test_what_is_not_measured_follows_from_what_is_kept(engine):
    """Nothing but the penalty tells how much of b there is; without it the fit stays where it began."""
    data = DATA.reindex(time=np.union1d(TIMES, TIMES[:-1:2] + 0.1))
    given = {"engine": engine, "optimizer": ps.LBFGS(steps=60), "strategy": (), "progress": False, **TIGHT}
    found = ps.fit(DECAY, data, penalty=kept, validation=ps.Holdout(after=3.6), **given)
    np.testing.assert_allclose([found.p.k, found.p.gain], 0.6, rtol=1e-5)
    assert list(found.settings["terms"]) == found.history.term.values.tolist() == ["misfit", "kept"]
    assert sum(found.settings["terms"].values()) == pytest.approx(found.loss, rel=1e-9, abs=1e-15)
    assert "terms: misfit" in repr(found)
    with pytest.raises(ps.ProblemError, match="give the objective"):
        ps.standard_errors(found)


@pytest.mark.parametrize("optimizer", [ps.Adam(steps=3), ps.LBFGS(steps=3), ps.CMAES(steps=3)], ids=repr)
def test_the_terms_of_a_fit(engine, optimizer):
    """In the midst of a fit: each penalty of the path, by the solution there, in the history and at the end."""
    given = {"engine": engine, "optimizer": optimizer, "strategy": (), "progress": False, **TIGHT}
    found = ps.fit(DECAY, DATA, penalty=[kept, low, lambda p: 2 * p.k], **given)
    k, gain = float(found.p.k), float(found.p.gain)
    a, b = exact(TIMES, k, gain)
    terms = found.settings["terms"]
    assert list(terms) == ["misfit", "penalty", "kept", "low"]
    assert terms["kept"] == pytest.approx(np.mean(3 * (a + b - 1) ** 2), rel=1e-6)
    assert terms["low"] == pytest.approx(np.mean(np.minimum(a - 0.2 * k, 0) ** 2 + 0.01 * TIMES), rel=1e-6)
    assert terms["misfit"] == pytest.approx(np.mean((a - DATA.a.values) ** 2) / np.var(DATA.a.values), rel=1e-5)
    history = found.history
    np.testing.assert_allclose(history.terms.sum("term"), history.loss, rtol=1e-12)
    np.testing.assert_allclose(history.terms[history.loss.values.argmin()], list(terms.values()), rtol=1e-6)


def test_the_terms_of_batches_and_horizons(engine):
    """What a penalty of the path adds to the loss of a batch, and of the first part of the data."""
    runs = {"one": DATA, "two": DATA.isel(time=slice(3)), "three": DATA.isel(time=slice(5))}
    given = {"engine": engine, "penalty": [kept, low, lambda p: 2 * p.k], "progress": False, **TIGHT}
    still = ps.Adam(1e-9, steps=4)
    of_all = {n: 3 * (np.sum(exact(TIMES[:n]), axis=0) - 1) ** 2 for n in (2, 3, 4, 5, 6, 8)}
    history = ps.fit(DECAY, runs, optimizer=still, strategy=(), batch=ps.Minibatch(trajectories=1), **given).history
    terms = history.terms.sel(term="kept").values
    np.testing.assert_allclose(sorted(terms[:3]), sorted(of_all[n].sum() * 3 / 16 for n in (3, 5, 8)), rtol=1e-6)
    np.testing.assert_allclose(terms[3], sum(of_all[n].sum() for n in (3, 5, 8)) / 16, rtol=1e-6)
    history = ps.fit(DECAY, DATA, optimizer=still, **given).history
    np.testing.assert_allclose(history.terms.sel(term="kept"), [of_all[n].mean() for n in (2, 4, 6, 8)], rtol=1e-6)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"penalty": lambda t, u, p: {"x": u.a}}, "must return a single number"),
        ({"penalty": lambda t, u, p: u.c}, "no state 'c'|'c'"),
        ({"penalty": kept, "loss": lambda prediction, data, p: p.k}, "put what sees the path into the loss"),
        ({"penalty": lambda u, p: p.k}, "called as f"),
        ({"penalty": kept, "optimizer": ps.LevenbergMarquardt()}, "LevenbergMarquardt: only for sums of squares"),
    ],
)
def test_refused(changes, message):
    with pytest.raises(ps.PySciMLError, match=message):
        ps.fit(DECAY, DATA, engine="diffrax", progress=False, **changes)
