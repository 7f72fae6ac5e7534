"""gradient(): the loss against data and its derivative by name."""

from collections.abc import Mapping, Sequence

import numpy as np
import xarray as xr

from ..datasets.to_dataset import gradient_to_dataset
from ..errors import SolveFailed
from ..fitting.trainable import whole_networks
from ..problems.ode import ODEProblem
from ..words import check_keywords
from .algorithm import Algorithm
from .objective import block_values, objective


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
    sensitivity: str = "auto",
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
        (``"u0_hare"``). None: all float parameters and all networks.
    engine, algorithm, rtol, atol, sensitivity, verify
        See :func:`objective`.
    **unknown
        Nothing else: an unknown keyword raises with the nearest right one.

    Returns
    -------
    value : float
        The loss (dimensionless for ``"nmse"``).
    gradient : xarray.Dataset
        One variable for each name, of the shape of what it is the derivative by; a whole network is
        ``net(net_weight)``. Attributes say which algorithm and sensitivity ran.

    Raises
    ------
    ProblemError, UnsupportedByEngine, EngineUnavailable
        See :func:`objective`.
    SolveFailed
        If the solve fails, so that there is no gradient.
    GradientMismatch
        If the gradient isn't the derivative of the loss; see :func:`objective`.

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
    misfit = objective(
        problem,
        data,
        loss=loss,
        trainable=wrt,
        engine=engine,
        algorithm=algorithm,
        rtol=rtol,
        atol=atol,
        sensitivity=sensitivity,
        verify=verify,
    )
    value, flat = misfit.value_and_gradient(misfit.x0)
    if not np.isfinite(value):
        raise SolveFailed(
            "gradient: the solve failed, so there is no gradient here; "
            "call ps.solve on the same problem to see where and why"
        )
    blocks = misfit.blocks
    by_name = {block.name: block_values(block, flat[block.slice]) for block in blocks}
    for name, whole in whole_networks(blocks).items():
        by_name = {key: values for key, values in by_name.items() if key not in {block.name for block in whole}}
        by_name[name] = np.concatenate([flat[block.slice] for block in whole])
    attrs = {"algorithm": misfit.algorithm, "sensitivity": misfit.sensitivity, "reason": misfit.reason}
    return value, gradient_to_dataset(problem, by_name).assign_attrs(attrs)
