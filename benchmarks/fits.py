"""How long does a fit take to reach a given loss, beside training loops by hand?

``python benchmarks/fits.py [--case NAME]... [--torch PYTHON]`` needs a Julia that is ready, whose project for the loop
there also has Zygote, ReverseDiff, Optimization, OptimizationOptimisers and OptimizationOptimJL; ``--torch`` is a
Python that has torchdiffeq. Some seven minutes. Ours is ``ps.fit`` as it comes (Adam, then L-BFGS, a growing horizon,
scaled coordinates) on each engine.

The loops by hand train the network's own weights from the same start, by Tsit5 (dopri5 in torchdiffeq) with the same
tolerances in double precision: one jitted step of Adam in diffrax and optax; Adam in torchdiffeq; Adam, or Adam and
then L-BFGS, of Optimization with the quickest of SciMLSensitivity's adjoints. Of several learning rates, with and
without a first stage on a tenth of the data's span (as in diffrax's own example), the one that arrives first counts.
The loss is the mean over all data of squares, each state divided by its deviation. Times are those of training: what is
compiled before the first step is told apart. A run that hasn't arrived after ``LIMIT`` seconds is given up, a contender
after ``BUDGET``.

``--members 8`` measures in place of this how long so many members of ``ps.fit_ensemble`` take, one after the other and
in processes, whose start is counted, and compares their bits.
"""

import argparse
import subprocess
import tempfile
import time
from itertools import product
from pathlib import Path

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
import optax
from gradient_problems import CASES

import pysciml as ps
from pysciml.engines.julia.route import apply_route, find_route

jax.config.update("jax_enable_x64", True)
TARGETS = {"spiral, 252 weights": 1e-4, "hares and lynxes, 356 weights": 1e-4, "Hamiltonian, 1185 weights": 1e-3}
MODELS = dict(zip(TARGETS, ("spiral", "universal", "hamiltonian"), strict=True))  # as the other languages call them
RTOL, ATOL = 1e-6, 1e-8
RATES = (1e-2, 3e-3, 3e-2, 1e-3)
STEPS = 5000
LIMIT, BUDGET = 20.0, 24.0
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
    best, began = (None, compiling, 0), time.perf_counter()
    for has_short, rate in product((False, True), RATES):
        left = BUDGET - (time.perf_counter() - began)
        limit = min(best[0] or LIMIT, left)
        found = _train(step, optimizer, start, rate, has_short, times, (t0, t1), target, limit) if left > 0 else None
        if found is not None:
            best = (found[0], compiling, found[1])
    return best


def fit_elsewhere(command, name, case, target):
    """The same of the quickest loop of a script in another process."""
    arrays = {
        "start": case.problem.p_values,
        "u0": case.problem.u0_values,
        "times": case.data.time.values,
        "span": case.problem.t_span,
        "scale": case.values.std(axis=0),
        "values": case.values,
    }
    with tempfile.TemporaryDirectory() as folder:
        for one, values in arrays.items():
            (Path(folder) / one).write_bytes(np.ascontiguousarray(values, dtype=np.float64).tobytes())
        words = [*command, folder, MODELS[name], *map(str, (target, LIMIT, BUDGET))]
        done = subprocess.run(words, capture_output=True, text=True, timeout=600)
    rows = [line.split(";")[1:] for line in done.stdout.splitlines() if line.startswith("arrived")]
    if done.returncode:
        print(f"{command[-1]}: {done.stderr[-300:]}")
    if not rows:
        return None, np.nan, 0
    seconds, steps, compiling, _ = min(rows, key=lambda row: float(row[0]))
    return float(seconds), float(compiling), int(steps)


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
    parser.add_argument("--case", action="append", choices=list(TARGETS))
    parser.add_argument("--torch")
    parser.add_argument("--members", type=int)
    arguments = parser.parse_args()
    if arguments.members:
        return compare_members(arguments.members)
    executable, project, *_ = apply_route(find_route())
    here = Path(__file__).parent
    julia = [executable, f"--project={project}", str(here / "fits.jl")]
    torch = [arguments.torch, str(here / "fits_torch.py")]
    columns = [
        "julia",
        "diffrax engine",
        "diffrax by hand",
        "Julia by hand",
        *(["torchdiffeq"] if arguments.torch else []),
    ]
    print("case | target | " + " | ".join(columns) + " | best by hand over julia | diffrax by hand over diffrax engine")
    for name in arguments.case or TARGETS:
        case, target = CASES[name](), TARGETS[name]
        runs = [fit_ours(case, "julia", target), fit_ours(case, "diffrax", target), fit_by_hand(case, target)]
        runs.append(fit_elsewhere(julia, name, case, target))
        runs += [fit_elsewhere(torch, name, case, target)] if arguments.torch else []
        shown = [f"not in {LIMIT:g} s" if s is None else f"{s:.3f} s, {n} its, +{c:.1f}" for s, c, n in runs]
        by_hand = min((run[0] for run in runs[2:] if run[0] is not None), default=None)
        ratios = [_ratio(by_hand, runs[0][0]), _ratio(runs[2][0], runs[1][0])]
        print(f"{name} | {target:.0e} | " + " | ".join(shown + ratios), flush=True)


def compare_members(members):
    """Print seconds of an ensemble one after the other and in processes."""
    case = CASES["hares and lynxes, 356 weights"]()
    options = {"algorithm": "Tsit5", "rtol": RTOL, "atol": ATOL, "progress": False, "verify": "never"}
    for engine in ("julia", "diffrax"):
        given = {"engine": engine, "optimizer": [ps.Adam(steps=2000), ps.LBFGS(steps=1000)], **options}
        ps.fit(case.problem, case.data, **(given | {"optimizer": [ps.Adam(steps=8), ps.LBFGS(steps=2)]}))
        found, took = [], []
        for parallel in ("serial", "processes"):
            began = time.perf_counter()
            one = ps.fit_ensemble(case.problem, case.data, members=members, parallel=parallel, **given)
            took.append(time.perf_counter() - began)
            found.append(np.array([member.problem.p_values for member in one.members]))
        same = "the same bits" if np.array_equal(*found) else "other bits"
        print(f"{engine}: {members} members {took[0]:.1f} s, in processes {took[1]:.1f} s, {same}", flush=True)


def _ratio(theirs, ours):
    if ours is None:
        return "-"
    return f"over {LIMIT / ours:.0f}" if theirs is None else f"{theirs / ours:.1f}"


if __name__ == "__main__":
    main()
