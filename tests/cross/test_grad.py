"""ps.grad inside models: motion from energies, against JAX, closed forms, differences and the other engine."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr
from support.engines import require_engine

import pysciml as ps
from pysciml.ir.evaluate import evaluate_program

ENGINES = {"julia": "Vern9", "diffrax": "DP8"}
TIGHT = {"rtol": 1e-11, "atol": 1e-12}
SYMPLECTIC = np.array([[0.0, 0.0, 1.0, 0.0], [0.0, 0.0, 0.0, 1.0], [-1.0, 0.0, 0.0, 0.0], [0.0, -1.0, 0.0, 0.0]])


def hamiltonian():
    """Two coordinates, two momenta, their energy a network, their motion its gradient."""
    net = ps.MLP(4, 1, width=8, depth=2, seed=3)

    def motion(t, u, p):
        return SYMPLECTIC @ ps.grad(lambda z: 5.0 * p.net(z)[0] + 0.5 * np.sum(z**2))(u)

    return ps.ODEProblem(motion, np.array([1.0, 0.3, -0.2, 0.5]), (0.0, 3.0), {"net": net})


def jax_energy(z, weights):
    """The same, by JAX."""
    sizes = [(4, 8), (8, 8), (8, 1)]
    x, start = z, 0
    for layer, (n, m) in enumerate(sizes):
        matrix = weights[start : start + n * m].reshape(n, m)
        bias = weights[start + n * m : start + n * m + m]
        x, start = x @ matrix + bias, start + n * m + m
        x = jnp.tanh(x) if layer < 2 else x
    return 5.0 * x[0] + 0.5 * jnp.sum(z**2)


def observed(problem):
    times = np.linspace(0.0, 3.0, 7)
    ds = ps.solve(problem, "DP8", saveat=times, engine="diffrax", **TIGHT)
    return 1.1 * ds[["u"]]


def test_the_motion_of_a_hamiltonian_network_is_jax_grad():
    problem = hamiltonian()
    weights = problem.p_values
    with jax.enable_x64(True):
        for z in np.random.default_rng(0).standard_normal((5, 4)):
            want = SYMPLECTIC @ np.asarray(jax.grad(jax_energy)(jnp.asarray(z), jnp.asarray(weights)))
            np.testing.assert_allclose(evaluate_program(problem.program, 0.0, z, weights)[0], want, rtol=1e-12)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_hamiltonian_network_keeps_its_energy(engine):
    require_engine(engine)
    problem = hamiltonian()
    ds = ps.solve(problem, ENGINES[engine], saveat=np.linspace(0, 3, 7), engine=engine, **TIGHT)
    with jax.enable_x64(True):
        energy = [float(jax_energy(jnp.asarray(z), jnp.asarray(problem.p_values))) for z in ds.u.values]
    assert np.ptp(ds.u.values, axis=0).min() > 0.1
    np.testing.assert_allclose(energy, energy[0], rtol=1e-9)


def test_gradients_of_a_hamiltonian_network():
    """By the weights: second derivatives of the energy, on both engines and by differences."""
    problem = hamiltonian()
    data = observed(problem)
    found = {}
    for engine, algorithm in ENGINES.items():
        require_engine(engine)
        misfit = ps.objective(problem, data, loss="mse", engine=engine, algorithm=algorithm, **TIGHT)
        found[engine] = misfit(misfit.x0)
        direction = np.random.default_rng(1).standard_normal(misfit.x0.size)
        slopes = [
            (misfit.value(misfit.x0 + h * direction) - misfit.value(misfit.x0 - h * direction)) / (2 * h)
            for h in (1e-3, 2e-3)
        ]
        difference = (4 * slopes[0] - slopes[1]) / 3
        assert found[engine][1] @ direction == pytest.approx(difference, rel=1e-6)
    (value, gradient), (other_value, other) = found.values()
    assert value == pytest.approx(other_value, rel=1e-8)
    np.testing.assert_allclose(gradient, other, rtol=1e-6, atol=1e-6 * np.max(np.abs(other)))


def test_a_stiff_method_takes_the_third_derivatives():
    require_engine("julia")
    problem = hamiltonian()
    found = []
    for algorithm in ("Vern9", "Rodas5P"):
        tolerances = TIGHT if algorithm == "Vern9" else {"rtol": 1e-9, "atol": 1e-11}
        misfit = ps.objective(
            problem,
            observed(problem),
            loss="mse",
            engine="julia",
            algorithm=algorithm,
            sensitivity="discrete",
            **tolerances,
        )
        found.append(misfit(misfit.x0)[1])
    np.testing.assert_allclose(found[1], found[0], rtol=1e-5, atol=1e-6 * np.max(np.abs(found[0])))


@pytest.mark.parametrize("engine", ENGINES)
def test_the_pendulum_from_its_lagrangian(engine):
    """The equation of Euler and Lagrange, whose mass is a second derivative, against the one by hand."""
    require_engine(engine)

    def lagrangian(q, v, p):
        return 0.5 * p.m * p.length**2 * v**2 + p.m * p.g * p.length * np.cos(q)

    def by_energy(t, u, p):
        force = ps.grad(lagrangian)(u.q, u.v, p)
        momentum = ps.grad(lagrangian, 1)
        mass = ps.grad(lambda v: momentum(u.q, v, p))(u.v)
        drift = ps.grad(lambda q: momentum(q, u.v, p))(u.q)
        return {"q": u.v, "v": (force - drift * u.v) / mass}

    def by_hand(t, u, p):
        return {"q": u.v, "v": -p.g / p.length * np.sin(u.q)}

    u0, p = {"q": 2.0, "v": 0.1}, {"m": 0.7, "g": 9.81, "length": 1.3}
    options = {"saveat": [1.0, 5.0], "engine": engine, "algorithm": ENGINES[engine], **TIGHT}
    one, other = (ps.solve(ps.ODEProblem(f, u0, (0, 5), p), **options) for f in (by_energy, by_hand))
    np.testing.assert_allclose(one.q, other.q, rtol=1e-9)
    data = xr.Dataset({"q": 1.1 * other.q.drop_vars(["m", "g", "length"])})
    slopes = [
        ps.gradient(ps.ODEProblem(f, u0, (0, 5), p), data, wrt=["g", "length", "u0_q"], **_without(options, "saveat"))[
            1
        ]
        for f in (by_energy, by_hand)
    ]
    for name in ("g", "length", "u0_q"):
        assert float(slopes[0][name]) == pytest.approx(float(slopes[1][name]), rel=1e-6)


def _without(options, name):
    return {key: value for key, value in options.items() if key != name}


@pytest.mark.parametrize(
    ("function", "of_jax"),
    [
        (lambda x: np.sum(np.sin(x) * x**2), lambda x: jnp.sum(jnp.sin(x) * x**2)),
        (lambda x: np.linalg.norm(x[1:] - x[:-1]), lambda x: jnp.linalg.norm(x[1:] - x[:-1])),
        (lambda x: np.sum(np.where(x > 0, x**2, -x)), lambda x: jnp.sum(jnp.where(x > 0, x**2, -x))),
        (lambda x: np.prod(x) / np.max(x), lambda x: jnp.prod(x) / jnp.max(x)),
        (lambda x: (x @ np.outer(x, x) @ np.roll(x, 1)), lambda x: (x @ jnp.outer(x, x) @ jnp.roll(x, 1))),
        (
            lambda x: np.cumsum(x)[2] * x[0] + np.logaddexp(x[1], x[3]),
            lambda x: jnp.cumsum(x)[2] * x[0] + jnp.logaddexp(x[1], x[3]),
        ),
    ],
)  # fmt: skip
def test_of_arrays_against_jax(function, of_jax):
    x, v = np.random.default_rng(5).standard_normal((2, 6))
    with jax.enable_x64(True):
        want = np.asarray(jax.grad(of_jax)(jnp.asarray(x)))
        second = np.asarray(jax.grad(lambda y: jax.grad(of_jax)(y) @ v)(jnp.asarray(x)))
    np.testing.assert_allclose(ps.grad(function)(x), want, rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(ps.grad(lambda y: ps.grad(function)(y) @ v)(x), second, rtol=1e-11, atol=1e-12)
