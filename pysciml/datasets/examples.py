"""Small real data sets that come with the package."""

import importlib.resources

import numpy as np
import xarray as xr

from ..errors import ProblemError
from ..words import nearest

_UNITS = {"hare_lynx": {"time": "year", "hare": "thousand", "lynx": "thousand"}}
_LONG_NAMES = {"hare_lynx": {"hare": "hare pelts", "lynx": "lynx pelts"}}


def load_example(name: str) -> xr.Dataset:
    """Return a small real data set that comes with the package.

    Parameters
    ----------
    name : {"hare_lynx"}
        ``"hare_lynx"``: pelts of snowshoe hare and Canada lynx collected by the Hudson's Bay Company, 1900 to 1920.

    Returns
    -------
    xarray.Dataset
        One variable a quantity over ``time``; for ``"hare_lynx"`` the variables ``hare`` and ``lynx (time: 21)`` in
        thousands of pelts, and ``time`` in years. ``attrs["source"]`` says where it comes from.

    Raises
    ------
    ProblemError
        If there is no example of that name.

    References
    ----------
    Hewitt (1921), The Conservation of the Wild Life of Canada, Scribner.

    Examples
    --------
    >>> import pysciml as ps
    >>> float(ps.load_example("hare_lynx").hare.max())
    77.4
    """
    if name not in _UNITS:
        raise ProblemError(f"load_example: no example {name!r}; there are {', '.join(_UNITS)}{nearest(name, _UNITS)}")
    text = (importlib.resources.files("pysciml") / "example_data" / f"{name}.csv").read_text(encoding="utf-8")
    source, header, *rows = text.splitlines()
    _, *columns = header.split(",")
    table = np.array([row.split(",") for row in rows], dtype=np.float64)
    units, long_names = _UNITS[name], _LONG_NAMES[name]
    variables = {
        column: ("time", values, {"units": units[column], "long_name": long_names[column]})
        for column, values in zip(columns, table[:, 1:].T, strict=True)
    }
    coords = {"time": ("time", table[:, 0], {"units": units["time"], "long_name": "time"})}
    return xr.Dataset(variables, coords, {"source": source.removeprefix("# ")})
