"""What diffrax's results mean in our words: a total table (older versions lack some rows)."""

from functools import cache

import diffrax

from ..base import Status

STATUS: dict[str, Status] = {
    "successful": Status.SUCCESS,
    "event_occurred": Status.TERMINATED,
    "max_steps_reached": Status.MAX_STEPS,
    "dt_min_reached": Status.STEP_TOO_SMALL,
    "nonfinite": Status.UNSTABLE,
    "nonfinite_input": Status.UNSTABLE,
    "nonlinear_divergence": Status.NOT_CONVERGED,
    "nonlinear_max_steps_reached": Status.NOT_CONVERGED,
    "singular": Status.NOT_CONVERGED,
    "breakdown": Status.NOT_CONVERGED,
    "stagnation": Status.NOT_CONVERGED,
    "conlim": Status.NOT_CONVERGED,
    "max_steps_rejected": Status.FAILED,
    "internal_error": Status.FAILED,
}


@cache
def result_codes() -> dict[Status, list[int]]:
    """The numbers that stand for each status in arrays of diffrax's results."""
    known = ((getattr(diffrax.RESULTS, name, None), status) for name, status in STATUS.items())
    codes: dict[Status, list[int]] = {}
    for item, status in known:
        if item is not None:
            codes.setdefault(status, []).append(int(item._value))
    return codes


def read_result(result) -> Status:
    """Our status of one of diffrax's results, fetched from the device."""
    known = ((getattr(diffrax.RESULTS, name, None), status) for name, status in STATUS.items())
    return next(status for item, status in known if item is not None and bool(result == item))
