"""How long does a gradient take, warm and from Python, beside a solve, diffrax, stock Julia and torchdiffeq?

``python benchmarks/gradients.py [--case NAME]... [--torch PATH]`` needs a Julia that is ready; ``--torch`` is a Python
that has torchdiffeq. Each problem has the same tolerances on all sides, and all cores. Of diffrax the best of its
solvers and adjoints, jitted; of stock Julia (OrdinaryDiffEq, SciMLSensitivity, the model by hand) the best adjoint with
a compiled ReverseDiff tape, and dual numbers where parameters are few. Printed: milliseconds (medians, and the
quartiles' distance) of the gradient, of the value alone and of one solve, seconds of process time that the first
gradient of the model takes (objective made, functions compiled), times of the others, and the largest error of each
gradient, its elements times their parameters, relative to the largest, against ours at a thousandth of the tolerances.
Who gives up or is wrong by a hundredth is left out, and named.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
from gradient_problems import CASES, SPIRAL

import pysciml as ps

jax.config.update("jax_enable_x64", True)
EXPLICIT = (diffrax.Tsit5, diffrax.Dopri8)
IMPLICIT = (diffrax.Kvaerno3, diffrax.Kvaerno4, diffrax.Kvaerno5)
FEW = 40  # parameters up to which forward modes enter
WRONG = 1e-2  # error from which a gradient is none, however quick


def measure(function, seconds=1.0):
    """Median and interquartile range of a call, milliseconds."""
    function()
    times, start = [], time.perf_counter()
    while len(times) < 10 or (time.perf_counter() - start < seconds and len(times) < 1000):
        began = time.perf_counter()
        function()
        times.append(1e3 * (time.perf_counter() - began))
    low, middle, high = np.percentile(times, [25, 50, 75])
    return middle, high - low


def objective(case, word, scale=1.0):
    """Ours."""
    return ps.objective(
        case.problem, case.data, over=case.over, engine="julia", algorithm=word, trainable=case.trainable, loss="mse",
        rtol=case.rtol * scale, atol=case.atol * scale, verify="never",
    )  # fmt: skip


def measure_ours(case, word):
    """Milliseconds of gradient, value and solve, seconds of the first gradient, and the gradient."""
    began = time.process_time()
    o = objective(case, word)
    gradient = o(o.x0)[1]
    first, x = time.process_time() - began, np.array(o.x0)
    words = {
        "saveat": case.data.time.values,
        "rtol": case.rtol,
        "atol": case.atol,
        "engine": "julia",
        "output": "arrays",
    }

    def solve():
        if case.over is None:
            return ps.solve(case.problem, word, **words)
        return ps.ensemble(case.problem, case.over, algorithm=word, **{k: v for k, v in words.items() if k != "output"})

    took = [measure(run) for run in (lambda: o(x), lambda: o.value(x), solve)]
    return took, first, gradient


def measure_diffrax(case, x0, error):
    """The quickest of solvers and adjoints whose gradient is right, and that gradient."""
    values, times = jnp.asarray(case.values), jnp.asarray(case.data.time.values)
    (t0, t1), u0 = case.problem.t_span, jnp.asarray(case.starts)
    best = (np.inf, "none finished", np.full(len(x0), np.nan))
    modes = [
        (diffrax.RecursiveCheckpointAdjoint(), jax.value_and_grad),
        (diffrax.BacksolveAdjoint(), jax.value_and_grad),
    ]
    if len(x0) <= FEW:
        modes += [(diffrax.ForwardMode(), lambda loss: lambda p: (loss(p), jax.jacfwd(loss)(p)))]
    for solver in IMPLICIT if case.is_stiff else EXPLICIT:
        for adjoint, differentiate in modes:
            if case.is_stiff and isinstance(adjoint, diffrax.BacksolveAdjoint):
                continue  # backwards in time it is unstable

            def states(u0, p, solver=solver, adjoint=adjoint):
                return diffrax.diffeqsolve(
                    diffrax.ODETerm(case.f), solver(), t0, t1, None, u0, p, saveat=diffrax.SaveAt(ts=times),
                    stepsize_controller=diffrax.PIDController(case.rtol, case.atol), adjoint=adjoint, max_steps=4096,
                ).ys  # fmt: skip

            def loss(p, states=states):
                found = states(u0, p) if case.over is None else jax.vmap(states, (0, None))(u0, p)
                return jnp.mean((found - values) ** 2)

            function = jax.jit(differentiate(loss))
            try:
                if error(np.asarray(function(x0)[1])) > WRONG:
                    print(f"diffrax: {solver.__name__}, {type(adjoint).__name__} is wrong", file=sys.stderr)
                    continue
                took = measure(lambda function=function: jax.block_until_ready(function(x0)))[0]
            except RuntimeError:  # backwards in time diffusion takes too many steps
                print(f"diffrax: {solver.__name__}, {type(adjoint).__name__} gave up", file=sys.stderr)
                continue
            if took < best[0]:
                best = (took, f"{solver.__name__}, {type(adjoint).__name__}", np.asarray(function(x0)[1]))
    return best


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
for (name, sensealg) in names
    run(p) = solve(problem, {word}(); p, saveat = times, abstol = {atol}, reltol = {rtol}, sensealg)
    loss(p) = sum(abs2, Array(run(p)) .- data) / length(data)
    try
        gradient = Zygote.gradient(loss, x0)[1]
        took = Float64[]
        while sum(took; init = 0.0) < 1.0 || length(took) < 10
            push!(took, @elapsed Zygote.gradient(loss, x0))
        end
        write(joinpath("{folder}", "gradient_$name"), gradient)
        println("took;", name, ";", 1000 * median(took))
    catch error
        println("failed;", name, ";", first(sprint(showerror, error), 200))
    end
    flush(stdout)
end
"""


def measure_stock(case, word, x0):
    """The quickest of SciMLSensitivity's ways with the model written in Julia, and its gradient."""
    from pysciml.engines.julia.route import apply_route, find_route

    executable, project, *_ = apply_route(find_route())
    with tempfile.TemporaryDirectory() as folder:
        arrays = {"x0": x0, "u0": case.problem.u0_values, "times": case.data.time.values, "values": case.values}
        for name, values in arrays.items():
            (Path(folder) / name).write_bytes(np.ascontiguousarray(values, dtype=np.float64).tobytes())
        span = f"({case.problem.t_span[0]}, {case.problem.t_span[1]})"
        marks = {"body": case.julia, "span": span, "rtol": case.rtol, "atol": case.atol, "word": word, "few": FEW}
        text = STOCK.format(folder=folder, **marks)
        (Path(folder) / "run.jl").write_text(text)
        command = [executable, f"--project={project}", str(Path(folder) / "run.jl")]
        done = subprocess.run(command, capture_output=True, text=True, timeout=900)
        print(*(line for line in done.stdout.splitlines() if line.startswith("failed")), sep="\n", file=sys.stderr)
        took = [line.split(";")[1:] for line in done.stdout.splitlines() if line.startswith("took")]
        if not took:
            return np.inf, f"could not run: {done.stderr[-300:]}", np.full(len(x0), np.nan)
        name, best = min(took, key=lambda row: float(row[1]))
        gradient = np.frombuffer((Path(folder) / f"gradient_{name}").read_bytes())
        return float(best), name, gradient


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


def main():
    """Print one row a problem."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--case", action="append", choices=list(CASES))
    parser.add_argument("--torch")
    arguments = parser.parse_args()
    print("problem | gradient | value | solve | over solve | first, s | error", end=" | ")
    print("diffrax | ratio | error | stock | ratio | error")
    for name in arguments.case or CASES:
        case = CASES[name]()
        runs = {word: measure_ours(case, word) for word in case.words}
        word = min(runs, key=lambda word: runs[word][0][0][0])
        ((ours, spread), (value, _), (solve, _)), first, gradient = runs[word]
        x = objective(case, word).x0
        exact = objective(case, "Vern9" if word == "Tsit5" else word, 1e-3)(x)[1]
        error = lambda g: np.max(np.abs((g - exact) * np.abs(x))) / np.max(np.abs(exact * x))  # noqa: B023, E731
        theirs, best, other = measure_diffrax(case, x, error)
        row = f"{name} | {ours:.3f} ± {spread:.3f}, {word} | {value:.3f} | {solve:.3f} | {ours / solve:.1f} | "
        row += (
            f"{first:.2f} | {error(gradient):.0e} | {theirs:.2f}, {best} | {theirs / ours:.1f} | {error(other):.0e} | "
        )
        if case.julia:
            stock, way, other = measure_stock(case, word, x)
            row += f"{stock:.2f}, {way} | {stock / ours:.1f} | {error(other):.0e}"
        print(row, flush=True)
    if arguments.torch:
        print("torchdiffeq, spiral:", measure_torch(arguments.torch))


if __name__ == "__main__":
    main()
