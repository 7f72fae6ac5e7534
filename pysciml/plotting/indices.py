"""Pictures of global sensitivities."""

import numpy as np
import xarray as xr

from ..errors import ProblemError

COLUMNS = 3  # of panels side by side
_SHARES = {"S1": "by itself", "ST": "with all others"}


def plot_global_sensitivity(indices: xr.Dataset):
    """Global sensitivities, one panel a result: bars, lines in time (dashed: alone), or effects' size against scatter.

    Parameters
    ----------
    indices : xarray.Dataset
        What :func:`global_sensitivity` returned, for results without dims other than ``time``.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    ProblemError
        If there is nothing that can be drawn.

    Examples
    --------
    >>> import pysciml as ps, xarray as xr
    >>> values = {f"x_{word}": ("parameter", [0.2, 0.8]) for word in ("S1", "S1_conf", "ST", "ST_conf")}
    >>> figure = ps.plot_global_sensitivity(xr.Dataset(values, {"parameter": ["a", "b"]}))
    >>> [label.get_text() for label in figure.axes[0].get_xticklabels()]
    ['a', 'b']
    """
    import matplotlib.pyplot as plt

    word = "ST" if any(str(name).endswith("_ST") for name in indices.data_vars) else "mu_star"
    drawable = {("parameter",), ("parameter", "time")} if word == "ST" else {("parameter",)}
    indices = indices.squeeze("time") if indices.sizes.get("time") == 1 else indices
    named = {str(name).removesuffix(f"_{word}"): array for name, array in indices.data_vars.items()}
    names = [name for name, array in named.items() if f"{name}_{word}" in indices and array.dims in drawable]
    if not names:
        raise ProblemError(
            "plot_global_sensitivity: give what ps.global_sensitivity returned, of results that are numbers"
            + (" or series in time" if word == "ST" else "")
        )
    columns = min(COLUMNS, len(names))
    rows = -(-len(names) // columns)
    figure, axes = plt.subplots(rows, columns, figsize=(3.6 * columns, 3.0 * rows), layout="constrained", squeeze=False)
    for ax, name in zip(axes.flat, names, strict=False):
        found = {w: indices[f"{name}_{w}"] for w in _words(word) if f"{name}_{w}" in indices}
        (_draw_effects if word == "mu_star" else _draw_lines if "time" in found["ST"].dims else _draw_bars)(ax, found)
        ax.set_title(name)
    for ax in axes.flat[len(names) :]:
        ax.set_visible(False)
    return figure


def _words(word):
    return ("mu_star", "mu_star_conf", "sigma") if word == "mu_star" else ("S1", "S1_conf", "ST", "ST_conf")


def _draw_bars(ax, found):
    places = np.arange(found["ST"].sizes["parameter"])
    for word, shift in (("S1", -0.2), ("ST", 0.2)):
        values = found[word].values
        ax.bar(places + shift, values, 0.4, yerr=found[f"{word}_conf"].values, capsize=2, label=_SHARES[word])
    ax.set_xticks(places, [str(name) for name in found["ST"]["parameter"].values])
    ax.set_ylabel("share of the variance")
    ax.legend(fontsize="small")


def _draw_lines(ax, found):
    for name in found["ST"]["parameter"].values:
        one = {word: values.sel(parameter=name) for word, values in found.items()}
        (line,) = ax.plot(one["ST"]["time"].values, one["ST"].values, label=str(name))
        ax.plot(one["S1"]["time"].values, one["S1"].values, "--", color=line.get_color())
        low, high = one["ST"] - one["ST_conf"], one["ST"] + one["ST_conf"]
        ax.fill_between(one["ST"]["time"].values, low.values, high.values, color=line.get_color(), alpha=0.2, lw=0)
    ax.set_xlabel("time")
    ax.set_ylabel("share of the variance")
    ax.legend(fontsize="small")


def _draw_effects(ax, found):
    size, scatter = found["mu_star"], found["sigma"]
    ax.errorbar(size.values, scatter.values, xerr=found["mu_star_conf"].values, fmt="o")
    for name, x, y in zip(size["parameter"].values, size.values, scatter.values, strict=True):
        ax.annotate(str(name), (x, y), xytext=(4, 4), textcoords="offset points")
    unit = f" ({size.attrs['units']})" if "units" in size.attrs else ""
    ax.set_xlabel(f"mean size of effects{unit}")
    ax.set_ylabel(f"scatter of effects{unit}")
