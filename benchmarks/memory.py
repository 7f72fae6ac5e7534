"""How much memory do ensembles take that keep summaries only? ``python benchmarks/memory.py [N]...``

Lorenz systems at ten times, reduced to mean, standard deviation and maximum: each number of trajectories in a process
of its own, with trajectories kept (to 10^5) and not. Prints seconds and the peak of the process, Julia included, and
draws ``docs/ensemble_memory.png``.
"""

import json
import subprocess
import sys
from pathlib import Path

import matplotlib.pyplot as plt

WORK = """
import json, sys, time
from pathlib import Path
import numpy as np, pysciml as ps
from scipy.stats import uniform

def lorenz(t, u, p):
    return {"x": 10.0 * (u.y - u.x), "y": u.x * (p.rho - u.z) - u.y, "z": u.x * u.y - 8 / 3 * u.z}

n, reduce = int(sys.argv[1]), json.loads(sys.argv[2])
problem = ps.ODEProblem(lorenz, {"x": 1.0, "y": 0.0, "z": 0.0}, (0, 10), {"rho": 28.0})
words = {"saveat": np.linspace(1, 10, 10), "algorithm": "Tsit5", "engine": "julia", "reduce": reduce}
ps.ensemble(problem, {"rho": uniform(5, 23)}, trajectories=1000, **words)
start = time.perf_counter()
ds = ps.ensemble(problem, {"rho": uniform(5, 23)}, trajectories=n, **words)
seconds = time.perf_counter() - start
assert ds.attrs["status"] == "SUCCESS"
(line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
print(json.dumps([seconds, int(line.split()[1]) / 1e6]))
"""
SUMMARIES, KEPT = ["mean", "std", "max"], None


def measure(n, reduce):
    """Seconds and gigabytes."""
    command = [sys.executable, "-c", WORK, str(n), json.dumps(reduce)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def main():
    """Print the table and draw the picture."""
    numbers = [int(float(text)) for text in sys.argv[1:]] or [10**4, 10**5, 10**6, 10**7]
    figure, ax = plt.subplots(figsize=(5.0, 3.2), layout="constrained")
    for label, reduce, most in (("summaries", SUMMARIES, 10**9), ("trajectories kept", KEPT, 10**6)):
        found = {n: measure(n, reduce) for n in numbers if n <= most}
        for n, (seconds, peak) in found.items():
            print(f"{label} | {n} | {seconds:.2f} s | {peak:.2f} GB", flush=True)
        ax.semilogx(list(found), [peak for _, peak in found.values()], "o-", label=label)
    ax.set(xlabel="trajectories", ylabel="peak memory (GB)")
    ax.set_ylim(bottom=0.0)
    ax.legend()
    figure.savefig(Path(__file__).parents[1] / "docs" / "ensemble_memory.png", dpi=80)


if __name__ == "__main__":
    main()
