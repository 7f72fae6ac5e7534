"""Ensembles in float32 and on devices: as accurate as seven digits allow, and refused by name where they can't be."""

import numpy as np
import pytest
from support.engines import require_engine

import pysciml as ps
from pysciml.engines.diffrax import engine as embedded

LORENZ = ps.ODEProblem(
    lambda t, u, p: {"x": p.s * (u.y - u.x), "y": u.x * (p.r - u.z) - u.y, "z": u.x * u.y - p.b * u.z},
    {"x": 1.0, "y": 0.0, "z": 0.0}, (1000.0, 1001.0), {"s": 10.0, "r": 28.0, "b": 8 / 3},
)  # fmt: skip
R = np.linspace(20.0, 30.0, 20)
SAVEAT = np.array([1000.0, 1000.5, 1001.0])
ENGINES = ["diffrax"]


def run(engine, problem=LORENZ, over=None, **words):
    words = {"saveat": SAVEAT, "rtol": 1e-5, "atol": 1e-7} | words
    return ps.ensemble(problem, {"r": R} if over is None else over, engine=require_engine(engine), **words)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("device", ["cpu", "gpu"])
def test_float32_is_float64_to_seven_digits(engine, device, on_cpu):
    found, exact = run(engine, dtype="float32", device=device), run(engine, rtol=1e-9, atol=1e-11)
    assert (found.status == 0).all() and found.x.dtype == np.float64
    for name in "xyz":
        np.testing.assert_allclose(found[name], exact[name], rtol=0, atol=1e-3)  # of values up to 40
        assert 1e-7 < abs(found[name] - exact[name]).max()  # it was computed in float32
    np.testing.assert_array_equal(found.y, found.y.astype(np.float32))


@pytest.fixture
def on_cpu(monkeypatch):
    """What goes to a GPU goes to a CPU, by the same way."""
    find = embedded.find_device
    monkeypatch.setattr(embedded, "find_device", lambda word: find("cpu"))


@pytest.mark.parametrize("engine", ENGINES)
def test_a_member_that_fails_spoils_no_other(engine):
    blowing = ps.ODEProblem(lambda t, u, p: {"x": p.k * u.x**2}, {"x": 1.0}, (0.0, 1.0), {"k": 0.5})
    found = run(engine, blowing, {"k": [0.5, 2.0, -1.0]}, saveat=[0.0, 0.25, 1.0], dtype="float32")
    assert found.status.values[0] == found.status.values[2] == 0 != found.status.values[1]
    np.testing.assert_allclose(found.x.values[[0, 2], 2], [2.0, 0.5], rtol=1e-4)
    np.testing.assert_allclose(found.x.values[1, :2], [1.0, 2.0], rtol=1e-4)
    assert np.isnan(found.x.values[1, 2])


def test_no_gpu_is_said():
    jax = pytest.importorskip("jax")
    if any(device.platform == "gpu" for device in jax.devices()):
        pytest.skip("there is a GPU")
    with pytest.raises(ps.EngineUnavailable, match=r"JAX finds no GPU.*only cpu.*jax\[cuda13\].*device='cpu'"):
        run("diffrax", device="gpu")


@pytest.mark.parametrize(
    "words, message",
    [
        ({"device": "gpus"}, "unknown word device='gpus'; one of cpu, gpu; did you mean 'gpu'"),
        ({"dtype": "float16"}, "unknown word dtype='float16'; one of float64, float32"),
        ({"dtype": "float32", "rtol": 1e-8}, "finer than float32 can tell"),
        ({"dtype": "float32", "parallel": "threads"}, "parallel='threads'.*leave it out"),
    ],
)
def test_words_that_can_not_be(words, message):
    with pytest.raises(ps.ProblemError, match=message):
        run("diffrax", **words)


@pytest.mark.parametrize("engine", ENGINES)
def test_events_are_refused(engine):
    falling = ps.ODEProblem(
        lambda t, u, p: {"x": -p.k * u.x},
        {"x": 1.0},
        (0.0, 1.0),
        {"k": 1.0},
        events=ps.Event(times=[0.5], terminal=True),
    )
    with pytest.raises(ps.UnsupportedByEngine, match="float32 solve of 'problems with events'"):
        run(engine, falling, {"k": [1.0, 2.0]}, saveat=[1.0], dtype="float32")
