"""Records and networks, inside a model and as ``problem.p``."""

import copy
import pickle

import numpy as np
import pytest
from support.tracing import layout_of, trace

from pysciml.errors import TraceError
from pysciml.ir.evaluate import evaluate_program
from pysciml.networks import MLP
from pysciml.tracing.layout import make_layout
from pysciml.tracing.network import network_parts
from pysciml.tracing.record import Record, make_record, record_items, record_names

NET = MLP(2, 3, width=4, depth=2, activation="swish", input_range=[(0, 2), (-1, 1)], seed=3)
VALUES = {"zeta": 1.5, "alpha": np.array([1.0, 2.0]), "net": NET, "keys": 4.0}


def sample(**changes):
    return make_record(*layout_of(VALUES | changes))


def test_values_by_name_and_in_declared_order():
    record = sample()
    zeta, alpha, net, keys = record
    assert record.zeta == record["zeta"] == zeta == 1.5 and isinstance(zeta, float)
    assert record.alpha is alpha and alpha.tolist() == [1.0, 2.0] and record.net is net and keys == 4.0
    assert len(record) == 4 and record_names(record) == list(VALUES) and list(record_items(record)) == list(VALUES)
    assert "zeta" in record and "beta" not in record and record


def test_public_attributes_are_the_names():
    assert [name for name in dir(sample()) if not name.startswith("_")] == sorted(VALUES)
    assert sample().keys == 4.0
    own = {name for base in Record.__mro__ for name in vars(base) if not name.startswith("_")}
    assert own == set()


@pytest.mark.parametrize("name", ["items", "values", "get", "data", "shape", "T", "copy", "size"])
def test_any_name_may_be_a_state(name):
    program = trace(lambda t, u, p: {name: -getattr(u, name) * u[name], "x": u.x}, {name: 2.0, "x": 1.0})
    assert evaluate_program(program, 0.0, [2.0, 1.0], [])[0].tolist() == [-4.0, 1.0]


def test_repr_shows_names_and_values():
    text = repr(sample())
    assert text.startswith("Record(zeta=1.5, alpha=array([1., 2.]), net=<network 2 -> 3, width 4, depth 2,")


def test_read_only():
    record = sample()
    for change in (
        lambda: setattr(record, "zeta", 1.0),
        lambda: setattr(record, "new", 1.0),
        lambda: delattr(record, "zeta"),
        lambda: record.__setitem__("zeta", 1.0),
        lambda: record.__delitem__("zeta"),
    ):
        with pytest.raises(TraceError, match="read-only"):
            change()
    with pytest.raises(ValueError):
        record.alpha[0] = 5.0
    assert record == sample()


def test_unknown_names_are_attribute_and_key_errors_too():
    record = sample()
    assert not hasattr(record, "zeto") and getattr(record, "zeto", 7) == 7
    for kind in (TraceError, AttributeError):
        with pytest.raises(kind, match="Did you mean 'zeta'"):
            record.zeto  # noqa: B018
    for kind in (TraceError, KeyError):
        with pytest.raises(kind, match="Did you mean 'alpha'") as caught:
            record["Alpha"]
    assert "\n" in str(caught.value)  # shown as text, not as the repr of a key
    with pytest.raises(TraceError, match="names, not positions"):
        record[0]


@pytest.mark.parametrize(
    "use",
    [
        lambda r: r + 1, lambda r: 1 + r, lambda r: r * r, lambda r: -r, lambda r: abs(r), lambda r: r < 1,
        lambda r: r @ r, lambda r: np.ones(2) * r, lambda r: np.sin(r), lambda r: np.sum(r), lambda r: np.zeros_like(r),
        lambda r: np.array(r), lambda r: np.asarray(r), lambda r: np.float64(2) * r, lambda r: float(r), lambda r: 2**r,
    ],
)  # fmt: skip
@pytest.mark.parametrize("outside", [True, False])
def test_arithmetic_on_a_whole_record(use, outside):
    with pytest.raises(TraceError, match="whole record"):
        if outside:
            use(sample())
        else:
            trace(lambda t, u, p: {"x": use(u)}, {"x": 1.0})


def test_equality_and_hash():
    assert sample() == sample() and hash(sample()) == hash(sample())
    assert sample() != sample(zeta=2.0) and sample() != sample(alpha=np.array([1.0, 3.0])) and sample() != 3
    assert sample() != sample(net=MLP(2, 3, width=4, depth=2, seed=9))
    assert sample() != make_record(*layout_of({k: v for k, v in VALUES.items() if k != "zeta"}))
    assert Record({"a": 1.0, "b": 2.0}) == Record({"b": 2.0, "a": 1.0})
    with pytest.raises(TraceError, match="whole record"):
        trace(lambda t, u, p: {"x": 1.0 if u == u else 2.0}, {"x": 1.0})


def test_pickle_and_copy():
    for copied in (pickle.loads(pickle.dumps(sample())), copy.copy(sample()), copy.deepcopy(sample())):
        assert copied == sample() and copied.net([1.0, 0.0]).tolist() == sample().net([1.0, 0.0]).tolist()


def test_forms():
    assert make_record(*layout_of(None)) is None
    assert make_record(*layout_of(2.0)) == 2.0 and isinstance(make_record(*layout_of(2.0)), float)
    assert make_record(*layout_of(np.eye(2))).tolist() == [[1.0, 0.0], [0.0, 1.0]]
    assert make_record(*layout_of(NET))([1.0, 0.0]).shape == (3,)
    layout = make_layout("record", {"n": ((), None, False), "x": ((), None, True)})
    n, x = make_record(layout, np.array([3.0, 3.0]))
    assert isinstance(n, int) and isinstance(x, float)


def by_hand(x, weights):
    """The network of NET, written out."""
    x = np.asarray(x, float)
    x = 2 * (x - np.array([0.0, -1.0])) / 2.0 - 1
    for layer in NET.layers:
        x = x @ weights[layer.weight].reshape(layer.in_size, layer.out_size) + weights[layer.bias]
        x = x / (1 + np.exp(-x)) if layer.index < NET.depth else x
    return x


@pytest.mark.parametrize("x", [[1.0, 0.3], np.ones((5, 2)), np.ones((4, 3, 2)), ((0.1, 0.2), (0.3, 0.4))])
def test_a_network_outside_a_model(x):
    net = sample().net
    spec, weights = network_parts(net)
    assert spec == NET
    np.testing.assert_allclose(net(x), by_hand(x, weights), rtol=1e-13)


def test_a_network_inside_a_model_is_one_node():
    def model(t, u, p):
        return {"s": 0.0, "x": p.net([u.s, t]), "y": p.net(np.ones((4, 2)))}

    program = trace(model, {"s": 1.0, "x": np.ones(3), "y": np.ones((4, 3))}, VALUES)
    assert [n.attrs for n in program.nodes if n.op == "network"] == [NET.attrs] * 2
    layout, flat = layout_of(VALUES)
    (du,) = evaluate_program(program, 0.5, np.full(16, 0.7), flat)
    weights = flat[layout["net"].slice]
    np.testing.assert_allclose(du[1:4], by_hand([0.7, 0.5], weights), rtol=1e-13)
    np.testing.assert_allclose(du[4:].reshape(4, 3), by_hand(np.ones((4, 2)), weights), rtol=1e-13)


def test_a_fitted_network_can_be_closed_over():
    net = sample().net
    program = trace(lambda t, u, p: net(u)[:2], np.ones(2))
    np.testing.assert_allclose(evaluate_program(program, 0.0, [0.2, 0.3], [])[0], net([0.2, 0.3])[:2], rtol=1e-14)


def test_a_network_is_only_called():
    net = sample().net
    assert [name for name in dir(net) if not name.startswith("_")] == []
    for use in (
        lambda: net + 1,
        lambda: np.sin(net),
        lambda: net.weights,
        lambda: net([1.0]),
        lambda: net(1.0),
        lambda: np.array(net),
    ):
        with pytest.raises(TraceError):
            use()
