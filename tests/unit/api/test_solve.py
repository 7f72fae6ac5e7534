import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from support.scipy_engine import ScipyEngine

import pysciml as ps
import pysciml.api.solve as module
from pysciml.engines.base import Status
from pysciml.requests import Capability


@pytest.fixture
def scipy_engine(monkeypatch):
    """The only engine there is, beside one that could do more but isn't chosen."""
    engine = ScipyEngine()
    other = frozenset({Capability("problem", "ode"), Capability("algorithm", "Rodas5P")})
    monkeypatch.setattr(module, "choose_engine", lambda word: engine)
    monkeypatch.setattr(module, "engine_capabilities", lambda: {"scipy": engine.capabilities, "other": other})
    return engine


def decay(t, u, p):
    return {"x": -p.k * u.x}


PROBLEM = ps.ODEProblem(decay, {"x": 2.0}, (0, 4), {"k": 0.5}, units={"x": "mg", "time": "day"})


def test_a_dataset_comes_back(scipy_engine):
    saveat = np.linspace(0, 4, 9)
    ds = ps.solve(PROBLEM, "Tsit5", saveat=saveat, rtol=1e-9, atol=1e-10)
    np.testing.assert_array_equal(ds.time, saveat)
    np.testing.assert_allclose(ds.x, 2 * np.exp(-0.5 * saveat), rtol=1e-7)
    assert ds.x.attrs["units"] == "mg" and float(ds.k) == 0.5
    assert ds.attrs["engine"] == "scipy" and ds.attrs["status"] == "SUCCESS"
    settings = json.loads(ds.attrs["pysciml"])["settings"]
    assert settings["rtol"] == 1e-9 and settings["algorithm"] == "Tsit5" and settings["saveat"] is True


def test_arrays_come_back(scipy_engine):
    t, states = ps.solve(PROBLEM, saveat=[1.0, 2.0], output="arrays")
    np.testing.assert_array_equal(t, [1.0, 2.0])
    assert list(states) == ["x"] and states["x"].shape == (2,)


def test_what_crosses_to_the_engine(scipy_engine):
    ps.solve(PROBLEM, saveat=[1, 2], tstops=[3, 1, 3], dt=0.1, dtmax=1, max_steps=np.int64(50), progress=True)
    (request,) = scipy_engine.requests
    assert request.program is PROBLEM.program and request.t_span == (0.0, 4.0)
    np.testing.assert_array_equal(request.tstops, [1.0, 3.0])
    assert (request.dt, request.dtmax, request.max_steps, request.progress) == (0.1, 1.0, 50, True)
    assert request.saveat.dtype == np.float64
    ps.solve(PROBLEM)
    assert scipy_engine.requests[1].saveat is None and scipy_engine.requests[1].tstops is None


@pytest.mark.parametrize(
    "saveat", [[1, 2], (1.0, 2.0), range(1, 3), pd.Index([1, 2]), xr.DataArray([1.0, 2.0], dims="t")]
)
def test_forms_of_saveat(scipy_engine, saveat):
    assert ps.solve(PROBLEM, saveat=saveat).time.values.tolist() == [1.0, 2.0]


def test_saveat_one_rounding_error_outside(scipy_engine):
    problem = PROBLEM.remake(t_span=(0, 0.3))
    ds = ps.solve(problem, saveat=[0.1, 0.1 + 0.2])
    assert ds.time.values.tolist() == [0.1, 0.1 + 0.2]
    assert scipy_engine.requests[0].saveat[-1] == 0.3


def test_dates(scipy_engine):
    problem = PROBLEM.remake(t_span=("2020-01-01", "2020-01-05"))
    saveat = pd.date_range("2020-01-01", "2020-01-05")
    ds = ps.solve(problem, saveat=saveat, rtol=1e-9, atol=1e-10)
    np.testing.assert_array_equal(ds.time.values, saveat.values)
    np.testing.assert_allclose(ds.x, 2 * np.exp(-0.5 * np.arange(5)), rtol=1e-7)
    assert ps.solve(problem).time.values[-1] == np.datetime64("2020-01-05")
    assert ps.solve(problem, saveat=[1.5]).time.values[0] == np.datetime64("2020-01-02T12:00")


def test_the_end_is_the_next_start(scipy_engine):
    first = ps.solve(PROBLEM, saveat=[0, 2, 4], rtol=1e-10, atol=1e-12)
    second = ps.solve(PROBLEM.remake(u0=first.isel(time=-1), t_span=(4, 8)), saveat=[8], rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(second.x, 2 * np.exp(-4.0), rtol=1e-7)


FAILING = ps.ODEProblem(lambda t, u, p: {"x": -np.sqrt(1.0 - u.x)}, {"x": 2.0}, (0, 4))


FAILING_LINE = next(k for k, line in enumerate(Path(__file__).read_text().splitlines(), 1) if "FAILING =" in line)


def test_a_failure_raises_and_keeps_what_there_is(scipy_engine):
    with pytest.raises(ps.SolveFailed) as failed:
        ps.solve(FAILING)
    error = failed.value
    assert error.status is Status.UNSTABLE
    assert isinstance(error.partial, xr.Dataset) and error.partial.attrs["status"] == "UNSTABLE"
    message = str(error)
    for part in (
        "the solution became infinite or NaN (LSODA on scipy, at t = 0 of t_span 0 to 4)",
        "There: x = 2, its right-hand side nan",
        f"Cause: the right-hand side of x is NaN there: sqrt gives NaN in test_solve.py, line {FAILING_LINE}",
        "Next step: keep the model inside its domain",
        "The engine says: words of SciPy",
    ):
        assert part in message


def test_a_failure_unchecked(scipy_engine):
    assert ps.solve(FAILING, check=False).sciml.status == "UNSTABLE"
    t, states = ps.solve(FAILING, check=False, output="arrays")
    assert t.shape == states["x"].shape == (1,)


def test_a_word_of_another_engine(scipy_engine):
    with pytest.raises(
        ps.UnsupportedByEngine, match="'scipy' does not support the algorithm 'Rodas5P'; engine='other' does"
    ):
        ps.solve(PROBLEM, "Rodas5P")
    assert not scipy_engine.requests


def test_asking_again_reads_nothing_anew(scipy_engine):
    problem, saveat = PROBLEM.remake(), np.linspace(0, 4, 9)
    first = ps.solve(problem, saveat=saveat)
    again = [ps.solve(problem, saveat=saveat) for _ in range(3)]
    assert all(request is scipy_engine.requests[0] for request in scipy_engine.requests)
    assert all(ds.identical(first) for ds in again)
    for other in (
        {"rtol": 1e-4},
        {"max_steps": 99},
        {"algorithm": "Tsit5"},
        {"saveat": list(saveat)},
        {"tstops": [1.0]},
    ):
        ps.solve(problem, **({"saveat": saveat} | other))
        assert scipy_engine.requests[-1] is not scipy_engine.requests[0]
    saveat[3] = 1.25
    assert ps.solve(problem, saveat=saveat).time[3] == 1.25
    with pytest.raises(ps.ProblemError, match="max_steps must be a positive integer"):
        [ps.solve(problem, saveat=saveat, max_steps=steps) for steps in (1, True)]


def test_what_is_done_to_a_result_does_not_show_in_the_next(scipy_engine):
    problem, saveat = PROBLEM.remake(), np.linspace(0, 4, 9)
    first, *_, changed = (ps.solve(problem, saveat=saveat) for _ in range(4))
    changed.x[:] = 7.0
    changed["new"] = changed.x * 2
    changed.coords["k"] = 9.0
    for attrs in (changed.attrs, changed.x.attrs, changed.time.attrs):
        attrs["note"] = "changed"
    t, _ = ps.solve(problem, saveat=saveat, output="arrays")
    t[:] = 0.0
    assert ps.solve(problem, saveat=saveat).identical(first)
    other = ps.solve(problem.remake(p={"k": 1.0}), saveat=saveat)
    assert float(other.k) == 1.0 and other.x[-1] < first.x[-1]


def test_equal_problems_keep_their_own_labels(scipy_engine):
    start = [xr.DataArray(2.0, attrs={"units": "mg", "long_name": name}) for name in ("drug", "tracer")]
    problems = [ps.ODEProblem(decay, {"x": x}, (0, 4), {"k": 0.5}) for x in start]
    assert problems[0] == problems[1]
    names = [ps.solve(problem, saveat=np.array([1.0, 4.0])).x.attrs["long_name"] for problem in 2 * problems]
    assert names == ["drug", "tracer", "drug", "tracer"]
