"""Would reversing the steps of SDIRK methods give stiff gradients sooner than those of Rodas5P do?

``python benchmarks/sdirk.py`` needs a Julia that is ready. On POLLU, the gradient by its 25 rates: for Rodas5P the time
of a gradient as it is; for the others the least that one could take, since their steps are not reversed: the solve, and
for each implicit stage of each step its Jacobian, a factorisation, a solve with the transposed and a product with a
cotangent. The errors of theirs are those of dual numbers through the solver. Errors are relative to the largest
element times its rate, against Rodas5P at 1e-11. Printed: milliseconds within Julia.
"""

from pathlib import Path

import numpy as np
from gradient_problems import pollu

import pysciml as ps

STAGES = {"TRBDF2": 2, "KenCarp4": 5, "KenCarp5": 7}  # implicit ones
TOLERANCES = (1e-4, 1e-5, 1e-6, 1e-7, 1e-8)


def main():
    """Print one row a method and tolerance."""
    case = pollu()

    def make(word, rtol, sensitivity):
        words = {"algorithm": word, "sensitivity": sensitivity, "rtol": rtol, "atol": 1e-4 * rtol}
        return ps.objective(case.problem, case.data, engine="julia", loss="mse", verify="never", **words)

    reference = make("Rodas5P", 1e-11, "discrete")
    x, bridge = reference.x0, reference._misfit.engine._bridge
    bridge.call("include", str(Path(__file__).with_suffix(".jl").resolve()))
    exact = reference(x)[1]
    print("method | rtol | error | steps | ms")
    for rtol in TOLERANCES:
        misfit = make("Rodas5P", rtol, "discrete")
        error = np.max(np.abs((misfit(x)[1] - exact) * x)) / np.max(np.abs(exact * x))
        steps, took = bridge.call("time_reversal", misfit._compiled.handle, x)
        print(f"Rodas5P | {rtol:.0e} | {error:.0e} | {steps:.0f} | {took:.2f}", flush=True)
    for word, n_stages in STAGES.items():
        for rtol in TOLERANCES:
            misfit = make(word, rtol, "forward_over_solver")
            error = np.max(np.abs((misfit(x)[1] - exact) * x)) / np.max(np.abs(exact * x))
            steps, solve, stage = bridge.call("time_stages", misfit._compiled.handle, x)
            least = solve + steps * n_stages * stage
            print(f"{word} | {rtol:.0e} | {error:.0e} | {steps:.0f} | at least {least:.2f}", flush=True)


if __name__ == "__main__":
    main()
