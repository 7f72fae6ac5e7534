"""Ensembles in float32 and on devices: as accurate as seven digits allow, and refused by name where they can't be."""

import json
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from support.engines import require_engine
from support.problems import CASES

import pysciml as ps

LORENZ = ps.ODEProblem(
    lambda t, u, p: {"x": p.s * (u.y - u.x), "y": u.x * (p.r - u.z) - u.y, "z": u.x * u.y - p.b * u.z},
    {"x": 1.0, "y": 0.0, "z": 0.0}, (1000.0, 1001.0), {"s": 10.0, "r": 28.0, "b": 8 / 3},
)  # fmt: skip
R = np.linspace(20.0, 30.0, 20)
SAVEAT = np.array([1000.0, 1000.5, 1001.0])
ENGINES = ["diffrax", "julia"]
REFERENCES = json.loads((Path(__file__).parents[1] / "golden" / "references.json").read_text())


def run(engine, problem=LORENZ, over=None, **words):
    words = {"saveat": SAVEAT, "rtol": 1e-5, "atol": 1e-7} | words
    return ps.ensemble(problem, {"r": R} if over is None else over, engine=require_engine(engine), **words)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("device", ["cpu", "gpu"])
def test_float32_is_float64_to_seven_digits(engine, device, as_if_gpu):
    if device == "gpu":
        as_if_gpu(engine)
    found, exact = run(engine, dtype="float32", device=device), run("diffrax", rtol=1e-9, atol=1e-11)
    assert (found.status == 0).all() and found.x.dtype == np.float64
    assert (found.statistics.sel(statistic="steps") > 5).all()
    for name in "xyz":
        np.testing.assert_allclose(found[name], exact[name], rtol=0, atol=1e-3)  # of values up to 40
        assert abs(found[name] - exact[name]).max() > 1e-7  # it was computed in float32
    np.testing.assert_array_equal(found.y, found.y.astype(np.float32))


def test_float64_on_a_device_is_as_accurate_as_without(as_if_gpu):
    """A kernel of the Julia engine in float64, by its own stepping, against the solvers that the CPU has."""
    as_if_gpu("julia")
    exact = run("diffrax", rtol=1e-9, atol=1e-11)
    found = run("julia", device="gpu", algorithm="Vern7", rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(found.z, exact.z, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", ["lotka_volterra", "robertson"])
def test_kernels_solve_published_problems(name, as_if_gpu):
    """Within 50 tolerances of the references, as every engine's ``"auto"``."""
    as_if_gpu("julia")
    case = CASES[name]
    u0 = dict(case.u0)
    first = next(iter(u0))
    words = {"saveat": case.saveat, "rtol": 1e-6, "atol": case.atol, "engine": "julia", "device": "gpu"}
    found = ps.ensemble(case.problem(), {first: [2 * u0[first], u0[first]]}, **words)
    got = np.stack([found[state].values[1] for state in u0], axis=-1)
    want = np.array(REFERENCES[name]["u"])
    assert got.shape == want.shape and found.attrs["algorithm"] == ("Rodas5P" if case.stiff else "Tsit5")
    assert np.max(np.abs(got - want) / (case.atol + 1e-6 * np.abs(want))) <= 50


@pytest.mark.parametrize("engine", ENGINES)
def test_a_member_that_fails_spoils_no_other(engine):
    blowing = ps.ODEProblem(lambda t, u, p: {"x": p.k * u.x**2}, {"x": 1.0}, (0.0, 1.0), {"k": 0.5})
    found = run(engine, blowing, {"k": [0.5, 2.0, -1.0]}, saveat=[0.0, 0.25, 1.0], dtype="float32")
    assert found.status.values[0] == found.status.values[2] == 0 != found.status.values[1]
    np.testing.assert_allclose(found.x.values[[0, 2], 2], [2.0, 0.5], rtol=1e-4)
    np.testing.assert_allclose(found.x.values[1, :2], [1.0, 2.0], rtol=1e-4)
    assert np.isnan(found.x.values[1, 2])


def test_stiff_members_and_operations_of_all_kinds():
    """Branches, tables, largest elements, products of matrices and a network: Julia in float32 against float64.

    A third of the members is stiff, and a stop at which the model jumps lies inside.
    """
    net = ps.MLP(2, 2, width=4, depth=1)
    table = ps.interpolate(xr.DataArray([1.0, 2.0, 0.5], {"time": [0.0, 1.0, 3.0]}, "time"))

    def model(t, u, p):
        drive = p.I(t) + np.max(p.m @ u.y) + np.where(t < 1.0, 1.0, -(u.y[0] ** 3)) + p.net(u.y)[1]
        return {"y": -p.m @ u.y + np.tanh(drive), "z": -p.k * (u.z - np.arctan2(u.y[1], 2.0))}

    problem = ps.ODEProblem(
        model, {"y": [1.0, 0.5], "z": 0.0}, (0.0, 3.0),
        {"k": 1.0, "m": np.array([[2.0, 0.5], [0.1, 1.0]]), "net": net, "I": table},
    )  # fmt: skip
    over = {"k": [1.0, 30.0, 3e4]}
    found = run("julia", problem, over, saveat=[0.5, 3.0], tstops=[1.0], dtype="float32", rtol=1e-4, atol=1e-6)
    exact = run("julia", problem, over, saveat=[0.5, 3.0], tstops=[1.0], rtol=1e-9, atol=1e-11)
    assert found.attrs["algorithm"] == "Tsit5, Rodas5P" and (found.status == 0).all()
    np.testing.assert_allclose(found.y, exact.y, rtol=0, atol=1e-3)
    np.testing.assert_allclose(found.z, exact.z, rtol=0, atol=1e-3)


def test_no_gpu_is_said():
    jax = pytest.importorskip("jax")
    if any(device.platform == "gpu" for device in jax.devices()):
        pytest.skip("there is a GPU")
    with pytest.raises(ps.EngineUnavailable, match=r"JAX finds no GPU.*only cpu.*jax\[cuda13\].*device='cpu'"):
        run("diffrax", device="gpu")
    with pytest.raises(ps.EngineUnavailable, match=r"device='gpu': .*CUDA.*nvidia-smi.*device='cpu' needs neither"):
        run("julia", device="gpu")


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
def test_events_and_limits_are_refused(engine):
    event = ps.Event(times=[0.5], terminal=True)
    falling = ps.ODEProblem(lambda t, u, p: {"x": -p.k * u.x}, {"x": 1.0}, (0.0, 1.0), {"k": 1.0}, events=event)
    with pytest.raises(ps.UnsupportedByEngine, match="float32 solve of 'problems with events'"):
        run(engine, falling, {"k": [1.0, 2.0]}, saveat=[1.0], dtype="float32")
    with pytest.raises(ps.UnsupportedByEngine, match="max_seconds"):
        run(engine, dtype="float32", max_seconds=1.0)


@pytest.mark.parametrize(
    "size, algorithm, message",
    [
        (3, "KenCarp4", "algorithm 'KenCarp4' with dtype='float32', only: auto, Tsit5"),
        (13, "auto", "at most 12 states with 'auto'.*got 13; engine='diffrax'"),
        (33, "Tsit5", "at most 32 states with 'Tsit5', got 33"),
    ],
)
def test_what_a_kernel_can_not_do_is_refused(size, algorithm, message):
    decays = ps.ODEProblem(lambda t, u, p: -p * u, np.ones(size), (0.0, 1.0), 1.0)
    with pytest.raises(ps.UnsupportedByEngine, match=message):
        run("julia", decays, {"p": [1.0, 2.0]}, saveat=[1.0], dtype="float32", algorithm=algorithm)


def test_large_models_are_refused():
    large = ps.ODEProblem(
        lambda t, u, p: -p * np.tanh(np.ones((10, 60)) @ (np.ones((60, 10)) @ u)), np.ones(10), (0.0, 1.0), 1.0
    )
    with pytest.raises(ps.UnsupportedByEngine, match="at most 1000, got 2"):
        run("julia", large, {"p": [1.0, 2.0]}, saveat=[1.0], dtype="float32")
