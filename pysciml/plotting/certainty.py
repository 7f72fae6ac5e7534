"""Pictures of how sure a fit is: correlations, profile likelihoods."""

import numpy as np
import xarray as xr

from ..errors import ProblemError

COLUMNS = 3  # of profiles side by side


def plot_correlations(standard_errors: xr.Dataset):
    """Correlations of what was trained, as a matrix of colours.

    Parameters
    ----------
    standard_errors : xarray.Dataset
        What :func:`standard_errors` returned.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    ProblemError
        If there is no ``correlation (parameter, parameter_2)``.

    Examples
    --------
    >>> import numpy as np, pysciml as ps, xarray as xr
    >>> dims, names = ("parameter", "parameter_2"), ["a", "b"]
    >>> found = xr.Dataset({"correlation": (dims, np.eye(2))}, {"parameter": names, "parameter_2": names})
    >>> [label.get_text() for label in ps.plot_correlations(found).axes[0].get_xticklabels()]
    ['a', 'b']
    """
    import matplotlib.pyplot as plt

    if "correlation" not in standard_errors:
        raise ProblemError("plot_correlations: give what ps.standard_errors returned")
    names = [str(name) for name in standard_errors["parameter"].values]
    values = standard_errors["correlation"].transpose("parameter", "parameter_2").values
    side = float(np.clip(0.5 * len(names) + 2.0, 3.5, 12.0))
    figure, ax = plt.subplots(figsize=(side + 0.8, side), layout="constrained")
    image = ax.imshow(values, cmap="RdBu_r", vmin=-1.0, vmax=1.0)
    ax.set_xticks(np.arange(len(names)), names, rotation=45, ha="right")
    ax.set_yticks(np.arange(len(names)), names)
    if len(names) <= 10:
        for (row, column), value in np.ndenumerate(values):
            colour = "white" if abs(value) > 0.6 else "black"
            ax.text(column, row, f"{value:.2f}", ha="center", va="center", color=colour, fontsize="small")
    figure.colorbar(image, ax=ax, label="correlation")
    return figure


def plot_profile(profile: xr.Dataset):
    """Profile likelihoods: how much worse the fit gets as a parameter is moved; one panel a parameter.

    Parameters
    ----------
    profile : xarray.Dataset
        What :func:`profile` returned. The dashed line is its threshold, the shaded stretch the confidence interval,
        open where the rise stays below the threshold.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    ProblemError
        If there is no ``rise (parameter, point)``.

    Examples
    --------
    >>> import pysciml as ps
    >>> result = ps.fit(problem, data)  # doctest: +SKIP
    >>> ps.plot_profile(ps.profile(result)).axes[0].get_xlabel()  # doctest: +SKIP
    'rate'
    """
    import matplotlib.pyplot as plt

    if "rise" not in profile or "threshold" not in profile:
        raise ProblemError("plot_profile: give what ps.profile returned")
    n = profile.sizes["parameter"]
    columns = min(n, COLUMNS)
    rows = -(-n // columns)
    size = (3.6 * columns + 0.6, 3.0 * rows)
    figure, axes = plt.subplots(rows, columns, figsize=size, squeeze=False, layout="constrained")
    for k, ax in enumerate(axes.flat):
        if k < n:
            _draw_profile(ax, profile.isel(parameter=k), profile.attrs)
        else:
            ax.set_visible(False)
    for ax in axes[:, 0]:
        ax.set_ylabel("rise of -2 log likelihood")
    return figure


def _draw_profile(ax, one, attrs):
    """One parameter."""
    threshold, name, unit = float(one["threshold"]), str(one["parameter"].item()), str(one["unit"].item())
    order = np.argsort(one["value"].values)
    ax.plot(one["value"].values[order], one["rise"].values[order], "o-", markersize=3)
    ax.axhline(threshold, color="0.4", linewidth=1, linestyle="--")
    ax.axvline(float(one["estimate"]), color="0.4", linewidth=1)
    ends = [float(one["lower"]), float(one["upper"])]
    left, right = ax.get_xlim()
    shown = [max(ends[0], left), min(ends[1], right)]
    ax.axvspan(*shown, color="C0", alpha=0.1, linewidth=0)
    ax.set_xlim(left, right)
    ax.set_ylim(-0.05 * threshold, 2.0 * threshold)
    ax.set_xlabel(f"{name} [{unit}]" if unit else name)
    low, high = (f"{end:.3g}" if np.isfinite(end) else "no end" for end in ends)
    ax.set_title(f"{one['verdict'].item()}\n{attrs['level']:.0%}: {low} to {high}", fontsize="small")
