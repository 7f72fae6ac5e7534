"""The JAX lowering against the oracle on random Programs, and derivatives beside branches that are not taken."""

import jax
import numpy as np
import pytest
from support import diffrax_engine  # noqa: F401  (skips this module without the engine)
from support.programs import assert_equals_oracle, random_programs

from pysciml.engines.diffrax.lower import lower_program
from pysciml.engines.diffrax.precision import double_precision

PROGRAMS, BATCHES = 500, 10


@pytest.mark.parametrize("seed", range(BATCHES))
def test_lowering_equals_the_oracle(seed):
    shares = []
    for program, inputs in random_programs(PROGRAMS // BATCHES, seed=1000 + seed):
        with double_precision():
            shares.append(assert_equals_oracle(jax.jit(lower_program(program)), program, inputs))
    assert np.mean(shares) > 0.7  # the bound decides most elements, so the law says something
