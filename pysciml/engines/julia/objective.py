"""Objectives of the Julia engine."""

from collections.abc import Hashable, Sequence

import numpy as np

from ...requests import ObjectiveRequest
from ..base import AbstractObjective
from .algorithms import METHODS
from .bridge import Bridge
from .checks import explain_sensitivity, refuse_reversal
from .devices import WHY_EXPLICIT
from .embed import Asked, Handle
from .loading import floats


class JuliaObjective(AbstractObjective):
    """An objective that stays in Julia between calls."""

    def __init__(
        self,
        bridge: Bridge,
        handle: Handle,
        request: ObjectiveRequest,
        parts: Sequence["JuliaObjective"] = (),
        lanes: int = 0,
    ):
        self._bridge, self.handle, self.parts = bridge, handle, parts
        self._calls: dict[Hashable, Asked] = {}
        self.algorithm, self.sensitivity = words = bridge.call("chosen_words", handle)
        if not self.sensitivity:
            refuse_reversal(self.algorithm, bool(request.solve.events) or request.solve.mass_matrix is not None)
        asked, has_mass = request.solve.algorithm, request.solve.mass_matrix is not None
        self._is_away = request.solve.device != "cpu"
        found = WHY_EXPLICIT if self._is_away else _why(self.algorithm)
        why = "asked for" if asked != "auto" else "for a mass matrix" if has_mass else found
        side_by_side = f"up to {lanes} experiments side by side, as lanes of a wide problem" if lanes else ""
        reasons = (why, explain_sensitivity(request, *words), side_by_side)
        self.reason = "; ".join(filter(None, reasons))

    def value(self, x: np.ndarray) -> float:
        return self._ask(x, wants_gradient=False)[0]

    def value_and_gradient(self, x: np.ndarray) -> tuple[float, np.ndarray]:
        return self._ask(x, wants_gradient=True)

    def _ask(self, x, wants_gradient):
        like = self.handle.key, wants_gradient, x.size
        # taken out for as long as it is used, since another thread needs memory of its own
        call = self._calls.pop(like, None) or self._prepare(x.size, wants_gradient)
        call.give(x)
        value, gradient = self._bridge.call(call, like=like)
        self._calls[like] = call
        return float(value[0]), gradient

    def _prepare(self, n, wants_gradient):
        prepared, given, value, gradient = self._bridge.call("prepare_objective", self.handle, n, wants_gradient)
        found = gradient, (n if wants_gradient else 0,), np.float64
        return Asked(prepared, (given, n), (value, (1,), np.float64), found)

    def path_values(self, x: np.ndarray) -> list[float]:
        return self._bridge.call("path_values", self.handle, floats(x)).tolist()

    @property
    def has_frozen_steps(self) -> bool:
        return not self.parts and self._bridge.call("has_frozen_steps", self.handle)

    def is_held_by_stability(self, x: np.ndarray) -> bool:
        is_looked_at = self.sensitivity == "discrete" and not METHODS[self.algorithm].is_stiff and not self._is_away
        return is_looked_at and self._bridge.call("is_stiff", self.handle, floats(x))

    def nearby_values(self, x: np.ndarray, points: np.ndarray) -> np.ndarray:
        return self._bridge.call("nearby_values", self.handle, floats(x), floats(points).T)


def _why(algorithm):
    kind = "stiff" if METHODS[algorithm].is_stiff else "non-stiff"
    return f"a probe solve by a pair that switches where it meets stiffness found the problem {kind}"
