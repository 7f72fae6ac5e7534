"""How the members of an ensemble ended, as a variable of integers whose attrs say what they mean (CF's flags)."""

from collections.abc import Sequence

import numpy as np
import xarray as xr

from ..engines.base import Status, is_success
from ..errors import ProblemError

STATUS_ATTRS = {
    "long_name": "how the solve ended",
    "flag_values": np.array([status.code for status in Status], dtype=np.int8),
    "flag_meanings": " ".join(status.name.lower() for status in Status),
}

_GOOD = [status.code for status in Status if is_success(status)]


def succeeded(codes: np.ndarray) -> np.ndarray:
    """Which of some codes are those of a solve that reached its end."""
    return np.logical_or.reduce([codes == code for code in _GOOD])


def failed_members(ds: xr.Dataset):
    """The members of an ensemble that failed, as a pandas table: coordinates, what differs between them, and status."""
    if "status" not in ds.data_vars:
        raise ProblemError("failed() lists members of an ensemble; this Dataset has no variable 'status'")
    dims: Sequence = ds["status"].dims
    own = [name for name, coord in ds.coords.items() if coord.dims and set(coord.dims) <= set(dims)]
    table = ds["status"].reset_coords(drop=True).assign_coords({name: ds[name] for name in own}).to_dataframe()
    table = table[~succeeded(table["status"].to_numpy())]
    names = {status.code: status.name for status in Status}
    return table.assign(status=[names[code] for code in table["status"]])
