"""Observables and starts that follow from ``p``: in results, in losses and in fits, on every engine."""

import numpy as np
import pytest
import xarray as xr
from support.engines import require_engine

import pysciml as ps

TIGHT = {"rtol": 1e-11, "atol": 1e-12}
TIMES = np.linspace(0, 4, 9)
WORDS = {
    "diffrax": ["forward", "checkpointed"],
    "julia": ["discrete", "forward", "forward_over_solver", "interpolating", "gauss", "quadrature", "backsolve"],
}
ALGORITHMS = {"diffrax": "DP8", "julia": "Vern9"}  # as in test_gradients, so that words compile once


def predators(t, u, p):
    return {"x": p.a * u.x - p.b * u.x * u.y, "y": p.b * u.x * u.y - p.c * u.y}


def start(p):
    return {"x": 2 * p.a, "y": p.s**2}


def observe(t, u, p):
    return {"total": p.c * u.x + u.y * u.y + t, "logs": np.log(np.stack([u.x - 2 * p.a * (t == 0), p.a * u.y]))}


def make():
    p = {"a": 1.0, "b": 0.5, "c": 0.7, "s": 1.5}
    return ps.ODEProblem(predators, start, (0, 4), p, observe=observe, dims={"logs": "who"}, coords={"who": ["x", "y"]})


def make_data(engine):
    """Stretched observables and states with gaps; the logarithm that is infinite at the start is not among them."""
    ds = ps.solve(make(), ALGORITHMS[engine], saveat=TIMES, engine=engine, **TIGHT)
    data = xr.Dataset({name: 1.1 * ds[name] for name in ("total", "logs", "x")}, {"time": ds.time, "who": ds.who})
    data.x[[0, 2]], data.logs[0], data.logs[3, 1], data.total[0] = np.nan, np.nan, np.nan, np.nan
    return data


def test_results_hold_observables(engine):
    problem = ps.ODEProblem(
        lambda t, u, p: {"x": -p.k * u.x},
        lambda p: {"x": p.a},
        (0, 4),
        {"k": 0.5, "a": 3.0},
        observe=lambda t, u, p: {"flux": p.k * u.x + t, "pair": np.stack([u.x, u.x**2])},
        units={"flux": "mg/h", "time": "h"},
    )
    ds = ps.solve(problem, ALGORITHMS[engine], saveat=TIMES, engine=engine, **TIGHT)
    np.testing.assert_allclose(ds.x, 3 * np.exp(-0.5 * TIMES), rtol=1e-9)
    np.testing.assert_allclose(ds.flux, 0.5 * ds.x + TIMES, rtol=1e-15)
    np.testing.assert_allclose(ds.pair, np.stack([ds.x, ds.x**2], axis=1), rtol=1e-15)
    assert ds.pair.dims == ("time", "pair_dim_0") and ds.flux.attrs["units"] == "mg/h"
    t, arrays = ps.solve(problem, engine=engine, output="arrays")
    assert list(arrays) == ["x", "flux", "pair"] and arrays["pair"].shape == (len(t), 2)


def test_gradients_through_observables(engine):
    problem, data = make(), make_data(engine)
    options = {"engine": engine, "algorithm": ALGORITHMS[engine], **TIGHT}
    first = ps.objective(problem, data, **options)
    assert first.names == ("a", "b", "c", "s")
    h = 1e-4
    up, down, up2, down2 = (
        np.array([first.value(first.x0 + step * e) for e in np.eye(4)]) for step in (h, -h, 2 * h, -2 * h)
    )
    differences = (8 * (up - down) - (up2 - down2)) / (12 * h)
    for word in WORDS[engine]:
        value, slope = ps.objective(problem, data, sensitivity=word, **options)(first.x0)
        assert value == pytest.approx(first.value(first.x0), rel=1e-8), word
        np.testing.assert_allclose(slope, differences, rtol=1e-6, atol=1e-8, err_msg=word)


def test_the_loss_is_that_of_the_data(engine):
    """Mean over all finite values of the squared residual."""
    problem, data = make(), make_data(engine)
    options = {"engine": engine, "algorithm": ALGORITHMS[engine], **TIGHT}
    ds = ps.solve(problem, options["algorithm"], saveat=TIMES, engine=engine, **TIGHT)
    residuals = np.concatenate([(ds[name] - data[name]).values.ravel() for name in data.data_vars])
    expected = np.nanmean(residuals**2)
    loss = ps.objective(problem, data, loss="mse", **options)
    assert loss.value(loss.x0) == pytest.approx(expected, rel=1e-8)


def test_engines_agree():
    for name in ALGORITHMS:
        require_engine(name)
    problem, data = make(), make_data("diffrax")
    found = [
        ps.gradient(problem, data, engine=name, algorithm=word, **TIGHT)[1].to_array().values
        for name, word in ALGORITHMS.items()
    ]
    np.testing.assert_allclose(*found, rtol=1e-7)


def test_a_fit_of_infections_to_reported_cases(engine):
    """An epidemic of which only a share of the new infections is reported; the start follows from a parameter."""
    people = 1000.0

    def epidemic(t, u, p):
        new = p.contact * u.s * u.i / people
        return {"s": -new, "i": new - p.recovery * u.i, "total": new}

    def at_start(p):
        return {"s": people - p.seeds, "i": p.seeds, "total": 0.0}

    def reported(t, u, p):
        return {"cases": p.share * u.total, "prevalence": u.i / people}

    truth = {"contact": 0.6, "recovery": 0.2, "seeds": 4.0, "share": 0.35}
    problem = ps.ODEProblem(epidemic, at_start, (0, 40), truth, observe=reported, units={"time": "day"})
    seen = ps.solve(problem, saveat=np.arange(0.0, 41, 2), engine=engine, rtol=1e-9, atol=1e-9)
    data = seen[["cases", "prevalence"]].drop_vars(list(truth))
    guess = problem.remake(p={"contact": 0.5, "recovery": 0.25, "seeds": 6.0, "share": 0.5})
    result = ps.fit(guess, data, optimizer=ps.LBFGS(steps=80), engine=engine, progress=False)
    for name, value in truth.items():
        assert float(result.parameters[name]) == pytest.approx(value, rel=1e-3), name
    assert float(result.problem.u0.i) == float(result.p.seeds)
    np.testing.assert_allclose(result.predict().cases, data.cases, rtol=1e-3, atol=1e-3)


def test_a_fits_file_keeps_observables(engine, tmp_path):
    problem, data = make(), make_data(engine)
    result = ps.fit(problem, data, optimizer=ps.LBFGS(steps=1), strategy=(), engine=engine, progress=False)
    result.save(tmp_path / "fit.nc")
    loaded = ps.FitResult.load(tmp_path / "fit.nc")
    assert loaded.problem == result.problem
    xr.testing.assert_allclose(loaded.predict([1.0, 2.0]), result.predict([1.0, 2.0]), rtol=1e-12)


def test_words_for_data_that_do_not_fit():
    problem = make()
    wrong = xr.Dataset({"sum": ("time", [1.0])}, {"time": [1.0]})
    with pytest.raises(ps.ProblemError, match="not a state or observable.*x, y, total, logs"):
        ps.objective(problem, wrong, engine="diffrax")
    with pytest.raises(ps.ProblemError, match="'u0_x' names nothing; names are a, b, c, s"):
        ps.objective(problem, xr.Dataset({"x": ("time", [1.0])}, {"time": [1.0]}), trainable=["u0_x"], engine="diffrax")


def test_observables_see_the_parameters_of_their_time(engine):
    event = ps.Event(times=[2.0], effect=lambda t, u, p: {"k": 0.0}, name="stop")
    problem = ps.ODEProblem(
        lambda t, u, p: {"x": -p.k * u.x},
        {"x": 1.0},
        (0, 4),
        {"k": 0.5},
        events=[event],
        observe=lambda t, u, p: {"rate": p.k * u.x},
    )
    try:
        ds = ps.solve(problem, saveat=TIMES, engine=engine, **TIGHT)
    except ps.UnsupportedByEngine as refusal:
        pytest.skip(str(refusal))
    np.testing.assert_allclose(ds.rate, np.where(TIMES < 2, 0.5 * np.exp(-0.5 * TIMES), 0.0), atol=1e-9)
