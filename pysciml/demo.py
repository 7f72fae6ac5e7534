"""The demo: a universal differential equation and a classical one, fitted to the Hudson's Bay hare-lynx record."""

import pathlib

import numpy as np
import xarray as xr

from .api.fit import fit
from .api.fit_result import FitResult
from .datasets.examples import load_example
from .fitting.optimizers import LBFGS, Adam
from .networks import MLP
from .plotting.states import plot_states
from .problems.ode import ODEProblem

LAST_TRAINED = 1915
UNITS = {"hare": "thousand", "lynx": "thousand", "time": "year"}


def classical(t, u, p):
    """Lotka-Volterra: hares breed and are eaten, lynxes breed on hares and die."""
    return {
        "hare": p.birth * u.hare - p.kill * u.hare * u.lynx,
        "lynx": p.grow * u.hare * u.lynx - p.death * u.lynx,
    }


def universal(t, u, p):
    """The same with both interaction terms unknown: a network of the two populations."""
    unknown = p.net([u.hare, u.lynx])
    return {"hare": p.birth * u.hare + unknown[0], "lynx": -p.death * u.lynx + unknown[1]}


def make_problems(data: xr.Dataset, seed: int = 0) -> dict[str, ODEProblem]:
    """Both problems, starting at the record's first year."""
    first = data.isel(time=0)
    u0 = {"hare": float(first.hare), "lynx": float(first.lynx)}
    span = (float(data.time[0]), float(data.time[-1]))
    rates = {"birth": 0.5, "death": 0.8}
    net = MLP(2, 2, width=16, depth=2, seed=seed)
    return {
        "universal": ODEProblem(universal, u0, span, rates | {"net": net}, units=UNITS, name="universal"),
        "classical": ODEProblem(
            classical, u0, span, rates | {"kill": 0.03, "grow": 0.02}, units=UNITS, name="classical"
        ),
    }


def fit_models(data: xr.Dataset, engine: str = "auto", seed: int = 0, progress: bool = True) -> dict[str, FitResult]:
    """Both models fitted to the years up to 1915."""
    trained = data.sel(time=slice(None, LAST_TRAINED))
    optimizer = [Adam(1e-2, steps=500), LBFGS(steps=200)]
    return {
        name: fit(problem, trained, optimizer=optimizer, engine=engine, seed=seed, progress=progress)
        for name, problem in make_problems(data, seed).items()
    }


def error_table(data: xr.Dataset, predictions: dict[str, xr.Dataset]) -> xr.Dataset:
    """Root mean square error over the standard deviation of the training data, by model and period (dimensionless)."""
    years = {"trained": data.time <= LAST_TRAINED, "held out": data.time > LAST_TRAINED}
    table = {}
    for state in ("hare", "lynx"):
        scale = float(data[state].where(years["trained"], drop=True).std())
        rows = [
            [
                float(np.sqrt(((p[state] - data[state]) ** 2).where(when, drop=True).mean())) / scale
                for when in years.values()
            ]
            for p in predictions.values()
        ]
        table[state] = (("model", "period"), np.array(rows))
    return xr.Dataset(table, {"model": list(predictions), "period": list(years)})


def print_table(table: xr.Dataset) -> None:
    """The errors of both models, whichever wins."""
    print(f"\nRoot mean square error / standard deviation of the data 1900-{LAST_TRAINED}\n")
    print(f"{'':12}{'trained (1900-1915)':>24}{'held out (1916-1920)':>24}")
    print(f"{'model':12}" + f"{'hare':>12}{'lynx':>12}" * 2)
    for model in table.model.values:
        row = table.sel(model=model)
        cells = "".join(f"{float(row[s].sel(period=period)):12.2f}" for period in table.period.values for s in row)
        print(f"{model:12}{cells}")


def save_picture(data: xr.Dataset, results: dict[str, FitResult], path: pathlib.Path) -> None:
    """States against data, the held-out years shaded."""
    fine = np.linspace(1900, 1920, 401)
    figure = plot_states(
        {name: result.predict(fine) for name, result in results.items()}, data=data, held_out=(LAST_TRAINED, 1920)
    )
    figure.suptitle("Hare and lynx pelts, Hudson's Bay Company")
    figure.savefig(path, dpi=120)


def run_demo(
    engine: str = "auto", seed: int = 0, folder: str | pathlib.Path = ".", progress: bool = True
) -> xr.Dataset:
    """Fit both models, save ``hare_lynx.nc`` and ``hare_lynx.png`` in a folder, print and return the table of errors.

    Parameters
    ----------
    engine : {"auto", "julia", "diffrax"}
        What computes it.
    seed : int
        Of the network's first weights.
    folder : str or pathlib.Path
        Where the files go; it must exist.
    progress : bool
        Show the fits' progress.

    Returns
    -------
    xarray.Dataset
        ``hare, lynx`` over ``(model, period)``: root mean square error over the data's standard deviation.
    """
    folder = pathlib.Path(folder)
    data = load_example("hare_lynx")
    results = fit_models(data, engine, seed, progress)
    for result in results.values():
        print(f"\n{result}")
    predictions = {name: result.predict(data.time.values) for name, result in results.items()}
    table = error_table(data, predictions)
    print_table(table)
    series = [ds[["hare", "lynx"]].reset_coords(drop=True) for ds in (data, *predictions.values())]
    together = xr.concat(series, xr.Variable("source", ["observed", *predictions]), combine_attrs="drop_conflicts")
    together.to_netcdf(folder / "hare_lynx.nc", engine="h5netcdf")
    save_picture(data, results, folder / "hare_lynx.png")
    print(f"\nsaved {folder / 'hare_lynx.nc'} and {folder / 'hare_lynx.png'}")
    return table
