"""sensitivities(): how a solution changes with its parameters, over time."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import xarray as xr

from ..datasets.to_dataset import sensitivities_to_dataset
from ..engines.base import check_capabilities, is_success
from ..engines.choose import choose_engine, engine_capabilities
from ..errors import ProblemError, SolveFailed
from ..fitting.tangents import with_tangents
from ..fitting.trainable import gather_x, natural_parametrization, read_trainable, whole_networks
from ..ir.derivatives import jvp
from ..ir.evaluate import evaluate_program
from ..problems.ode import ODEProblem
from ..requests import tangent_needs
from ..words import check_keywords
from .algorithm import Algorithm
from .objective import is_weight
from .solve import make_request, settings_of


def sensitivities(
    problem: ODEProblem,
    wrt: None | Sequence[str] | Mapping[str, object] = None,
    algorithm: str | Algorithm = "auto",
    *,
    saveat=None,
    rtol: float = 1e-6,
    atol: float = 1e-8,
    tstops=None,
    dt: float | None = None,
    dtmax: float | None = None,
    max_steps: int = 100_000,
    engine: str = "auto",
    **unknown,
) -> xr.Dataset:
    """Return the derivatives of a solution by parameters and initial values, over time.

    For the gradient of one number, such as a misfit to data, :func:`gradient` costs less.

    Parameters
    ----------
    problem : ODEProblem
        What is to be solved.
    wrt : sequence of str, optional
        Names or globs: parameters, networks (``"net"``) or their layers (``"net.0.weight"``), initial values
        (``"u0_hare"``). None: all float parameters and all networks.
    algorithm : str or Algorithm, default "auto"
        As in :func:`solve`.
    saveat : array_like, optional
        Times ``(time,)``, increasing and inside ``t_span``. None: the solver's own steps.
    rtol, atol : float
        Tolerances of a step's error, relative (dimensionless) and in the states' units: also those of the change of
        the state with a parameter's relative change (with a change by 1 where the parameter is 0).
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
    xarray.Dataset
        One variable ``d_<state>_d_<name> (time, *dims of the state, *dims of the parameter)`` a pair, observables
        among the states; a dim that both have is ``<dim>_wrt`` the second time. Without units.

    Raises
    ------
    ProblemError
        For unknown names and arguments that can't be.
    UnsupportedByEngine
        If the engine lacks the algorithm; for events and mass matrices.
    EngineUnavailable
        If the engine asked for isn't ready.
    SolveFailed
        If the solve stops early.

    Notes
    -----
    Forward sensitivities: each element ``x`` of ``wrt`` adds a tangent ``s = du/dx``, with
    ``ds/dt = (df/du) s + df/dx``, to the state, and its error is controlled too.

    References
    ----------
    Dickinson, Gelinas (1976), Sensitivity analysis of ordinary differential equation systems,
    doi:10.1016/0021-9991(76)90007-3

    Examples
    --------
    >>> import pysciml as ps
    >>> problem = ps.ODEProblem(lambda t, u, p: {"x": -p.k * u.x}, {"x": 1.0}, (0, 2), {"k": 0.5})
    >>> ds = ps.sensitivities(problem, ["k", "u0_x"], saveat=[2.0], engine="diffrax")
    >>> round(float(ds.d_x_d_k[0]), 4), round(float(ds.d_x_d_u0_x[0]), 4)
    (-0.7358, 0.3679)
    """
    check_keywords("sensitivities", unknown, ["wrt", "algorithm", *(sensitivities.__kwdefaults__ or ())])
    steps = {"tstops": tstops, "dt": dt, "dtmax": dtmax, "max_steps": max_steps}
    request, shown = make_request("sensitivities", problem, algorithm, saveat, rtol=rtol, atol=atol, **steps)
    chosen = choose_engine(engine)
    check_capabilities(chosen, request.needs | tangent_needs(request), engine_capabilities())
    blocks = read_trainable(wrt, None if problem.initial else problem.u_layout, problem.p_layout)
    size, starts, seeds = _tangents(problem, blocks)
    wide = replace(
        request, program=with_tangents(request.program, seeds), u0=np.concatenate([request.u0, starts.ravel()])
    )
    raw = chosen.solve(wide)
    if not is_success(raw.status[0]):
        raise SolveFailed(
            f"sensitivities: the solve of states and tangents failed ({raw.message or raw.status[0].message}); "
            "call ps.solve on the same problem to see where and why",
            raw.status[0],
        )
    slopes = _by_pair(problem.u_layout, blocks, raw.u[0], size)
    if problem.observe is not None:
        observed = chosen.observe(with_tangents(problem.observe, seeds), raw.t, raw.u[0], request.p)
        slopes |= _by_pair(problem.y_layout, blocks, observed, size)
    settings = settings_of(request, engine, problem)
    return sensitivities_to_dataset(raw, problem, chosen.name, settings, shown, slopes)


def _tangents(problem, blocks):
    """Sizes of the elements of x, and for a relative change of each the tangents of u0 ``(k, n)`` and p ``(k, m)``."""
    x0 = gather_x(blocks, problem.u0_values, problem.p_values)
    size = np.where(x0 != 0, np.abs(x0), 1.0)
    parametrization = natural_parametrization(blocks, problem.u0_values, problem.p_values, problem.initial)
    tangents = jvp(parametrization, ["x"])
    rows = [evaluate_program(tangents, x0, direction) for direction in np.diag(size)]
    starts, seeds = (np.array(part, dtype=np.float64) for part in zip(*rows, strict=True))
    if not np.isfinite(starts).all():
        raise ProblemError("sensitivities: u0 has no finite derivative by the parameters at these values")
    return size, starts, seeds


def _by_pair(layout, blocks, values, size):
    """Arrays ``(time, *state, *parameter)`` by the names of both, from states with their tangents behind them."""
    tangents = values[:, layout.size :].reshape(len(values), len(size), layout.size) / size[:, np.newaxis]
    owners = whole_networks(blocks)
    groups = dict(owners) | {block.name: [block] for block in blocks if block.network not in owners}
    slopes = {}
    for entry in layout.entries:
        of_entry = np.moveaxis(tangents[:, :, entry.slice], 1, 2)
        for name, group in groups.items():
            parts = [of_entry[:, :, block.slice] for block in group]
            shape = (len(values), *entry.shape)
            if name in owners:
                slopes[entry.name, name] = np.concatenate(parts, axis=2).reshape(*shape, -1)
            elif is_weight(group[0]):  # column-major
                slopes[entry.name, name] = np.swapaxes(parts[0].reshape(*shape, *group[0].shape[::-1]), -1, -2)
            else:
                slopes[entry.name, name] = parts[0].reshape(*shape, *group[0].shape)
    return slopes
