"""What do a first solve, a new model, a warm call and a first gradient cost from Python, apart from the numerics?

``python benchmarks/calls.py`` runs both engines, each in processes of its own, and prints a table: medians, with the
quartiles behind them. Lotka-Volterra, rtol = atol = 1e-8, 101 save times. "Process" is the wall time from the start of
Python to the end of the first solve; "new model" the first solve of a right-hand side that this process has not seen,
with a word that has been used before; "warm" the same problem again,
also remade with other values.
"""

import json
import subprocess
import sys
import time

import numpy as np

WORDS = {
    "julia": ("Tsit5", "Vern7", "Vern9", "Rodas5P", "Rosenbrock23", "FBDF", "QNDF", "KenCarp4", "auto"),
    "diffrax": ("Tsit5", "DP8", "Kvaerno5", "auto"),
}
FIRST = """
import numpy as np
import pysciml as ps

def make(factor):
    def lotka_volterra(t, u, p):
        return {"x": p.a * u.x - factor * p.b * u.x * u.y, "y": p.d * u.x * u.y - p.c * u.y}
    return ps.ODEProblem(lotka_volterra, {"x": 1.0, "y": 1.0}, (0, 10), {"a": 1.5, "b": 1.0, "c": 3.0, "d": 1.0})

words = {"saveat": np.linspace(0, 10, 101), "rtol": 1e-8, "atol": 1e-8, "engine": ENGINE}
problem = make(1.0)
first = ps.solve(problem, "Tsit5", **words)
"""
REST = """
import json, time

def timed(run):
    start = time.perf_counter()
    run()
    return time.perf_counter() - start

found, factor = {}, 1.0
for word in WORDS:
    ps.solve(problem, word, **words)
    models = [make(factor := factor + 1 / 64) for _ in range(5)]
    found[f"new model, {word}"] = [timed(lambda: ps.solve(m, word, **words)) for m in models]
for name, output in (("arrays", "arrays"), ("Dataset", "dataset")):
    run = lambda: ps.solve(problem, "Tsit5", output=output, **words)
    run()
    found[f"warm, {name}"] = [timed(run) for _ in range(1000)]
    values = iter(1.5 + 1e-4 * k for k in range(2000))
    run = lambda: ps.solve(problem.remake(p={"a": next(values)}), "Tsit5", output=output, **words)
    found[f"warm, {name}, other values each time"] = [timed(run) for _ in range(1000)]
changes = [{"p": {"a": 1.5}}] * 200
run = lambda: ps.solve_many(problem, changes, "Tsit5", output="arrays", **words)
found["warm, arrays, each of 200 by solve_many"] = [timed(run) / len(changes) for _ in range(10)]
del words["saveat"]
run = lambda: ps.gradient(problem, first, algorithm="Tsit5", sensitivity=ADJOINT, **words)
found["first gradient, reverse mode"] = [timed(run)]
print(json.dumps(found))
"""


def run(engine, text):
    """Seconds that a process took, and what it said."""
    adjoint = {"julia": "discrete", "diffrax": "checkpointed"}[engine]
    head = f"ENGINE, WORDS, ADJOINT = {engine!r}, {WORDS[engine]!r}, {adjoint!r}\n"
    start = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", head + text], capture_output=True, text=True)
    seconds = time.perf_counter() - start
    if done.returncode:
        sys.exit(done.stderr[-3000:])
    return seconds, done.stdout


def show(name, seconds):
    """One row of the table."""
    low, middle, high = (f"{1e3 * value:.3g}" for value in np.quantile(seconds, [0.25, 0.5, 0.75]))
    print(f"| {name} | {middle} | {low} to {high} |", flush=True)


def main():
    """One table an engine."""
    for engine in WORDS:
        run(engine, FIRST)  # compiles what is to be compiled once a machine
        print(f"\n| {engine} | median, ms | quartiles |\n|---|---|---|")
        show("process, first solve", [run(engine, FIRST)[0] for _ in range(5)])
        for name, seconds in json.loads(run(engine, FIRST + REST)[1]).items():
            show(name, seconds)


if __name__ == "__main__":
    main()
