"""Small real data sets that come with the package."""

import importlib.resources
from dataclasses import dataclass

import xarray as xr

from ..errors import ProblemError
from ..words import nearest


@dataclass(frozen=True)
class _Example:
    """What a table's columns are: the time, what tells experiments apart, and what is known of each."""

    time: str
    units: dict[str, str]
    long_names: dict[str, str]
    by: str | None = None
    known: tuple[str, ...] = ()


_EXAMPLES = {
    "hare_lynx": _Example(
        "year",
        {"time": "year", "hare": "thousand", "lynx": "thousand"},
        {"hare": "hare pelts", "lynx": "lynx pelts"},
    ),
    "influenza": _Example(
        "date",
        {"in_bed": "1", "convalescent": "1"},
        {"in_bed": "boys in bed", "convalescent": "boys convalescent"},
    ),
    "theophylline": _Example(
        "time",
        {"time": "h", "concentration": "mg/L", "dose": "mg/kg", "weight": "kg"},
        {"concentration": "theophylline in serum", "dose": "oral dose", "weight": "body weight"},
        by="subject",
        known=("dose", "weight"),
    ),
    "paramecium": _Example(
        "day",
        {"time": "day", "aurelia": "1", "caudatum": "1"},
        {"aurelia": "Paramecium aurelia in 0.5 cm3", "caudatum": "Paramecium caudatum in 0.5 cm3"},
        by="culture",
    ),
    "glucose": _Example(
        "minute",
        {"time": "min", "glucose": "mg/dL", "insulin": "uU/mL"},
        {"glucose": "glucose in plasma", "insulin": "insulin in plasma"},
    ),
}


def load_example(name: str) -> xr.Dataset:
    """Return a small real data set that comes with the package.

    Parameters
    ----------
    name : {"hare_lynx", "influenza", "theophylline", "paramecium", "glucose"}
        ``"hare_lynx"``: pelts of snowshoe hare and Canada lynx collected by the Hudson's Bay Company, 1900 to 1920.
        ``"influenza"``: boys in bed and convalescent in an English boarding school of 763 boys, by day of 1978.
        ``"theophylline"``: concentration in the serum of twelve subjects after an oral dose.
        ``"paramecium"``: two species of *Paramecium* in cultures alone and together, by day.
        ``"glucose"``: glucose and insulin in the plasma of a healthy person after an injection of glucose.

    Returns
    -------
    xarray.Dataset
        One variable a quantity, NaN where nothing was measured: ``hare`` and ``lynx (time: 21)``; ``in_bed`` and
        ``convalescent (time: 14)``, by date; ``concentration (subject: 12, time: 78)`` with ``dose`` and
        ``weight (subject: 12)``; ``aurelia`` and ``caudatum (culture: 3, time: 25)``; ``glucose`` and
        ``insulin (time: 24)``. Units are in their attrs, and ``attrs["source"]`` says where the data come from.

    Raises
    ------
    ProblemError
        If there is no example of that name.

    References
    ----------
    Hewitt (1921), The Conservation of the Wild Life of Canada, Scribner.
    Anonymous (1978), Influenza in a boarding school, British Medical Journal 1:587.
    Boeckmann, Sheiner and Beal (1994), NONMEM Users Guide, Part V, University of California, San Francisco.
    Gause (1934), The Struggle for Existence, Williams & Wilkins.
    Pacini and Bergman (1986), Computer Methods and Programs in Biomedicine 23:113, doi:10.1016/0169-2607(86)90106-9.

    Examples
    --------
    >>> import pysciml as ps
    >>> float(ps.load_example("hare_lynx").hare.max())
    77.4
    """
    if name not in _EXAMPLES:
        known = ", ".join(_EXAMPLES)
        raise ProblemError(f"load_example: no example {name!r}; there are {known}{nearest(name, _EXAMPLES)}")
    import pandas as pd

    example = _EXAMPLES[name]
    path = importlib.resources.files("pysciml") / "example_data" / f"{name}.csv"
    with path.open(encoding="utf-8") as file:
        source = file.readline().removeprefix("# ").strip()
        table = pd.read_csv(file).rename(columns={example.time: "time"})
    if "time" not in example.units:
        table["time"] = pd.to_datetime(table["time"]).astype("datetime64[ns]")
    index = ["time"] if example.by is None else [example.by, "time"]
    ds = table.drop(columns=list(example.known)).set_index(index).astype(float).to_xarray()
    if example.known:
        ds = ds.merge(table.groupby(example.by)[list(example.known)].first().to_xarray())
    if "time" in example.units:
        ds = ds.assign_coords(time=ds.time.astype(float))
    for column, variable in ds.variables.items():
        variable.attrs = {"long_name": example.long_names.get(str(column), str(column))}
        if column in example.units:
            variable.attrs["units"] = example.units[str(column)]
    return ds.assign_attrs(source=source)
