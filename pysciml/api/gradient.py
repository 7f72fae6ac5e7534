"""gradient(): the loss against data and its derivative by name."""

from collections.abc import Mapping, Sequence

import numpy as np
import xarray as xr

from ..datasets.to_dataset import gradient_to_dataset
from ..engines.base import check_capabilities
from ..engines.choose import engine_capabilities
from ..errors import SolveFailed
from ..fitting.trainable import NOTHING, whole_networks
from ..problems.ode import ODEProblem
from ..requests import sum_of_one, tangent_needs
from ..words import check_keywords
from .algorithm import Algorithm
from .ends import NAME, with_ends
from .misfit import make_misfit
from .objective import block_values, natural
from .sensitivity import Sensitivity
from .verify import Verified, check_verify


def gradient(
    problem: ODEProblem,
    data: xr.Dataset,
    *,
    loss: str = "nmse",
    wrt: None | Sequence[str] | Mapping[str, object] = None,
    engine: str = "auto",
    algorithm: str | Algorithm = "auto",
    rtol: float = 1e-6,
    atol: float = 1e-8,
    sensitivity: str | Sensitivity = "auto",
    device: str = "cpu",
    verify: str = "once",
    **unknown,
) -> tuple[float, xr.Dataset]:
    """Return the loss of a problem against data, and its gradient as a Dataset.

    For many gradients of one problem use :func:`objective`, which rebuilds nothing between calls.

    Parameters
    ----------
    problem : ODEProblem
        The model, its start values and its parameters.
    data : xarray.Dataset
        Measured states or observables over ``time``, in the problem's units; NaN where nothing was measured.
    loss : {"nmse", "mse"}, default "nmse"
        See :func:`objective`.
    wrt : sequence of str, optional
        Names or globs: parameters, networks (``"net"``) or their layers (``"net.0.weight"``), initial values
        (``"u0_hare"``), the ends of the span (``"t_span"``). None: all float parameters and all networks.
    engine, algorithm, rtol, atol, sensitivity, device, verify
        See :func:`objective`.
    **unknown
        Nothing else: an unknown keyword raises with the nearest right one.

    Returns
    -------
    value : float
        The loss (dimensionless for ``"nmse"``).
    gradient : xarray.Dataset
        One variable for each name, of the shape of what it is the derivative by; a whole network is
        ``net(net_weight)``, ``t_span(end)`` holds the slopes by ``t0`` and ``t1``. Attributes say which algorithm and
        sensitivity ran, and where.

    Raises
    ------
    ProblemError, UnsupportedByEngine, EngineUnavailable
        See :func:`objective`.
    SolveFailed
        If the solve fails, so that there is no gradient.
    GradientMismatch
        If the gradient isn't the derivative of the loss; see :func:`objective`.

    Notes
    -----
    Where an end of ``t_span`` moves, the steps keep their sizes and data keep their times, except data at that end,
    which move with it. With the cotangent ``v`` of the state, all data before it counted, the slope by ``t0`` is
    ``-v(t0) . f(t0, u0)``, and that by ``t1`` is ``v(t1) . f(t1, u(t1))``: 0 where no datum is at ``t1``.

    Examples
    --------
    >>> import pysciml as ps, xarray as xr
    >>> problem = ps.ODEProblem(lambda t, u, p: {"x": -p.k * u.x}, {"x": 1.0}, (0, 2), {"k": 1.0})
    >>> data = xr.Dataset({"x": ("time", [0.6, 0.4])}, {"time": [1.0, 2.0]})
    >>> value, slope = ps.gradient(problem, data, engine="diffrax")
    >>> list(slope.data_vars)
    ['k']
    """
    check_keywords("gradient", unknown, gradient.__kwdefaults__ or ())
    check_verify(verify)
    names, has_ends = _without_ends(wrt)
    words = engine, algorithm, rtol, atol, sensitivity
    misfit = make_misfit(problem, data, loss, names or NOTHING if has_ends else names, *words, device=device)
    blocks = misfit.blocks
    request = misfit.request(natural, misfit.x0)
    if has_ends:
        one = request.parts[0]
        check_capabilities(misfit.engine, tangent_needs(one.solve, "gradient by t_span of"), engine_capabilities())
        request = sum_of_one(with_ends(one, problem.span))
    compiled = misfit.engine.make_objective(request)
    value, flat = Verified(verify, misfit.engine, compiled, request)(request.x0)
    if not np.isfinite(value):
        raise SolveFailed(
            "gradient: the solve failed, so there is no gradient here; "
            "call ps.solve on the same problem to see where and why"
        )
    by_name = {block.name: block_values(block, flat[block.slice]) for block in blocks}
    for name, whole in whole_networks(blocks).items():
        by_name = {key: values for key, values in by_name.items() if key not in {block.name for block in whole}}
        by_name[name] = np.concatenate([flat[block.slice] for block in whole])
    slopes = gradient_to_dataset(problem, by_name, flat[-2:] if has_ends else None)
    attrs = {"algorithm": compiled.algorithm, "sensitivity": compiled.sensitivity, "reason": compiled.reason}
    attrs["device"] = device
    return value, slopes.assign_attrs(attrs)


def _without_ends(wrt):
    """The other names that a gradient is by, and whether it is by the ends of the span."""
    if wrt is None or NAME not in (names := [wrt] if isinstance(wrt, str) else wrt):
        return wrt, False
    if isinstance(names, Mapping):
        return {name: bound for name, bound in names.items() if name != NAME}, True
    return [name for name in names if name != NAME], True
