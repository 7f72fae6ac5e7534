"""Products with few terms, written out."""

import numpy as np
import pytest
from support.programs import assert_equals_oracle, random_programs

from pysciml.ir.evaluate import evaluate_program
from pysciml.ir.narrow import FEW, expand_narrow_products
from pysciml.ir.program import Input, ProgramBuilder


@pytest.mark.parametrize("k", [1, 2, FEW, FEW + 1])
@pytest.mark.parametrize(
    "left, right",
    [
        ((), ()),
        ((4,), ()),
        ((), (5,)),
        ((4,), (5,)),
        ((2, 1, 4), (3, 5)),
        ((2, 3, 4), (3, 5)),
        ((), (3, 5)),
        ((3, 4), ()),
    ],
)
def test_the_product_is_the_same(left, right, k):
    b = (*right[:-1], k, right[-1]) if right else (k,)
    builder = ProgramBuilder([Input("a", (*left, k)), Input("b", b)])
    program = builder.build([("y", builder.add("matmul", (0, 1)))])
    found = expand_narrow_products(program)
    assert any(node.op == "matmul" for node in found.nodes) == (k > FEW)
    rng = np.random.default_rng(0)
    inputs = tuple(rng.normal(size=item.shape) for item in program.inputs)
    assert_equals_oracle(lambda *x: evaluate_program(found, *x), program, inputs)


def test_random_programs_stay_what_they_are():
    for program, inputs in random_programs(200, seed=3):
        found = expand_narrow_products(program)
        assert_equals_oracle(lambda *x, found=found: evaluate_program(found, *x), program, inputs)
