"""Slopes by the ends of t_span: against differences of the loss with the ends moved, on both engines."""

import numpy as np
import pytest
import xarray as xr
from support.engines import require_engine

import pysciml as ps

TIGHT = {"rtol": 1e-11, "atol": 1e-12}
METHODS = [("julia", "Vern9"), ("julia", "Rodas5P"), ("diffrax", "DP8")]


def forced(t, u, p):
    return {"x": u.v, "v": -p.k * u.x - 0.3 * u.v + np.sin(2 * t)}


def make(t0=0.5, t1=4.0, observe=None):
    return ps.ODEProblem(forced, {"x": 1.0, "v": -0.2}, (t0, t1), {"k": 1.7}, observe=observe)


def energy(t, u, p):
    return {"energy": u.v**2 + p.k * u.x**2 + t * u.x}


def data_at(times, names):
    """Data that the problem does not fit."""
    rng = np.random.default_rng(2)
    return xr.Dataset({name: ("time", rng.standard_normal(len(times))) for name in names}, {"time": times})


def differences(times, names, observe, options):
    """By t0 and t1; data at an end move with it."""
    values = data_at(times, names)

    def loss(ends):
        moved = [ends[0] if t == 0.5 else ends[1] if t == 4.0 else t for t in times]
        data = values.assign_coords(time=moved)
        misfit = ps.objective(make(*ends, observe), data, loss="mse", **options)
        return misfit.value(misfit.x0)

    found = []
    for k in range(2):
        step = np.eye(2)[k]
        slopes = [(loss([0.5, 4.0] + h * step) - loss([0.5, 4.0] - h * step)) / (2 * h) for h in (1e-3, 2e-3)]
        found.append((4 * slopes[0] - slopes[1]) / 3)
    return np.array(found)


@pytest.mark.parametrize(("engine", "algorithm"), METHODS)
@pytest.mark.parametrize(
    ("times", "names", "observe"),
    [
        ([1.0, 2.5, 3.0], ["x", "v"], None),
        ([0.5, 1.7, 4.0], ["x"], None),
        ([0.5, 4.0], ["energy", "v"], energy),
    ],
)
def test_against_differences(engine, algorithm, times, names, observe):
    require_engine(engine)
    options = {"engine": engine, "algorithm": algorithm, **TIGHT}
    if algorithm == "Rodas5P":
        options |= {"rtol": 1e-10}
    want = differences(times, names, observe, options)
    value, slopes = ps.gradient(
        make(observe=observe), data_at(times, names), loss="mse", wrt=["t_span", "k"], verify="always", **options
    )
    np.testing.assert_allclose(slopes.t_span, want, rtol=1e-6, atol=1e-8)
    assert slopes.t_span.dims == ("end",) and list(slopes.end.values) == ["t0", "t1"]
    assert (float(slopes.t_span[1]) != 0) == (4.0 in times)
    plain_value, plain = ps.gradient(make(observe=observe), data_at(times, names), loss="mse", wrt=["k"], **options)
    assert value == pytest.approx(plain_value, rel=1e-9)
    assert float(slopes.k) == pytest.approx(float(plain.k), rel=1e-7)


def test_other_sensitivities():
    require_engine("julia")
    data = data_at([0.5, 1.7, 4.0], ["x"])
    options = {"loss": "mse", "wrt": "t_span", "engine": "julia", "algorithm": "Vern9", **TIGHT}
    (_, one), (_, other) = (ps.gradient(make(), data, sensitivity=s, **options) for s in ("discrete", "forward"))
    assert list(one.data_vars) == ["t_span"]
    np.testing.assert_allclose(other.t_span, one.t_span, rtol=1e-6)


def test_a_fit_leaves_the_ends_where_they_are():
    with pytest.raises(ps.ProblemError, match="the ends of t_span stay where they are"):
        ps.objective(make(), data_at([1.0], ["x"]), trainable=["t_span"], engine="diffrax")
    with pytest.raises(ps.ProblemError, match="empty, so nothing would be trained"):
        ps.gradient(make(), data_at([1.0], ["x"]), wrt=[], engine="diffrax")
