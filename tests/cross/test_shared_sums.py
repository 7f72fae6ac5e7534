"""Experiments of one objective solved side by side: the bits of one after the other, whichever thread takes which."""

import numpy as np
import pytest
import xarray as xr
from support.engines import require_engine

import pysciml as ps
from pysciml.engines.base import usable_cores
from pysciml.engines.choose import load_engine

TIMES = np.linspace(0.0, 5.0, 21)


def make_problem():
    net = ps.MLP(2, 2, width=8, depth=2)

    def f(t, u, p):
        slope = p.net(np.stack([u.x, u.y]))
        return {"x": slope[0] + p.a * u.x, "y": slope[1] - u.y}

    observe = lambda t, u, p: {"sum": p.a * u.x + u.y}  # noqa: E731
    return ps.ODEProblem(f, {"x": 1.0, "y": 0.5}, (0.0, 5.0), {"net": net, "a": -0.5}, observe=observe)


@pytest.mark.parametrize("loss", ["nmse", ps.Normal(sigma=0.5), "whole"])
def test_bits_do_not_depend_on_threads(loss):
    require_engine("julia")
    assert load_engine("julia").threads()["Julia"] == usable_cores()
    rng, n = np.random.default_rng(0), 24
    names = [f"run {k}" for k in range(n)]
    data = {
        k: xr.Dataset({"x": ("time", rng.normal(size=21)), "sum": ("time", rng.normal(size=21))}, {"time": TIMES})
        for k in names
    }
    over = {"u0_x": xr.DataArray(rng.uniform(0.5, 1.5, n), {"experiment": names}, "experiment")}
    if loss == "whole":
        loss = lambda prediction, data, p: np.sum((prediction.x - data.x) ** 2) + np.sum(prediction.sum[-1] ** 2)  # noqa: E731
    words = {"loss": loss, "engine": "julia", "algorithm": "Tsit5", "rtol": 1e-10, "atol": 1e-10}
    together = ps.objective(make_problem(), data, over=over, **words)
    x = together.x0
    alone = together(x)  # the first one is made in one thread
    value_alone = ps.objective(make_problem(), data, over=over, **words).value(x)
    assert value_alone == pytest.approx(alone[0], rel=1e-14)  # gradients add the same up from the end
    for _ in range(5):
        value, gradient = together(x)
        assert value == alone[0] and together.value(x) == value_alone
        np.testing.assert_array_equal(gradient, alone[1])
    if loss == "nmse":
        return  # scaled by all data
    singles = [
        ps.objective(make_problem().remake(u0={"x": float(over["u0_x"][k])}), data[name], **words)(x)
        for k, name in enumerate(names)
    ]
    np.testing.assert_allclose(alone[0], sum(value for value, _ in singles), rtol=1e-12)
    np.testing.assert_allclose(alone[1], sum(gradient for _, gradient in singles), rtol=1e-9, atol=1e-10)


def test_bits_do_not_depend_on_threads_where_events_act():
    """Doses, and a threshold whose moment depends on what is fitted."""
    require_engine("julia")
    shot = ps.Event(effect=lambda t, u, p: {"x": u.x + p.dose}, times=[1.0, 3.0], name="shot")
    low = ps.Event(lambda t, u, p: u.x - 0.3, lambda t, u, p: {"x": u.x + p.dose}, direction=-1, name="low")
    problem = ps.ODEProblem(
        lambda t, u, p: {"x": -p.k * u.x + 0.1 * u.y, "y": p.k * u.x - u.y}, {"x": 1.0, "y": 0.0}, (0.0, 5.0),
        {"k": 0.8, "dose": 0.5}, events=[shot, low],
    )  # fmt: skip
    rng, n = np.random.default_rng(0), 64
    names = [f"run {k}" for k in range(n)]
    data = {k: xr.Dataset({"x": ("time", rng.uniform(size=21))}, {"time": TIMES}) for k in names}
    over = {"u0_x": xr.DataArray(rng.uniform(0.5, 1.5, n), {"experiment": names}, "experiment")}
    words = {"loss": "mse", "engine": "julia", "algorithm": "Tsit5", "rtol": 1e-10, "atol": 1e-10}
    together = ps.objective(problem, data, over=over, **words)
    x = together.x0
    alone = together(x)  # the first one is made in one thread
    assert alone[0] == together(x)[0] == together.value(x) and np.abs(alone[1]).min() > 0
    for _ in range(3):
        np.testing.assert_array_equal(together(x)[1], alone[1])
    singles = [
        ps.objective(problem.remake(u0={"x": float(over["u0_x"][k])}), data[name], **words)(x)
        for k, name in enumerate(names)
    ]
    np.testing.assert_allclose(alone[1], np.mean([slope for _, slope in singles], axis=0), rtol=1e-9, atol=1e-10)
