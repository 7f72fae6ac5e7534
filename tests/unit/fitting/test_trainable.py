"""Names, globs and bounds of what is trained."""

import numpy as np
import pytest

from pysciml.errors import ProblemError
from pysciml.fitting.trainable import (
    Interval,
    Positive,
    check_inside,
    gather_x,
    natural_parametrization,
    read_trainable,
    scatter_x,
    whole_networks,
)
from pysciml.ir.evaluate import evaluate_program
from pysciml.networks import MLP
from pysciml.tracing.layout import make_layout

NET = MLP(2, 3, width=4, depth=1)
U = make_layout("record", {"x": ((), None, True), "field": ((3,), None, True)})
P = make_layout(
    "record",
    {"k": ((), None, True), "n": ((), None, False), "net": ((NET.n_weights,), NET, True), "rates": ((2,), None, True)},
)
U0 = np.arange(4.0)
P0 = 10 + np.arange(float(P.size))
LAYERS = ["net.0.weight", "net.0.bias", "net.1.weight", "net.1.bias"]


def names(trainable):
    return [block.name for block in read_trainable(trainable, U, P)]


@pytest.mark.parametrize(
    ("trainable", "expected"),
    [
        (None, ["k", *LAYERS, "rates"]),
        (["k"], ["k"]),
        ("rates", ["rates"]),
        (["net"], LAYERS),
        (["net.1.*"], LAYERS[2:]),
        (["*.bias", "u0_*"], ["net.0.bias", "net.1.bias", "u0_x", "u0_field"]),
        (["n"], ["n"]),
        ({"k": Positive(), "u0_x": Interval(-1, 1)}, ["k", "u0_x"]),
    ],
)
def test_patterns(trainable, expected):
    assert names(trainable) == expected


def test_blocks_lie_one_after_the_other():
    blocks = read_trainable(["u0_field", "k", "net"], U, P)
    assert [b.start for b in blocks] == list(np.cumsum([0] + [b.size for b in blocks[:-1]]))
    assert list(whole_networks(blocks)) == ["net"]
    assert not whole_networks(read_trainable(["net.0.*"], U, P))


def test_later_pattern_wins():
    bounds = {b.name: b.bound for b in read_trainable({"*": True, "k": Positive}, U, P)}
    assert bounds["k"] == Positive()
    assert bounds["rates"] is None


@pytest.mark.parametrize(
    ("trainable", "message"),
    [
        (["kk"], "'kk' names nothing.*did you mean 'k'"),
        ([], "nothing would be trained"),
        ({"k": 3}, r"trainable\['k'\] must be True"),
    ],
)
def test_refused(trainable, message):
    with pytest.raises(ProblemError, match=message):
        read_trainable(trainable, U, P)


def test_nothing_to_train_names_initial_values():
    with pytest.raises(ProblemError, match="u0_x"):
        read_trainable(None, U, make_layout("none", {}))


def test_start_outside_a_bound_is_refused():
    blocks = read_trainable({"u0_x": Positive()}, U, P)
    with pytest.raises(ProblemError, match="u0_x: Positive"):
        check_inside(blocks, gather_x(blocks, U0, P0))
    with pytest.raises(ProblemError, match="finite lo < hi"):
        Interval(1, 0)


def test_parametrization_is_scatter():
    blocks = read_trainable(["k", "net.1.bias", "u0_field"], U, P)
    x = gather_x(blocks, U0, P0)
    np.testing.assert_array_equal(x, [10, *P0[P["net"].slice][-3:], 1, 2, 3])
    changed = x + 0.5
    program = natural_parametrization(blocks, U0, P0)
    for got, want in zip(evaluate_program(program, changed), scatter_x(blocks, changed, U0, P0), strict=True):
        np.testing.assert_array_equal(got, want)
    u0, p = evaluate_program(program, x)
    np.testing.assert_array_equal(u0, U0)
    np.testing.assert_array_equal(p, P0)
