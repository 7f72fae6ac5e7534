"""Steps that look at some of many experiments, on both engines."""

from contextlib import contextmanager

import numpy as np
import pytest
import xarray as xr
from scipy.integrate import solve_ivp

import pysciml as ps
from pysciml.api.misfit import make_misfit
from pysciml.api.objective import natural
from pysciml.engines.choose import choose_engine
from pysciml.engines.diffrax import fit as diffrax_fit
from pysciml.engines.diffrax.sums import DiffraxSum
from pysciml.fitting.batches import draw_batches

TIMES = np.linspace(0.25, 3, 12)
DOSES = xr.DataArray(np.linspace(0.0, 3.9, 40), {"patient": np.arange(40)}, "patient")
PROBLEM = ps.ODEProblem(
    lambda t, u, p: {"x": p.dose - p.k * u.x + p.m}, {"x": 2.0}, (0, 3), {"k": 0.7, "m": 0.6, "dose": 0.0}
)
BATCH = ps.Minibatch(trajectories=8)


@pytest.fixture(scope="module")
def data():
    doses = DOSES.values[:, np.newaxis]
    exact = doses + 0.2 + (1.8 - doses) * np.exp(-TIMES)  # k = 1, m = 0.2
    noise = 0.1 * np.random.default_rng(0).standard_normal(exact.shape)
    return xr.Dataset({"x": (("patient", "time"), exact + noise)}, {"patient": DOSES.patient, "time": TIMES})


def fit(data, engine, optimizer, **more):
    options = {"engine": engine, "algorithm": "Tsit5", "progress": False, "verify": "never", "strategy": ()}
    return ps.fit(PROBLEM, data, over={"dose": DOSES}, trainable=["k", "m"], optimizer=optimizer, **options, **more)


@contextmanager
def saving_each_step(engine, patch, path):
    patch.setattr(diffrax_fit, "REPORT_SECONDS", 0.0)
    patch.setattr(diffrax_fit, "SAVE_SECONDS", 0.0)
    patch.setattr("pysciml.engines.julia.bridge.POLL", 0.002)

    def save_after(seconds):
        if engine == "julia":
            path.write_text(f"SAVE_SECONDS[] = {seconds}")
            choose_engine(engine)._bridge.call("include", str(path))

    save_after(0.0)
    try:
        yield
    finally:
        save_after(1.0)


def test_batches_find_the_same_minimum(data, engine, tmp_path, monkeypatch):
    """Killed on the way, too: the draws depend on seed and step only."""
    whole = fit(data, engine, "lbfgs")
    steps = 250 if engine == "diffrax" else 2000  # Julia's 250 may be over before an interrupt is heard
    optimizer = ps.Adam(ps.Cosine(0.2, 1e-3), steps=steps)
    found = fit(data, engine, optimizer, batch=BATCH, penalty=lambda p: 1e-9 * p.k)
    assert found.loss == pytest.approx(whole.loss, rel=1e-4)
    assert [float(found.p[k]) for k in "km"] == pytest.approx([float(whole.p[k]) for k in "km"], rel=2e-2)
    loss = found.history.loss.values
    assert found.loss == min(loss[[*range(99, steps, 100), steps - 1]]) and len(loss) == steps
    assert np.ptp(loss[200:240]) > 1e-3 * found.loss  # batches differ

    class Interrupting(ps.api.fit.ProgressBar):
        def report(self, report):
            if 0 < report.iteration < steps - 10:
                raise KeyboardInterrupt

    again = {"batch": BATCH, "penalty": lambda p: 1e-9 * p.k, "checkpoint": tmp_path / "fit"}
    with monkeypatch.context() as patch, saving_each_step(engine, patch, tmp_path / "hook.jl"):
        patch.setattr("pysciml.api.fit.ProgressBar", Interrupting)
        early = fit(data, engine, optimizer, **again)
    assert early.status is ps.Status.INTERRUPTED and 0 < early.history.sizes["iteration"] < steps
    resumed = fit(data, engine, optimizer, **again)
    assert resumed.problem == found.problem
    np.testing.assert_array_equal(resumed.history.loss, found.history.loss)


def test_an_epoch_is_all_experiments(data, engine):
    """The mean of a gradient over the batches of an epoch is the gradient of the sum, with its penalty."""
    more = {"over": {"dose": DOSES}, "penalty": ps.L2(0.1, names="k")}
    rtol = 1e-12 if engine == "julia" else 1e-8  # all of them are lanes there, a batch is too few
    misfit = make_misfit(PROBLEM, data, "nmse", ["k", "m"], engine, "Tsit5", rtol, rtol, "auto", **more)
    request = misfit.request(natural, misfit.x0)
    objective = misfit.engine.make_objective(request)
    # at x0 one patient stays at rest, in steps that are too long for its gradient alone but not beside others
    x = misfit.x0 + [0.05, 0.02]
    value, gradient = objective.value_and_gradient(x)
    found = []
    for batch in draw_batches(np.arange(40), 8, seed=3, done=999, steps=6)[1:6]:
        if isinstance(objective, DiffraxSum):
            objective.batch = batch.tolist()
        else:
            misfit.engine._bridge.call("use_batch!", objective.handle, batch + 1)
        found.append(objective.value_and_gradient(x))
    assert np.mean([one for one, _ in found]) == pytest.approx(value, rel=1e-12)
    np.testing.assert_allclose(np.mean([slope for _, slope in found], axis=0), gradient, rtol=1e-11)
    assert np.ptp([one for one, _ in found]) > 0.01 * value


def test_segments_begin_at_the_data_before_them(engine):
    """Data without noise: each segment is a trajectory of its own, and the truth is the only minimum."""
    problem = ps.ODEProblem(
        lambda t, u, p: {"x": p.a * u.x - p.b * u.x * u.y, "y": p.b * u.x * u.y - u.y},
        {"x": 1.0, "y": 1.0},
        (0, 20),
        {"a": 1.5, "b": 0.9},
    )
    options = {"engine": engine, "algorithm": "Tsit5", "rtol": 1e-8}
    times = np.linspace(0.5, 20, 40)

    def rates(t, u):
        return [1.5 * u[0] - 0.9 * u[0] * u[1], 0.9 * u[0] * u[1] - u[1]]

    x, y = solve_ivp(rates, (0, 20), [1.0, 1.0], t_eval=times, rtol=1e-10, atol=1e-10).y
    exact = xr.Dataset({"x": ("time", x), "y": ("time", y)}, {"time": times})
    far = problem.remake(p={"a": 0.8, "b": 1.6})
    more = {"optimizer": ps.Adam(ps.Cosine(0.1, 1e-3), steps=180), "progress": False, "verify": "never"}
    found = ps.fit(far, exact.where(exact.x != x[9]), batch=ps.Minibatch(3, segment=4), **more, **options)
    assert [float(found.p[name]) for name in "ab"] == pytest.approx([1.5, 0.9], rel=1e-3)
    assert len(found.history.loss) == 180 and (found.history.horizon == 20.0).all()
    for strategy in (ps.GrowingHorizon(2), ps.MultiStart(2)):
        with pytest.raises(ps.ProblemError, match="no horizon to grow or to search"):
            ps.fit(far, exact, batch=ps.Minibatch(4, segment=4), strategy=strategy, **more, **options)
    assert found.settings["segment_starts"] == "data"
    more["optimizer"], only_x = ps.Adam(ps.Cosine(0.1, 1e-3), steps=400), exact[["x"]]
    given = {"batch": ps.Minibatch(4, segment=4), "penalty": ps.L2(1e-9), **more, **options}
    found = ps.fit(far, only_x, **given)  # y has no data: where its segments begin is fitted
    assert [float(found.p[name]) for name in "ab"] == pytest.approx([1.5, 0.9], rel=5e-3)
    assert found.settings["segment_starts"] == "fitted" and found.loss < 1e-4
    with pytest.raises(ps.ProblemError, match="segments begin at data, and 'y' has none; their starts can be fitted"):
        ps.fit(far, only_x, loss=ps.Normal(0.1), **given)
    with pytest.raises(ps.ProblemError, match="more than the data have, 10 segments"):
        ps.fit(far, exact, batch=ps.Minibatch(11, segment=4), **more, **options)


def test_draws():
    """Batches are cut from shuffled epochs; where a stage begins changes nothing."""
    members = np.arange(3, 10)
    table = draw_batches(members, 3, seed=5, done=0, steps=120)
    assert table.shape == (121, 3)
    assert [k for k, row in enumerate(table) if (row < 0).all()] == [0, 100, 120]
    later = draw_batches(members, 3, seed=5, done=40, steps=40)
    np.testing.assert_array_equal(later[1:40], table[41:80])
    row = draw_batches(members, 1, seed=5, done=0, steps=80)[7:77].reshape(10, 7)
    np.testing.assert_array_equal(np.sort(row), np.tile(members, (10, 1)))
    assert len({tuple(epoch) for epoch in row.tolist()}) > 5
    assert (table[1:100] != draw_batches(members, 3, seed=6, done=0, steps=120)[1:100]).any()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"optimizer": [ps.Adam(), ps.LBFGS()]}, "LBFGS needs the same loss at each step, which batch= changes"),
        ({"optimizer": ps.LevenbergMarquardt()}, "LevenbergMarquardt needs the same loss"),
        ({"optimizer": ps.CMAES()}, "CMAES needs the same loss"),
        ({"batch": ps.Minibatch(trajectories=2)}, "is more than the data have, 1 experiment"),
        ({"batch": 8}, "batch must be ps.Minibatch"),
    ],
)
def test_refused(changes, message):
    one = xr.Dataset({"x": ("time", np.exp(-TIMES))}, {"time": TIMES})
    with pytest.raises(ps.ProblemError, match=message):
        ps.fit(PROBLEM, one, **({"batch": ps.Minibatch(1), "engine": "diffrax"} | changes))
    with pytest.raises(ps.ProblemError, match="trajectories must be a positive integer"):
        ps.Minibatch(trajectories=0)
