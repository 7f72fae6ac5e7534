"""Where a model is computed, and in how many digits: the words ``device`` and ``dtype``, checked at the door."""

from ..errors import ProblemError
from ..words import nearest

DEVICES = ("cpu", "gpu")
DTYPES = ("float64", "float32")
SHARED_OUT = ("auto", "dask")  # beyond float64 on the CPU, an engine has one way only
FINEST = 1e-6  # relative tolerance that errors in float32, some 1e-7 a step, let a method see


def check_device(device) -> None:
    """ProblemError for a word that is no device."""
    _check_word("device", device, DEVICES)


def check_numbers(device, dtype, parallel: str, rtol: float) -> None:
    """ProblemError for words of an ensemble that can't be, and for what float32 can't give."""
    check_device(device)
    _check_word("dtype", dtype, DTYPES)
    if dtype == "float32" and rtol < FINEST:
        raise ProblemError(
            f"ensemble: rtol={rtol:g} is finer than float32 can tell, whose numbers have seven digits: rtol={FINEST:g} "
            "or more (1e-4 for stiff problems), or dtype='float64'"
        )
    if (device, dtype) != ("cpu", "float64") and parallel not in SHARED_OUT:
        raise ProblemError(
            f"ensemble: parallel={parallel!r} is a way to share out solves in float64 on the CPU; with "
            f"device={device!r} and dtype={dtype!r} leave it out"
        )


def _check_word(name, word, known):
    if word not in known:
        raise ProblemError(f"unknown word {name}={word!r}; one of {', '.join(known)}{nearest(word, known)}")
