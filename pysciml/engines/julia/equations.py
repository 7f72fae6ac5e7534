"""Symbolic regression by SymbolicRegression.jl, which PySR stands on."""

import numpy as np

from ...errors import EngineUnavailable
from ...requests import EquationRequest
from .bridge import Bridge
from .loading import floats
from .optional import SYMBOLIC, how_to_add
from .route import find_route


def search_equations(bridge: Bridge, request: EquationRequest) -> list[list[tuple[np.ndarray, np.ndarray]]]:
    """Symbolic regression; EngineUnavailable if its package can't be loaded, saying how to get it."""
    if reason := bridge.call("load_package", SYMBOLIC):
        raise EngineUnavailable(f"method='pysr': {reason}. To add it: {how_to_add(SYMBOLIC, find_route())}")
    points = (floats(request.inputs).T, floats(request.outputs).T)
    words = (" ".join(request.operators), " ".join(request.functions))
    numbers = map(int, (request.iterations, request.maxsize, request.seed))
    return [list(trees) for trees in bridge.call("search_equations", *points, *words, *numbers)]
