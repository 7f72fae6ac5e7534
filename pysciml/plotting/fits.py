"""Pictures of a fit: against its data, what it leaves, how it came about."""

import numpy as np
import xarray as xr

from ..api.fit_result import FitResult
from ..errors import ProblemError
from .states import columns_of, label_of, label_time, times_of

POINTS = 200  # of a fitted curve
MOST_LAGS = 20
_NAMES = {"loss": "loss", "validation_loss": "held-out data"}


def plot_fit(result: FitResult, standard_errors: xr.Dataset | None = None):
    """Data as points and the fitted curves, with the band in which new data are expected: one panel a variable.

    Parameters
    ----------
    result : FitResult
        What :func:`fit` returned.
    standard_errors : xarray.Dataset, optional
        What :func:`standard_errors` returned for it: the band is the curve -+ the estimated deviation of the data
        times Student's t at its level (the error of the parameters is not in it).

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    ProblemError
        If ``standard_errors`` are of a likelihood, which estimates no such deviation.
    SolveFailed
        If the fitted problem can't be solved over the data's span.

    Examples
    --------
    >>> import pysciml as ps, xarray as xr
    >>> problem = ps.ODEProblem(lambda t, u, p: {"x": p.rate}, {"x": 0.0}, (0, 2), {"rate": 0.5})
    >>> data = xr.Dataset({"x": ("time", [1.1, 1.9])}, {"time": [1.0, 2.0]})
    >>> result = ps.fit(problem, data, loss="mse", optimizer="lbfgs", engine="diffrax", progress=False)
    >>> len(ps.plot_fit(result).axes[0].lines)  # with the band: ps.plot_fit(result, ps.standard_errors(result))
    2
    """
    margins = {} if standard_errors is None else _margins(standard_errors)
    curves = result.predict(_fine_times(result))
    assert isinstance(curves, xr.Dataset)
    names = _measured(result)
    figure, axes = _panels(len(names), 1)
    for ax, name in zip(axes[:, 0], names, strict=True):
        data, curve = result.data[name], curves[name]
        dims = [dim for dim in curve.dims if dim != "time"]
        times = times_of(curve)
        for k, (column, label) in enumerate(zip(*columns_of(curve), strict=True)):
            colour = f"C{k % 10}"
            ax.plot(times, column, color=colour, label=label or "fit")
            if name in margins:
                low, high = column - margins[name], column + margins[name]
                ax.fill_between(times, low, high, color=colour, alpha=0.2, linewidth=0)
            own = data.stack(one=dims).isel(one=k) if dims else data
            for points in columns_of(own)[0]:
                ax.plot(times_of(data), points, "o", color=colour, markersize=4, label="_data" if dims else "data")
        ax.set_ylabel(label_of(data))
        ax.legend(loc="best", fontsize="small")
    label_time(axes[-1, 0], result.data)
    return figure


def plot_residuals(result: FitResult):
    """Data minus fit over time, and the autocorrelation of that by number of data apart: one row a variable.

    Between the dashed lines lie 95 % of the autocorrelations of errors that have nothing to do with each other.

    Parameters
    ----------
    result : FitResult
        What :func:`fit` returned.

    Returns
    -------
    matplotlib.figure.Figure
        Two axes a variable: residuals, and autocorrelation.

    Raises
    ------
    SolveFailed
        If the fitted problem can't be solved at the data's times.

    Examples
    --------
    >>> import pysciml as ps
    >>> result = ps.fit(problem, data)  # doctest: +SKIP
    >>> [axes.get_xlabel() for axes in ps.plot_residuals(result).axes]  # doctest: +SKIP
    ['time', 'data apart']
    """
    predicted = result.predict()
    assert isinstance(predicted, xr.Dataset)
    names = _measured(result)
    figure, axes = _panels(len(names), 2)
    for (left, right), name in zip(axes, names, strict=True):
        residual = (result.data[name] - predicted[name]).assign_attrs(result.data[name].attrs).rename(name)
        columns, labels = columns_of(residual)
        for column, label in zip(columns, labels, strict=True):
            left.plot(times_of(residual), column, "o", markersize=4, label=label or None)
        left.axhline(0.0, color="0.5", linewidth=1)
        left.set_ylabel(f"data - fit: {label_of(residual)}")
        correlation, n = autocorrelation(np.array(columns))
        right.bar(np.arange(1, len(correlation) + 1), correlation, width=0.4)
        right.axhline(0.0, color="0.5", linewidth=1)
        for bound in (-1.96 / np.sqrt(n), 1.96 / np.sqrt(n)):
            right.axhline(bound, color="0.5", linewidth=1, linestyle="--")
        right.set(ylabel="autocorrelation", ylim=(-1.05, 1.05))
    label_time(axes[-1, 0], result.data)
    axes[-1, 1].set_xlabel("data apart")
    axes[-1, 1].xaxis.get_major_locator().set_params(integer=True)
    return figure


def plot_history(result: FitResult | xr.Dataset):
    """Loss by iteration on a logarithmic axis, and its terms; dotted lines mark where the horizon grew.

    Parameters
    ----------
    result : FitResult or xarray.Dataset
        What :func:`fit` returned, or its ``history``. A loss on validation data is drawn where it has one.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    ProblemError
        If it has no loss over ``iteration``.

    Notes
    -----
    A likelihood may be negative: then the axis shows how far the loss, or a term of it, is above its lowest value.

    Examples
    --------
    >>> import pysciml as ps, xarray as xr
    >>> history = xr.Dataset({"loss": ("iteration", [3.0, 1.0]), "horizon": ("iteration", [1.0, 2.0])})
    >>> ps.plot_history(history).axes[0].get_yscale()
    'log'
    """
    import matplotlib.pyplot as plt

    history = result.history if isinstance(result, FitResult) else result
    if "loss" not in history or history["loss"].dims != ("iteration",):
        raise ProblemError("plot_history: give what ps.fit returned, or its history")
    figure, ax = plt.subplots(figsize=(7.0, 3.2), layout="constrained")
    iterations = np.arange(history.sizes["iteration"])
    drawn = {label: history[name].values for name, label in _NAMES.items() if name in history}
    drawn = {label: values for label, values in drawn.items() if np.isfinite(values).any()}
    lowest = min((np.nanmin(values) for values in drawn.values()), default=1.0)
    above = "" if lowest > 0 else " above its lowest"
    drawn = {label: values - (lowest if above else 0.0) for label, values in drawn.items()} | _terms_of(history)
    for label, values in drawn.items():
        seen = np.isfinite(values)
        style = {"loss": "-", "held-out data": "o-"}.get(label, "--")
        ax.plot(iterations[seen], values[seen], style, markersize=3, label=label)
    ax.xaxis.get_major_locator().set_params(integer=True)
    ax.set(xlabel="iteration", ylabel=f"loss{above}", yscale="log")
    if "horizon" in history:
        for k in np.flatnonzero(np.diff(history["horizon"].values) != 0):
            ax.axvline(k + 0.5, color="0.6", linewidth=1, linestyle=":")
    if len(drawn) > 1:
        ax.legend(loc="best", fontsize="small")
    return figure


def _terms_of(history):
    """Several terms of a loss by label, those that are negative somewhere above their lowest value."""
    found = {}
    for term in history["terms"].transpose("term", "iteration") if history.sizes.get("term", 1) > 1 else ():
        name, lowest = str(term["term"].item()), np.nanmin(term.values, initial=0.0)
        found[f"{name} above its lowest" if lowest < 0 else name] = term.values - lowest
    return found


def autocorrelation(columns: np.ndarray) -> tuple[np.ndarray, int]:
    """Of ``columns (series, time)``, NaN where nothing is, at 1, 2, ... data apart; and the number of data."""
    series = [column[np.isfinite(column)] for column in columns]
    longest = max((len(one) for one in series), default=0)
    total = sum(float(one @ one) for one in series)
    lags = range(1, min(MOST_LAGS, longest - 1) + 1)
    found = [sum(float(one[lag:] @ one[:-lag]) for one in series) / total if total else 0.0 for lag in lags]
    return np.array(found), max(1, sum(len(one) for one in series))


def _measured(result) -> list[str]:
    return [name for name in result.settings["scales"] if name in result.data]


def _panels(rows, columns):
    import matplotlib.pyplot as plt

    size = (7.0 if columns == 1 else 10.0, max(2.6 * rows, 3.2))
    return plt.subplots(rows, columns, figsize=size, sharex="col", squeeze=False, layout="constrained")


def _fine_times(result):
    """Times of the curve: even from the first datum to the last, or the data's own where these are of a calendar."""
    times = result.data["time"].values
    if times.dtype == object:
        return times
    share = np.linspace(0.0, 1.0, POINTS)
    if times.dtype.kind == "M":
        return times[0] + (share * (times[-1] - times[0]).astype("m8[ns]").astype(float)).astype("m8[ns]")
    return np.union1d(times[0] + share * (times[-1] - times[0]), times)


def _margins(standard_errors):
    """Half the width of the band of each variable."""
    from scipy.stats import t

    if "residual_deviation" not in standard_errors:
        raise ProblemError("plot_fit: these standard errors are of a likelihood, which estimates no residual_deviation")
    attrs, deviation = standard_errors.attrs, standard_errors["residual_deviation"]
    quantile = float(t.ppf(0.5 + 0.5 * attrs["level"], attrs["degrees_of_freedom"]))
    return {str(name): quantile * float(deviation.sel(variable=name)) for name in deviation["variable"].values}
