"""``ds.sciml``: what a result can do, one line a method."""

import json

import xarray as xr

from .datasets.status import failed_members
from .plotting.states import plot_states


class SciMLAccessor:
    """What every Dataset can do after ``import pysciml``.

    Examples
    --------
    >>> import pysciml as ps
    >>> problem = ps.ODEProblem(lambda t, u, p: {"x": -u.x}, {"x": 1.0}, (0, 5))
    >>> ps.solve(problem, engine="diffrax").sciml.status
    'SUCCESS'
    """

    def __init__(self, ds: xr.Dataset):
        self._ds = ds

    def plot(self, data: xr.Dataset | None = None, *, held_out=None):
        """Draw the states over time, ``data`` as points, the stretch ``held_out`` shaded; returns the figure."""
        return plot_states(self._ds, data, held_out=held_out)

    @property
    def status(self) -> str | None:
        """How the solve ended: the name of a ``Status``; None where the Dataset is not a solution."""
        return self._ds.attrs.get("status")

    def failed(self):
        """The members of an ensemble that failed: a pandas table of coordinates and names of each ``Status``."""
        return failed_members(self._ds)

    @property
    def provenance(self) -> dict:
        """Everything that was recorded about the run: settings, statistics, versions; empty where nothing was."""
        return json.loads(self._ds.attrs.get("pysciml", "{}"))
