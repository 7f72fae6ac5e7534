"""Make references.json: ``python tests/golden/make_references.py``. Needs SciPy; takes about a minute.

Each trajectory is computed by two independent solvers of SciPy at tight tolerances (DOP853 and Radau, or Radau and
LSODA where it is stiff); the file keeps the first and by how much they differ, in units of the tolerance
(rtol = 1e-6 and the case's atol). A case in which that is more than 0.05 is refused.
"""

import json
import pathlib
import sys

import numpy as np
import scipy
from scipy.integrate import solve_ivp

HERE = pathlib.Path(__file__).parent
sys.path[:0] = [str(HERE.parent), str(HERE.parent.parent)]

from support.problems import CASES, plain_right_hand_side  # noqa: E402


def trajectory(case, method):
    """Solution ``(time, state)`` at the case's times."""
    f, y0 = plain_right_hand_side(case)
    atol = 1e-6 * case.atol if case.stiff else 1e-13
    span = (float(case.t_span[0]), float(case.t_span[1]))
    solution = solve_ivp(f, span, y0, method=method, t_eval=case.saveat, rtol=3e-13, atol=atol)
    assert solution.success, (case.name, method, solution.message)
    return solution.y.T


def main():
    found = {}
    for case in CASES.values():
        methods = ("Radau", "LSODA") if case.stiff else ("DOP853", "Radau")
        first, second = (trajectory(case, method) for method in methods)
        difference = float(np.max(np.abs(first - second) / (case.atol + 1e-6 * np.abs(first))))
        print(f"{case.name:20} {methods} differ by {difference:.2g} tolerances")
        assert difference < 0.05, case.name
        found[case.name] = {"u": first.tolist(), "methods": methods, "difference": difference}
    found["versions"] = {"scipy": scipy.__version__, "numpy": np.__version__}
    (HERE / "references.json").write_text(json.dumps(found, indent=None))


if __name__ == "__main__":
    main()
