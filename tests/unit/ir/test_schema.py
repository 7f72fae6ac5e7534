"""Programs to JSON and back, bit for bit; and everything a hostile text may try."""

import json

import numpy as np
import pytest

from pysciml.errors import ProblemError
from pysciml.ir import schema
from pysciml.ir.program import Input, Origin, ProgramBuilder
from pysciml.ir.schema import program_from_json, program_to_json
from pysciml.networks import MLP

NET = MLP(2, 1, width=3, depth=1, input_range=[(0, 1), (-2.5, 2)])


def make_program():
    builder = ProgramBuilder([Input("x", (2, 3)), Input("w", (NET.n_weights,)), Input("s", ())])
    origin = Origin("model.py", 12)
    part = builder.add("slice", (0,), ((0, 2), (2, 2), (1, -1)), origin)
    net = builder.add("network", (1, part), NET.attrs, Origin("other.py", 3))
    total = builder.add("sum", (net,), ((0, 1),), origin)
    scaled = builder.add("mul", (total, builder.constant([1.0, -0.0, 0.1])))
    flag = builder.add("logical_or", (builder.add("isnan", (2,)), builder.constant([True, False, True])))
    chosen = builder.add("where", (flag, scaled, builder.constant(np.linspace(0, 1, 51)[:3])))
    gathered = builder.add("gather", (chosen,), ((2, 0), (2, 1)))
    vector = builder.add("reshape", (gathered,), ((2,),))
    builder.add("scatter", (builder.add("reshape", (0,), ((6,),)), vector), ((4, 1),))
    builder.add("update", (0, gathered), ((0, 1), (2, 1), (1, 1)))
    builder.add("interp", (chosen, builder.constant([0.0, 1.0]), builder.constant([0.0, 2.0])))
    builder.add("concatenate", (0, part), (1,))
    builder.add("transpose", (0,), ((1, 0),))
    builder.add("max", (0,), ((1,),))
    builder.add("integer_power", (0,), (-2,))
    return builder.build([("y", gathered), ("flag", flag)])


PROGRAM = make_program()
TEXT = program_to_json(PROGRAM)
PARTS = json.loads(TEXT)
OPS = [node.op for node in PROGRAM.nodes]


def test_there_and_back():
    loaded = program_from_json(TEXT)
    assert loaded == PROGRAM and loaded.nodes == PROGRAM.nodes
    assert [node.origin for node in loaded.nodes] == [node.origin for node in PROGRAM.nodes]
    assert program_to_json(loaded) == TEXT
    for got, want in zip(loaded.constants, PROGRAM.constants, strict=True):
        assert got.tobytes() == want.tobytes() and got.dtype == want.dtype and got.shape == want.shape


def test_origins_can_be_left_out():
    text = program_to_json(PROGRAM, origins=False)
    assert "model.py" not in text and "origin" not in text
    assert program_from_json(text) == PROGRAM


@pytest.mark.parametrize(
    "value",
    [
        np.array([np.nan, np.inf, -np.inf, -0.0, 5e-324, 0.1, 1.7976931348623157e308]),
        np.random.default_rng(0).normal(size=(5, 7)),
        np.frombuffer(b"\x01\x00\x00\x00\x00\x00\xf8\xff", dtype="<f8"),  # a NaN with a payload
        np.array([True, False]),
        np.arange(40) % 3 == 0,
        np.zeros((0, 2)),
        np.array(3.0),
    ],
)
def test_constants_keep_their_bits(value):
    builder = ProgramBuilder()
    program = builder.build([("y", builder.constant(value))])
    (got,) = program_from_json(program_to_json(program)).constants
    assert (
        got.tobytes() == np.ascontiguousarray(value).tobytes() and got.shape == value.shape and got.dtype == value.dtype
    )


def test_special_values_are_spelled():
    builder = ProgramBuilder()
    text = program_to_json(builder.build([("y", builder.constant([np.nan, np.inf, -np.inf]))]))
    assert '"values":["NaN","Infinity","-Infinity"]' in text


def test_text_is_strict_json():
    json.loads(TEXT, parse_constant=pytest.fail)


def change(*path_and_value):
    """The text with one field changed, or taken away (``...``)."""
    *path, last, value = path_and_value
    content = json.loads(TEXT)
    place = content
    for key in path:
        place = place[key]
    if value is ...:
        del place[last]
    else:
        place[last] = value
    return json.dumps(content)


def node(op, *rest):
    return change("nodes", OPS.index(op), *rest)


HOSTILE = {
    "not JSON": ("{", "can't be read as JSON"),
    "not text": (None, "can't be read as JSON"),
    "too deep": ("[" * 100_000, "can't be read as JSON"),
    "deep attributes": (node("sum", "attrs", json.loads("[" * 900 + "]" * 900)), "not a valid program"),
    "a list": ("[1]", "no schema_version"),
    "repeated keys": (TEXT.replace('"inputs":', '"files":[],"inputs":', 1), "repeated keys"),
    "bare NaN": (TEXT.replace("0.1]", "NaN]", 1), "must be spelled"),
    "infinite number": (TEXT.replace("0.1]", "1e999]", 1), "constant can't hold"),
    "no version": (change("schema_version", ...), "no schema_version"),
    "bool version": (change("schema_version", True), "no schema_version"),
    "newer version": (change("schema_version", 99), "update pysciml"),
    "older version": (change("schema_version", 0), "version 0 can't be read"),
    "unknown field": (change("run", "import os"), "unknown fields ['run']"),
    "missing field": (change("outputs", ...), "lacks the fields ['outputs']"),
    "unknown field of a node": (node("sum", "code", "x"), "node 5: the node has unknown fields ['code']"),
    "missing field of a node": (node("sum", "dtype", ...), "lacks the fields ['dtype']"),
    "node not an object": (change("nodes", 5, "sum"), "must be an object"),
    "unknown operation": (node("sum", "op", "eval"), "unknown operation 'eval'"),
    "operation not a string": (node("sum", "op", ["sum"]), "unknown operation"),
    "wrong arity": (node("mul", "args", [0]), "mul takes 2 arguments, got 1"),
    "no arguments": (node("concatenate", "args", []), "concatenate takes some arguments, got 0"),
    "argument ahead": (node("sum", "args", [5]), "must be earlier nodes"),
    "negative argument": (node("sum", "args", [-1]), "must be earlier nodes"),
    "bool argument": (node("sum", "args", [True]), "must be earlier nodes"),
    "float argument": (node("sum", "args", [1.0]), "must be earlier nodes"),
    "wrong shape": (node("sum", "shape", [2]), "sum has shape () and type float, the text says [2]"),
    "wrong type": (node("sum", "dtype", "bool"), "sum has shape () and type float"),
    "wrong type of arguments": (node("logical_or", "args", [0, 0]), "logical_or takes bool"),
    "shapes do not broadcast": (node("mul", "args", [0, 1]), "node 7: "),
    "missing attributes": (node("sum", "attrs", []), "sum has 1 attributes (axes), got 0"),
    "attributes of none": (node("mul", "attrs", [1]), "mul has 0 attributes"),
    "axis too large": (node("sum", "attrs", [[0, 2]]), "axes must be whole numbers"),
    "axes unsorted": (node("sum", "attrs", [[1, 0]]), "distinct and sorted"),
    "negative axis": (node("concatenate", "attrs", [-1]), "the axis must be"),
    "slice outside": (node("slice", "attrs", [[0, 2], [2, 4], [1, -1]]), "leave an axis of length 3"),
    "slice of step 0": (node("slice", "attrs", [[0, 2], [2, 2], [1, 0]]), "a step of 0"),
    "slice of too few axes": (node("slice", "attrs", [[0], [2], [1]]), "must be 2 numbers, got 1"),
    "gather outside": (node("gather", "attrs", [[2, 3], [2, 1]]), "indices must be whole numbers of 0 to 2"),
    "gather of wrong size": (node("gather", "attrs", [[2, 0], [3, 1]]), "indices must be 3 numbers, got 2"),
    "scatter twice": (node("scatter", "attrs", [[4, 4]]), "must be distinct"),
    "update of another shape": (node("update", "attrs", [[0, 1], [2, 2], [1, 1]]), "a part of shape (2, 2)"),
    "not a permutation": (node("transpose", "attrs", [[0, 0]]), "not a permutation"),
    "huge shape": (node("reshape", "attrs", [[2**62]]), "a shape must be"),
    "exponent not whole": (node("integer_power", "attrs", [0.5]), "the exponent must be"),
    "tables of two lengths": (node("interp", "args", [11, 2, 2]), "node "),
    "unknown activation": (node("network", "attrs", [2, 1, 3, 1, "os.system", None, None]), "unknown activation"),
    "network of another size": (node("network", "attrs", [2, 1, 4, 1, "tanh", None, None]), "the weights of"),
    "range reversed": (
        node("network", "attrs", [2, 1, 3, 1, "tanh", None, [[1.0, 0.0], [0.0, 1.0]]]),
        "input_range must be 2 pairs",
    ),
    "input out of order": (change("nodes", 0, "attrs", [1]), "is not the next"),
    "input of another shape": (change("inputs", 0, "shape", [3, 2]), "node 0: input has shape (3, 2)"),
    "input without a node": (change("inputs", [*PARTS["inputs"], {"name": "q", "shape": []}]), "has its node"),
    "inputs of one name": (change("inputs", 1, "name", "x"), "must be different strings"),
    "constant missing": (change("constants", []), "is not the next of 0"),
    "constant too short": (change("constants", 0, "values", [1.0]), "of shape (3,) has 1 values"),
    "constant of strings": (change("constants", 0, "values", ["a", "b", "c"]), "constant can't hold 'a'"),
    "constant of lists": (change("constants", 0, "values", [[1.0], 2.0, 3.0]), "constant can't hold"),
    "constant both ways": (change("constants", 0, "base64", ""), "unknown fields ['base64']"),
    "constant of another type": (change("constants", 0, "dtype", "object"), "unknown type 'object'"),
    "bool constant of numbers": (change("constants", 1, "values", [1, 0, 1]), "bool constant can't hold"),
    "output nowhere": (change("outputs", 0, "node", 99), "there is no node 99"),
    "output names equal": (change("outputs", 1, "name", "y"), "must be different strings"),
    "origin of no file": (node("sum", "origin", [7, 1]), "node 5: "),
    "origin not a line": (node("sum", "origin", [0, "x"]), "an origin is"),
    "files not strings": (change("files", [1, 2]), "files must be strings"),
}  # fmt: skip


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_text_is_refused_with_the_reason(case):
    text, message = HOSTILE[case]
    with pytest.raises(ProblemError) as caught:
        program_from_json(text)
    assert message in str(caught.value)
    assert len(str(caught.value)) < 500


def test_bad_base64_is_refused():
    builder = ProgramBuilder()
    text = program_to_json(builder.build([("y", builder.constant(np.arange(40) % 3 == 0))]))
    content = json.loads(text)
    for data in ("!!!!", "AgIC", 7, "AAAA"):
        content["constants"][0]["base64"] = data
        with pytest.raises(ProblemError, match="not a valid program"):
            program_from_json(json.dumps(content))


def test_older_versions_are_migrated(monkeypatch):
    def migrate(content):
        content["files"] = content.pop("sources")
        return content | {"schema_version": 1}

    monkeypatch.setitem(schema.MIGRATIONS, 0, migrate)
    content = json.loads(TEXT)
    content["sources"] = content.pop("files")
    assert program_from_json(json.dumps(content | {"schema_version": 0})) == PROGRAM


def test_every_field_matters_or_is_refused():
    """Deleting any list element or field anywhere never gives an inconsistent Program: an error or a valid one."""

    def places(value, path=()):
        for key in value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ():
            yield (*path, key)
            yield from places(value[key], (*path, key))

    for path in list(places(json.loads(TEXT))):
        try:
            loaded = program_from_json(change(*path, ...))
        except ProblemError:
            continue
        assert program_from_json(program_to_json(loaded)) == loaded
