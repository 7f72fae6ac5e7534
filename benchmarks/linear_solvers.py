"""Which linear solver should a large stiff problem get?

``python benchmarks/linear_solvers.py [case...]`` needs a Julia that is ready. Medians of warm solves, in seconds, at
1e-6: of FBDF and Rodas5P by KLU and by UMFPACK where the Jacobian is sparse, of FBDF by a dense LU and by GMRES without
a preconditioner where it is full. ``chosen`` is what no option gets. nan: failed, or above the limit of time.
"""

import sys
import time

import numpy as np

import pysciml as ps

LIMIT = 20.0  # seconds: a first solve that takes longer is not repeated


def make_line(n):
    """Diffusion and decay of one substance on a line of n cells."""

    def f(t, u, p):
        inside = (u[2:] - 2 * u[1:-1] + u[:-2]) * p["rate"]
        ends = np.array([(u[1] - 2 * u[0]) * p["rate"], (u[-2] - 2 * u[-1]) * p["rate"]])
        return np.concatenate([ends[:1], inside, ends[1:]]) - u**2

    x = np.arange(1, n + 1) / (n + 1)
    return ps.ODEProblem(f, np.sin(np.pi * x), (0.0, 0.2), {"rate": float((n + 1) ** 2) * 0.1})


def make_brusselator(n):
    """Two substances on a periodic square of n * n cells."""

    def laplacian(u):
        return np.roll(u, 1, 0) + np.roll(u, -1, 0) + np.roll(u, 1, 1) + np.roll(u, -1, 1) - 4 * u

    def f(t, u, p):
        a, b = u.a, u.b
        return {
            "a": 1 + a**2 * b - 4.4 * a + p.rate * laplacian(a),
            "b": 3.4 * a - a**2 * b + p.rate * laplacian(b),
        }

    x = np.arange(n) / n
    y = x[:, None]
    start = {"a": 22 * y * (1 - y) ** 1.5 + 0 * x, "b": 27 * x * (1 - x) ** 1.5 + 0 * y}
    return ps.ODEProblem(f, start, (0.0, 1.0), {"rate": 0.02 * n * n})


def make_full(n):
    """A neural field: each cell decays at a rate of its own, and hears all others."""
    generator = np.random.default_rng(0)
    weights = generator.normal(size=(n, n)) / np.sqrt(n)
    rates = np.logspace(0, 4, n)

    def f(t, u, p):
        return p["rate"] * (np.tanh(weights @ u) - u) * rates

    return ps.ODEProblem(f, generator.normal(size=n), (0.0, 2.0), {"rate": 1.0})


def make_kernel(n):
    """Diffusion on a line, with a loss that depends on the neighbourhood by a kernel without an end."""
    x = np.arange(1, n + 1) / (n + 1)
    kernel = np.exp(-np.abs(x[:, None] - x) / 0.1) / n
    line = np.diag(np.ones(n - 1), 1) + np.diag(np.ones(n - 1), -1) - 2 * np.eye(n)

    def f(t, u, p):
        return p["rate"] * (line @ u) - u * (kernel @ u)

    return ps.ODEProblem(f, np.sin(np.pi * x), (0.0, 0.2), {"rate": float((n + 1) ** 2) * 0.1})


CASES = {
    **{f"line {n}": (make_line, n, ("KLU", "UMFPACK")) for n in (1_000, 10_000, 100_000)},
    **{f"brusselator {n}": (make_brusselator, n, ("KLU", "UMFPACK")) for n in (16, 32, 64, 128)},
    **{f"full {n}": (make_full, n, ("LU", "GMRES")) for n in (600, 1_000, 2_000)},
    **{f"kernel {n}": (make_kernel, n, ("LU", "GMRES")) for n in (600, 1_000, 2_000)},
}


def time_solve(problem, algorithm):
    """Median seconds of warm solves; of the first one, which may compile, if it takes too long to be repeated."""
    times = []
    while len(times) < 2 or (sum(times) < 2.0 and len(times) < 10):
        start = time.perf_counter()
        t, _ = ps.solve(
            problem,
            algorithm,
            saveat=[problem.span[1]],
            rtol=1e-6,
            atol=1e-6,
            engine="julia",
            output="arrays",
            check=False,
        )
        times.append(time.perf_counter() - start)
        if len(t) == 0 or times[-1] > LIMIT:
            break
    return float(np.median(times[1:] or times)) if len(t) else np.nan


def main(names):
    """Print a row a case and method."""
    for name, (make, n, solvers) in CASES.items():
        if names and not any(name.startswith(word) for word in names):
            continue
        problem = make(n)
        for word in ("FBDF",) if solvers[0] == "LU" else ("FBDF", "Rodas5P"):
            cells = [("chosen", time_solve(problem, word))]
            cells += [(s, time_solve(problem, ps.Algorithm(word, linear_solver=s))) for s in solvers]
            print(f"{name:16} {word:8} " + "  ".join(f"{who} {seconds:9.4f}" for who, seconds in cells), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
