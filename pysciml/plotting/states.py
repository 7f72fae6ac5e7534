"""States over time, fields, phase portraits."""

from collections.abc import Mapping

import numpy as np
import xarray as xr

from ..errors import ProblemError

MOST_LINES = 8  # components of a state that are drawn as lines; more of them are an image


def plot_states(solutions: xr.Dataset | Mapping[str, xr.Dataset], data: xr.Dataset | None = None, *, held_out=None):
    """States over time, data as points: one panel a state.

    Parameters
    ----------
    solutions : xarray.Dataset or dict of Datasets
        What is drawn as lines (a field over one dimension as an image); the keys of a dict are the legend.
    data : xarray.Dataset, optional
        What is drawn as points, in the colour of its line where there is one solution.
    held_out : (start, end), optional
        A stretch of time that is shaded: what the fit did not see.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    ProblemError
        If there is nothing over ``time`` to draw, or ``data`` has no state in common with the solutions.

    Examples
    --------
    >>> import pysciml as ps
    >>> data = ps.load_example("hare_lynx")
    >>> figure = ps.plot_states(data, held_out=(1915, 1920))
    >>> [axes.get_ylabel() for axes in figure.axes]
    ['hare pelts [thousand]', 'lynx pelts [thousand]']
    """
    import matplotlib.pyplot as plt

    named = {"": solutions} if isinstance(solutions, xr.Dataset) else dict(solutions)
    panels = _panels(named)
    _check_data(data, {state for state, _ in panels})
    size = (7.0, max(2.6 * len(panels), 3.2))
    figure, axes = plt.subplots(len(panels), 1, figsize=size, sharex=True, squeeze=False, layout="constrained")
    for k, (ax, (state, names)) in enumerate(zip(axes[:, 0], panels, strict=True)):
        chosen = {name: named[name][state] for name in names}
        if _is_field(chosen[names[0]]):
            _draw_field(figure, ax, chosen[names[0]], names[0])
        else:
            _draw_lines(ax, chosen, None if data is None else data.get(state), k)
        if held_out is not None:
            ax.axvspan(*held_out, color="0.9", zorder=0, label="held out")
        if ax.get_legend_handles_labels()[0]:
            ax.legend(loc="best", fontsize="small")
    label_time(axes[-1, 0], next(iter(named.values())))
    return figure


def plot_phase(solutions: xr.Dataset | Mapping[str, xr.Dataset], x: str, y: str, data: xr.Dataset | None = None):
    """Phase portrait: one state against another along solutions, which start at the dot.

    Parameters
    ----------
    solutions : xarray.Dataset or dict of Datasets
        What is drawn as lines; the keys of a dict are the legend.
    x, y : str
        The states ``(time,)`` along the axes; with further dims, one line for each of their labels.
    data : xarray.Dataset, optional
        What is drawn as points, where both were measured.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    ProblemError
        If a solution or ``data`` lacks one of the two, or they have different dims.

    Examples
    --------
    >>> import pysciml as ps
    >>> figure = ps.plot_phase(ps.load_example("hare_lynx"), "hare", "lynx")
    >>> figure.axes[0].get_xlabel()
    'hare pelts [thousand]'
    """
    import matplotlib.pyplot as plt

    named = {"": solutions} if isinstance(solutions, xr.Dataset) else dict(solutions)
    for name, ds in {**named, **({} if data is None else {"data": data})}.items():
        if x not in ds or y not in ds or ds[x].dims != ds[y].dims or "time" not in ds[x].dims:
            where = f"the Dataset {name!r}" if name else "the Dataset"
            raise ProblemError(f"plot_phase: {where} has no {x!r} and {y!r} over time and the same dims")
    figure, ax = plt.subplots(figsize=(5.0, 4.5), layout="constrained")
    colours = iter(f"C{k % 10}" for k in range(10**6))
    for name, ds in named.items():
        (along, labels), (up, _) = columns_of(ds[x]), columns_of(ds[y])
        for a, b, label in zip(along, up, labels, strict=True):
            (line,) = ax.plot(a, b, color=next(colours), label=" ".join(filter(None, [name, label])) or None)
            ax.plot(a[:1], b[:1], "o", color=line.get_color(), markersize=5)
    if data is not None:
        for k, (a, b) in enumerate(zip(columns_of(data[x])[0], columns_of(data[y])[0], strict=True)):
            ax.plot(a, b, "x", color="black", markersize=4, label=None if k else "data")
    first = next(iter(named.values()))
    ax.set(xlabel=label_of(first[x]), ylabel=label_of(first[y]))
    if ax.get_legend_handles_labels()[0]:
        ax.legend(loc="best", fontsize="small")
    return figure


def _panels(named) -> list[tuple[str, list[str]]]:
    """State and names of the solutions in each panel: lines share one, a field has its own."""
    panels: dict[str, list[list[str]]] = {}
    for name, ds in named.items():
        for state in ds.data_vars:
            if "time" in ds[state].dims and ds[state].dtype.kind == "f":
                groups = panels.setdefault(str(state), [])
                if _is_field(ds[state]) or not groups:
                    groups.append([name])
                else:
                    groups[0].append(name)
    if not panels:
        raise ProblemError("plot: the Dataset has no variable over 'time'")
    return [(state, names) for state, groups in panels.items() for names in groups]


def _check_data(data, states):
    if data is not None and not states & set(data.data_vars):
        raise ProblemError(
            f"plot: data has none of the states {', '.join(sorted(states))}; it has {', '.join(data.data_vars)}"
        )


def _is_field(state: xr.DataArray) -> bool:
    return state.size > MOST_LINES * state.sizes["time"]


def _draw_lines(ax, chosen, data, position):
    """Lines of every solution and the data's points."""
    alone = len(chosen) == 1
    for number, (name, state) in enumerate(chosen.items()):
        columns, labels = columns_of(state)
        for k, (column, label) in enumerate(zip(columns, labels, strict=True)):
            colour = f"C{(position + k if alone else number) % 10}"
            style = "-" if alone or len(columns) == 1 else ("-", "--", ":", "-.")[k % 4]
            ax.plot(times_of(state), column, style, color=colour, label=" ".join(filter(None, [name, label])) or None)
    if data is not None:
        columns, labels = columns_of(data)
        for k, column in enumerate(columns):
            colour = f"C{(position + k) % 10}" if alone else "black"
            ax.plot(times_of(data), column, "o", color=colour, markersize=4, label=None if alone and k else "data")
    ax.set_ylabel(label_of(next(iter(chosen.values()))))


def columns_of(state):
    """A state's components over time ``(component, time)`` and what each is called."""
    others = [dim for dim in state.dims if dim != "time"]
    if not others:
        return [state.values], [""]
    flat = state.transpose("time", *others).values.reshape(state.sizes["time"], -1)
    places = np.ndindex(*(state.sizes[dim] for dim in others))
    names = [
        ", ".join(f"{dim} {state[dim].values[k]}" for dim, k in zip(others, place, strict=True)) for place in places
    ]
    return list(flat.T), names


def _draw_field(figure, ax, state, name):
    """A state over time and one dimension as an image; over more dimensions its mean over all but the first."""
    first, *rest = [dim for dim in state.dims if dim != "time"]
    field = state.mean(rest, keep_attrs=True) if rest else state
    along = state[first]
    values = field.transpose(first, "time").values
    is_numeric = along.dtype.kind in "iufM"
    image = ax.pcolormesh(
        times_of(state), along.values if is_numeric else np.arange(along.size), values, shading="nearest"
    )
    figure.colorbar(image, ax=ax, label=label_of(state) + (f", mean over {', '.join(rest)}" if rest else ""))
    ax.set_ylabel(label_of(along))
    ax.set_title(name)


def times_of(state):
    """Times that matplotlib can draw: dates of another calendar as days since the first."""
    times = state["time"].values
    if times.dtype != object:
        return times
    return np.array([(time - times[0]).total_seconds() / 86400 for time in times])


def label_time(ax, ds):
    """The label and ticks of the axis of time: short dates, whole numbers where the span is long."""
    from matplotlib.dates import ConciseDateFormatter

    time = ds["time"]
    ax.set_xlabel(f"days since {time.values[0]}" if time.dtype == object else label_of(time))
    locator = ax.xaxis.get_major_locator()
    if time.dtype.kind == "M":
        ax.xaxis.set_major_formatter(ConciseDateFormatter(locator))
    elif np.diff(ax.get_xlim())[0] > 5:
        locator.set_params(integer=True)


def label_of(variable):
    """``name [unit]``."""
    name = variable.attrs.get("long_name", variable.name)
    unit = variable.attrs.get("units")
    return f"{name} [{unit}]" if unit and unit != "1" else str(name)
