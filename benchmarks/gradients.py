"""How long does a gradient take, warm and from Python, beside a solve, diffrax, stock Julia and torchdiffeq?

``python benchmarks/gradients.py [--case NAME]... [--torch PATH]`` needs a Julia that is ready; ``--torch`` is a Python
that has torchdiffeq. All cores for all. The first table is ours at the case's tolerances: milliseconds (medians, and
the quartiles' distance) of the gradient, of the value alone and of one solve by the same method, seconds of process
time that the first gradient of the model takes (objective made, functions compiled). The second compares at equal
errors of the gradient (its elements times their parameters, the largest error relative to the largest element,
against ours at a thousandth of the tightest tolerance but one): each side climbs a ladder of tolerances from 1e-1 on
with each of its ways, and its quickest at the error counts, read off between two rungs as in ``tables.py``. Ours are
Tsit5, Vern7 and Vern9, or Rosenbrock23, Rodas4 and Rodas5P, by their reversed steps; diffrax's ways are its solvers
and adjoints, forward mode too where parameters are few, jitted; stock Julia's (OrdinaryDiffEq, SciMLSensitivity, the
model by hand) our methods with each of its adjoints and a compiled ReverseDiff tape, and forward mode (dual numbers),
told apart. All rungs are in ``gradients.json``.
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
from importlib.metadata import version
from pathlib import Path

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
from gradient_problems import CASES, SPIRAL
from tables import time_at

import pysciml as ps

jax.config.update("jax_enable_x64", True)
HERE = Path(__file__).parent
RESULTS = HERE / "gradients.json"
EXPLICIT = (diffrax.Tsit5, diffrax.Dopri8)
IMPLICIT = (diffrax.Kvaerno3, diffrax.Kvaerno4, diffrax.Kvaerno5)
WAYS = {"Tsit5": ("Tsit5", "Vern7", "Vern9"), "Rodas5P": ("Rosenbrock23", "Rodas4", "Rodas5P")}
FEW = 40  # parameters up to which forward modes enter
TOLERANCES = [10.0**-k for k in range(1, 12)]  # relative ones
LARGE = [10.0**-k for k in range(1, 7)]  # for large systems
ERRORS = (1e-3, 1e-5, 1e-7)
LONG = 500  # milliseconds: a way whose gradient takes more climbs no further
ENOUGH = 1e-9  # nor does one whose error is less


def ladder(case):
    """Relative and absolute tolerances."""
    scale = case.atol / case.rtol
    return [(rtol, rtol * scale) for rtol in (LARGE if len(case.problem.u0_values) > 1000 else TOLERANCES)]


def quartiles(function, seconds=1.0, least=10):
    """Median and quartiles of a call, in milliseconds."""
    function()
    times, start = [], time.perf_counter()
    while len(times) < least or (time.perf_counter() - start < seconds and len(times) < 1000):
        began = time.perf_counter()
        function()
        times.append(1e3 * (time.perf_counter() - began))
    return [float(q) for q in np.percentile(times, [50, 25, 75])]


def climb(way, rungs, gradient_at, tolerances, error, where):
    """Add a way's rungs, in the form of ``solvers.json``; one that fails says so and is left out."""
    for rtol, atol in tolerances:
        try:
            gradient = gradient_at(rtol, atol)
            found = np.asarray(gradient())
            if not np.all(np.isfinite(found)):
                raise FloatingPointError("a gradient that is not finite")
            took = quartiles(gradient, 0.25, 3)
        except (RuntimeError, ValueError, FloatingPointError, ps.PySciMLError) as failure:
            print(f"{where}: {way} at {rtol:.0e}: {str(failure)[:100]!r}", file=sys.stderr)
            continue
        rungs.append([way, rtol, 0.0, *took, float(error(found))])
        if took[0] > LONG or rungs[-1][-1] < ENOUGH:
            break


def objective(case, word, rtol=None, atol=None):
    """Ours."""
    return ps.objective(
        case.problem, case.data, over=case.over, engine="julia", algorithm=word, trainable=case.trainable, loss="mse",
        rtol=rtol or case.rtol, atol=atol or case.atol, verify="never",
    )  # fmt: skip


def measure_row(case, word):
    """Quartiles of gradient, value and solve at the case's tolerances, and seconds of the first gradient."""
    began = time.process_time()
    o = objective(case, word)
    o(o.x0)
    first, x = time.process_time() - began, np.array(o.x0)
    words = {"saveat": case.data.time.values, "rtol": case.rtol, "atol": case.atol, "engine": "julia"}

    def solve():
        if case.over is None:
            return ps.solve(case.problem, word, output="arrays", **words)
        return ps.ensemble(case.problem, case.over, algorithm=word, **words)

    return [quartiles(run) for run in (lambda: o(x), lambda: o.value(x), solve)], first


def climb_ours(case, x, error):
    """Our rungs."""
    rungs = []
    for word in WAYS[case.words[0]]:

        def gradient_at(rtol, atol, word=word):
            o = objective(case, word, rtol, atol)
            return lambda: o(x)[1]

        climb(word, rungs, gradient_at, ladder(case), error, "ours")
    return rungs


def climb_diffrax(case, x, error):
    """Those of diffrax's solvers and adjoints."""
    values, times = jnp.asarray(case.values), jnp.asarray(case.data.time.values)
    (t0, t1), u0, rungs = case.problem.t_span, jnp.asarray(case.starts), []
    modes = [
        (diffrax.RecursiveCheckpointAdjoint(), jax.value_and_grad),
        (diffrax.BacksolveAdjoint(), jax.value_and_grad),
    ]
    if len(x) <= FEW:
        modes += [(diffrax.ForwardMode(), lambda loss: lambda p, *tol: (loss(p, *tol), jax.jacfwd(loss)(p, *tol)))]
    for solver in IMPLICIT if case.is_stiff else EXPLICIT:
        for adjoint, differentiate in modes:
            if case.is_stiff and isinstance(adjoint, diffrax.BacksolveAdjoint):
                continue  # backwards in time it is unstable

            def states(u0, p, rtol, atol, solver=solver, adjoint=adjoint):
                return diffrax.diffeqsolve(
                    diffrax.ODETerm(case.f), solver(), t0, t1, None, u0, p, saveat=diffrax.SaveAt(ts=times),
                    stepsize_controller=diffrax.PIDController(rtol, atol), adjoint=adjoint, max_steps=4096,
                ).ys  # fmt: skip

            def loss(p, rtol, atol, states=states):
                if case.over is None:
                    return jnp.mean((states(u0, p, rtol, atol) - values) ** 2)
                found = jax.vmap(states, (0, None, None, None))(u0, p, rtol, atol)
                return jnp.mean((found - values) ** 2)

            function = jax.jit(differentiate(loss))

            def gradient_at(rtol, atol, function=function):
                return lambda: jax.block_until_ready(function(x, rtol, atol))[1]

            climb(f"{solver.__name__}, {type(adjoint).__name__}", rungs, gradient_at, ladder(case), error, "diffrax")
    return rungs


STOCK = """
using OrdinaryDiffEq, SciMLSensitivity, Zygote, ReverseDiff, ForwardDiff, Statistics
f!(du, u, p, t) = begin
{body}
    nothing
end
load(name) = collect(reinterpret(Float64, read(joinpath("{folder}", name))))
const x0, u0, times = load("x0"), load("u0"), load("times")
const data = reshape(load("values"), length(u0), :)
const problem = ODEProblem(f!, u0, {span}, x0)
tape = ReverseDiffVJP(true)
names = Any[
    ("interpolating", InterpolatingAdjoint(autojacvec = tape)), ("quadrature", QuadratureAdjoint(autojacvec = tape)),
    ("gauss", GaussAdjoint(autojacvec = tape)),
]
length(x0) <= {few} && push!(names, ("forward", ForwardDiffSensitivity()))
for method in ({words},), (name, sensealg) in names
    way = string(name, ", ", nameof(typeof(method)))
    for (k, (rtol, atol)) in enumerate({tolerances})
        run(p) = solve(problem, method; p, saveat = times, abstol = atol, reltol = rtol, sensealg, maxiters = 10^5)
        loss(p) = sum(abs2, Array(run(p)) .- data) / length(data)
        try
            gradient = Zygote.gradient(loss, x0)[1]
            took = Float64[]
            while sum(took; init = 0.0) < 0.25 || length(took) < 3
                push!(took, @elapsed Zygote.gradient(loss, x0))
            end
            write(joinpath("{folder}", way * string(k)), gradient)
            println("took;", way, ";", k, ";", join(1000 .* quantile(took, (0.5, 0.25, 0.75)), ";"))
            1000 * median(took) > {long} && break
        catch error
            println("failed;", way, ";", rtol, ";", first(sprint(showerror, error), 100))
        end
        flush(stdout)
    end
end
"""


def climb_stock(case, words, most, x, error):
    """Those of SciMLSensitivity's ways with the model written in Julia, at so many tolerances."""
    from pysciml.engines.julia.route import apply_route, find_route

    executable, project, *_ = apply_route(find_route())
    rungs, tolerances = [], ladder(case)[:most]
    with tempfile.TemporaryDirectory() as folder:
        arrays = {"x0": x, "u0": case.problem.u0_values, "times": case.data.time.values, "values": case.values}
        for name, values in arrays.items():
            (Path(folder) / name).write_bytes(np.ascontiguousarray(values, dtype=np.float64).tobytes())
        text = STOCK.format(
            folder=folder, body=case.julia, span=f"({case.problem.t_span[0]}, {case.problem.t_span[1]})", few=FEW,
            words=", ".join(f"{word}()" for word in words), tolerances=str(tolerances), long=LONG,
        )  # fmt: skip
        (Path(folder) / "run.jl").write_text(text)
        command = [executable, f"--project={project}", str(Path(folder) / "run.jl")]
        done = subprocess.run(command, capture_output=True, text=True, timeout=1800)
        for line in done.stdout.splitlines():
            kind, way, *numbers = line.split(";")
            if kind == "failed":
                print(f"stock Julia: {way} at {';'.join(numbers)}", file=sys.stderr)
                continue
            k, *took = map(float, numbers)
            gradient = np.frombuffer((Path(folder) / f"{way}{int(k)}").read_bytes())
            if np.all(np.isfinite(gradient)):
                rungs.append([way, tolerances[int(k) - 1][0], 0.0, *took, float(error(gradient))])
        if not rungs:
            print(f"stock Julia could not run: {done.stderr[-300:]}", file=sys.stderr)
    return rungs


TORCH = """
import sys, time
import numpy as np, torch
from torchdiffeq import odeint, odeint_adjoint
torch.set_default_dtype(torch.float64)
H = 50
p = torch.tensor(0.3 * np.random.default_rng(1).standard_normal(5 * H + 2), requires_grad=True)
class F(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.p = torch.nn.Parameter(p.detach().clone())
    def forward(self, t, u):
        p = self.p
        return torch.tanh((u**3) @ p[:2*H].reshape(2, H) + p[2*H:3*H]) @ p[3*H:5*H].reshape(H, 2) + p[5*H:]
f, ts, u0 = F(), torch.linspace(0, 1.5, 30), torch.tensor([2.0, 0.0])
A = torch.tensor(SPIRAL)
with torch.no_grad():
    truth = odeint(lambda t, u: (u**3) @ A, u0, ts, rtol=1e-8, atol=1e-8)
for name, solve in (("direct", odeint), ("adjoint", odeint_adjoint)):
    took = []
    for _ in range(12):
        f.p.grad, start = None, time.perf_counter()
        ((solve(f, u0, ts, rtol=1e-8, atol=1e-8, method="dopri5") - truth) ** 2).mean().backward()
        took.append(1e3 * (time.perf_counter() - start))
    print(name, sorted(took)[6])
"""


def measure_torch(python):
    """torchdiffeq on a network of the spiral's shape: milliseconds by way."""
    text = TORCH.replace("SPIRAL", repr(SPIRAL.tolist()))
    done = subprocess.run([python, "-c", text], capture_output=True, text=True, check=True)
    return ", ".join(f"{name} {float(ms):.3g}" for name, ms in map(str.split, done.stdout.splitlines()))


def write_rows(name, found):
    """Print a row for each error."""
    stock = found.get("stock", [])
    sides = [
        found["diffrax"],
        [rung for rung in stock if not rung[0].startswith("forward")],
        [rung for rung in stock if rung[0].startswith("forward")],
    ]
    for level in ERRORS:
        word, ours, _ = time_at(found["ours"], level)
        cells = [name, f"{level:.0e}", f"{ours:.3g}, {word}"]
        for rungs in sides:
            way, theirs, _ = time_at(rungs, level)
            cells.append(
                f"{theirs / ours:.2g}, {way}" if np.isfinite(theirs / ours) else "not reached" if rungs else ""
            )
        print("| " + " | ".join(cells) + " |", flush=True)


def measure_case(name):
    """The row at the case's tolerances, printed, and the rungs of all."""
    case = CASES[name]()
    rows = {word: measure_row(case, word) for word in case.words}
    word = min(rows, key=lambda word: rows[word][0][0][0])
    (ours, value, solve), first = rows[word]
    row = f"{name} | {ours[0]:.3f} | {ours[2] - ours[1]:.3f} | {value[0]:.3f} | {solve[0]:.3f} | "
    print(row + f"{ours[0] / value[0]:.1f} | {ours[0] / solve[0]:.1f} | {first:.2f}", flush=True)
    x = np.array(objective(case, word).x0)
    tight = 1e-3 * np.array(ladder(case)[-2])
    exact = objective(case, "Vern9" if word == "Tsit5" else word, *np.maximum(tight, [1e-13, 1e-16]))(x)[1]
    error = lambda g: np.max(np.abs((g - exact) * np.abs(x))) / np.max(np.abs(exact * x))  # noqa: E731
    found = {"ours": climb_ours(case, x, error), "diffrax": climb_diffrax(case, x, error)}
    if case.julia:
        words = [rung[0] for rung in found["ours"]]  # the same methods, with tolerances as far as they serve ours
        found["stock"] = climb_stock(case, sorted(set(words)), min(map(words.count, words)), x, error)
    return found


def main():
    """Measure, print the two tables, and keep the rungs."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--case", action="append", choices=list(CASES))
    parser.add_argument("--torch")
    arguments = parser.parse_args()
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {"problems": {}}
    print("problem | gradient | quartiles apart | value | solve | over value | over solve | first, s")
    for name in arguments.case or CASES:
        results["problems"][name] = measure_case(name)
    print("\n| problem | error | ours, ms | diffrax | stock adjoints | stock forward |\n" + "|---" * 6 + "|")
    for name in arguments.case or CASES:
        write_rows(name, results["problems"][name])
    from pysciml.engines.choose import load_engine

    julia = {name: text for name, text in load_engine("julia").versions().items() if name != "PySciML"}
    results["versions"] = julia | {name: version(name) for name in ("numpy", "jax", "diffrax")}
    results["machine"] = f"{os.cpu_count()} cores, {platform.machine()}, {platform.system()}"
    results["date"] = date.today().isoformat()
    RESULTS.write_text(json.dumps(results, separators=(",", ":")) + "\n")
    if arguments.torch:
        print("torchdiffeq, spiral:", measure_torch(arguments.torch))


if __name__ == "__main__":
    main()
