"""Derivative Programs against JAX and against dual numbers, and the stiff solves that stand on them."""

import time

import numpy as np
import pytest
from support.engines import require_engine
from support.programs import random_programs

import pysciml as ps
from pysciml.engines.choose import load_engine
from pysciml.engines.julia import derivatives
from pysciml.ir.derivatives import jvp
from pysciml.ir.evaluate import evaluate_nodes, evaluate_program
from pysciml.ir.ops import BOOL
from pysciml.ir.reverse import vjp


def is_finite(program, inputs):
    return all(np.all(np.isfinite(v)) and np.all(np.abs(v) < 1e150) for v in evaluate_nodes(program, *inputs))


def test_jvp_equals_jax():
    require_engine("diffrax")
    import jax

    from pysciml.engines.diffrax.lower import lower_program
    from pysciml.engines.diffrax.precision import double_precision

    compared = 0
    for k, (program, inputs) in enumerate(random_programs(60, seed=31)):
        floats = [i for i, o in enumerate(program.outputs) if program.nodes[o.node].dtype != BOOL]
        if not floats or not is_finite(program, inputs):
            continue
        rng = np.random.default_rng(k)
        tangents = [rng.integers(-2, 3, np.shape(x)).astype(float) for x in inputs]
        got = evaluate_program(jvp(program, [item.name for item in program.inputs]), *inputs, *tangents)
        with double_precision():
            function = lower_program(program)
            both = jax.jit(
                lambda x, dx, f=function, keep=floats: jax.jvp(lambda *y: [f(*y)[i] for i in keep], x, dx)[1]
            )
            want = both(tuple(inputs), tuple(tangents))
        for i, w in zip(floats, want, strict=True):
            np.testing.assert_allclose(got[i], w, rtol=1e-8, atol=1e-12)
            compared += 1
    assert compared > 40


def test_vjp_equals_jax():
    """Where JAX has an answer: it multiplies the branch that where drops by 0, which may be NaN."""
    require_engine("diffrax")
    import jax

    from pysciml.engines.diffrax.lower import lower_program
    from pysciml.engines.diffrax.precision import double_precision

    compared = 0
    for k, (program, inputs) in enumerate(random_programs(60, seed=33)):
        floats = [i for i, o in enumerate(program.outputs) if program.nodes[o.node].dtype != BOOL]
        if not floats or not is_finite(program, inputs):
            continue
        rng = np.random.default_rng(k)
        shapes = [program.nodes[o.node].shape for o in program.outputs]
        cotangents = [rng.integers(-2, 3, shape).astype(float) for shape in shapes]
        got = evaluate_program(vjp(program, [item.name for item in program.inputs]), *inputs, *cotangents)
        with double_precision():
            function = lower_program(program)
            pull = jax.jit(lambda x, v, f=function, keep=floats: jax.vjp(lambda *y: [f(*y)[i] for i in keep], *x)[1](v))
            want = pull(tuple(inputs), [cotangents[i] for i in floats])
        for g, w in zip(got, want, strict=True):
            sure = np.isfinite(w)
            np.testing.assert_allclose(g[sure], np.asarray(w)[sure], rtol=1e-8, atol=1e-12)
            compared += np.any(sure)
    assert compared > 60


@pytest.fixture(scope="module")
def julia():
    require_engine("julia")
    return load_engine("julia")


def both_derivatives(engine, program, t, u, p, v):
    """The generated ones and the dual numbers' ones: Jacobian, slope in time, product with v."""
    handles = engine._load.model(program, "Rodas5P"), engine._load.program(program)
    return [engine._bridge.call("evaluate_derivatives", handle, v, u, p, float(t)) for handle in handles]


def test_generated_derivatives_equal_dual_numbers(julia):
    compared = 0
    for program, (t, u, p) in random_programs(60, seed=32, rhs=True, most_nodes=14):
        if is_finite(program, (t, u, p)):
            generated, dual = both_derivatives(julia, program, t, u, p, np.arange(1.0, len(u) + 1))
            for got, want in zip(generated, dual, strict=True):
                np.testing.assert_allclose(got, want, rtol=1e-9, atol=1e-12)
            compared += 1
    assert compared > 25


def heat(t, u, p):
    padded = np.pad(u, 1)
    return p.conductivity * (len(u) + 1) ** 2 * (padded[2:] - 2 * u + padded[:-2]) + np.cos(t) * u**2


def brusselator(t, u, p):
    def laplace(z):
        around = np.roll(z, 1, 0) + np.roll(z, -1, 0) + np.roll(z, 1, 1) + np.roll(z, -1, 1)
        return p.alpha * len(z) ** 2 * (around - 4 * z)

    force = np.where(t > 1.1, 5.0, 0.0)
    reaction = u.x**2 * u.y
    return {"x": 1 + reaction - 4.4 * u.x + laplace(u.x) + force, "y": 3.4 * u.x - reaction + laplace(u.y)}


def make_heat(n, t1=0.1):
    x = np.linspace(0, 1, n + 2)[1:-1]
    return ps.ODEProblem(heat, np.sin(np.pi * x), (0.0, t1), {"conductivity": 0.1})


def make_brusselator(n, t1):
    """Hairer, Wanner (1996), IV.10; on n x n cells that repeat in both directions."""
    y, x = np.meshgrid(*[np.arange(n) / n] * 2)
    u0 = {"x": 22 * (y * (1 - y)) ** 1.5, "y": 27 * (x * (1 - x)) ** 1.5}
    return ps.ODEProblem(brusselator, u0, (0.0, t1), {"alpha": 0.01})


@pytest.mark.parametrize(
    "problem, is_sparse",
    [(make_heat(30), False), (make_heat(60), False), (make_heat(300), True), (make_brusselator(12, 1.0), True)],
    ids=["unrolled", "compressed", "sparse", "two species"],
)
def test_generated_jacobians_of_grids_equal_dual_numbers(julia, problem, is_sparse):
    found = derivatives.derive(problem.program, lambda *x: julia._bridge.call("color_pattern", *x))
    assert found.is_sparse == is_sparse
    rng = np.random.default_rng(0)
    (n,) = problem.program.inputs[1].shape
    u, v = rng.uniform(0.5, 1.5, n), rng.normal(size=n)
    generated, dual = both_derivatives(julia, problem.program, 0.3, u, np.array([0.1]), v)
    for got, want in zip(generated, dual, strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-12, atol=1e-10)


def test_the_brusselator_on_32_by_32_cells_agrees_between_dense_and_sparse(julia, monkeypatch):
    problem = make_brusselator(32, 0.05)
    options = {"saveat": [0.05], "engine": "julia", "rtol": 1e-5, "atol": 1e-7}
    sparse = ps.solve(problem, "Rodas5P", **options)
    monkeypatch.setattr(derivatives, "SPARSE_FROM", 10**9)
    monkeypatch.setattr(derivatives, "LARGEST_DENSE", 10**9)
    monkeypatch.setattr(julia._load, "_models", {})
    dense = ps.solve(problem, "Rodas5P", **options)
    for name in ("x", "y"):
        np.testing.assert_allclose(sparse[name], dense[name], rtol=1e-9)


@pytest.mark.parametrize("algorithm, most", [("Rodas5P", 20.0), ("FBDF", 20.0), ("auto", 30.0)])
def test_heat_on_a_hundred_thousand_cells_takes_seconds(julia, algorithm, most):
    problem = make_heat(100_000, t1=1e-4 if algorithm == "auto" else 0.1)
    start = time.process_time()
    found = ps.solve(problem, algorithm, saveat=[problem.t_span[1]], engine="julia", output="arrays")
    assert time.process_time() - start < most
    coarse = ps.solve(
        make_heat(2499, t1=problem.t_span[1]), "Rodas5P", saveat=[problem.t_span[1]], engine="julia", rtol=1e-8
    )
    (values,) = found[1].values()
    (want,) = coarse.data_vars.values()
    fine = np.linspace(0, 1, 100_002)
    np.testing.assert_allclose(
        np.interp(np.linspace(0, 1, 2501)[1:-1], fine[1:-1], values[-1]), want[-1], rtol=2e-5, atol=1e-5
    )
