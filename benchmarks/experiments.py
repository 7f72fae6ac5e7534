"""What does a gradient over many experiments cost: several solved side by side, or one after the other?

``python benchmarks/experiments.py [--engine NAME]... [--size N]...`` prints, for each engine, model and number of
experiments, the least seconds of warm gradients of the summed loss as the engine finds best, and without the groups
that are solved at once (Julia: one by one on all threads; diffrax: one by one), and how far the two are apart.
"""

import argparse
import time

import numpy as np
import xarray as xr

import pysciml as ps

TIMES = np.linspace(0.5, 10.0, 20)
REPEATS = 9


def lotka_volterra():
    """Four rates, the same for all; start values differ."""

    def f(t, u, p):
        return {"x": p.a * u.x - p.b * u.x * u.y, "y": p.c * u.x * u.y - p.d * u.y}

    return ps.ODEProblem(f, {"x": 1.0, "y": 1.0}, (0.0, 10.0), {"a": 1.1, "b": 0.4, "c": 0.1, "d": 0.4})


def network():
    """A network of 82 weights in both equations."""

    def f(t, u, p):
        slope = p.net(np.stack([u.x, u.y]))
        return {"x": slope[0] - 0.1 * u.x, "y": slope[1] - 0.1 * u.y}

    return ps.ODEProblem(f, {"x": 1.0, "y": 1.0}, (0.0, 10.0), {"net": ps.MLP(2, 2, width=16, depth=1)})


def robertson():
    """Stiff: three rates, the same for all; start values differ."""

    def f(t, u, p):
        slow, fast, back = p.k1 * u.x, p.k2 * u.y**2, p.k3 * u.y * u.z
        return {"x": back - slow, "y": slow - back - fast, "z": fast}

    return ps.ODEProblem(f, {"x": 1.0, "y": 0.0, "z": 0.0}, (0.0, 1e5), {"k1": 0.04, "k2": 3e7, "k3": 1e4})


CASES = {
    "Lotka-Volterra": lotka_volterra,
    "each its own rate": lotka_volterra,
    "network 2-16-2": network,
    "Robertson": robertson,
}
STIFF = {"julia": "Rodas5P", "diffrax": "Kvaerno5"}


def make(case, n, engine):
    """The objective of a case over so many experiments."""
    rng, run = np.random.default_rng(0), np.arange(n)
    if case == "Robertson":
        times = np.logspace(-5, 5, 20)
        over = {"x": xr.DataArray(rng.uniform(0.8, 1.2, n), {"run": run}, "run")}
        values = {name: (("run", "time"), rng.uniform(0.0, 1.0, (n, times.size))) for name in "xz"}
        data, words = xr.Dataset(values, {"run": run, "time": times}), {"algorithm": STIFF[engine], "atol": 1e-9}
        return ps.objective(robertson(), data, over=over, engine=engine, verify="never", **words)

    def draw(low, high):
        return xr.DataArray(rng.uniform(low, high, n), {"run": run}, "run")

    over = {"x": draw(1.0, 10.0), "y": draw(1.0, 5.0)}
    over |= {"a": draw(0.8, 1.4)} if case == "each its own rate" else {}
    values = {name: (("run", "time"), rng.uniform(1.0, 5.0, (n, TIMES.size))) for name in "xy"}
    data = xr.Dataset(values, {"run": run, "time": TIMES})
    return ps.objective(CASES[case](), data, over=over, engine=engine, algorithm="Tsit5", verify="never")


def measure(case, n, engine):
    """Least seconds, value and gradient."""
    objective, seconds = make(case, n, engine), []
    for _ in range(REPEATS):
        start = time.perf_counter()
        value, gradient = objective(objective.x0)
        seconds.append(time.perf_counter() - start)
    return min(seconds), value, gradient


def groups_of(engine):
    """The module that says from how many experiments on there are groups."""
    if engine == "julia":
        from pysciml.engines.julia import objective_lanes as module
    else:
        from pysciml.engines.diffrax import sums as module
    return module


def compare(case, n, engine):
    """Print a row."""
    together, value, gradient = measure(case, n, engine)
    module = groups_of(engine)
    many, module.MANY = module.MANY, 10**9
    alone, same, slope = measure(case, n, engine)
    module.MANY = many
    apart = max(abs(value / same - 1), np.abs(gradient - slope).max() / np.abs(slope).max())
    row = f"{1e3 * together:.2f} | {1e3 * alone:.2f} | {alone / together:.2g} | {apart:.1e}"
    print(f"| {engine} | {case} | {n} | {row} |", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--engine", action="append", choices=("julia", "diffrax"))
    parser.add_argument("--size", action="append", type=int)
    arguments = parser.parse_args()
    print("| engine | model | experiments | side by side, ms | one by one, ms | over | apart |\n" + "|---" * 7 + "|")
    for engine in arguments.engine or ("julia", "diffrax"):
        for case in CASES:
            for n in arguments.size or (64, 1000):
                compare(case, n, engine)
