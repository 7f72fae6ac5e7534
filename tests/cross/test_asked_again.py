"""A solve that is asked again, with the same values or others, gives to the last bit what a new one gives."""

import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import xarray as xr
from support.engines import require_engine

import pysciml as ps
from pysciml.engines.choose import choose_engine

SCALES = (1.0, 2.0, 2.0, 0.5, 1.0)


@pytest.fixture(autouse=True)
def julia():
    require_engine("julia")


def build(scale, **more):
    """Stiff where scale is large, and infinite in finite time where it is negative."""
    p = {"k": scale}
    return ps.ODEProblem(
        lambda t, u, p: {"x": -p.k * u.x * abs(u.x), "y": 300.0 * p.k * (np.cos(t) - u.y)},
        {"x": scale, "y": 0.0}, (0.0, 2.0), p, **more,
    )  # fmt: skip


def remake(problem, scale):
    return problem.remake(u0={"x": scale, "y": 0.0}, p={"k": scale})


def both(problem, scale, words, **more):
    """The answers of a problem that was asked before, and of a new one."""
    words = {"saveat": [0.0, 0.7, 2.0], "engine": "julia", "check": False} | words
    return ps.solve(remake(problem, scale), **words), ps.solve(build(scale, **more), **words)


EVENT = {"events": ps.Event(lambda t, u, p: u.x - 0.4, lambda t, u, p: {"x": u.x + p.k}, name="refill")}
DIAGONAL = {"mass_matrix": np.array([2.0, 1.0])}
CASES = [(word, {}, {}) for word in ("auto", "Tsit5", "Vern7", "Vern9", "Rodas5P", "Rosenbrock23", "CVODE_BDF")]
CASES += [(word, EVENT, {}) for word in ("auto", "Tsit5", "Rodas5P")] + [("Rodas5P", DIAGONAL, {})]
CASES += [
    ("auto", {}, words)
    for words in ({"saveat": None}, {"tstops": [0.5]}, {"rtol": 1e-8}, {"dt": 0.01}, {"max_steps": 60})
]
CASES += [("Tsit5", {}, {"saveat": np.linspace(0.0, 2.0, 501)})]


@pytest.mark.parametrize("word, more, words", CASES)
def test_answers_are_those_of_new_problems(word, more, words):
    problem = build(1.0, **more)
    for scale in SCALES:
        found, new = both(problem, scale, {"algorithm": word} | words, **more)
        assert found.identical(new), f"scale {scale}"


@pytest.mark.parametrize("word", ["auto", "Tsit5", "Rodas5P"])
def test_a_failure_spoils_none_that_comes_after(word):
    problem = build(1.0)
    for scale in (1.0, -1.0, 1.0, 1e200, -1.0, -1.0, 2.0):
        found, new = both(problem, scale, {"algorithm": word})
        assert found.identical(new), f"scale {scale}"
        assert (found.attrs["status"] == "SUCCESS") == (0 < scale < 1e9)


def test_answers_share_no_memory():
    problem = build(1.0)
    found = [ps.solve(problem, "Tsit5", saveat=[0.0, 2.0], engine="julia", output="arrays") for _ in range(4)]
    for t, u in found:
        assert np.array_equal(t, [0.0, 2.0]) and u["x"][0] == 1.0
        t[:] = u["x"][:] = 7.0
    many = ps.solve_many(problem, [{"p": {"k": k}} for k in SCALES], "Tsit5", saveat=[0.0, 2.0], engine="julia")
    for k, ds in zip(SCALES, many, strict=True):
        new = ps.solve(problem.remake(p={"k": k}), "Tsit5", saveat=[0.0, 2.0], engine="julia")
        assert ds.identical(new), f"k = {k}"


def test_threads_ask_at_the_same_time():
    problem = build(1.0)
    scales = np.linspace(0.5, 2.0, 40)

    def last(problem):
        return ps.solve(problem, "Tsit5", saveat=[2.0], engine="julia", output="arrays")[1]["x"]

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda scale: last(remake(problem, scale)), scales))
    assert np.array_equal(found, [last(build(scale)) for scale in scales])


def make_objective(word, width, n_unused=0):
    """The same of another model, of which nothing is kept, by parameters not used. Infinite in finite time at k < 0."""
    net = ps.MLP(2, 1, width=width, depth=2, seed=1)

    def f(t, u, p):
        return {"x": -p.k * u.x * abs(u.x) + p.net([u.x, u.y])[0], "y": 30.0 * p.k * (np.cos(t) - u.y)}

    p = {"k": 1.0, "net": net} | {f"unused{n}": 0.0 for n in range(n_unused)}
    problem = ps.ODEProblem(f, {"x": 1.0, "y": 0.0}, (0.0, 2.0), p)
    times = np.linspace(0.0, 2.0, 9)
    data = xr.Dataset({"x": ("time", np.exp(-times)), "y": ("time", np.sin(times))}, {"time": times})
    words = {"algorithm": word, "trainable": ["k", "net"], "verify": "never", "engine": "julia"}
    return ps.objective(problem, data, **words)


@pytest.mark.parametrize(
    "word, width", [("Tsit5", 4), ("Tsit5", 40), ("Vern9", 4), ("Rodas5P", 4), ("Rosenbrock23", 4), ("Rodas5P", 40)]
)
def test_gradients_are_those_of_new_models(word, width):
    asked, found = make_objective(word, width), []
    for n, k in enumerate((1.0, 2.0, -40.0, 2.0, 0.5)):
        x = asked.x0.copy()
        x[asked.names.index("k")] = k
        found.append((*asked(x), asked.value(x)))
        new = make_objective(word, width, n + 1)
        assert np.isfinite(found[-1][0]) == (k > 0)
        for one, other in zip(found[-1], (*new(x), new.value(x)), strict=True):
            np.testing.assert_array_equal(one, other)
    assert not np.array_equal(found[1][1], found[4][1])
    for one, other in zip(found[1], found[3], strict=True):  # an answer is the caller's own
        np.testing.assert_array_equal(one, other)


def test_threads_ask_an_objective_at_the_same_time():
    objective = make_objective("Tsit5", 4)
    points = objective.x0 * np.linspace(0.5, 1.5, 40)[:, np.newaxis]
    expected = [objective(x) for x in points]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(objective, points))
    for (value, gradient), (one, slope) in zip(found, expected, strict=True):
        assert value == one
        np.testing.assert_array_equal(gradient, slope)


def test_what_is_kept_stays_in_its_process():
    problem = build(1.0)
    for _ in range(2):
        expected = ps.solve(problem, "Tsit5", saveat=[2.0], engine="julia")
    *_, request, _ = problem.memory["request"]
    assert request.memory and not pickle.loads(pickle.dumps(request)).memory
    assert ps.solve(problem, "Tsit5", saveat=[2.0], engine="julia").identical(expected)


def test_what_is_large_is_not_kept():
    julia = choose_engine("julia")
    problem = ps.ODEProblem(lambda t, u, p: -p.k * u, np.ones(4000), (0.0, 1.0), {"k": 1.0})
    for n_times, is_kept in ((3, True), (30, False)):
        times = np.linspace(0.0, 1.0, n_times)
        found = [ps.solve(problem, "Tsit5", saveat=times, engine="julia", output="arrays")[1]["u"] for _ in range(3)]
        assert all(np.array_equal(u, found[0]) for u in found)
        *_, request, _ = problem.memory["request"]
        assert (julia in request.memory) == is_kept
