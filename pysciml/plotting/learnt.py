"""Pictures of what a model learnt: its terms against those of the truth."""

from collections.abc import Sequence

import numpy as np
import xarray as xr

from ..errors import ProblemError
from .states import columns_of, label_of, label_time, times_of


def plot_learnt(learnt: xr.Dataset, truth: xr.Dataset, names: Sequence[str] | None = None):
    """What a model learnt against the truth: over time, and one against the other.

    A term inside a model, such as what a network gives, becomes a variable by ``observe=``; so does the true one.

    Parameters
    ----------
    learnt, truth : xarray.Dataset
        Solutions (:func:`solve`, ``FitResult.predict``) of both models at the same times.
    names : sequence of str, optional
        Variables ``(time, ...)`` to draw, one row each; those of both where left out.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    ProblemError
        If there is no such variable in both, or they have different times or dims.

    Examples
    --------
    >>> import pysciml as ps
    >>> def model(t, u, p):
    ...     return {"x": -p.k * u.x**2}
    >>> problem = ps.ODEProblem(
    ...     model, {"x": 1.0}, (0, 2), {"k": 1.0}, observe=lambda t, u, p: {"loss": p.k * u.x**2}
    ... )
    >>> both = [ps.solve(problem.remake(p={"k": k}), saveat=[0.0, 1.0, 2.0], engine="diffrax") for k in (1.0, 1.1)]
    >>> [axes.get_ylabel() for axes in ps.plot_learnt(*both, names=["loss"]).axes]
    ['loss', 'loss, learnt']
    """
    import matplotlib.pyplot as plt

    chosen = [name for name in learnt.data_vars if name in truth] if names is None else list(names)
    chosen = [str(name) for name in chosen if names is not None or "time" in learnt[name].dims]
    _check(learnt, truth, chosen)
    size = (9.0, 2.8 * len(chosen))
    figure, axes = plt.subplots(len(chosen), 2, figsize=size, squeeze=False, layout="constrained", width_ratios=(2, 1))
    for name, (over_time, against) in zip(chosen, axes, strict=True):
        found, _ = columns_of(learnt[name])
        wanted, labels = columns_of(truth[name].transpose(*learnt[name].dims))
        for k, (one, other, label) in enumerate(zip(found, wanted, labels, strict=True)):
            over_time.plot(times_of(truth), other, color="0.7", linewidth=3, label=None if k else "truth")
            over_time.plot(times_of(learnt), one, color=f"C{k % 10}", label=label or "learnt")
            against.plot(other, one, ".", color=f"C{k % 10}", markersize=4)
        ends = [np.nanmin([found, wanted]), np.nanmax([found, wanted])]
        against.plot(ends, ends, color="0.7", linewidth=1, zorder=0)
        over_time.set(ylabel=label_of(learnt[name]))
        against.set(xlabel=f"{name}, truth", ylabel=f"{name}, learnt")
        over_time.legend(loc="best", fontsize="small")
    label_time(axes[-1, 0], learnt)
    return figure


def _check(learnt, truth, names):
    for name in names:
        if name not in learnt or name not in truth:
            raise ProblemError(f"plot_learnt: {name!r} is not in {'truth' if name in learnt else 'learnt'}")
        if set(learnt[name].dims) != set(truth[name].dims) or "time" not in learnt[name].dims:
            raise ProblemError(
                f"plot_learnt: {name!r} has dims {learnt[name].dims} and {truth[name].dims} in the truth"
            )
    if not names:
        raise ProblemError("plot_learnt: the two have no variable over time in common")
    if not np.array_equal(learnt["time"], truth["time"]):
        raise ProblemError("plot_learnt: the two have different times; solve both with the same saveat")
