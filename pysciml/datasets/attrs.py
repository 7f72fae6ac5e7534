"""Attributes that every file format holds: strings and numbers only, everything else as one JSON string."""

import importlib.metadata
import json
import platform
from functools import cache

import numpy as np
import xarray as xr


@cache
def own_versions() -> dict[str, str]:
    """Versions of this package and of what holds its results."""
    try:
        own = importlib.metadata.version("pysciml")
    except importlib.metadata.PackageNotFoundError:  # run from a source tree
        own = "not installed"
    return {"pysciml": own, "python": platform.python_version(), "numpy": np.__version__, "xarray": xr.__version__}


def to_json(values: dict) -> str:
    """Provenance as one line of JSON."""
    return json.dumps(values, default=_plain, sort_keys=True, ensure_ascii=False)


def _plain(value):
    """NumPy's scalars and arrays as Python's, anything else as its text."""
    return value.tolist() if isinstance(value, np.generic | np.ndarray) else str(value)


def variable_attrs(name: str, units, long_names) -> dict[str, str]:
    """``long_name`` and, where there is one, ``units``."""
    attrs = {"long_name": long_names.get(name, name.replace("_", " "))}
    return attrs | ({"units": units[name]} if name in units else {})
