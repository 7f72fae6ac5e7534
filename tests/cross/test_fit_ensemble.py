"""Several fits of one model, on both engines."""

import numpy as np
import pytest
import xarray as xr

import pysciml as ps
from pysciml.api.fit_ensemble import _resample
from pysciml.api.misfit import make_misfit
from pysciml.api.objective import natural
from pysciml.engines.choose import choose_engine
from pysciml.engines.diffrax.objective import compile_objective

TIMES = np.linspace(0.2, 2, 10)
DATA = xr.Dataset({"x": ("time", 2 * np.exp(-TIMES))}, {"time": TIMES})
NET = ps.ODEProblem(lambda t, u, p: {"x": p.net([u.x])[0]}, {"x": 2.0}, (0, 2), {"net": ps.MLP(1, 1, width=4, depth=1)})
LINE = ps.ODEProblem(lambda t, u, p: {"x": p.rate + 0 * u.x}, {"x": 0.0}, (0, 2), {"rate": 1.0})
OPTIONS = {
    "algorithm": "Tsit5",
    "progress": False,
    "optimizer": [ps.Adam(0.03, steps=60), ps.LBFGS(steps=30)],
    "strategy": (),
    "verify": "never",
}


def compiled(engine):
    """How many texts, or functions, have been compiled."""
    if engine == "diffrax":
        return compile_objective.cache_info().misses
    return choose_engine(engine).compilations()[0]


def test_networks_of_other_weights_agree_where_there_are_data(engine, tmp_path):
    first = ps.fit(NET, DATA, engine=engine, **OPTIONS)
    count = compiled(engine)
    given = {"engine": engine, "checkpoint": tmp_path / "all", **OPTIONS}
    found = ps.fit_ensemble(NET, DATA, members=3, seed=3, **given)
    assert compiled(engine) == count
    again = ps.fit_ensemble(NET, DATA, members=4, seed=3, **given)  # one more
    assert [one.problem for one in again.members[:3]] == [one.problem for one in found.members]
    assert found.members[0].problem == first.problem
    assert found.parameters.net.dims == ("member", "net_weight")
    assert len(np.unique(found.parameters.net.values.round(6), axis=0)) == 3
    np.testing.assert_allclose(found.loss, 0, atol=1e-4)
    inside, outside = found.bands(level=0.9), found.bands(u0={"x": 6.0})
    assert inside.x.dims == ("quantile", "time")
    np.testing.assert_allclose(inside["quantile"], [0.05, 0.5, 0.95])
    width = inside.x[2] - inside.x[0]
    assert (width > 0).all() and 5 * width.max() < (outside.x[2] - outside.x[0]).max()
    np.testing.assert_allclose(inside.x[1], DATA.x, atol=0.03)
    assert "3 fits; loss" in repr(found)


def test_other_draws_of_the_data(engine):
    """A mean of five slopes: its bootstrap distribution has a known variance."""
    slopes = np.array([0.8, 1.3, 0.9, 1.2, 1.1])
    data = xr.Dataset({"x": (("run", "time"), slopes[:, None] * TIMES)}, {"run": range(5), "time": TIMES})
    over = {"run": data["run"]}
    more = OPTIONS | {"optimizer": ps.LBFGS(steps=5), "loss": "mse", "over": over}
    found = ps.fit_ensemble(LINE, data, members=20, resample=True, engine=engine, **more)
    rates = found.parameters.rate.values
    np.testing.assert_allclose(rates * 50, np.round(rates * 50), atol=1e-3)  # means of five of them
    assert rates.mean() == pytest.approx(slopes.mean(), abs=3 * slopes.std() / np.sqrt(5 * 20))
    assert rates.std() == pytest.approx(slopes.std() / np.sqrt(5), rel=0.35)
    assert found.predict([1.0]).x.dims == ("member", "run", "time")


def test_times_are_drawn_with_all_that_was_measured_at_them():
    misfit = make_misfit(LINE, DATA.where(DATA.time != TIMES[3]), "mse", None, "diffrax", "Tsit5", 1e-6, 1e-6, "auto")
    request = misfit.request(natural, misfit.x0)
    weights = [_resample(request, np.random.default_rng(k)).parts[0].weights[:, 0] * 9 for k in range(50)]
    counts = np.array(weights)
    np.testing.assert_array_equal(counts.round(9), counts.round())
    assert (counts.sum(axis=1).round(9) == 9).all() and (counts[:, 3] == 0).all() and counts.max() > 2


@pytest.mark.parametrize(
    ("problem", "changes", "message"),
    [
        (LINE, {}, "all members would be the same"),
        (NET, {"members": 1}, "at least 2, got 1"),
        (NET, {"member": 3}, "members"),
        (
            NET,
            {"resample": True, "loss": lambda prediction, data, p: prediction.x.sum()},
            "leave resample out",
        ),
    ],
)
def test_refused(problem, changes, message):
    with pytest.raises(ps.PySciMLError, match=message):
        ps.fit_ensemble(problem, DATA, engine="diffrax", **(OPTIONS | changes))


def test_a_member_that_can_not_be_solved_is_left_out(monkeypatch):
    calls = []

    def run(plan, report, folder):
        calls.append(plan)
        if plan.settings["member"] == 1:
            raise ps.SolveFailed("here", ps.Status.UNSTABLE)
        return original(plan, report, folder)

    original = ps.api.fit_plan.Plan.run
    monkeypatch.setattr(ps.api.fit_plan.Plan, "run", run)
    with pytest.warns(RuntimeWarning, match="member 1 is left out: here"):
        found = ps.fit_ensemble(NET, DATA, members=3, engine="diffrax", **(OPTIONS | {"optimizer": ps.Adam(steps=1)}))
    assert len(found.members) == 2 and len(calls) == 3
