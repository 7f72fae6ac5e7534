"""How long does a solve take, warm, at equal measured error, beside hand-written Julia, SciPy and diffrax?

``python benchmarks/solvers.py [problem...]`` needs a Julia that is ready (``python -m pysciml doctor``) and has
OrdinaryDiffEq and StaticArrays in its project. Every contender gets each of its methods at a ladder of tolerances.
A rung is (median seconds of repeated solves to the last time, largest relative error there; a state below 0.001 of the
largest counts as that). The reference is SciPy's at 3e-13. A contender's time at an error is read off its best method's
ladder, straight lines between logarithms; ratios are over pysciml's. nan: failed, or never that accurate. First solves
are timed apart.
"""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
from problems import PROBLEMS
from scipy.integrate import solve_ivp

import pysciml as ps
from pysciml.engines.julia.route import apply_route, find_route

jax.config.update("jax_enable_x64", True)
TOLERANCES = 10.0 ** -np.arange(4, 12)
ERRORS = (1e-4, 1e-6, 1e-8)
NONSTIFF = {"julia": ("Tsit5", "Vern7", "Vern9"), "scipy": ("RK45", "DOP853", "LSODA"), "diffrax": ("Tsit5", "Dopri8")}
STIFF = {
    "julia": ("Rodas5P", "Rosenbrock23", "FBDF", "KenCarp4"),
    "scipy": ("LSODA", "BDF", "Radau"),
    "diffrax": ("Kvaerno3", "Kvaerno4", "Kvaerno5"),
}
BUDGET = 0.4  # seconds of repetitions a rung; one solve that takes longer is timed once

SCRIPT = """
using {uses}, StaticArrays, Statistics, Printf
f!(du, u, p, t) = @inbounds begin
{body}
    nothing
end
f(u, p, t) = @inbounds {static}
const u0 = {u0}
function rung(make, problem, tol)
    run() = solve(problem, make(); reltol = tol, abstol = tol * {atol}, save_everystep = false, maxiters = 10^6)
    s = run()
    s.retcode == ReturnCode.Success || return nothing
    times = [@elapsed run()]
    while sum(times) < {budget} && length(times) < 200
        push!(times, @elapsed run())
    end
    return (median(times), collect(s.u[end]))
end
for make in ({methods},), (kind, problem) in (("", ODEProblem(f!, u0, {span})), {static_problem}), tol in {tolerances}
    r = try rung(make, problem, tol) catch; nothing end
    r === nothing || println(nameof(typeof(make())), kind, ";", r[1], ";", join(r[2], ","))
end
"""


def time_rung(solve):
    """(median seconds, last state), or None where the solve fails."""
    try:
        last = solve()
    except Exception:
        return None
    times = []
    while sum(times) < BUDGET and len(times) < 200:
        start = time.perf_counter()
        solve()
        times.append(time.perf_counter() - start)
    return None if last is None or not np.all(np.isfinite(last)) else (float(np.median(times)), np.asarray(last))


def run_pysciml(problem, cold):
    """Our Julia engine, from Python and back; ``cold`` gets the first solve of each method."""
    f = problem.model(np)

    def right_hand_side(t, u, p):
        rows = f(t, u)
        return np.array(rows) if isinstance(rows, list) else rows

    model = ps.ODEProblem(right_hand_side, problem.u0, problem.t_span)
    for word in (STIFF if problem.stiff else NONSTIFF)["julia"]:
        for k, tol in enumerate(TOLERANCES):
            options = {"rtol": tol, "atol": tol * problem.atol, "saveat": [problem.t_span[1]], "engine": "julia"}

            def solve(word=word, options=options):
                return ps.solve(model, word, output="arrays", max_steps=10**6, **options)[1]["u"][-1]

            if k == 0:
                start = time.perf_counter()
                solve()
                cold[word] = time.perf_counter() - start
            yield word, time_rung(solve)


def run_scipy(problem):
    """SciPy's methods on the NumPy function."""
    f = problem.model(np)
    for word in (STIFF if problem.stiff else NONSTIFF)["scipy"]:
        for tol in TOLERANCES:

            def solve(word=word, tol=tol):
                tolerances = {"rtol": tol, "atol": tol * problem.atol}
                s = solve_ivp(f, problem.t_span, problem.u0, word, t_eval=[problem.t_span[1]], **tolerances)
                return s.y[:, -1] if s.success else None

            yield word, time_rung(solve)


def run_diffrax(problem):
    """diffrax, jitted as a whole, tolerances traced."""
    f = problem.model(jnp)
    term = diffrax.ODETerm(lambda t, u, _: jnp.stack(rows) if isinstance(rows := f(t, u), list) else rows)
    t0, t1 = problem.t_span
    for word in (STIFF if problem.stiff else NONSTIFF)["diffrax"]:
        method = getattr(diffrax, word)()

        @jax.jit
        def run(u0, rtol, atol, method=method):
            controller = diffrax.PIDController(rtol=rtol, atol=atol)
            s = diffrax.diffeqsolve(
                term,
                method,
                t0,
                t1,
                None,
                u0,
                stepsize_controller=controller,
                max_steps=10**6,
                throw=False,
                adjoint=diffrax.ForwardMode(),
            )
            return s.ys[-1], s.result == diffrax.RESULTS.successful

        for tol in TOLERANCES:

            def solve(run=run, tol=tol):
                last, is_good = run(problem.u0, tol, tol * problem.atol)
                return np.asarray(last) if is_good else None

            yield word, time_rung(solve)


def run_julia(problem):
    """Hand-written Julia, in place and, where that is usual, static; a process of its own."""
    executable, project, *_ = apply_route(find_route())
    words = (STIFF if problem.stiff else NONSTIFF)["julia"]
    static = f"ODEProblem(f, SVector{{{len(problem.u0)}}}(u0), {problem.t_span})"
    text = SCRIPT.format(
        uses="OrdinaryDiffEq",
        body=problem.julia,
        static=problem.static or "nothing",
        u0="[" + ", ".join(map(repr, map(float, problem.u0))) + "]",
        atol=problem.atol,
        budget=BUDGET,
        methods=", ".join(words),
        span=problem.t_span,
        static_problem=f'(" static", {static})' if problem.static else "",
        tolerances="[" + ", ".join(map(repr, TOLERANCES.tolist())) + "]",
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "solve.jl"
        path.write_text(text)
        said = subprocess.run([executable, f"--project={project}", str(path)], capture_output=True, text=True)
    if said.returncode:
        print(said.stderr[:2000], file=sys.stderr)
    for line in said.stdout.splitlines():
        word, seconds, last = line.split(";")
        yield word, (float(seconds), np.array(list(map(float, last.split(",")))))


def read_reference(problem):
    """The state at the last time by a method and code of no contender's tolerance."""
    method = "Radau" if problem.stiff else "DOP853"
    if len(problem.u0) > 100:
        method = "LSODA"
    f = problem.model(np)
    return solve_ivp(f, problem.t_span, problem.u0, method, rtol=3e-13, atol=1e-13 * problem.atol).y[:, -1]


def time_at(rungs, error):
    """(method, seconds) of the quickest method at a measured error."""
    best = ("-", np.nan)
    for word in sorted({word for word, *_ in rungs}):
        line = sorted((max(e, 1e-16), s) for w, s, e in rungs if w == word)
        errors, seconds = np.log(np.array(line).T)
        if errors[0] <= np.log(error):
            # beyond its crudest rung a method is as slow as at that rung
            found = float(np.exp(np.interp(np.log(error), errors, seconds)))
            best = best if found >= best[1] else (word, found)
    return best


def main(names):
    """Print a table a problem; write all rungs to solvers.json."""
    table = {}
    for problem in (p for p in PROBLEMS if not names or p.name in names):
        exact, cold = read_reference(problem), {}
        size = np.maximum(np.abs(exact), 1e-3 * np.abs(exact).max())
        runs = {
            "pysciml": run_pysciml(problem, cold),
            "julia": run_julia(problem),
            "scipy": run_scipy(problem),
            "diffrax": run_diffrax(problem),
        }
        rungs = {
            who: [(word, r[0], float(np.max(np.abs(r[1] - exact) / size))) for word, r in run if r is not None]
            for who, run in runs.items()
        }
        table[problem.name] = rungs
        firsts = ", ".join(f"{word} {seconds:.2f} s" for word, seconds in cold.items())
        print(f"\n{problem.name} ({len(problem.u0)} states); first solve by method: {firsts}")
        for error in ERRORS:
            ours = time_at(rungs["pysciml"], error)
            cells = [f"pysciml {ours[0]} {ours[1] * 1e3:.3f} ms"]
            for who in ("julia", "scipy", "diffrax"):
                word, seconds = time_at(rungs[who], error)
                cells.append(f"{who} {word} x{seconds / ours[1]:.2f}")
            print(f"  error {error:g}: " + "; ".join(cells), flush=True)
    Path("solvers.json").write_text(json.dumps(table))


if __name__ == "__main__":
    main(sys.argv[1:])
