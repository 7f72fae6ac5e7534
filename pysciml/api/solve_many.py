"""solve_many(): one problem with many values, by one call of the engine."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from ..engines.base import check_capabilities
from ..engines.choose import choose_engine, engine_capabilities
from ..errors import ProblemError, SolveFailed
from ..problems.ode import ODEProblem
from ..words import check_keywords
from .algorithm import Algorithm
from .failure import explain_failure, failure_message
from .solve import check_switches, make_answer, make_request, observed_points, recall_request

_CHANGES = ("u0", "p", "t_span")


def solve_many(
    problem: ODEProblem,
    changes: Sequence[Mapping],
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
    check: bool = True,
    output: str = "dataset",
    **unknown,
) -> list:
    """Return the solutions of a problem with one change after the other, one after the other on one core.

    What :func:`solve` gives for ``problem.remake(**change)``, without its way to the engine and back for each: worth it
    where a solve takes less than a millisecond.

    Parameters
    ----------
    problem : ODEProblem
        What all have in common.
    changes : sequence of dict
        Each with ``u0``, ``p``, ``t_span`` or several of these, as :meth:`ODEProblem.remake` takes them.
    algorithm, saveat, rtol, atol, tstops, dt, dtmax, max_steps, max_seconds, engine, output
        As for :func:`solve`.
    check : bool, default True
        Raise if a solve fails. False: return what there is of each.

    Returns
    -------
    list of xarray.Dataset
        One a change, in their order (``output="arrays"``: of ``(t, {name: array})``).

    Raises
    ------
    ProblemError, UnsupportedByEngine, EngineUnavailable
        As for :func:`solve`; the message names the change.
    SolveFailed
        If a solve stops early and ``check`` is True. The others are not lost: ``partial`` is the list of all results.

    Examples
    --------
    >>> import pysciml as ps
    >>> problem = ps.ODEProblem(lambda t, u, p: {"x": -p.rate * u.x}, {"x": 1.0}, (0, 5), {"rate": 0.5})
    >>> found = ps.solve_many(problem, [{"p": {"rate": r}} for r in (0.1, 1.0)], saveat=[5.0], engine="diffrax")
    >>> [round(float(ds.x[-1]), 4) for ds in found]
    [0.6065, 0.0067]
    """
    check_keywords("solve_many", unknown, ["changes", "algorithm", *(solve_many.__kwdefaults__ or ())])
    check_switches(False, check, output)
    words = algorithm, saveat, rtol, atol, tstops, dt, dtmax, max_steps, max_seconds
    request, _ = make_request("solve_many", problem, *words)
    problems = [_change(problem, change, f"changes[{k}]") for k, change in enumerate(_read_changes(changes))]
    pairs = [recall_request("solve_many", each, *words) for each in problems]
    chosen = choose_engine(engine)
    check_capabilities(chosen, request.needs, engine_capabilities())
    requests = [request for request, _ in pairs]
    raws = chosen.solve_many(requests) if requests else []
    if problem.observe is not None:
        points = [observed_points(*each) for each in zip(raws, problems, requests, strict=True)]
        raws = [replace(raw, y=y[np.newaxis]) for raw, y in zip(raws, chosen.observe_many(points), strict=True)]
    failures = [explain_failure(*each, chosen.name) for each in zip(raws, problems, requests, strict=True)]
    answers = [
        make_answer(output, raw, changed, chosen.name, request, engine, shown, failure)
        for raw, changed, (request, shown), failure in zip(raws, problems, pairs, failures, strict=True)
    ]
    failed = [(k, failure) for k, failure in enumerate(failures) if failure is not None]
    if check and failed:
        k, failure = failed[0]
        rest = f"{len(failed)} of {len(raws)} failed; the first is changes[{k}].\n"
        message = failure_message("solve_many", raws[k], failure, problems[k], chosen.name)
        raise SolveFailed(rest + message, raws[k].status[0], answers, failure)
    return answers


def _read_changes(changes):
    if isinstance(changes, Mapping | str) or not isinstance(changes, Sequence):
        raise ProblemError(
            f"solve_many: changes must be a list of dicts such as [{{'p': {{...}}}}], got {type(changes).__name__}"
        )
    return changes


def _change(problem, change, where):
    """The problem with one change; errors name which."""
    if not isinstance(change, Mapping) or not set(change) <= set(_CHANGES):
        got = f"the keys {', '.join(map(str, change))}" if isinstance(change, Mapping) else type(change).__name__
        raise ProblemError(f"solve_many: {where} must be a dict of {', '.join(_CHANGES)}, got {got}")
    try:
        return problem.remake(**change)
    except ProblemError as error:
        raise ProblemError(f"solve_many: {where}: {error}") from error
