"""Single solves, gradients and fits on a device: what they are on the CPU, computed there."""

import importlib

import numpy as np
import pytest
import xarray as xr
from support.engines import require_engine

import pysciml as ps

SAVEAT = np.array([0.0, 0.3, 1.0])
ENGINES = ["diffrax", "julia"]
NETWORK = ps.ODEProblem(
    lambda t, u, p: {"y": p.net(u.y) - p.k * u.y}, {"y": np.sin(np.arange(12.0)).reshape(4, 3)}, (0.0, 1.0),
    {"net": ps.MLP(3, 3, width=4, depth=1), "k": 0.5}, observe=lambda t, u, p: {"size": np.sum(u.y**2)},
)  # fmt: skip


def falling(**words):
    return ps.ODEProblem(lambda t, u, p: {"x": -p.k * u.x}, {"x": 1.0}, (0.0, 1.0), {"k": 0.5}, **words)


DECAY = falling()


@pytest.fixture
def places(monkeypatch):
    """Numbers of the devices on which solves and gradients of JAX end."""
    pytest.importorskip("jax")
    seen = set()
    solve, objective = (importlib.import_module(f"pysciml.engines.diffrax.{name}") for name in ("solve", "objective"))
    read, compile_objective = solve._read_outcome, objective.compile_objective

    def read_outcome(request, state, *rest):
        seen.update(device.id for device in state.u.devices())
        return read(request, state, *rest)

    def make(key):
        value, both = compile_objective(key)

        def value_and_gradient(x, data):
            found = both(x, data)
            seen.update(device.id for device in found[1].devices())
            return found

        return value, value_and_gradient

    monkeypatch.setattr(solve, "_read_outcome", read_outcome)
    monkeypatch.setattr(objective, "compile_objective", make)
    return seen


@pytest.mark.parametrize("engine, problem", [("diffrax", DECAY), ("julia", NETWORK)])
def test_a_device_computes_what_the_cpu_does(engine, problem, as_if_gpu, places):
    as_if_gpu(engine)
    words = {"engine": engine, "algorithm": "Tsit5"}
    verify = {"diffrax": "never"}.get(engine, "always")  # which compiles the loss too
    exact = ps.solve(problem, saveat=SAVEAT, **words)
    names = list(exact.data_vars)
    value, slopes = ps.gradient(problem, 1.1 * exact, verify=verify, **words)
    assert places == {"diffrax": {0}}.get(engine, set())
    places.clear()
    found = ps.solve(problem, saveat=SAVEAT, device="gpu", **words)
    there, slopes_there = ps.gradient(problem, 1.1 * exact, device="gpu", verify=verify, **words)
    assert places == {"diffrax": {1}}.get(engine, set())
    for name in names:
        np.testing.assert_allclose(found[name], exact[name], rtol=1e-12)
    assert '"device": "gpu"' in found.attrs["pysciml"] and '"device": "cpu"' in exact.attrs["pysciml"]
    assert there == pytest.approx(value, rel=1e-12) and slopes_there.attrs["device"] == "gpu"
    assert_alike(slopes_there, slopes)


@pytest.mark.parametrize("engine", ENGINES)
def test_other_values_are_not_the_last_ones(engine, as_if_gpu):
    """Solves, losses and gradients asked again: vectors of parameters that are written anew reach the device anew."""
    as_if_gpu(engine)
    words = {"engine": engine, "algorithm": "Tsit5"}
    data = ps.solve(DECAY, saveat=SAVEAT, **words)
    here, there = (ps.objective(DECAY, data, verify="never", device=device, **words) for device in ("cpu", "gpu"))
    for k in (0.5, 2.0, 0.1, 0.1, 2.0):
        problem = DECAY.remake(p={"k": k})
        exact, found = (ps.solve(problem, saveat=SAVEAT, device=device, **words) for device in ("cpu", "gpu"))
        np.testing.assert_allclose(found.x, exact.x, rtol=1e-12)
    for asks_value in (True, False, True):
        for k in (0.6, 2.0, 0.1, 0.1, 2.0):
            x = np.array([k])
            found, exact = ((one.value(x),) if asks_value else one(x) for one in (there, here))
            np.testing.assert_allclose(np.hstack(found), np.hstack(exact), rtol=1e-11)


def assert_alike(found, exact):
    """To 12 digits of the largest slope by a name."""
    for name in exact.data_vars:
        np.testing.assert_allclose(found[name], exact[name], rtol=0, atol=1e-12 * abs(exact[name]).max().item())


@pytest.mark.parametrize("engine", ENGINES)
def test_a_fit_on_a_device(engine, as_if_gpu, places, tmp_path):
    as_if_gpu(engine)
    data = ps.solve(DECAY, saveat=SAVEAT, engine=engine).assign(x=lambda ds: 0.9 * ds.x)
    words = {"optimizer": ps.Adam(steps=3), "strategy": (), "progress": False, "engine": engine, "algorithm": "Tsit5"}
    places.clear()
    found = ps.fit(DECAY, data, device="gpu", checkpoint=tmp_path, **words)
    assert places == {"diffrax": {1}}.get(engine, set())
    assert found.settings["device"] == "gpu" and found.loss < found.history.loss[0]
    with pytest.raises(ps.ProblemError, match="other settings.*device was gpu, is cpu"):
        ps.fit(DECAY, data, checkpoint=tmp_path, **words)


def reshaped(t, u, p):
    """Parts, orders, joints and batches of arrays."""
    wide = np.concatenate([u.y[:, ::-1], u.y[::2][[0, 1, 0]]], axis=1)
    batch = np.stack([u.y, wide[:, 1:4], p.m])
    products = batch @ u.y + u.y @ np.transpose(batch, (2, 0, 1))
    return {"y": products[2] + np.array([u.z, t, p.k]), "z": u.y[0] @ p.m @ u.y[1] - np.max(u.y)}


def test_arrays_of_all_kinds(as_if_gpu):
    """Whole arrays, none of whose elements is looked at, against the loops of the CPU."""
    as_if_gpu("julia")
    problem = ps.ODEProblem(
        reshaped, {"y": 0.3 * np.sin(np.arange(9.0)).reshape(3, 3), "z": 0.5}, (0.0, 0.3),
        {"k": 0.7, "m": np.cos(np.arange(9.0)).reshape(3, 3)},
    )  # fmt: skip
    data = xr.Dataset(
        {"y": (("time", "y_dim_0", "y_dim_1"), np.ones((2, 3, 3))), "z": ("time", [0.1, 0.2])}, {"time": [0.1, 0.3]}
    )
    words = {"wrt": ["k", "m", "u0_y", "u0_z"], "engine": "julia", "algorithm": "Tsit5"}
    value, slopes = ps.gradient(problem, data, **words)
    there, slopes_there = ps.gradient(problem, data, device="gpu", **words)
    assert there == pytest.approx(value, rel=1e-12)
    assert_alike(slopes_there, slopes)


SUMS = ps.ODEProblem(lambda t, u, p: {"y": -np.cumsum(u.y)}, {"y": np.ones(3)}, (0.0, 1.0))
TABLE = ps.interpolate(xr.DataArray([1.0, 2.0], {"time": [0.0, 1.0]}, "time"))
DRIVEN = ps.ODEProblem(lambda t, u, p: {"x": p.rate(t) - u.x}, {"x": 1.0}, (0.0, 1.0), {"rate": TABLE})
DATA = xr.Dataset({"x": ("time", [0.5])}, {"time": [1.0]})


@pytest.mark.parametrize(
    "call, message",
    [
        (
            lambda: ps.solve(DECAY, "Rodas5P", engine="julia", device="gpu"),
            "algorithm 'Rodas5P' with device='gpu'.*Tsit5",
        ),
        (lambda: ps.solve(DECAY, "VCABM", engine="julia", device="gpu"), "algorithm 'VCABM' with device='gpu'"),
        (lambda: ps.solve(SUMS, engine="julia", device="gpu"), "operation 'cumsum'.*engine='diffrax' has it"),
        (lambda: ps.solve(DRIVEN, engine="julia", device="gpu"), "operation 'interp'"),
        (
            lambda: ps.gradient(DECAY, DATA, sensitivity="forward", engine="julia", device="gpu"),
            "sensitivity 'forward'.*device='gpu', only 'discrete'",
        ),
    ],
)
def test_what_does_not_go_to_a_device_is_refused(call, message, as_if_gpu):
    as_if_gpu("julia")
    with pytest.raises(ps.UnsupportedByEngine, match=message):
        call()


def test_events_and_mass_matrices_stay_on_the_cpu(as_if_gpu):
    as_if_gpu("julia")
    with pytest.raises(ps.UnsupportedByEngine, match="events with device='gpu'"):
        ps.solve(falling(events=ps.Event(times=[0.5], terminal=True)), engine="julia", device="gpu")
    with pytest.raises(ps.UnsupportedByEngine, match="mass matrices with device='gpu'"):
        ps.solve(falling(mass_matrix=[2.0]), engine="julia", device="gpu")


def test_no_gpu_is_said():
    jax = pytest.importorskip("jax")
    if any(device.platform == "gpu" for device in jax.devices()):
        pytest.skip("there is a GPU")
    with pytest.raises(ps.EngineUnavailable, match=r"device='gpu': .*CUDA.*nvidia-smi.*device='cpu' needs neither"):
        ps.solve(DECAY, engine=require_engine("julia"), device="gpu")
    with pytest.raises(ps.EngineUnavailable, match=r"JAX finds no GPU.*only cpu.*jax\[cuda13\].*device='cpu'"):
        ps.solve(DECAY, engine=require_engine("diffrax"), device="gpu")
