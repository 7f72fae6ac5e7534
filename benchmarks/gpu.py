"""How many trajectories a second does a GPU solve? ``python benchmarks/gpu.py [--cpu] [--float64] [N]...``

Lorenz sweeps of 10^5, 10^6 and 10^7 trajectories (or of each N) by Tsit5, the last states kept: Julia's kernels and
diffrax's blocks on the same card, in float32 (``--float64``: in float64 too), and the Julia engine on the CPU. Needs an
NVIDIA card with its driver, Julia's package CUDA in the project that ``python -m pysciml doctor`` names, and JAX for
CUDA (``pip install --upgrade 'jax[cuda13]'``); what lacks is named in its rows. ``--cpu`` runs the same on the CPU,
for 10^3 and 10^4: the kernels by the CPU backend of KernelAbstractions, diffrax by JAX's.

Prints a table: seconds of the best of three runs after a first one (arguments and results on the host, and the Dataset,
included), seconds of the first, and the 90th percentile of members' largest errors in tolerances, against rtol 1e-9.
"""

import argparse
import json
import os
import subprocess
import sys

CASE = """
import importlib, json, sys, time
import numpy as np, pysciml as ps

engine, device, dtype, n, is_cpu = json.loads(sys.argv[1])
if is_cpu and device == "gpu":  # the same way, to a CPU
    name = "precision" if engine == "diffrax" else "engine"
    module = importlib.import_module(f"pysciml.engines.{engine}.{name}")
    if engine == "diffrax":
        find = module.find_device
        module.find_device = lambda word: find("cpu")
    else:
        load, arguments = module.load_device, module.kernel_arguments
        module.load_device = lambda bridge, word: load(bridge, "kernels")
        module.kernel_arguments = lambda request: ("kernels", *arguments(request)[1:])

def lorenz(t, u, p):
    return {"x": 10.0 * (u.y - u.x), "y": u.x * (p.r - u.z) - u.y, "z": u.x * u.y - 8 / 3 * u.z}

problem = ps.ODEProblem(lorenz, {"x": 1.0, "y": 0.0, "z": 0.0}, (0.0, 2.0), {"r": 28.0})
r = np.linspace(5.0, 28.0, n)

def run(r, **words):
    begin = time.perf_counter()
    ds = ps.ensemble(problem, {"r": r}, **{"saveat": [2.0], "algorithm": "Tsit5", "chunk_size": 10**6} | words)
    return ds, time.perf_counter() - begin

words = {"engine": engine, "device": device, "dtype": dtype, "rtol": 1e-5, "atol": 1e-7}
try:
    first = run(r, **words)[1]
except ps.EngineUnavailable as error:
    print(json.dumps(str(error).partition(". It needs")[0]))
    sys.exit()
runs = [run(r, **words) for _ in range(3)]
ds, places = runs[0][0], np.linspace(0, n - 1, 100).round().astype(int)
exact = run(r[places], engine=engine, rtol=1e-9, atol=1e-11)[0]
found = np.stack([ds[name].values[places, 0] for name in "xyz"])
right = np.stack([exact[name].values[:, 0] for name in "xyz"])
errors = (abs(found - right) / (1e-7 + 1e-5 * abs(right))).max(axis=0)
seconds = min(seconds for _, seconds in runs)
print(json.dumps([seconds, first, float(np.quantile(errors, 0.9)), int((ds.status != 0).sum())]))
"""


def measure(*case):
    """What a process of its own found: numbers, or what it lacks."""
    command = [sys.executable, "-c", CASE, json.dumps(case)]
    environment = os.environ | {"XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if done.returncode:
        return done.stderr.strip().splitlines()[-1]
    return json.loads(done.stdout.splitlines()[-1])


def main():
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("numbers", nargs="*", type=float, help="of trajectories")
    parser.add_argument("--cpu", action="store_true", help="the paths of a GPU on the CPU, smaller")
    parser.add_argument("--float64", action="store_true", help="on the device in float64 too")
    given = parser.parse_args()
    contenders = [(engine, "gpu", "float32") for engine in ("julia", "diffrax")]
    contenders += [(engine, "gpu", "float64") for engine in ("julia", "diffrax") if given.float64]
    contenders += [("julia", "cpu", "float32"), ("julia", "cpu", "float64")]
    print("| trajectories | engine | device | dtype | seconds | a million a second | first | error | failed |")
    print("|---|---|---|---|---|---|---|---|---|")
    for n in map(int, given.numbers or ([10**3, 10**4] if given.cpu else [10**5, 10**6, 10**7])):
        for engine, device, dtype in contenders:
            found = measure(engine, device, dtype, n, given.cpu)
            head = f"| {n} | {engine} | {'cpu, as a gpu' if given.cpu and device == 'gpu' else device} | {dtype} |"
            if isinstance(found, str):
                print(f"{head} {found} | | | | |", flush=True)
                continue
            seconds, first, error, failed = found
            print(
                f"{head} {seconds:.4f} | {n / seconds / 1e6:.2g} | {first:.2f} | {error:.2g} | {failed} |", flush=True
            )


if __name__ == "__main__":
    main()
