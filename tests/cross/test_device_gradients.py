"""Single solves, gradients and fits on a device: what they are on the CPU, computed there."""

import importlib

import numpy as np
import pytest
from support.engines import require_engine

import pysciml as ps

SAVEAT = np.array([0.0, 0.3, 1.0])
ENGINES = ["diffrax"]
PROBLEM = ps.ODEProblem(
    lambda t, u, p: {"y": p.net(u.y) - p.k * u.y}, {"y": np.sin(np.arange(12.0)).reshape(4, 3)}, (0.0, 1.0),
    {"net": ps.MLP(3, 3, width=4, depth=1), "k": 0.5}, observe=lambda t, u, p: {"size": np.sum(u.y**2)},
)  # fmt: skip
DECAY = ps.ODEProblem(lambda t, u, p: {"x": -p.k * u.x}, {"x": 1.0}, (0.0, 1.0), {"k": 0.5})


@pytest.fixture
def places(monkeypatch):
    """Numbers of the devices on which solves and gradients of JAX end."""
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


@pytest.mark.parametrize("engine", ENGINES)
def test_a_device_computes_what_the_cpu_does(engine, as_if_gpu, places):
    as_if_gpu(engine)
    words = {"engine": engine, "algorithm": "Tsit5"}
    exact = ps.solve(PROBLEM, saveat=SAVEAT, **words)
    data = 1.1 * exact[["y", "size"]]
    wrt = {"diffrax": ["k", "net.1.bias"]}.get(engine, ["net", "k", "u0_y"])  # few: quick to compile
    value, slopes = ps.gradient(PROBLEM, data, wrt=wrt, verify="never", **words)
    assert places == {"diffrax": {0}}.get(engine, set())
    places.clear()
    found = ps.solve(PROBLEM, saveat=SAVEAT, device="gpu", **words)
    there, slopes_there = ps.gradient(PROBLEM, data, wrt=wrt, verify="never", device="gpu", **words)
    assert places == {"diffrax": {1}}.get(engine, set())
    for name in ("y", "size"):
        np.testing.assert_allclose(found[name], exact[name], rtol=1e-12)
    assert '"device": "gpu"' in found.attrs["pysciml"] and '"device": "cpu"' in exact.attrs["pysciml"]
    assert there == pytest.approx(value, rel=1e-12) and slopes_there.attrs["device"] == "gpu"
    for name in slopes.data_vars:
        scale = abs(slopes[name]).max().item()
        np.testing.assert_allclose(slopes_there[name], slopes[name], rtol=0, atol=1e-12 * scale)


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


def test_no_gpu_is_said():
    jax = pytest.importorskip("jax")
    if any(device.platform == "gpu" for device in jax.devices()):
        pytest.skip("there is a GPU")
    with pytest.raises(ps.EngineUnavailable, match=r"JAX finds no GPU.*only cpu.*jax\[cuda13\].*device='cpu'"):
        ps.solve(DECAY, engine=require_engine("diffrax"), device="gpu")
