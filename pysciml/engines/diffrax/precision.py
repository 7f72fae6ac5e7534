"""Where this engine's JAX code runs: in 64 bits, on the CPU; a context, so that the caller's settings stay."""

from collections.abc import Iterator
from contextlib import contextmanager

import jax

if hasattr(jax, "enable_x64"):
    enable_x64 = jax.enable_x64
else:  # before JAX 0.8
    from jax.experimental import enable_x64


@contextmanager
def double_precision() -> Iterator[None]:
    """Within it JAX computes in float64 on the CPU."""
    with enable_x64(True), jax.default_device(jax.devices("cpu")[0]):
        yield
