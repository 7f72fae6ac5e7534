"""Minibatches: the experiments that a step of a fit looks at."""

from dataclasses import dataclass

import numpy as np

from ..errors import ProblemError
from .schedules import check_count, is_positive

WHOLE_EVERY = 100  # steps between looks at all experiments


@dataclass(frozen=True)
class Minibatch:
    """Steps by the loss of some trajectories at a time, so that one of many costs as little as one of few.

    Each epoch goes through the trajectories in a new random order, which depends on the fit's ``seed`` and on nothing
    else. The loss of a batch stands for that of all: it is multiplied by the number of trajectories over that of the
    batch, penalties and priors are added whole.

    Parameters
    ----------
    trajectories : int
        Trajectories in a batch: experiments, or segments of them.
    segment : int, optional
        Data times in a segment, into which experiments are cut. Where all states have data, each begins at that of the
        one before, noise included. Where one has none, the starts of segments are fitted, by sums of squares only:
        ``settings["segment_starts"]`` of the result says which. None: whole experiments.
    continuity : float, default 1.0
        Weight of the squared gaps between the end of a segment and the fitted start of the next, in units of the
        states' size.

    Raises
    ------
    ProblemError
        If a number is not positive, or not an integer where it counts.

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
    Minibatch(trajectories=8, segment=None, continuity=1.0)
    """

    trajectories: int
    segment: int | None = None
    continuity: float = 1.0

    def __post_init__(self):
        check_count("Minibatch", "trajectories", self.trajectories)
        if self.segment is not None:
            check_count("Minibatch", "segment", self.segment)
        if not is_positive(self.continuity):
            raise ProblemError(f"Minibatch: continuity must be a positive number, got {self.continuity!r}")


def check_batch(batch: Minibatch | None) -> None:
    """ProblemError for anything else."""
    if batch is not None and not isinstance(batch, Minibatch):
        raise ProblemError(f"batch must be ps.Minibatch(trajectories=...), got {batch!r}")


def batch_size(batch: Minibatch | None, there: int) -> int:
    """How many trajectories are in a batch, 0 for all; ProblemError for more than there are."""
    if batch is None:
        return 0
    if batch.trajectories > there:
        what = "experiment" if batch.segment is None else "segment"
        raise ProblemError(f"batch: {batch} is more than the data have, {there} {what}{'s' if there > 1 else ''}")
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
