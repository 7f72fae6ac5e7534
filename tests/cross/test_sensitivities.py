"""Derivatives of solutions over time: closed forms, differences of solves, the other engine, labels."""

import numpy as np
import pytest
import xarray as xr
from support.engines import require_engine
from support.problems import CASES

import pysciml as ps

ENGINES = {"julia": "Vern9", "diffrax": "DP8"}
TIGHT = {"rtol": 1e-11, "atol": 1e-12}


def differences(problem, name, index, saveat, options):
    """Of all states by one element of a parameter or initial value, by Richardson's extrapolation."""
    of_u0 = name.startswith("u0_")
    key = name.removeprefix("u0_")
    value = np.asarray(problem.u0[key] if of_u0 else problem.p[key], dtype=float)
    size = abs(value[index]) or 1.0

    def states(h):
        moved = np.array(value)
        moved[index] += h * size
        changed = problem.remake(**{"u0" if of_u0 else "p": {key: moved}})
        return ps.solve(changed, saveat=saveat, **options)

    def slope(h):
        return (states(h) - states(-h)) / (2 * h * size)

    return (4 * slope(5e-4) - slope(1e-3)) / 3


@pytest.mark.parametrize("engine", ENGINES)
def test_lotka_volterra(engine):
    require_engine(engine)
    problem = CASES["lotka_volterra"].problem()
    times = np.array([1900.0, 1903.5, 1910.0])
    options = {"algorithm": ENGINES[engine], "engine": engine, **TIGHT}
    ds = ps.sensitivities(problem, ["*"], saveat=times, **options)
    assert set(ds.data_vars) == {
        f"d_{state}_d_{name}"
        for state in ("hare", "lynx")
        for name in ("birth", "kill", "grow", "death", "u0_hare", "u0_lynx")
    }
    assert ds.attrs["engine"] == engine and ds.attrs["status"] == "SUCCESS"
    for name in ("birth", "kill", "u0_lynx"):
        want = differences(problem, name, (), times, options)
        for state in ("hare", "lynx"):
            found = ds[f"d_{state}_d_{name}"]
            assert found.dims == ("time",)
            np.testing.assert_allclose(found, want[state], rtol=1e-6, atol=1e-7 * np.max(np.abs(want[state])))
    assert float(ds.d_hare_d_u0_hare[0]) == 1.0 and float(ds.d_hare_d_birth[0]) == 0.0


def test_engines_agree_on_a_stiff_problem():
    """Robertson's parameters differ by eleven orders of magnitude."""
    found = {}
    for engine, algorithm in {"julia": "Rodas5P", "diffrax": "Kvaerno5"}.items():
        require_engine(engine)
        problem = CASES["robertson"].problem()
        found[engine] = ps.sensitivities(
            problem, algorithm=algorithm, saveat=[0.1, 10.0, 100.0], engine=engine, rtol=1e-9, atol=1e-13
        )
    for name, one in found["julia"].data_vars.items():
        other = found["diffrax"][name]
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6 * np.max(np.abs(other)))


def labelled():
    space = {"x": np.array([1.0, 2.0, 4.0])}
    return ps.ODEProblem(
        lambda t, u, p: {
            "heat": -p.loss * u.heat + p.flow * np.roll(u.heat, 1),
            "total": np.sum(u.heat) - p.k * u.total,
        },
        {"heat": xr.DataArray([1.0, 0.5, 2.0], space, "x"), "total": 0.3},
        (0.0, 2.0),
        {"loss": xr.DataArray([0.1, 0.2, 0.7], space, "x"), "flow": 0.4, "k": 0.0},
        observe=lambda t, u, p: {"warm": p.loss * u.heat**2 + t},
    )


@pytest.mark.parametrize("engine", ENGINES)
def test_labels_of_arrays_and_observables(engine):
    require_engine(engine)
    problem, times = labelled(), [0.0, 1.0, 2.0]
    word = "Vern9" if engine == "julia" else "DP5"  # diffrax's DP8 is less accurate between long steps
    options = {"algorithm": word, "engine": engine, **TIGHT}
    ds = ps.sensitivities(problem, ["loss", "k", "u0_heat"], saveat=times, **options)
    assert ds.d_heat_d_loss.dims == ("time", "x", "x_wrt")
    assert ds.d_total_d_loss.dims == ("time", "x") and ds.d_heat_d_k.dims == ("time", "x")
    np.testing.assert_array_equal(ds.x_wrt, ds.x)
    np.testing.assert_array_equal(ds.d_heat_d_u0_heat[0], np.eye(3))
    for index in range(3):
        for name in ("loss", "u0_heat"):
            want = differences(problem, name, (index,), times, options)
            for state in ("heat", "warm", "total"):
                found = ds[f"d_{state}_d_{name}"]
                found = found.isel({found.dims[-1]: index})
                np.testing.assert_allclose(found, want[state], rtol=1e-6, atol=1e-8)
    zero = differences(problem, "k", (), times, options)
    np.testing.assert_allclose(ds.d_total_d_k, zero.total, rtol=1e-6, atol=1e-8)


def test_networks_and_starts_that_follow_from_parameters():
    net = ps.MLP(1, 1, width=3, depth=1, seed=2)
    problem = ps.ODEProblem(
        lambda t, u, p: {"x": p.net([u.x])[0] - p.k * u.x},
        lambda p: {"x": 1.0 + p.k**2},
        (0.0, 1.0),
        {"k": 0.4, "net": net},
    )
    found = {}
    for engine, algorithm in ENGINES.items():
        require_engine(engine)
        options = {"algorithm": algorithm, "engine": engine, "saveat": [0.0, 1.0], **TIGHT}
        found[engine] = ds = ps.sensitivities(problem, **options)
        assert ds.d_x_d_net.dims == ("time", "net_weight") and ds.sizes["net_weight"] == 10
        assert float(ds.d_x_d_k[0]) == pytest.approx(0.8)
    xr.testing.assert_allclose(found["julia"].drop_attrs(), found["diffrax"].drop_attrs(), rtol=1e-8)
    layer = ps.sensitivities(problem, ["net.0.weight", "net.1.bias"], **options)
    assert layer["d_x_d_net.0.weight"].shape == (2, 3, 1)
    np.testing.assert_allclose(layer["d_x_d_net.1.bias"][1], ds.d_x_d_net[1, -1:], rtol=1e-8)
    np.testing.assert_allclose(layer["d_x_d_net.0.weight"][1, :, 0], ds.d_x_d_net[1, :3], rtol=1e-8)


def test_what_is_refused():
    problem = CASES["lotka_volterra"].problem()
    with pytest.raises(ps.ProblemError, match="'kil' names nothing"):
        ps.sensitivities(problem, ["kil"], engine="diffrax")
    with pytest.raises(ps.ProblemError, match="did you mean 'saveat'"):
        ps.sensitivities(problem, save_at=[1901.0])
    kick = ps.Event(effect=lambda t, u, p: {"x": u.x + 1.0}, times=[1.0])
    events = ps.ODEProblem(lambda t, u, p: {"x": -p * u.x}, {"x": 1.0}, (0, 2), 1.0, events=[kick])
    with pytest.raises(ps.UnsupportedByEngine, match="tangents through 'events'"):
        ps.sensitivities(events, engine="diffrax")
    blow_up = ps.ODEProblem(lambda t, u, p: {"x": p.k * u.x**2}, {"x": 1.0}, (0, 2), {"k": 1.0})
    with pytest.raises(ps.SolveFailed, match="the solve of states and tangents failed"):
        ps.sensitivities(blow_up, engine="diffrax")
