"""What engines say of their words, as a Dataset."""

from collections.abc import Mapping

import numpy as np
import xarray as xr

_ABOUT = {
    "order": "order of convergence, the highest one where it varies",
    "purpose": "what the method is for",
    "stiff": "whether it is for stiff problems",
    "adaptive": "whether errors choose its steps; if not, give dt",
    "mass_matrix": "whether it takes singular mass matrices",
    "options": "names of its options, for ps.Algorithm(word, ...)",
    "sensitivities": "ways to gradients that are right with it, by engine",
    "reference": "author, year and doi",
    "engine": "engines that have it",
}


def methods_to_dataset(rows: Mapping[str, Mapping]) -> xr.Dataset:
    """One entry a word along ``word``; ``rows`` holds the values of the variables by word."""
    words = sorted(rows, key=str.lower)
    variables = {
        name: ("word", np.array([rows[word][name] for word in words]), {"long_name": about})
        for name, about in _ABOUT.items()
    }
    return xr.Dataset(variables, {"word": ("word", np.array(words), {"long_name": "SciML's word"})})
