"""A problem built once is solved and fitted with other values without compiling anything anew (counted)."""

import logging
import time
from contextlib import contextmanager

import jax
import numpy as np
import pytest
import xarray as xr
from support.engines import require_engine

import pysciml as ps
from pysciml.engines.choose import choose_engine

WORDS = {"julia": ["Tsit5", "Rodas5P"], "diffrax": ["Tsit5", "Kvaerno5"]}
TIMES = np.array([0.0, 1.0, 2.0, 4.0])


def make():
    inflow = xr.DataArray([0.0, 1.0, 2.0, 0.0], {"time": TIMES}, "time")
    steps = ps.interpolate(xr.DataArray([1.0, 2.0, 1.0, 1.0], {"time": TIMES}, "time"), "previous")
    return ps.ODEProblem(
        lambda t, u, p: {"x": p.inflow(t) * p.gate(t) - p.k * u.x},
        lambda p: {"x": 0.5 * p.start},
        (0, 4),
        {"k": 0.5, "start": 1.0, "inflow": ps.interpolate(inflow), "gate": steps},
        observe=lambda t, u, p: {"outflow": p.k * u.x},
    )


def others(problem):
    """The same model with other parameters, another start, another table at other times, another span."""
    table = ps.interpolate(xr.DataArray([1.0, 0.0, 2.0, 3.0], {"time": [-1.0, 0.5, 2.5, 5.0]}, "time"))
    return [
        problem.remake(p={"k": 2.0, "start": 3.0}),
        problem.remake(p={"inflow": table}),
        problem.remake(p={"inflow": [5.0, 4.0, 3.0, 2.0]}, t_span=(0.5, 3.5)),
        problem.remake(u0={"x": 7.0}),
    ]


@contextmanager
def count_compilations(engine):
    """A list that holds, at the end, what was compiled."""
    found = []
    if engine == "julia":
        julia = choose_engine("julia")
        programs, seconds = julia.compilations()
        yield found
        programs_then, seconds_then = julia.compilations()
        found += ["Program"] * (programs_then - programs) + ["method"] * (seconds_then > seconds)
        return

    class Handler(logging.Handler):
        def emit(self, record):
            if "Compiling" in record.getMessage():
                found.append(record.getMessage())

    logger, handler = logging.getLogger("jax._src.interpreters.pxla"), Handler()
    logger.addHandler(handler)
    try:
        with jax.log_compiles(True):
            yield found
    finally:
        logger.removeHandler(handler)


def test_the_count_counts(engine):
    """A model that was never seen is compiled."""
    with count_compilations(engine) as found:
        problem = ps.ODEProblem(
            lambda t, u, p: {"x": -p.k * u.x + np.cos(0.123456 * t)}, {"x": 1.0}, (0, 1), {"k": 2.0}
        )
        ps.solve(problem, "Tsit5", saveat=[1.0], engine=engine)
    assert set(found) == {"Program", "method"} if engine == "julia" else found


@pytest.mark.parametrize("place", [0, 1])
def test_solves_of_remade_problems_compile_nothing(engine, place):
    word, problem = WORDS[engine][place], make()
    options = {"saveat": np.linspace(1, 3, 5), "engine": engine}
    first = ps.solve(problem, word, **options)
    with count_compilations(engine) as found:
        results = [ps.solve(other, word, rtol=1e-5, **options) for other in others(problem)]
    assert not found
    assert all(abs(float(ds.x[-1] - first.x[-1])) > 1e-3 for ds in results)


def test_gradients_of_remade_problems_compile_nothing(engine):
    problem = make()
    data = xr.Dataset({"outflow": ("time", [0.5, 0.7])}, {"time": [1.0, 3.0]})
    options = {"engine": engine, "algorithm": "Tsit5", "wrt": ["k", "start"]}
    ps.gradient(problem, data, **options)
    with count_compilations(engine) as found:
        for other in others(problem)[:3]:
            ps.gradient(other, 1.1 * data, **options)
    assert not found


COMMON = ["auto", "Tsit5", "Vern7", "Vern9", "Rodas5P", "Rosenbrock23", "FBDF", "QNDF", "KenCarp4"]


def test_the_first_solve_of_a_new_model_compiles_its_own_functions_only():
    """By each of the common methods, whose packages may come with the first of the models."""
    require_engine("julia")
    julia = choose_engine("julia")
    julia.compilations()
    for k, word in enumerate(COMMON):
        seconds = []
        for n in range(5):
            problem = ps.ODEProblem(
                lambda t, u, p, a=1.0 + 0.1 * k + 0.01 * n: {"x": a * u.y - u.x, "y": -p.k * u.y * u.x**2},
                {"x": 1.0, "y": 2.0}, (0, 1), {"k": 2.0},
            )  # fmt: skip
            programs, before = julia.compilations()
            ps.solve(problem, word, saveat=[0.5, 1.0], engine="julia")
            programs_then, then = julia.compilations()
            assert 0 < programs_then - programs <= 5, word
            seconds.append(then - before)
        assert 0 < min(seconds) < 0.05, word  # 0.005 to 0.011 on a quiet machine; with a method to compile, 0.2 to 7


def test_the_first_gradient_of_a_new_model_compiles_its_own_functions_only():
    """Tsit5 and Rodas5P, a network: neither solver nor adjoint is compiled, nor is a package loaded."""
    require_engine("julia")
    julia = choose_engine("julia")
    julia.compilations()
    net = ps.MLP(2, 2, width=11, depth=1, seed=3)
    data = xr.Dataset({"u": (("time", "state"), [[1.5, 1.0], [1.0, 1.2]])}, {"time": [0.5, 1.0]})
    for word, rate in (("Tsit5", 0.51), ("Rodas5P", 0.52)):
        problem = ps.ODEProblem(lambda t, u, p, r=rate: p.net(u**3) - r * u, np.array([2.0, 0.5]), (0, 1), {"net": net})
        before, start = julia.compilations(), time.process_time()
        o = ps.objective(problem, data, engine="julia", algorithm=word)
        value, gradient = o(o.x0)
        seconds = time.process_time() - start
        programs, compiling = (b - a for a, b in zip(before, julia.compilations(), strict=True))
        assert o.sensitivity == "discrete" and np.all(np.isfinite(gradient)) and np.any(gradient)
        assert programs <= 8
        assert compiling < 1.5 and seconds < 2.0  # 0.2 and 0.3 on a quiet machine; with an adjoint to compile, 7


def test_the_first_gradient_of_many_experiments_compiles_what_they_have_in_common():
    """Forty, each with a start of its own, solved as lanes of a wide problem: what solves and reverses it is there."""
    require_engine("julia")
    julia, times = choose_engine("julia"), np.array([0.5, 1.0])
    problem = ps.ODEProblem(lambda t, u, p: {"x": -p.k * u.x**1.53}, {"x": 1.0}, (0, 1), {"k": 0.53})
    starts = xr.DataArray(np.linspace(0.9, 1.1, 40), dims="run")
    x = np.exp(-0.6 * times) * starts.values[:, None]
    data = xr.Dataset({"x": (("run", "time"), x)}, {"time": times, "run": np.arange(40)})
    (programs, _), start = julia.compilations(), time.process_time()
    o = ps.objective(problem, data, engine="julia", algorithm="Vern9", over={"u0_x": starts}, trainable=["k"])
    _, gradient = o(o.x0)
    assert time.process_time() - start < 0.8  # 0.3 on a quiet machine; with what solves lanes to compile, 1.2
    assert "lanes" in o._compiled.reason and np.any(gradient)
    assert julia.compilations()[0] - programs <= 8
