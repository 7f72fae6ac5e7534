"""How much faster is a GPU? ``python benchmarks/gpu.py [--cpu] [--float64] [--networks | --ensembles] [N]...``

Ensembles: Lorenz sweeps of 10^5, 10^6 and 10^7 trajectories (or of each N) by Tsit5, the last states kept: Julia's
kernels and diffrax's blocks on the same card, in float32 (``--float64``: in float64 too), and the Julia engine on the
CPU. Networks: the gradient of a neural ODE, 512 rows of 64 numbers through two hidden layers of 1024 (1.2 million
weights) by Tsit5, in float64 on both engines, on the CPU and on the card.

Needs an NVIDIA card with its driver, Julia's package CUDA in the project that ``python -m pysciml doctor`` names, and
JAX for CUDA (``pip install --upgrade 'jax[cuda13]'``); what lacks is named in its rows. ``--cpu`` runs the same on the
CPU, smaller: the kernels by the CPU backend of KernelAbstractions, arrays by JLArrays (whose products are plain loops),
diffrax by JAX's CPU.

Prints tables: seconds of the best of three runs after a first one (arguments and results on the host, and the Dataset,
included), seconds of the first; of ensembles the 90th percentile of members' largest errors in tolerances, against rtol
1e-9; of gradients the largest difference from the Julia engine's on the CPU, relative to its largest element.
"""

import argparse
import json
import os
import subprocess
import sys

BEGIN = """
import importlib, json, sys, time
import numpy as np, pysciml as ps

def as_if_gpu(engine):  # the same way, to a CPU
    name = "precision" if engine == "diffrax" else "engine"
    module = importlib.import_module(f"pysciml.engines.{engine}.{name}")
    if engine == "diffrax":
        find = module.find_device
        module.find_device = lambda word: find("cpu")
        return
    load, arguments = module.load_device, module.kernel_arguments
    module.load_device = lambda bridge, word: load(bridge, "kernels")
    module.kernel_arguments = lambda request: ("kernels", *arguments(request)[1:])
    devices = importlib.import_module("pysciml.engines.julia.devices")
    load_arrays = devices.load_arrays
    devices.load_arrays = lambda bridge, word: load_arrays(bridge, "arrays")
"""

ENSEMBLE = """
engine, device, dtype, n, is_cpu = json.loads(sys.argv[1])
if is_cpu and device == "gpu":
    as_if_gpu(engine)

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


NETWORK = """
engine, device, sizes, is_cpu = json.loads(sys.argv[1])
if is_cpu and device == "gpu":
    as_if_gpu(engine)
rows, columns, width = sizes
start = np.random.default_rng(0).standard_normal((rows, columns))
net = ps.MLP(columns, columns, width=width, depth=2)
problem = ps.ODEProblem(lambda t, u, p: {"y": p.net(u.y)}, {"y": start}, (0.0, 1.0), {"net": net})
data = ps.solve(problem, "Tsit5", saveat=[0.5, 1.0], rtol=1e-4, engine="julia")[["y"]] * 1.1

def run(engine, device):
    words = {"engine": engine, "device": device, "algorithm": "Tsit5", "rtol": 1e-4, "verify": "never"}
    misfit = ps.objective(problem, data, **words)
    return lambda: misfit(misfit.x0)[1]

begin = time.perf_counter()
try:
    compute = run(engine, device)
    slopes = compute()
except ps.EngineUnavailable as error:
    print(json.dumps(str(error).partition(". It needs")[0]))
    sys.exit()
first, runs = time.perf_counter() - begin, []
for _ in range(3):
    begin = time.perf_counter()
    compute()
    runs.append(time.perf_counter() - begin)
exact = run("julia", "cpu")()
print(json.dumps([min(runs), first, float(abs(slopes - exact).max() / abs(exact).max())]))
"""


def measure(case, *arguments):
    """What a process of its own found: numbers, or what it lacks."""
    command = [sys.executable, "-c", BEGIN + case, json.dumps(arguments)]
    environment = os.environ | {"XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if done.returncode:
        return done.stderr.strip().splitlines()[-1]
    return json.loads(done.stdout.splitlines()[-1])


def print_ensembles(numbers, is_cpu, has_float64):
    """The table of trajectories."""
    contenders = [(engine, "gpu", "float32") for engine in ("julia", "diffrax")]
    contenders += [(engine, "gpu", "float64") for engine in ("julia", "diffrax") if has_float64]
    contenders += [("julia", "cpu", "float32"), ("julia", "cpu", "float64")]
    print("| trajectories | engine | device | dtype | seconds | a million a second | first | error | failed |")
    print("|---|---|---|---|---|---|---|---|---|")
    for n in map(int, numbers or ([10**3, 10**4] if is_cpu else [10**5, 10**6, 10**7])):
        for engine, device, dtype in contenders:
            found = measure(ENSEMBLE, engine, device, dtype, n, is_cpu)
            head = f"| {n} | {engine} | {name(device, is_cpu)} | {dtype} |"
            if isinstance(found, str):
                print(f"{head} {found} | | | | |", flush=True)
                continue
            seconds, first, error, failed = found
            rate = f"{n / seconds / 1e6:.2g}"
            print(f"{head} {seconds:.4f} | {rate} | {first:.2f} | {error:.2g} | {failed} |", flush=True)


def print_networks(is_cpu):
    """The table of gradients."""
    sizes = (32, 8, 64) if is_cpu else (512, 64, 1024)
    print("| rows, columns, width | engine | device | seconds a gradient | first | difference |")
    print("|---|---|---|---|---|---|")
    for engine in ("julia", "diffrax"):
        for device in ("cpu", "gpu"):
            found = measure(NETWORK, engine, device, sizes, is_cpu)
            head = f"| {', '.join(map(str, sizes))} | {engine} | {name(device, is_cpu)} |"
            if isinstance(found, str):
                print(f"{head} {found} | | |", flush=True)
                continue
            seconds, first, difference = found
            print(f"{head} {seconds:.4f} | {first:.2f} | {difference:.2g} |", flush=True)


def name(device, is_cpu):
    """What a device is called in a table."""
    return "cpu, as a gpu" if is_cpu and device == "gpu" else device


def main():
    """Print the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("numbers", nargs="*", type=float, help="of trajectories")
    parser.add_argument("--cpu", action="store_true", help="the paths of a GPU on the CPU, smaller")
    parser.add_argument("--float64", action="store_true", help="ensembles on the device in float64 too")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--networks", action="store_true", help="these only")
    which.add_argument("--ensembles", action="store_true", help="these only")
    given = parser.parse_args()
    if not given.networks:
        print_ensembles(given.numbers, given.cpu, given.float64)
    if not given.ensembles:
        print_networks(given.cpu)


if __name__ == "__main__":
    main()
