"""Minibatches: the experiments that a step of a fit looks at."""

from dataclasses import dataclass

import numpy as np

from ..errors import ProblemError
from .schedules import check_count

WHOLE_EVERY = 100  # steps between looks at all experiments


@dataclass(frozen=True)
class Minibatch:
    """Steps by the loss of some experiments at a time, so that one of many experiments costs as little as one of few.

    Each epoch goes through the experiments in a new random order, which depends on the fit's ``seed`` and on nothing
    else. The loss of a batch stands for that of all: it is multiplied by the number of experiments over that of the
    batch, penalties and priors are added whole.

    Parameters
    ----------
    trajectories : int
        Experiments in a batch.

    Raises
    ------
    ProblemError
        If ``trajectories`` is not a positive integer.

    Notes
    -----
    The first point, the last, and each hundredth are judged by all experiments, and the best of these is the result;
    all other losses in ``history`` are those of a batch. A learning rate that falls (:class:`Cosine`) brings the last
    points together.

    References
    ----------
    Bottou, Curtis, Nocedal (2018), Optimization methods for large-scale machine learning, SIAM Review 60, 223-311.
    doi:10.1137/16M1080173

    Examples
    --------
    >>> import pysciml as ps
    >>> ps.Minibatch(trajectories=8)
    Minibatch(trajectories=8)
    """

    trajectories: int

    def __post_init__(self):
        check_count("Minibatch", "trajectories", self.trajectories)


def read_batch(batch: Minibatch | None, n_experiments: int) -> int:
    """How many experiments are in a batch, 0 for all; ProblemError for more than there are."""
    if batch is None:
        return 0
    if not isinstance(batch, Minibatch):
        raise ProblemError(f"batch must be ps.Minibatch(trajectories=...), got {batch!r}")
    if batch.trajectories > n_experiments:
        plural = "s" if n_experiments > 1 else ""
        raise ProblemError(f"batch: {batch} is more than the data have, {n_experiments} experiment{plural}")
    return int(batch.trajectories)


def draw_batches(members: np.ndarray, size: int, seed: int, done: int, steps: int) -> np.ndarray:
    """What each evaluation of a stage sees ``(steps + 1, size)``: some of ``members``, or -1 where it sees all.

    ``done`` is the number of steps before: batches are cut, one after the other, from a row of shuffled epochs.
    """
    n = members.size
    first, last = done * size, (done + steps + 1) * size
    epochs = range(first // n, -(-last // n))
    row = np.concatenate([np.random.default_rng([seed, epoch]).permutation(members) for epoch in epochs])
    table = row[first - epochs.start * n :][: last - first].reshape(-1, size)
    is_whole = np.arange(steps + 1) % WHOLE_EVERY == 0
    is_whole[-1] = True
    return np.where(is_whole[:, np.newaxis], -1, table)
