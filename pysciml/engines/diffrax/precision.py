"""Where this engine's JAX code runs, and in how many bits: a context, so that the caller's settings stay."""

from collections.abc import Iterator
from contextlib import contextmanager

import jax

from ...errors import EngineUnavailable

if hasattr(jax, "enable_x64"):
    enable_x64 = jax.enable_x64
else:  # before JAX 0.8
    from jax.experimental import enable_x64


@contextmanager
def double_precision(word: str = "cpu") -> Iterator[None]:
    """Within it JAX computes in float64 on a device."""
    with enable_x64(True), jax.default_device(find_device(word)):
        yield


@contextmanager
def numbers(dtype: str, word: str) -> Iterator[None]:
    """Within it JAX computes in float64 or float32 on a device; its products of matrices are no shorter than that."""
    with enable_x64(dtype == "float64"), jax.default_device(find_device(word)), jax.default_matmul_precision("highest"):
        yield


def place(values, word: str):
    """Arrays of a tree as those of a device, where what is computed of them stays; on the CPU as they are."""
    return values if word == "cpu" else jax.device_put(values, find_device(word))


def find_device(word: str):
    """The first CPU, or the first GPU.

    Raises
    ------
    EngineUnavailable
        If JAX finds no GPU.
    """
    try:
        return jax.devices(word)[0]
    except RuntimeError as error:
        found = ", ".join(dict.fromkeys(device.platform for device in jax.devices()))
        raise EngineUnavailable(
            f"device={word!r}: JAX finds no GPU on this machine, only {found}. It needs an NVIDIA card with its driver "
            "(nvidia-smi shows it) and JAX for CUDA (pip install --upgrade 'jax[cuda13]'); device='cpu' needs neither"
        ) from error
