"""How long does a solve take at equal measured error, beside hand-written Julia, SciPy, diffrax and others?

``python benchmarks/solvers.py [--problem NAME]... [--contender NAME]... [--again] [--python WHO=PATH]...`` runs what
``solvers.json`` lacks, each contender in a process of its own with a limit of time, and writes that file after each. It
needs a Julia that is ready (``python -m pysciml doctor``) and has OrdinaryDiffEq and StaticArrays in its project;
``--python torchdiffeq=/path/to/python`` runs a contender by another Python, one that has it. ``--quick`` repeats each
solve once, to see that all of it runs; ``--table`` prints the tables and draws the pictures (``tables.py``).

A rung is: method, relative tolerance, seconds of the first solve, median and quartiles of the warm ones, and the
largest relative error of the last state (one below 0.001 of the largest counts as that). References: SciPy's DOP853 or
Radau at 3e-13; for large problems ours by Rodas5P at 1e-8, and its distance from CVODE_BDF's at 1e-6.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from datetime import date
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import contenders
import numpy as np
from problems import PROBLEMS
from scipy.integrate import solve_ivp

HERE = Path(__file__).parent
RESULTS = HERE / "solvers.json"
WHO = ("pysciml", "julia", "scipy", "diffrax", "torchdiffeq", "sundae")
PACKAGES = {
    "pysciml": ("pysciml", "numpy"),
    "scipy": ("scipy", "numpy"),
    "diffrax": ("diffrax", "jax"),
    "torchdiffeq": ("torchdiffeq", "torch"),
    "sundae": ("scikit-sundae",),
}
BY_NAME = {problem.name: problem for problem in PROBLEMS}


def limit_of(who, problem):
    """Seconds that a contender has for all rungs of a problem."""
    if who == "torchdiffeq" and problem.stiff:
        return 15
    return (90 if who in ("pysciml", "julia") else 45) if problem.is_large else 120


def find_reference(problem):
    """The last state, and how far another method's is from it (nan: not looked at)."""
    if problem.is_large:
        import pysciml as ps

        f = problem.model(np)
        model = ps.ODEProblem(lambda t, u, p: f(t, u), problem.u0, problem.t_span)
        options = {
            "saveat": [problem.t_span[1]],
            "engine": "julia",
            "output": "arrays",
            "max_steps": contenders.MOST_STEPS,
        }
        exact = ps.solve(model, "Rodas5P", rtol=1e-8, atol=1e-8, **options)[1]["u"][-1]
        other = ps.solve(model, "CVODE_BDF", rtol=1e-6, atol=1e-6, **options)[1]["u"][-1]
        return exact, error_of(other, exact)
    method = "Radau" if problem.stiff else "DOP853"
    f = problem.model(np)
    s = solve_ivp(f, problem.t_span, problem.u0, method, rtol=3e-13, atol=1e-13 * problem.atol)
    return s.y[:, -1], np.nan


def error_of(last, exact):
    """The largest relative error of a state, small ones counted as 0.001 of the largest."""
    return float(np.max(np.abs(last - exact) / np.maximum(np.abs(exact), 1e-3 * np.abs(exact).max())))


def work(who, problem, exact, budget):
    """In the contender's own process: a line a rung."""
    start = time.perf_counter()
    ladder = getattr(contenders, who)(problem)
    for k, (method, tolerance, solve) in enumerate(ladder):
        if k == 0:
            print(f"start;{time.perf_counter() - start}")
        try:
            rung = time_rung(solve, budget)
        except Exception as error:
            print(f"failed;{method};{tolerance};{type(error).__name__}: {str(error)[:100]!r}", flush=True)
            continue
        if rung is None:
            continue
        first, times, last = rung
        numbers = ";".join(
            repr(float(x)) for x in (first, *np.quantile(times, (0.5, 0.25, 0.75)), error_of(last, exact))
        )
        print(f"rung;{method};{tolerance};{numbers}", flush=True)


def time_rung(solve, budget):
    """Seconds of the first solve, of the others, and the last state; None where that is not to be had."""
    begin = time.perf_counter()
    last = solve()
    first, times = time.perf_counter() - begin, []
    if last is None or not np.all(np.isfinite(last)):
        return None
    while not times or (sum(times) < budget and len(times) < 200):
        begin = time.perf_counter()
        solve()
        times.append(time.perf_counter() - begin)
    return first, times, np.asarray(last)


def run_contender(who, problem, reference, python, budget):
    """What a contender's process said: seconds to start, rungs, and why there are no more."""
    call = [
        python,
        __file__,
        "--work",
        who,
        "--problem",
        problem.name,
        "--reference",
        reference,
        "--budget",
        str(budget),
    ]
    found = {"start": None, "rungs": [], "note": ""}
    limit = limit_of(who, problem)
    with tempfile.TemporaryFile("w+") as said, tempfile.TemporaryFile("w+") as complained:
        try:
            code = subprocess.run(call, stdout=said, stderr=complained, timeout=limit).returncode
            complained.seek(0)
            last = (complained.read().strip().splitlines() or [f"exit {code}"])[-1][:160]
            found["note"] = "" if code == 0 else f"could not run: {last}"
        except subprocess.TimeoutExpired:
            found["note"] = f"stopped after {limit} s"
        said.seek(0)
        for kind, *parts in (text.strip().split(";") for text in said):
            if kind == "start":
                found["start"] = float(parts[0])
            elif kind == "rung":
                found["rungs"].append([parts[0], *map(float, parts[1:])])
            elif kind == "failed":
                found["note"] = found["note"] or f"{parts[0]} at {parts[1]}: {';'.join(parts[2:])}"
    return found


def versions_of(pythons):
    """Versions of what runs, asked of each Python."""
    found = {"python": platform.python_version()}
    for who, names in PACKAGES.items():
        if who in pythons:
            code = f"from importlib.metadata import version as v\nprint(*(v(name) for name in {names!r}))"
            said = subprocess.run([pythons[who], "-c", code], capture_output=True, text=True).stdout.split()
            found |= dict(zip(names, said, strict=False))
            continue
        for name in names:
            try:
                found[name] = version(name)
            except PackageNotFoundError:
                found[name] = "not installed"
    from pysciml.engines.choose import load_engine

    return found | {name: text for name, text in load_engine("julia").versions().items() if name != "PySciML"}


def run(names, whos, pythons, again, budget):
    """Run what the file lacks; write it after each contender."""
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {"problems": {}}
    results["machine"] = f"{os.cpu_count()} cores, {platform.machine()}, {platform.system()}"
    results["date"], results["versions"] = date.today().isoformat(), versions_of(pythons)
    for problem in (BY_NAME[name] for name in names):
        row = results["problems"].setdefault(problem.name, {"states": len(problem.u0), "contenders": {}})
        wanted = [who for who in whos if again or who not in row["contenders"]]
        if not wanted:
            continue
        with tempfile.TemporaryDirectory() as folder:
            exact, distance = find_reference(problem)
            reference = str(Path(folder) / "reference.npy")
            np.save(reference, exact)
            row["reference_distance"] = None if np.isnan(distance) else distance
            for who in wanted:
                begin = time.perf_counter()
                found = run_contender(who, problem, reference, pythons.get(who, sys.executable), budget)
                row["contenders"][who] = found
                seconds = time.perf_counter() - begin
                print(
                    f"{problem.name:16} {who:12} {len(found['rungs']):3} rungs in {seconds:5.1f} s {found['note']}",
                    flush=True,
                )
                RESULTS.write_text(json.dumps(results, indent=None, separators=(",", ":")) + "\n")


def read_arguments():
    """The command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--problem", action="append", choices=list(BY_NAME), default=[])
    parser.add_argument("--contender", action="append", choices=WHO, default=[])
    parser.add_argument("--python", action="append", default=[], metavar="WHO=PATH")
    parser.add_argument("--again", action="store_true")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--table", action="store_true")
    parser.add_argument("--work", choices=WHO)
    parser.add_argument("--reference")
    parser.add_argument("--budget", type=float)
    return parser.parse_args()


def main():
    """Work, run, or write the tables."""
    asked = read_arguments()
    if asked.work:
        problem, exact = BY_NAME[asked.problem[0]], np.load(asked.reference)
        if asked.work == "julia":
            contenders.run_julia(problem, exact, asked.budget, limit_of("julia", problem))
        else:
            work(asked.work, problem, exact, asked.budget)
    elif asked.table:
        subprocess.run([sys.executable, str(HERE / "tables.py")], check=True)
    else:
        pythons = dict(pair.split("=", 1) for pair in asked.python)
        budget = 0.0 if asked.quick else 0.12
        run(asked.problem or list(BY_NAME), asked.contender or WHO, pythons, asked.again, budget)


if __name__ == "__main__":
    main()
