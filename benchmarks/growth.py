"""How does the time of a step grow with the number of cells?

``python benchmarks/growth.py`` needs a Julia that is ready (two minutes). Diffusion and decay on a line and a square,
FBDF at 1e-5, warm: milliseconds a step (median of the solves over the steps that the solver counts), and the slope of
their logarithms against cells, from 1000 cells on and over all. Direct sparse solves; GMRES without a preconditioner
apart. Writes ``growth.json``.
"""

import json
import time
from datetime import date
from pathlib import Path

import numpy as np

import pysciml as ps
from pysciml.engines.choose import load_engine

LINE = (100, 300, 1_000, 3_000, 10_000, 30_000, 100_000)
SQUARE = (10, 18, 32, 56, 100, 178, 316)  # cells on a side


def make_line(n):
    """Cells on a line, empty beyond its ends."""

    def f(t, u, p):
        edge = np.zeros(1)
        left, right = np.concatenate([edge, u[:-1]]), np.concatenate([u[1:], edge])
        return p["rate"] * (left + right - 2 * u) - u**2

    x = np.arange(1, n + 1) / (n + 1)
    return ps.ODEProblem(f, np.sin(np.pi * x), (0.0, 1.0), {"rate": 0.1 * (n + 1.0) ** 2})


def make_square(n):
    """Cells on a periodic square."""

    def f(t, u, p):
        around = np.roll(u, 1, 0) + np.roll(u, -1, 0) + np.roll(u, 1, 1) + np.roll(u, -1, 1)
        return p["rate"] * (around - 4 * u) - u**2

    x = np.sin(2 * np.pi * np.arange(n) / n)
    return ps.ODEProblem(f, 2 + x[:, None] * x, (0.0, 1.0), {"rate": 0.02 * float(n) ** 2})


def time_step(problem, algorithm):
    """Milliseconds a step: median and quartiles."""
    options = {"saveat": [1.0], "rtol": 1e-5, "atol": 1e-5, "engine": "julia"}
    ds = ps.solve(problem, algorithm, **options)
    steps, times = json.loads(ds.attrs["pysciml"])["statistics"]["steps"], []
    while len(times) < 2 or (sum(times) < 1.0 and len(times) < 50):
        start = time.perf_counter()
        ps.solve(problem, algorithm, output="arrays", **options)
        times.append(time.perf_counter() - start)
    return [float(1e3 * q / steps) for q in np.quantile(times, (0.5, 0.25, 0.75))]


def slope(cells, times, least):
    """Slope of the logarithms, from so many cells on."""
    kept = np.array(cells) >= least
    return float(np.polyfit(np.log(cells)[kept], np.log(times)[kept], 1)[0])


def main():
    """Print a row a size, the slopes; write the file."""
    found = {"date": date.today().isoformat(), "versions": load_engine("julia").versions(), "rows": {}}
    krylov = ps.Algorithm("FBDF", linear_solver="GMRES")
    for name, make, sizes, algorithm in (
        ("line", make_line, LINE, "FBDF"),
        ("square", make_square, SQUARE, "FBDF"),
        ("line, GMRES", make_line, LINE[:4], krylov),
        ("square, GMRES", make_square, SQUARE[:5], krylov),
    ):
        cells = [n if make is make_line else n * n for n in sizes]
        rows = [time_step(make(n), algorithm) for n in sizes]
        medians = [row[0] for row in rows]
        slopes = {"from 1000 cells": slope(cells, medians, 1_000), "from 100 cells": slope(cells, medians, 0)}
        found["rows"][name] = {"cells": cells, "milliseconds": rows, "slopes": slopes}
        print(name, " ".join(f"{n}: {row[0]:.3g}" for n, row in zip(cells, rows, strict=True)), slopes, flush=True)
    Path(__file__).with_name("growth.json").write_text(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
