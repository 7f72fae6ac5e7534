"""Recovered: what recover() gives back."""

from dataclasses import dataclass

import xarray as xr

from .fit_result import FitResult


@dataclass(frozen=True, eq=False, repr=False)
class Recovered:
    """Equations for what a network learnt, and the model fitted with the best of them.

    Attributes
    ----------
    equations : dict of str
        The best candidate, refitted: ``{"net[0]": "-0.9*hare*lynx"}``, one an output of the network.
    result : FitResult
        The fit with the best candidate in the network's place; each constant is a parameter: ``net0_hare_lynx``, the
        factor of ``hare*lynx``, and ``net0_c1``, ``net0_c2``... inside of what isn't as simple.
    candidates : xarray.Dataset
        Over ``candidate``, the simplest first, as far as they were found so: ``equation``; ``n_terms``, its constants,
        which are as many as its terms if these have none but their factors; of symbolic regression ``complexity``, the
        number of its symbols: inputs, constants, operators and functions; ``error``, the relative error against the
        network along the fit (dimensionless); ``loss`` of the refit, ``criterion`` by which the best has the least, and
        ``held_out`` error in standard deviations of the data (dimensionless; NaN without such data). NaN where a
        candidate was not refitted, infinite where its solve failed.
    best : int
        The chosen ``candidate``.
    samples : xarray.Dataset
        Inputs and outputs of the network along the fit: ``inputs (sample, input)``, ``outputs (sample, output)``.
    """

    equations: dict[str, str]
    result: FitResult
    candidates: xr.Dataset
    best: int
    samples: xr.Dataset

    def __repr__(self):
        rows = [f"{name} = {text}" for name, text in self.equations.items()]
        table = self.candidates
        sizes = {"n_terms": "terms", "complexity": "size"}
        heads = " ".join(f"{head:>5}" for name, head in sizes.items() if name in table)
        rows.append(f"  {heads} {'error':>9} {'loss':>10} {'criterion':>10} {'held out':>9}")
        for k, mark in enumerate("*" if k == self.best else " " for k in table.candidate.values):
            one = table.isel(candidate=k)
            counts = " ".join(f"{int(one[name]):5d}" for name in sizes if name in table)
            figures = f"{float(one.error):9.3g} {float(one.loss):10.4g} {float(one.criterion):10.4g}"
            rows.append(f"{mark} {counts} {figures} {float(one.held_out):9.3g}  {one.equation.item()}")
        return "\n".join(rows)
