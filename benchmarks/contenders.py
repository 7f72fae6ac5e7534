"""The contenders of ``solvers.py``, each run in a process of its own that imports nothing of the others.

A contender is a generator over its methods and tolerances: ``(method, tolerance, solve)``, where ``solve()`` gives the
last state or None. Julia written by hand runs by itself and prints its rungs.
"""

import subprocess
import tempfile
from pathlib import Path

import numpy as np

SMALL_TOLERANCES = [10.0**-k for k in range(1, 12)]  # crude ones may give far more than they are asked for
LARGE_TOLERANCES = [1e-3, 1e-4, 1e-5, 1e-6]
MOST_STEPS = 10**6
LARGEST_DENSE = 5_000  # states; larger dense Jacobians are said, not tried

STIFF = ["Rodas5P", "Rodas5", "Rodas5Pe", "Rodas4", "Rodas6P", "Rosenbrock23", "FBDF", "KenCarp4"]
METHODS = {  # by kind of problem: not stiff, stiff, large
    "pysciml": (
        ["Tsit5", "Vern7", "Vern9"],
        STIFF,
        ["FBDF", "KenCarp4", "Rodas5P"],
    ),
    "julia": (
        ["Tsit5", "Vern7", "Vern9"],
        STIFF,
        ["FBDF", "KenCarp4", "Rodas5P"],
    ),
    "scipy": (["RK45", "DOP853", "LSODA"], ["LSODA", "BDF", "Radau"], ["BDF"]),
    "diffrax": (["Tsit5", "Dopri8"], ["Kvaerno3", "Kvaerno4", "Kvaerno5"], ["Kvaerno3", "Kvaerno5"]),
    "torchdiffeq": (["dopri5", "dopri8"], ["dopri5", "dopri8"], ["dopri5"]),
    "sundae": (["Adams", "BDF"], ["BDF"], ["BDF"]),
}


def methods_of(who, problem):
    """The methods that a contender enters with."""
    return METHODS[who][2 if problem.is_large else int(problem.stiff)]


def tolerances_of(problem):
    """The ladder of relative tolerances."""
    return LARGE_TOLERANCES if problem.is_large else SMALL_TOLERANCES


def pysciml(problem):
    """Our Julia engine, from Python and back."""
    import pysciml as ps

    f = problem.model(np)

    def right_hand_side(t, u, p):
        rows = f(t, u)
        return np.array(rows) if isinstance(rows, list) else rows

    model = ps.ODEProblem(right_hand_side, problem.u0, problem.t_span)
    for word in methods_of("pysciml", problem):
        for tol in tolerances_of(problem):
            options = {"rtol": tol, "atol": tol * problem.atol, "saveat": [problem.t_span[1]], "engine": "julia"}

            def solve(word=word, options=options):
                return ps.solve(model, word, output="arrays", max_steps=MOST_STEPS, **options)[1]["u"][-1]

            yield word, tol, solve


def scipy(problem):
    """SciPy's methods on the NumPy function, with the Jacobian's pattern or band where it is large."""
    from scipy.integrate import solve_ivp

    f = problem.model(np)
    words = methods_of("scipy", problem) + (["LSODA"] if problem.band else [])
    for word in words:
        more = {} if not problem.is_large else {"jac_sparsity": problem.pattern()}
        if problem.is_large and word == "LSODA":
            more = {"lband": problem.band, "uband": problem.band}
        for tol in reversed(tolerances_of(problem)):  # LSODA, asked for 0.1 of Pleiades, never ends: that comes last

            def solve(word=word, tol=tol, more=more):
                tolerances = {"rtol": tol, "atol": tol * problem.atol}
                s = solve_ivp(f, problem.t_span, problem.u0, word, t_eval=[problem.t_span[1]], **tolerances, **more)
                return s.y[:, -1] if s.success else None

            yield word, tol, solve


def diffrax(problem):
    """diffrax, jitted as a whole, tolerances traced."""
    import diffrax
    import jax
    import jax.numpy as jnp

    n = len(problem.u0)
    if problem.stiff and n > LARGEST_DENSE:
        raise MemoryError(f"its implicit methods take dense Jacobians: {8 * n * n / 2**30:.0f} GiB each")
    jax.config.update("jax_enable_x64", True)
    f = problem.model(jnp)
    term = diffrax.ODETerm(lambda t, u, _: jnp.stack(rows) if isinstance(rows := f(t, u), list) else rows)
    t0, t1 = problem.t_span
    for word in methods_of("diffrax", problem):
        method = getattr(diffrax, word)()

        @jax.jit
        def run(u0, rtol, atol, method=method):
            control = diffrax.PIDController(rtol=rtol, atol=atol)
            more = {"stepsize_controller": control, "max_steps": MOST_STEPS, "adjoint": diffrax.ForwardMode()}
            s = diffrax.diffeqsolve(term, method, t0, t1, None, u0, throw=False, **more)
            return s.ys[-1], s.result == diffrax.RESULTS.successful

        for tol in tolerances_of(problem):

            def solve(run=run, tol=tol):
                last, is_good = run(problem.u0, tol, tol * problem.atol)
                return np.asarray(last) if is_good else None

            yield word, tol, solve


def torchdiffeq(problem):
    """torchdiffeq, whose adaptive methods are explicit."""
    import torch
    import torchdiffeq

    f = problem.model(torch)
    u0, span = torch.as_tensor(problem.u0, dtype=torch.float64), torch.as_tensor(problem.t_span, dtype=torch.float64)

    def right_hand_side(t, u):
        return torch.stack(rows) if isinstance(rows := f(t, u), list) else rows

    for word in methods_of("torchdiffeq", problem):
        for tol in tolerances_of(problem):

            def solve(word=word, tol=tol):
                with torch.no_grad():
                    tolerances = {"rtol": tol, "atol": tol * problem.atol}
                    return torchdiffeq.odeint(right_hand_side, u0, span, method=word, **tolerances)[-1].numpy()

            yield word, tol, solve


def sundae(problem):
    """scikit-sundae: CVODE, the NumPy function called from C."""
    from sksundae.cvode import CVODE

    f = problem.model(np)

    def right_hand_side(t, u, du):
        du[:] = f(t, u)

    more = {}
    if problem.is_large:
        more = {"linsolver": "sparse", "sparsity": problem.pattern()}
    if problem.band:
        more = {"linsolver": "band", "lband": problem.band, "uband": problem.band}
    for word in methods_of("sundae", problem):
        for tol in tolerances_of(problem):

            def solve(word=word, tol=tol):
                tolerances = {"rtol": tol, "atol": tol * problem.atol, "max_num_steps": MOST_STEPS}
                s = CVODE(right_hand_side, method=word, **tolerances, **more).solve(
                    np.array(problem.t_span), problem.u0
                )
                return s.y[-1] if s.success else None

            yield word, tol, solve


JULIA = """
start = time()
using OrdinaryDiffEq, SparseArrays, StaticArrays, Statistics
println("start;", time() - start)
f!(du, u, p, t) = @inbounds begin
{body}
    nothing
end
f(u, p, t) = @inbounds {static}
const u0 = reinterpret(Float64, read("{folder}/u0"))[:]
const reference = reinterpret(Float64, read("{folder}/reference"))[:]
const size_of = max.(abs.(reference), 1.0e-3 * maximum(abs, reference))
function rung(make, problem, tol)
    run() = solve(problem, make(); reltol = tol, abstol = tol * {atol}, save_everystep = false, maxiters = 10^6)
    local s
    first = @elapsed s = run()
    s.retcode == ReturnCode.Success || return nothing
    times = [@elapsed run()]
    while sum(times) < {budget} && length(times) < 200
        push!(times, @elapsed run())
    end
    return first, quantile(times, (0.5, 0.25, 0.75)), maximum(abs.(s.u[end] .- reference) ./ size_of)
end
in_place = ODEProblem(ODEFunction(f!; jac_prototype = {pattern}), u0, {span})
for make in ({methods},), (kind, problem) in (("", in_place), {static_problem}), tol in {tolerances}
    r = try rung(make, problem, tol) catch; nothing end
    r === nothing || println(join(("rung", "$(nameof(typeof(make())))$kind", tol, r[1], r[2]..., r[3]), ";"))
    flush(stdout)
end
"""


def run_julia(problem, reference, budget, limit):
    """Lines of rungs from hand-written Julia, in place and, where that is usual, static."""
    from pysciml.engines.julia.route import apply_route, find_route

    executable, project, *_ = apply_route(find_route())
    static = f"ODEProblem(f, SVector{{{len(problem.u0)}}}(u0), {problem.t_span})"
    with tempfile.TemporaryDirectory() as folder:
        for name, values in (("u0", problem.u0), ("reference", reference)):
            (Path(folder) / name).write_bytes(np.ascontiguousarray(values, dtype=np.float64).tobytes())
        text = JULIA.format(
            body=problem.julia,
            static=problem.static or "nothing",
            folder=folder,
            atol=problem.atol,
            budget=budget,
            pattern=problem.julia_pattern or "nothing",
            methods=", ".join(methods_of("julia", problem)),
            span=problem.t_span,
            static_problem=f'(" static", {static})' if problem.static else "",
            tolerances="[" + ", ".join(map(repr, tolerances_of(problem))) + "]",
        )
        path = Path(folder) / "solve.jl"
        path.write_text(text)
        subprocess.run([executable, f"--project={project}", str(path)], timeout=limit, check=True)
