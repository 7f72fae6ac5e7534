"""Groups of Datasets as one file, which is there whole or not at all."""

import io
import shutil
from collections.abc import Mapping
from pathlib import Path

import xarray as xr
from xarray.backends import H5NetCDFStore

from ..engines.checkpoint import write_whole


def write_groups(path: Path, groups: Mapping[str, xr.Dataset]) -> None:
    """Write Datasets by group (``"/"`` is the root) to NetCDF, or to a Zarr store if ``path`` ends in ``.zarr``.

    OSError where that can't be done; what was there is then as it was.
    """
    part = path.with_name(path.name + ".part")
    try:
        if path.suffix == ".zarr":
            _write_store(path, part, groups)
        else:
            write_whole(path, _to_bytes(groups))
    except OSError as error:
        shutil.rmtree(part, ignore_errors=True)
        kept = "; the older one is as it was" if path.exists() else ""
        raise OSError(error.errno, f"{error.strerror or error}: {str(path)!r} was not written{kept}") from error


def _to_bytes(groups):
    """A NetCDF file in memory: where HDF5 itself meets a full disk, it may end the process."""
    import h5netcdf

    content = io.BytesIO()
    with h5netcdf.File(content, "w") as file:
        for name, group in groups.items():
            group.dump_to_store(H5NetCDFStore(file if name == "/" else file.create_group(name)))
    return content.getvalue()


def _write_store(path, part, groups):
    older = path.with_name(path.name + ".old")
    shutil.rmtree(part, ignore_errors=True)
    xr.DataTree.from_dict(dict(groups)).to_zarr(part, mode="w")
    shutil.rmtree(older, ignore_errors=True)
    if path.exists():
        path.rename(older)
    part.rename(path)
    shutil.rmtree(older, ignore_errors=True)
