"""solve(): an initial-value problem as a Dataset."""

from dataclasses import replace

import numpy as np
import xarray as xr

from ..datasets.event_variables import all_parameters
from ..datasets.to_dataset import to_arrays, to_dataset
from ..engines.base import RawSolution, check_capabilities
from ..engines.choose import choose_engine, engine_capabilities
from ..errors import ProblemError, SolveFailed
from ..problems.flat import flatten_model
from ..problems.ode import ODEProblem
from ..problems.spelled import Spelled
from ..problems.times import check_times, read_shown_times
from ..problems.units import check_same_unit
from ..requests import SolveRequest
from ..words import check_keywords, nearest
from .algorithm import Algorithm, read_algorithm
from .devices import check_device
from .failure import explain_failure, failure_message


def solve(
    problem: ODEProblem,
    algorithm: str | Algorithm = "auto",
    *,
    saveat=None,
    rtol: float = 1e-6,
    atol: float = 1e-8,
    tstops=None,
    dt: float | None = None,
    dtmax: float | None = None,
    max_steps: int = 100_000,
    max_seconds: float | None = None,
    engine: str = "auto",
    device: str = "cpu",
    progress: bool = False,
    check: bool = True,
    output: str = "dataset",
    **unknown,
) -> xr.Dataset | tuple[np.ndarray, dict[str, np.ndarray]]:
    """Return the solution of a problem.

    Parameters
    ----------
    problem : ODEProblem
        What is to be solved.
    algorithm : str or Algorithm, default "auto"
        SciML's word for a solver, such as ``"Tsit5"`` or ``"Rodas5P"``, or :class:`Algorithm` for one with options;
        ``"auto"`` looks at the problem's stiffness.
    saveat : array_like, optional
        Times ``(time,)``, increasing and inside ``t_span``, in its unit or as dates: exactly these come back. None: the
        solver's own steps.
    rtol, atol : float
        Tolerances of a step's error, relative (dimensionless) and in the states' units.
    tstops : array_like, optional
        Times ``(k,)`` that the solver must hit: where the right-hand side jumps.
    dt, dtmax : float, optional
        First step (every step, where a method does not choose them) and longest step, in the unit of time. A solver
        may step over a short pulse: ``dtmax`` prevents it.
    max_steps : int, default 100_000
        After so many steps the solve fails.
    max_seconds : float, optional
        After so many seconds of wall clock the solve fails, with what it has (Julia; looked at after each step).
        diffrax refuses it, since loops compiled by JAX look at no clock: ``max_steps`` bounds them.
    engine : {"auto", "julia", "diffrax"}, default "auto"
        What computes it; ``"auto"`` is Julia where that is ready.
    device : {"cpu", "gpu"}, default "cpu"
        Where the model is computed; ``"gpu"``, this machine's first NVIDIA card, pays where large products of matrices
        take the time, as in wide networks on many rows.
    progress : bool, default False
        Show how far a long solve is.
    check : bool, default True
        Raise if the solve fails. False: return what there is, with ``ds.attrs["status"]``.
    output : {"dataset", "arrays"}, default "dataset"
        ``"arrays"``: the bare ``(t, {name: array})`` of states and observables.

    Returns
    -------
    xarray.Dataset
        One variable a state and observable ``(time, *own dims)`` with units; parameters are coordinates; engine,
        algorithm, status and the Program's hash are attrs, and everything else about the run is one JSON string,
        ``attrs["pysciml"]``. The times of an event are the variable ``<name>_time (name,)``; a parameter that events
        change is a coordinate on ``time``. An event that ends the solve ends the rows too.

    Raises
    ------
    ProblemError
        For arguments that can't be, and for words that no engine knows.
    UnsupportedByEngine
        If the engine asked for lacks the algorithm, or has it on the CPU only; the message names one that has it.
    EngineUnavailable
        If the engine asked for isn't ready, or there is no GPU.
    SolveFailed
        If the solve stops early and ``check`` is True; the exception holds the status, the partial solution and the
        failure: cause, time, state and advice. With ``check=False`` these are the entry ``failure`` of the JSON.

    Examples
    --------
    >>> import numpy as np
    >>> import pysciml as ps
    >>> problem = ps.ODEProblem(lambda t, u, p: {"x": -p.rate * u.x}, {"x": 1.0}, (0, 5), {"rate": 0.5})
    >>> ds = ps.solve(problem, saveat=np.linspace(0, 5, 11), engine="diffrax")
    >>> dict(ds.sizes), round(float(ds.x[-1]), 4)
    ({'time': 11}, 0.0821)
    """
    if unknown:
        check_keywords("solve", unknown, ["algorithm", *(solve.__kwdefaults__ or ())])
    check_switches(progress, check, output)
    limits = max_steps, max_seconds, progress, device
    request, shown = recall_request("solve", problem, algorithm, saveat, rtol, atol, tstops, dt, dtmax, *limits)
    chosen = choose_engine(engine)
    check_capabilities(chosen, request.needs, engine_capabilities())
    raw = chosen.solve(request)
    if problem.observe is not None:
        raw = replace(raw, y=chosen.observe(*observed_points(raw, problem, request))[np.newaxis])
    failure = explain_failure(raw, problem, request, chosen.name)
    answer = make_answer(output, raw, problem, chosen.name, request, engine, shown, failure)
    if check and failure is not None:
        message = failure_message("solve", raw, failure, problem, chosen.name)
        raise SolveFailed(message, raw.status[0], answer, failure)
    return answer


def recall_request(function, problem, *given):
    """What :func:`make_request` made of the same arguments for this problem, or one with other values, or makes now."""
    if not isinstance(problem, ODEProblem):
        return make_request(function, problem, *given)
    last = problem.memory.get("request")
    if last is None or not last[0].is_like(given):
        spelled, made = Spelled(given, Algorithm), make_request(function, problem, *given)
        if spelled.can_last:
            problem.memory["request"] = spelled, (problem.u0_values, problem.p_values), *made
        return made
    _, (u0, p), request, shown = last
    if u0 is not problem.u0_values or p is not problem.p_values:
        request = request.with_values(problem.u0_values, problem.p_values)
    return request, shown


def make_request(
    function,
    problem,
    algorithm,
    saveat,
    rtol,
    atol,
    tstops,
    dt,
    dtmax,
    max_steps,
    max_seconds=None,
    progress=False,
    device="cpu",
) -> tuple[SolveRequest, np.ndarray | None]:
    """What an engine is asked, checked at the door, and the save times as results show them."""
    if not isinstance(problem, ODEProblem):
        raise ProblemError(f"{function}: problem must be a ps.ODEProblem, got {type(problem).__name__}")
    algorithm = read_algorithm(algorithm)
    check_tolerances(rtol, atol)
    _check_steps(dt, dtmax, max_steps, max_seconds)
    check_device(device)
    times, shown = (None, None) if saveat is None else read_saveat(saveat, problem)
    flat = flatten_model(problem, times)
    request = SolveRequest(
        program=flat.program,
        u0=problem.u0_values,
        p=flat.p,
        t_span=problem.span,
        algorithm=algorithm.word,
        algorithm_options=algorithm.options_given,
        saveat=times,
        rtol=float(rtol),
        atol=float(atol),
        tstops=_with_jumps(None if tstops is None else _read_tstops(tstops, problem), problem),
        dt=None if dt is None else float(dt),
        dtmax=None if dtmax is None else float(dtmax),
        max_steps=int(max_steps),
        max_seconds=None if max_seconds is None else float(max_seconds),
        progress=progress,
        mass_matrix=problem.mass_matrix,
        events=flat.events,
        device=device,
    )
    return request, shown


def observed_points(raw: RawSolution, problem: ODEProblem, request: SolveRequest) -> tuple:
    """What observables are computed of: their Program, times, states and parameters."""
    return problem.observe, raw.t, raw.u[0], all_parameters(raw, problem.p_values, request.events)


def make_answer(
    output, raw: RawSolution, problem: ODEProblem, name: str, request: SolveRequest, engine, shown, failure
):
    """A solution as it is returned; ``name`` of the engine that ran, ``engine`` as asked for."""
    if output == "arrays":
        return to_arrays(raw, problem, shown)
    settings = settings_of(request, engine, problem) | {"device": request.device}
    return to_dataset(raw, problem, name, settings, shown, request.events, failure)


def check_tolerances(rtol, atol) -> None:
    """ProblemError unless both tolerances are positive numbers."""
    _check_positive("rtol", rtol)
    _check_positive("atol", atol)


def _check_positive(name, value):
    is_number = isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)
    if not is_number or not 0 < value < np.inf:
        hint = "; one tolerance serves all states: rescale units if they differ much" if np.ndim(value) else ""
        raise ProblemError(f"{name} must be a positive number, got {value!r}{hint}")


def _check_steps(dt, dtmax, max_steps, max_seconds):
    for name, value in (("dt", dt), ("dtmax", dtmax), ("max_seconds", max_seconds)):
        if value is not None:
            _check_positive(name, value)
    if isinstance(max_steps, bool) or not isinstance(max_steps, int | np.integer) or max_steps < 1:
        raise ProblemError(f"max_steps must be a positive integer, got {max_steps!r}")


_FLAGS = (bool, np.bool_)


def check_switches(progress, check, output) -> None:
    """ProblemError for words and flags that can't be."""
    for name, value in (("progress", progress), ("check", check)):
        if not isinstance(value, _FLAGS):
            raise ProblemError(f"{name} must be True or False, got {value!r}")
    if output not in ("dataset", "arrays"):
        raise ProblemError(
            f"output must be 'dataset' or 'arrays', got {output!r}{nearest(output, ['dataset', 'arrays'])}"
        )


def read_saveat(saveat, problem: ODEProblem) -> tuple[np.ndarray, np.ndarray]:
    """Save times as floats for the engine, and as results show them; ProblemError if they can't be."""
    if np.ndim(saveat) == 0:
        start, end = problem.t_span
        raise ProblemError(
            f"saveat is the scalar {saveat!r}: is it a step or a time? For a step write "
            f"np.arange({start}, {end}, {saveat!r}), for one time [{saveat!r}]"
        )
    if isinstance(saveat, xr.DataArray) and problem.calendar is None:
        check_same_unit("saveat", saveat.attrs.get("units"), problem.units.get("time"))
    floats, shown = read_shown_times("saveat", saveat, problem.calendar)
    return check_times("saveat", floats, problem), shown


def _read_tstops(tstops, problem):
    """Increasing floats inside the span."""
    floats, _ = read_shown_times("tstops", np.atleast_1d(tstops), problem.calendar)
    return check_times("tstops", np.unique(floats), problem)


def _with_jumps(stops, problem):
    """Stop times and those of external inputs; None if there are none."""
    jumps = problem.stop_times
    return stops if not jumps.size else jumps if stops is None else np.union1d(stops, jumps)


def settings_of(request: SolveRequest, engine: str, problem: ODEProblem) -> dict:
    """What the solve was asked, for provenance."""
    names = ("algorithm", "rtol", "atol", "dt", "dtmax", "max_steps", "max_seconds")
    asked = {
        "engine": engine,
        "saveat": request.saveat is not None,
        "tstops": None if request.tstops is None else np.setdiff1d(request.tstops, problem.stop_times).tolist(),
        "algorithm_options": dict(request.algorithm_options),
    }
    return {name: getattr(request, name) for name in names} | asked
