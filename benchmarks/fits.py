"""How long does a fit take to reach a given loss, beside a training loop by hand in diffrax and optax?

``python benchmarks/fits.py [--case NAME]...`` needs a Julia that is ready. Ours is ``ps.fit`` as it comes (Adam, then
L-BFGS, a growing horizon, scaled coordinates) on each engine. The loop by hand is one jitted step of Adam on the
network's own weights, from the same start, with the same tolerances and double precision: of four learning rates, with
and without a first stage on a tenth of the data's span (as in diffrax's own example), the one that arrives first. The
loss is the mean over all data of squares, each state divided by its deviation. Times are those of training: what is
compiled before the first step is told apart. A run that hasn't arrived after ``LIMIT`` seconds is given up.
"""

import argparse
import time
from itertools import product

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
import optax
from gradient_problems import CASES

import pysciml as ps

jax.config.update("jax_enable_x64", True)
TARGETS = {"spiral, 252 weights": 1e-4, "hares and lynxes, 356 weights": 1e-4, "Hamiltonian, 1185 weights": 1e-3}
RTOL, ATOL = 1e-6, 1e-8
RATES = (1e-3, 3e-3, 1e-2, 3e-2)
STEPS = 5000
LIMIT = 60.0
REPEATS = 3


def fit_ours(case, engine, target):
    """Seconds of training until the target, of compiling, and iterations; None if it isn't reached."""
    optimizer = [ps.Adam(steps=500), ps.LBFGS(steps=500)]
    options = {"engine": engine, "algorithm": "Tsit5", "rtol": RTOL, "atol": ATOL, "progress": False, "verify": "never"}
    found = []
    began = time.perf_counter()
    ps.fit(case.problem, case.data, optimizer=[ps.Adam(steps=8), ps.LBFGS(steps=2)], **options)
    compiling = time.perf_counter() - began
    for _ in range(REPEATS):
        history = ps.fit(case.problem, case.data, optimizer=optimizer, **options).history
        whole = history.horizon == history.horizon.max()
        there = np.flatnonzero(((history.loss <= target) & whole).values)
        if not there.size:
            return None, compiling, history.sizes["iteration"]
        found.append((float(history.seconds[there[0]]), int(there[0])))
    return sorted(found)[REPEATS // 2][0], compiling, found[0][1]


def fit_by_hand(case, target):
    """The same of the quickest loop."""
    values = case.values
    scale = values.std(axis=0)
    t0, t1 = case.problem.t_span
    times = jnp.asarray(case.data.time.values)
    u0, start = jnp.asarray(case.problem.u0_values), jnp.asarray(case.problem.p_values)
    term = diffrax.ODETerm(lambda t, u, p: case.f(t, u, p))

    def loss(p, end, weights):
        control = diffrax.PIDController(rtol=RTOL, atol=ATOL)
        saveat = diffrax.SaveAt(ts=jnp.minimum(times, end))
        more = {"saveat": saveat, "stepsize_controller": control, "max_steps": 2048, "throw": False}
        ys = diffrax.diffeqsolve(term, diffrax.Tsit5(), t0, end, None, u0, p, **more).ys
        return jnp.sum(weights[:, None] * ((ys - values) / scale) ** 2) / (weights.sum() * values.shape[1])

    optimizer = optax.inject_hyperparams(optax.adam)(learning_rate=1e-3)

    @jax.jit
    def step(p, state, end, weights):
        value, gradient = jax.value_and_grad(loss)(p, end, weights)
        updates, state = optimizer.update(gradient, state)
        return optax.apply_updates(p, updates), state, value

    everything = jnp.ones(len(times))
    began = time.perf_counter()
    jax.block_until_ready(step(start, optimizer.init(start), float(t1), everything))
    compiling = time.perf_counter() - began
    best = (None, compiling, 0)
    for rate, has_short in product(RATES, (False, True)):
        found = _train(step, optimizer, start, rate, has_short, times, (t0, t1), target, best[0] or LIMIT)
        if found is not None:
            best = (found[0], compiling, found[1])
    return best


def _train(step, optimizer, p, rate, has_short, times, span, target, limit):
    """Seconds and steps until the target; None if it isn't reached."""
    state = optimizer.init(p)
    state.hyperparams["learning_rate"] = jnp.asarray(rate)
    end = span[0] + 0.1 * (span[1] - span[0])
    began = time.perf_counter()
    for k in range(STEPS):
        is_short = has_short and k < STEPS // 10
        stop, weights = (end, (times <= end).astype(float)) if is_short else (span[1], jnp.ones(len(times)))
        p, state, value = step(p, state, float(stop), weights)
        if time.perf_counter() - began > limit:
            return None
        if not is_short and float(value) <= target:
            return time.perf_counter() - began, k
    return None


def main():
    """Print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--case", action="append")
    print(f"{'':32}{'target':>8}{'julia':>22}{'diffrax engine':>22}{'by hand':>22}{'ratios':>14}")
    for name in parser.parse_args().case or TARGETS:
        case, target = CASES[name](), TARGETS[name]
        runs = [fit_ours(case, "julia", target), fit_ours(case, "diffrax", target), fit_by_hand(case, target)]
        shown = "".join(f"{'not reached' if s is None else f'{s:.3f} s, {n}':>15}{f'+{c:.1f}':>7}" for s, c, n in runs)
        hand = runs[2][0]
        ratios = " ".join("-" if s is None or hand is None else f"{hand / s:.1f}" for s, _, _ in runs[:2])
        print(f"{name:32}{target:8.0e}{shown}{ratios:>14}", flush=True)


if __name__ == "__main__":
    main()
