"""How long do many trajectories take: ours, hand-written Julia, diffrax in blocks, SciPy with joblib, torchdiffeq?

``python benchmarks/ensembles.py [--case NAME]... [--size N]... [--torch PYTHON]`` (which has torchdiffeq) prints,
for each case and contender, the least of some warm runs on all cores, at the quickest of three tolerances whose
error is no more than ours at 1e-6 (10 % allowed; else the tightest, marked *). The error is the 90th percentile
over 100 members of the largest error of the end state in units of ``1e-6 (atol + |u|)``. Ours is from Python and
back, its Dataset included; the others' are the solves alone. diffrax runs in one process a core, each a
``lax.map`` of ``vmap`` over blocks; SciPy's time is that of 200 members, scaled; torchdiffeq (dopri5) takes all as
one state, and no stiff ones.

``--cores`` prints what ours takes with one of Julia's threads over what it takes with all, by their number, five
processes of each in turn: the median, the least and the largest. ``--dask ENGINE [--pieces N]`` measures what a
cluster adds instead: Lorenz sweeps in pieces of about a second, by one worker and in this process
(``reduce="mean"``, and written), and by a worker a core.
"""

import argparse
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

TOLERANCES = (1e-5, 1e-6, 1e-7)
CASES = {"lorenz": (100, 10_000), "robertson": (1000, 10_000)}  # members, unless given
MANY = 100_000  # members, from which on a single warm run is timed
SPANS = {"lorenz": 10.0, "robertson": 1e5}
ATOL = {"lorenz": 1e-2, "robertson": 1e-4}  # times rtol
SAMPLE = 200  # members that SciPy solves
HERE = Path(__file__).parent


def values(case, n):
    """The parameter that differs."""
    return np.linspace(5.0, 28.0, n) if case == "lorenz" else 10 ** np.linspace(-3.0, -1.0, n)


def model(case, stack):
    """The right-hand side ``(t, u, p)``."""

    def lorenz(t, u, p):
        return stack([10 * (u[1] - u[0]), u[0] * (p - u[2]) - u[1], u[0] * u[1] - 8 / 3 * u[2]])

    def robertson(t, u, p):
        r1, r2, r3 = p * u[0], 3e7 * u[1] ** 2, 1e4 * u[1] * u[2]
        return stack([r3 - r1, r1 - r2 - r3, r2])

    return lorenz if case == "lorenz" else robertson


def best(run, times=5):
    """The last result, and the least seconds of some runs after a first one."""
    found, seconds = run(), []
    for _ in range(times):
        start = time.perf_counter()
        found = run()
        seconds.append(time.perf_counter() - start)
    return found, min(seconds)


def ours(case, n, rtol=None, word=None, **more):
    """End states and seconds of the Julia engine."""
    import pysciml as ps

    problem = ps.ODEProblem(model(case, np.stack), np.array([1.0, 0.0, 0.0]), (0.0, SPANS[case]), 1.0)
    words = {"rtol": rtol, "atol": rtol * ATOL[case], "saveat": [SPANS[case]], "engine": "julia", **more}
    word = word or {"lorenz": "Tsit5", "robertson": "Rodas5P"}[case]
    ds, seconds = best(lambda: ps.ensemble(problem, {"p": values(case, n)}, algorithm=word, **words), repeats(n))
    return ds.u.values[:, 0], seconds


def diffrax_half(case, part, rtol, block, barrier, queue, times):
    """One process's share of the work."""
    os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
    import diffrax
    import jax
    import jax.numpy as jnp

    jax.config.update("jax_enable_x64", True)
    f, u0 = model(case, jnp.stack), jnp.array([1.0, 0.0, 0.0])
    solver = diffrax.Tsit5() if case == "lorenz" else diffrax.Kvaerno4()

    def end(p):
        control = diffrax.PIDController(rtol=rtol, atol=rtol * ATOL[case])
        dt = None if case == "lorenz" else 1e-6
        arguments = (diffrax.ODETerm(f), solver, 0.0, SPANS[case], dt, u0, p)
        saved = diffrax.SaveAt(t1=True)
        return diffrax.diffeqsolve(*arguments, saveat=saved, stepsize_controller=control, max_steps=100_000).ys[-1]

    run = jax.jit(lambda p: jax.lax.map(jax.vmap(end), p.reshape(-1, block)).reshape(-1, 3))
    run(jnp.array(part)).block_until_ready()
    seconds = []
    for _ in range(times):
        barrier.wait()
        start = time.perf_counter()
        found = np.asarray(run(jnp.array(part)))
        seconds.append(time.perf_counter() - start)
    queue.put((part[0], found, seconds))


def diffrax(case, n, rtol):
    """End states, and the least seconds that the slower process takes."""
    context, cores = multiprocessing.get_context("spawn"), os.cpu_count() or 1
    cores = max(k for k in range(1, cores + 1) if n % k == 0)
    share = n // cores
    block = next(b for b in (100, 50, 25, share) if share % b == 0 and b <= share)
    barrier, queue = context.Barrier(cores), context.Queue()
    parts = np.split(values(case, n), cores)
    workers = [
        context.Process(target=diffrax_half, args=(case, p, rtol, block, barrier, queue, repeats(n))) for p in parts
    ]
    for worker in workers:
        worker.start()
    found = sorted((queue.get() for _ in workers), key=lambda item: item[0])
    for worker in workers:
        worker.join()
    return np.concatenate([u for _, u, _ in found]), float(np.min(np.max([s for _, _, s in found], axis=0)))


def scipy(case, n, rtol):
    """End states of some members (NaN for the others), and the seconds that all would take."""
    from joblib import Parallel, delayed

    def end(p):
        from scipy.integrate import solve_ivp

        f, method = model(case, np.array), "RK45" if case == "lorenz" else "LSODA"
        given = {"method": method, "args": (p,), "rtol": rtol, "atol": rtol * ATOL[case]}
        return solve_ivp(f, (0.0, SPANS[case]), [1.0, 0.0, 0.0], **given).y[:, -1]

    places = np.unique(np.linspace(0, n - 1, min(n, SAMPLE)).round().astype(int))
    with Parallel(n_jobs=-1) as parallel:
        found, seconds = best(lambda: parallel(delayed(end)(p) for p in values(case, n)[places]), times=1)
    u = np.full((n, 3), np.nan)
    u[places] = found
    return u, seconds * n / len(places)


TORCH = """
import sys, time
import numpy as np, torch
from torchdiffeq import odeint
folder, n, rtol, atol, end, times = sys.argv[1], *map(float, sys.argv[2:])
r = torch.linspace(5.0, 28.0, int(n), dtype=torch.float64)
u0, span = torch.zeros(int(n), 3, dtype=torch.float64), torch.tensor([0.0, end], dtype=torch.float64)
u0[:, 0] = 1.0
def f(t, u):
    x, y, z = u.unbind(1)
    return torch.stack([10 * (y - x), x * (r - z) - y, x * y - 8 / 3 * z], 1)
took = []
with torch.no_grad():
    for _ in range(int(times) + 1):
        start = time.perf_counter()
        u = odeint(f, u0, span, rtol=rtol, atol=atol, method="dopri5")[-1]
        took.append(time.perf_counter() - start)
np.save(folder, u.numpy())
print(min(took[1:]))
"""


def torch(python, n, rtol):
    """End states of Lorenz systems and the least seconds."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "u.npy"
        numbers = map(str, (n, rtol, rtol * ATOL["lorenz"], SPANS["lorenz"], repeats(n)))
        done = subprocess.run([python, "-c", TORCH, file, *numbers], check=True, capture_output=True, text=True)
        return np.load(file), float(done.stdout)


def repeats(n):
    """How many warm runs are timed."""
    return 5 if n < MANY else 1


def by_hand(case, n, exact):
    """Seconds and error by tolerance of hand-written Julia."""
    from pysciml.engines.julia.route import apply_route, find_route

    executable, project, *_ = apply_route(find_route())
    with tempfile.NamedTemporaryFile() as file:
        file.write(exact.tobytes())
        file.flush()
        command = [executable, "--threads=auto", f"--project={project}", str(HERE / "ensembles.jl")]
        done = subprocess.run([*command, case, str(n), file.name], check=True, capture_output=True, text=True)
    return [tuple(map(float, line.split()))[1:] for line in done.stdout.splitlines()]


def error(case, found, exact, places):
    """The 90th percentile of members' largest errors."""
    errors = np.max(np.abs(found[places] - exact) / (1e-6 * (ATOL[case] + np.abs(exact))), axis=1)
    return float(np.sort(errors[np.isfinite(errors)])[int(np.ceil(0.9 * np.isfinite(errors).sum())) - 1])


def measure(case, n, python=None):
    """Print a table's row of each contender; ``python`` has torchdiffeq."""
    places = np.linspace(0, n - 1, 100).round().astype(int)
    tight = {"lorenz": ("Vern9", 1e-12), "robertson": ("Rodas5P", 1e-11)}[case]
    exact = ours(case, n, rtol=tight[1], word=tight[0], parallel="threads")[0][places]
    found, mine = ours(case, n, rtol=1e-6)
    most = error(case, found, exact, places)
    print(f"| {case}, {n} | ours | {mine:.4f} | 1 | {most:.2g} |", flush=True)
    rungs = {"Julia by hand, EnsembleThreads": by_hand(case, n, exact)}
    contenders = {"diffrax": diffrax, "SciPy, joblib": scipy}
    if python and case == "lorenz":
        contenders["torchdiffeq"] = lambda case, n, rtol: torch(python, n, rtol)
    for name, contender in contenders.items():
        runs = [contender(case, n, rtol) for rtol in TOLERANCES]
        rungs[name] = [(seconds, error(case, u, exact, places)) for u, seconds in runs]
    for name, rows in rungs.items():
        good = [row for row in rows if row[1] <= 1.1 * most]
        seconds, its = min(good) if good else rows[-1]
        mark = "" if good else "*"
        print(f"| {case}, {n} | {name} | {seconds:.4f}{mark} | {seconds / mine:.2g} | {its:.2g} |", flush=True)


CORES = """
import sys
from ensembles import ours
case, n, parallel = sys.argv[1:]
print(ours(case, int(n), rtol=1e-6, parallel=parallel)[1])
"""


CORE_CASES = [("lorenz", 10_000, "auto")]
CORE_CASES += [("robertson", n, parallel) for n in (1000, 10_000) for parallel in ("auto", "threads")]


def core_efficiency():
    """Print the share of all cores' time that is saved, for sweeps by lanes and over threads."""
    cores = os.cpu_count() or 1
    for case, n, parallel in CORE_CASES:
        command, shares = [sys.executable, "-c", CORES, case, str(n), parallel], []
        for _ in range(5):
            one, all_ = (
                float(subprocess.run(command, cwd=HERE, env=env, check=True, capture_output=True, text=True).stdout)
                for env in (os.environ | {"JULIA_NUM_THREADS": str(threads)} for threads in (1, cores))
            )
            shares.append(one / (cores * all_))
        row = " | ".join(f"{x:.2f}" for x in (np.median(shares), min(shares), max(shares)))
        print(f"| {case}, {n}, {parallel} | {row} |", flush=True)


def dask_overhead(engine, pieces):
    """Print the seconds of sweeps in pieces of a second, here and by workers, and their ratio: medians of pairs."""
    import pysciml as ps

    problem = ps.ODEProblem(model("lorenz", np.stack), np.array([1.0, 0.0, 0.0]), (0.0, SPANS["lorenz"]), 1.0)
    words = {"saveat": [SPANS["lorenz"]], "engine": engine, "algorithm": "Tsit5"}

    def run(n, chunk, **more):
        start = time.perf_counter()
        ps.ensemble(problem, {"p": values("lorenz", n)}, chunk_size=chunk, **words, **more)
        return time.perf_counter() - start

    size = 1000
    while (seconds := min(run(size, size, reduce="mean") for _ in range(3))) < 0.5:
        size *= 2
    size = int(size / seconds)
    print("| results | members | workers | here | there | over here |\n" + "|---" * 6 + "|")
    for name in ("reduced", "written"):
        for n_workers in sorted({1, os.cpu_count() or 1}):
            found = _in_turn(lambda more: run(pieces * size, size, **more), name, n_workers)  # noqa: B023
            pairs = np.array(found[1:])  # the first ones start engines and compile
            here, there = np.median(pairs, axis=0)
            row = f"{here:.2f} | {there:.2f} | {np.median(pairs[:, 1] / pairs[:, 0]):.3f}"
            print(f"| {name} | {pieces} of {size} | {n_workers} | {row} |", flush=True)


def _in_turn(run, name, n_workers):
    """Pairs of seconds here and by workers."""
    from distributed import Client, LocalCluster

    found = []
    with (
        LocalCluster(n_workers=n_workers, threads_per_worker=1, dashboard_address=None) as cluster,
        Client(cluster) as client,
    ):
        for _ in range(6):
            pair = []
            for more in ({}, {"parallel": "dask", "client": client}):
                with tempfile.TemporaryDirectory() as folder:
                    how = {"reduce": "mean"} if name == "reduced" else {"to": Path(folder) / "sweep.zarr"}
                    pair.append(run(how | more))
            found.append(pair)
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--case", action="append", choices=list(CASES))
    parser.add_argument("--size", action="append", type=int)
    parser.add_argument("--torch")
    parser.add_argument("--cores", action="store_true")
    parser.add_argument("--dask", choices=("julia", "diffrax"))
    parser.add_argument("--pieces", type=int, default=10)
    arguments = parser.parse_args()
    if arguments.dask:
        dask_overhead(arguments.dask, arguments.pieces)
        sys.exit()
    if arguments.cores:
        core_efficiency()
        sys.exit()
    print("| case | contender | seconds | over ours | error |\n|---|---|---|---|---|")
    for name in arguments.case or CASES:
        for size in arguments.size or CASES[name]:
            measure(name, size, arguments.torch)
