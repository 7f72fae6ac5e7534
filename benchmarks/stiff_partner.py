"""Which Rosenbrock method takes over where ``algorithm="auto"`` finds a problem of few states stiff?

``python benchmarks/stiff_partner.py`` (Julia engine, half a minute) prints times (ms, the least of 20 calls) and errors
of Rosenbrock23 and Rodas5P, and of the pair that ``"auto"`` is, on the small stiff problems of ``problems.py``. Errors
are the largest over 50 save times and all states, relative to the state plus ``Problem.atol``, against Rodas5P at
1e-11.
"""

import time

import numpy as np
import problems

import pysciml as ps

WORDS = ("Rosenbrock23", "Rodas5P", "auto")
TOLERANCES = (1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 1e-8)


def solver(problem, saveat):
    model = problem.model(np)
    ode = ps.ODEProblem(lambda t, u, p: {"y": np.stack(model(t, u.y))}, {"y": problem.u0}, problem.t_span)

    def run(word, rtol, **how):
        return ps.solve(ode, word, saveat=saveat, rtol=rtol, atol=rtol * problem.atol, engine="julia", **how)

    return run


def measure(run, word, rtol, exact, floor):
    y = run(word, rtol).y.values
    seconds = []
    for _ in range(20):
        begin = time.perf_counter()
        run(word, rtol, output="arrays")
        seconds.append(time.perf_counter() - begin)
    return 1e3 * min(seconds), np.max(np.abs(y - exact) / (np.abs(exact) + floor))


def main():
    print("problem        rtol  " + "".join(f"{word:>22}" for word in WORDS))
    for problem in problems.PROBLEMS:
        if not problem.stiff or problem.is_large:
            continue
        end = problem.t_span[1]
        saveat = np.geomspace(1e-3, end, 50) if problem.name == "robertson" else np.linspace(0, end, 50)
        run = solver(problem, saveat)
        exact = run("Rodas5P", 1e-11).y.values
        for rtol in TOLERANCES:
            found = [measure(run, word, rtol, exact, problem.atol) for word in WORDS]
            print(f"{problem.name:14} {rtol:.0e} " + "".join(f"{ms:12.3f} ({error:.1e})" for ms, error in found))


if __name__ == "__main__":
    main()
