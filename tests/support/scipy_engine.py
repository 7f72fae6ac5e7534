"""An engine for tests of everything around engines: SciPy on the NumPy interpreter, no fits."""

import numpy as np
import scipy
from scipy.integrate import solve_ivp

from pysciml.engines.base import AbstractEngine, RawSolution, Status
from pysciml.ir.evaluate import evaluate_program
from pysciml.requests import Capability

WORDS = {"auto": "LSODA", "Tsit5": "RK45", "Radau": "Radau"}


class ScipyEngine(AbstractEngine):
    """Solves; a right-hand side that leaves its domain ends as UNSTABLE."""

    name = "scipy"
    capabilities = frozenset({Capability("problem", "ode"), *(Capability("algorithm", word) for word in WORDS)})

    def __init__(self):
        self.requests = []

    def solve(self, request):
        self.requests.append(request)
        start = request.t_span[0]

        def f(t, u):
            du = evaluate_program(request.program, t, u, request.p)[0]
            if not np.isfinite(du).all():
                raise FloatingPointError
            return du

        end, status = request.t_span[1], Status.SUCCESS
        options = {"method": WORDS[request.algorithm], "rtol": request.rtol, "atol": request.atol}
        try:
            solution = solve_ivp(f, request.t_span, request.u0, t_eval=request.saveat, **options)
            t, u = solution.t, solution.y.T
            status = Status.SUCCESS if solution.success else Status.STEP_TOO_SMALL
        except FloatingPointError:
            t, u, status = np.array([start]), request.u0[None], Status.UNSTABLE
        assert len(t) == 0 or t[-1] <= end
        return RawSolution(
            t, u[None], (status,), WORDS[request.algorithm], "always", "words of SciPy" * (status != Status.SUCCESS),
            {"steps": len(t)}, {"scipy": scipy.__version__},
        )  # fmt: skip

    def make_objective(self, request):
        raise NotImplementedError

    def fit(self, request, report=None):
        raise NotImplementedError

    def versions(self):
        return {"scipy": scipy.__version__}
