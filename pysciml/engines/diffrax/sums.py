"""Sums of objectives and penalties: those that share what is compiled are computed side by side."""

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache

import jax
import jax.numpy as jnp
import numpy as np

from ...fitting.stages import Stage
from ...ir.program import Program
from ...requests import SumRequest
from ..base import AbstractObjective
from .lower import lower_program
from .objective import MOST_STORED, DiffraxObjective, Key, if_finite, make_gradient, make_loss
from .precision import double_precision, place
from .solve import bucket

MANY = 16  # objectives, from which on compiling once more for many of them pays
BLOCK = 64  # of these at once, at most


class DiffraxSum(AbstractObjective):
    """A sum of objectives and penalties; parts of which a stage uses no row are left out.

    If there is a ``batch``, places of parts in the request, the gradient is that of these in place of all.
    """

    batch: Sequence[int] | None

    def __init__(
        self, request: SumRequest, x: np.ndarray | None = None, stage: Stage | None = None, least_steps: int = 2048
    ):
        x = request.x0 if x is None else x
        length = max(len(part.solve.saveat) for part in request.parts)
        rows = [len(part.solve.saveat) for part in request.parts] if stage is None else stage.rows
        used = [k for k, n in enumerate(rows) if n]
        factor = 1.0 if stage is None else stage.factor
        self._used, self.batch, self._n_path = used, None, request.parts[0].n_path
        self._device = request.device
        self._picks = [request.picks[k] for k in used]
        self.parts = [
            DiffraxObjective(request.parts[k], x[request.picks[k]], rows[k], factor, least_steps, length) for k in used
        ]
        first = self.parts[0]
        self.algorithm, self.sensitivity, self.reason = first.algorithm, first.sensitivity, first.reason
        self.most_steps = max(part.most_steps for part in self.parts)
        self._penalties = [compile_penalty(penalty) for penalty in request.penalties]
        self._alike = find_alike(self.parts, self._picks)
        if self._alike:
            self.reason = f"{self.reason}; up to {self._alike[0].size} experiments side by side".removeprefix("; ")
        together = {k for group in self._alike for k in group.places}
        self._single = [k for k in range(len(used)) if k not in together]

    def value(self, x: np.ndarray) -> float:
        places = np.arange(len(self.parts))
        with double_precision(self._device):
            found = dict(pair for group in self._alike for pair in group.values(x, places))
        found |= {k: self.parts[k].value(x[self._picks[k]]) for k in self._single}
        total = sum(found[k] for k in places)
        with double_precision(self._device):
            return total + sum(float(penalty(x)[0]) for penalty in self._penalties)

    def traced(self, x):
        total, gradient = jnp.zeros(()), jnp.zeros_like(x)
        for k in self._single:
            value, slope = self.parts[k].traced(x[self._picks[k]])
            total, gradient = total + value, gradient.at[self._picks[k]].add(slope)
        for value, slope in (group.traced(x) for group in self._alike):
            total, gradient = total + value, gradient + slope
        for penalty in self._penalties:
            value, slope = penalty(x)
            total, gradient = total + value, gradient + slope
        return total, gradient

    def value_and_gradient(self, x: np.ndarray) -> tuple[float, np.ndarray]:
        total, gradient = 0.0, np.zeros(x.size)
        places, share = self._in_batch()
        with double_precision(self._device):
            found = dict(pair for group in self._alike for pair in group.slopes(x, places))
        for k in places:
            picks = self._picks[k]
            value, slope = found[k] if k in found else self.parts[k].value_and_gradient(x[picks])
            total += value
            gradient[picks] += slope
        total, gradient = share * total, share * gradient
        for penalty in self._penalties:
            with double_precision(self._device):
                value, slope = penalty(x)
            total += float(value)
            gradient += np.asarray(slope)
        return if_finite(total, gradient)

    def path_values(self, x: np.ndarray) -> list[float]:
        if not self._n_path:
            return []
        places, share = self._in_batch()
        found = [self.parts[k].path_values(x[self._picks[k]]) for k in places]
        return [share * sum(values) for values in zip(*found, strict=True)]

    def _in_batch(self):
        """The places of parts that are looked at, and what these are multiplied by to stand for all."""
        if self.batch is None:
            return range(len(self.parts)), 1.0
        return [self._used.index(k) for k in self.batch], len(self.parts) / len(self.batch)


@lru_cache(maxsize=64)
def compile_penalty(penalty: Program) -> Callable:
    """The function ``x -> (value, gradient)``."""
    lowered = lower_program(penalty)
    return jax.jit(jax.value_and_grad(lambda x: lowered(x)[0][0]))


class Alike:
    """Objectives that are one function of ``x`` and data, computed as blocks of ``vmap``, each by steps of its own.

    ``places`` are theirs in a sum, ``picks`` the elements of x that each sees.
    """

    def __init__(self, places: Sequence[int], parts: Sequence[DiffraxObjective], picks: Sequence, size: int):
        self.places, self.size = np.array(places), size
        self._picks = np.stack([picks[k] for k in places])
        most = max(parts[k].most_steps for k in places)
        self._value, self._value_and_gradient = compile_many(parts[places[0]].key._replace(max_steps=most))
        data = jax.tree.map(lambda *rows: np.stack(rows), *(parts[k].data for k in places))
        self._data = place(data, parts[places[0]].device)

    def values(self, x: np.ndarray, used: np.ndarray) -> Iterator[tuple[int, float]]:
        """The loss of those whose places are in ``used``, by place."""
        for rows, arguments in self._blocks(x, used):
            yield from zip(self.places[rows].tolist(), np.array(self._value(*arguments)).tolist(), strict=False)

    def slopes(self, x: np.ndarray, used: np.ndarray) -> Iterator[tuple[int, tuple[float, np.ndarray]]]:
        """The same with gradients by the elements that each sees."""
        for rows, arguments in self._blocks(x, used):
            values, slopes = map(np.array, self._value_and_gradient(*arguments))
            yield from zip(self.places[rows].tolist(), zip(values.tolist(), slopes, strict=True), strict=False)

    def traced(self, x):
        """The sum of all, and its gradient by x."""
        total, gradient = jnp.zeros(()), jnp.zeros_like(x)
        for rows, (own, data) in self._blocks(x, self.places):
            values, slopes = self._value_and_gradient(own, data)
            total = total + jnp.sum(values[: len(rows)])
            gradient = gradient.at[self._picks[rows]].add(slopes[: len(rows)])
        return total, gradient

    def _blocks(self, x, used):
        """Some rows at a time and their arguments, the last repeated until there are as many as are compiled for."""
        found = np.flatnonzero(np.isin(self.places, used))
        size = min(self.size, bucket(len(found), 1))
        for start in range(0, len(found), size):
            rows = found[start : start + size]
            filled = np.pad(rows, (0, size - len(rows)), mode="edge")
            yield rows, (x[self._picks[filled]], jax.tree.map(lambda row: row[filled], self._data))  # noqa: B023


@lru_cache(maxsize=64)
def compile_many(key: Key) -> tuple[Callable, Callable]:
    """The loss, and the loss with its gradient, of many ``x`` and data at once, compiled."""
    return jax.jit(jax.vmap(make_loss(key))), jax.jit(jax.vmap(make_gradient(key)))


def find_alike(parts: Sequence[DiffraxObjective], picks: Sequence[np.ndarray]) -> list[Alike]:
    """Groups of many parts that are one function."""
    groups: dict[tuple, list[int]] = {}
    for k, part in enumerate(parts):
        leaves, structure = jax.tree.flatten(part.data)
        shapes = tuple(np.shape(leaf) for leaf in leaves)
        groups.setdefault((part.key._replace(max_steps=0), structure, shapes, picks[k].size), []).append(k)
    found = []
    for places in groups.values():
        most = max(parts[k].most_steps for k in places)
        size = min(BLOCK, MOST_STORED // (most * max(parts[places[0]].key.program.inputs[1].shape[0], 1)))
        if len(places) >= MANY <= size:
            found.append(Alike(places, parts, picks, size))
    return found
