"""dense(): a solution that can be asked at any time."""

import numpy as np

from ..engines.base import RawDense, Stop, check_capabilities, is_success
from ..engines.choose import choose_engine, engine_capabilities
from ..errors import ProblemError, SolveFailed
from ..problems.ode import ODEProblem
from ..problems.times import read_times, show_time
from ..requests import Capability
from ..words import check_keywords
from .algorithm import Algorithm
from .failure import explain_stop, failure_message
from .solve import make_request


class DenseSolution:
    """A solution as a function of time; received from :func:`dense`.

    Attributes
    ----------
    problem : ODEProblem
        What was solved.
    algorithm : str
        The method that ran.
    end : float
        The last time that the solution reached, in the problem's unit of time.
    """

    def __init__(self, problem: ODEProblem, raw: RawDense):
        self.problem = problem
        self.algorithm = raw.algorithm
        self.end = raw.t_end
        self._evaluate = raw.evaluate

    def __call__(self, times) -> dict[str, np.ndarray]:
        """States by name at one time ``()`` or at many ``(time,)``, numbers or dates: arrays ``(*time, *own dims)``."""
        floats = np.asarray(read_times("times", np.atleast_1d(times), self.problem.calendar), dtype=np.float64)
        outside = (floats < self.problem.span[0]) | (floats > self.end)
        if not floats.size or outside.any():
            start, end = (show_time(t, self.problem) for t in (self.problem.span[0], self.end))
            raise ProblemError(f"times must lie between {start} and {end}, which the solution covers; got {times!r}")
        states = self.problem.u_layout.unflatten(self._evaluate(floats))
        return {name: values[0] for name, values in states.items()} if np.ndim(times) == 0 else states

    def __repr__(self):
        names = ", ".join(self.problem.u_layout.names)
        return f"DenseSolution({names}; {self.problem.span[0]:g} to {self.end:g}, {self.algorithm})"


def dense(
    problem: ODEProblem,
    algorithm: str | Algorithm = "auto",
    *,
    rtol: float = 1e-6,
    atol: float = 1e-8,
    tstops=None,
    dt: float | None = None,
    dtmax: float | None = None,
    max_steps: int = 100_000,
    engine: str = "auto",
    **unknown,
) -> DenseSolution:
    """Return the solution of a problem as a function of time.

    Parameters
    ----------
    problem : ODEProblem
        What is to be solved.
    algorithm : str or Algorithm, default "auto"
        As in :func:`solve`; a method that is less accurate between its steps than on them is refused.
    rtol, atol : float
        Tolerances of a step's error, relative (dimensionless) and in the states' units.
    tstops : array_like, optional
        Times ``(k,)`` that the solver must hit.
    dt, dtmax : float, optional
        First and longest step, in the unit of time.
    max_steps : int, default 100_000
        After so many steps the solve fails.
    engine : {"auto", "julia", "diffrax"}, default "auto"
        What computes it.
    **unknown
        Nothing else: an unknown keyword raises with the nearest right one.

    Returns
    -------
    DenseSolution
        ``solution(t)`` gives the states by name at a time ``()`` or at times ``(time,)``.

    Raises
    ------
    ProblemError
        For arguments that can't be, and later for times outside what the solution covers.
    UnsupportedByEngine
        If the engine or the method has no dense output.
    EngineUnavailable
        If the engine asked for isn't ready.
    SolveFailed
        If the solve stops early; the exception holds the solution up to there.

    Examples
    --------
    >>> import pysciml as ps
    >>> problem = ps.ODEProblem(lambda t, u, p: {"x": -u.x}, {"x": 1.0}, (0, 5))
    >>> solution = ps.dense(problem, "Vern7", rtol=1e-10, engine="julia")  # doctest: +SKIP
    >>> float(solution(1.0)["x"])  # doctest: +SKIP
    0.36787944117
    """
    check_keywords("dense", unknown, ["algorithm", *(dense.__kwdefaults__ or ())])
    steps = {"tstops": tstops, "dt": dt, "dtmax": dtmax, "max_steps": max_steps}
    request, _ = make_request("dense", problem, algorithm, None, rtol=rtol, atol=atol, **steps)
    chosen = choose_engine(engine)
    jumps = {Capability("dense output of", "events")} if request.events else set()
    check_capabilities(chosen, request.needs | {Capability("output", "dense")} | jumps, engine_capabilities())
    raw = chosen.solve_dense(request)
    solution = DenseSolution(problem, raw)
    if not is_success(raw.status):
        stop = raw.stop or Stop(request.t_span[0], request.u0)
        failure = explain_stop(raw.status, stop, problem, request)
        message = failure_message("dense", raw, failure, problem, chosen.name)
        raise SolveFailed(message, raw.status, solution, failure)
    return solution
