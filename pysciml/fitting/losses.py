"""Loss words as weights of squared residuals."""

import numpy as np

from ..errors import ProblemError
from ..tracing.layout import Layout
from ..words import nearest
from .observations import Observations

LOSSES = ("nmse", "mse")


def check_loss(loss) -> None:
    """ProblemError for a word that isn't a loss."""
    if loss not in LOSSES:
        raise ProblemError(f"loss: unknown loss {loss!r}; one of 'nmse', 'mse'{nearest(loss, LOSSES)}")


def loss_scales(loss: str, observations: Observations, states: Layout) -> dict[str, float]:
    """What each observed variable is divided by: its data's standard deviation for ``nmse``, 1 for ``mse``.

    Data that do not vary are divided by their size, and zeros by 1.
    """
    check_loss(loss)
    scales = {}
    for entry in states.entries:
        data = observations.values[:, entry.slice]
        data = data[np.isfinite(data)]
        if data.size:
            spread = float(np.std(data))
            scales[entry.name] = 1.0 if loss == "mse" else spread or float(np.max(np.abs(data))) or 1.0
    return scales


def loss_weights(scales: dict[str, float], observations: Observations, states: Layout) -> np.ndarray:
    """Weights ``(time, state)`` of the squared residuals: their weighted sum is the mean over all finite values."""
    weights = np.zeros(observations.values.shape)
    for name, scale in scales.items():
        weights[:, states[name].slice] = 1.0 / scale**2
    weights[~observations.mask] = 0.0
    return weights / observations.mask.sum()
