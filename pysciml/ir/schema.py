"""Programs as JSON text and back: safe or loud. Loading runs nothing and trusts nothing.

The text is one object with the fields ``schema_version, inputs, constants, files, nodes, outputs``. A node has
``op, args, attrs, shape, dtype`` and, if it is known, ``origin``: the position of its file in ``files`` and the line.
A constant has ``shape, dtype`` and either ``values``, a flat list in C order with ``"NaN"``, ``"Infinity"`` and
``"-Infinity"`` spelled, or ``base64``, its little-endian bytes. Shapes and types of nodes are derived again from the
table of operations and must be those of the text.
"""

import base64
import json
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ..errors import ProblemError, PySciMLError
from .attributes import check_attributes, check_shape, is_int, shorten
from .ops import BOOL, FLOAT, OPERATIONS
from .program import SCHEMA_VERSION, Origin, Program, ProgramBuilder

# version -> function that turns an object of that version into one of the next
MIGRATIONS: dict[int, Callable[[dict], dict]] = {}

_MOST_LISTED = 16  # longer constants are written as base64
_SPELLED = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
_WRONG = (PySciMLError, ValueError, TypeError, IndexError, OverflowError, RecursionError)
_STORED = {FLOAT: "<f8", BOOL: "|b1"}


def program_to_json(program: Program, origins: bool = True) -> str:
    """The text of a Program: the same for equal Programs of equal origins.

    Parameters
    ----------
    program : Program
    origins : bool, default True
        Whether to keep the file and line in which each node was written.
    """
    files = sorted({node.origin.file for node in program.nodes if node.origin}) if origins else []
    content = {
        "schema_version": SCHEMA_VERSION,
        "inputs": [{"name": item.name, "shape": item.shape} for item in program.inputs],
        "constants": [_constant_to_json(value) for value in program.constants],
        "files": files,
        "nodes": [_node_to_json(node, files) for node in program.nodes],
        "outputs": [{"name": item.name, "node": item.node} for item in program.outputs],
    }
    return json.dumps(content, allow_nan=False, separators=(",", ":"))


def _node_to_json(node, files):
    fields = {"op": node.op, "args": node.args, "attrs": node.attrs, "shape": node.shape, "dtype": node.dtype}
    if node.origin and files:
        fields["origin"] = [files.index(node.origin.file), node.origin.line]
    return fields


def _constant_to_json(value):
    dtype = BOOL if value.dtype == np.bool_ else FLOAT
    fields = {"shape": value.shape, "dtype": dtype}
    numbers = [_spell(v) for v in value.ravel().tolist()] if value.size <= _MOST_LISTED else None
    if numbers is not None and _numbers_to_array(numbers, dtype).tobytes() == value.tobytes():
        return fields | {"values": numbers}
    data = np.ascontiguousarray(value).astype(_STORED[dtype]).tobytes()
    return fields | {"base64": base64.b64encode(data).decode()}


def _spell(number):
    if isinstance(number, bool) or math.isfinite(number):
        return number
    return "NaN" if math.isnan(number) else "Infinity" if number > 0 else "-Infinity"


def program_from_json(text: str) -> Program:
    """The Program of a text, equal to the one that was written, origins included.

    Raises
    ------
    ProblemError
        If the text isn't a Program of this or an earlier schema version, in every detail.
    """
    content = _migrate(_parse(text))
    try:
        return _build(content)
    except _WRONG as error:
        raise ProblemError(f"this is not a valid program: {error}") from None


def _parse(text):
    """The JSON object; no repeated keys, no bare NaN."""
    try:
        content = json.loads(text, object_pairs_hook=_unique, parse_constant=_refuse_constant)
    except (ValueError, TypeError, RecursionError) as error:
        raise ProblemError(f"the text of the program can't be read as JSON: {error}") from None
    if not isinstance(content, dict) or not is_int(content.get("schema_version")):
        raise ProblemError("the text isn't a program: it has no schema_version")
    return content


def _unique(pairs):
    if len(dict(pairs)) != len(pairs):
        raise ValueError(f"repeated keys among {[key for key, _ in pairs]}")
    return dict(pairs)


def _refuse_constant(word):
    raise ValueError(f"{word} must be spelled as a string")


def _migrate(content):
    """The content in today's schema."""
    version = content["schema_version"]
    if version > SCHEMA_VERSION:
        raise ProblemError(
            f"the program has schema version {version}, this pysciml reads up to {SCHEMA_VERSION}: update pysciml"
        )
    while version < SCHEMA_VERSION:
        if version not in MIGRATIONS:
            raise ProblemError(f"programs of schema version {version} can't be read")
        content = MIGRATIONS[version](content)
        version += 1
    return content


def _build(content):
    """The checked Program, node by node through the builder that tracing uses."""
    _check_fields("the program", content, ("schema_version", "inputs", "constants", "files", "nodes", "outputs"))
    inputs = [_read_input(item) for item in _items(content, "inputs")]
    constants = [_read_constant(item) for item in _items(content, "constants")]
    files = _items(content, "files")
    if not all(isinstance(file, str) for file in files):
        raise ValueError("files must be strings")
    builder = ProgramBuilder()
    for position, fields in enumerate(_items(content, "nodes")):
        try:
            _add_node(builder, fields, inputs, constants, files)
        except _WRONG as error:
            raise ValueError(f"node {position}: {error}") from None
    if len(builder.inputs) != len(inputs) or len(builder.constants) != len(constants):
        raise ValueError("not every input and every constant has its node")
    return builder.build(_read_outputs(content, len(builder.nodes)))


def _check_fields(what, fields, required, optional=()):
    """ValueError unless an object has exactly these fields."""
    if not isinstance(fields, dict):
        raise ValueError(f"{what} must be an object, got {shorten(fields)}")
    missing = [name for name in required if name not in fields]
    unknown = [name for name in fields if name not in (*required, *optional)]
    if missing or unknown:
        raise ValueError(f"{what} lacks the fields {missing}" if missing else f"{what} has unknown fields {unknown}")


def _items(content, name):
    if not isinstance(content[name], list):
        raise ValueError(f"{name} must be a list")
    return content[name]


def _tuples(value) -> Any:
    """Lists as tuples, all the way down."""
    return tuple(_tuples(item) for item in value) if isinstance(value, list) else value


def _read_shape(fields):
    shape = _tuples(fields["shape"])
    check_shape(shape)
    return shape


def _check_name(name, others):
    if not isinstance(name, str) or not name or name in others:
        raise ValueError(f"names of inputs and outputs must be different strings, got {shorten(name)}")


def _read_input(fields):
    _check_fields("an input", fields, ("name", "shape"))
    return fields["name"], _read_shape(fields)


def _read_outputs(content, n_nodes):
    outputs = []
    for fields in _items(content, "outputs"):
        _check_fields("an output", fields, ("name", "node"))
        _check_name(fields["name"], [name for name, _ in outputs])
        if not is_int(fields["node"]) or not 0 <= fields["node"] < n_nodes:
            raise ValueError(f"output {fields['name']!r}: there is no node {shorten(fields['node'])}")
        outputs.append((fields["name"], fields["node"]))
    return outputs


def _read_constant(fields):
    kind = "values" if isinstance(fields, dict) and "values" in fields else "base64"
    _check_fields("a constant", fields, ("shape", "dtype", kind))
    shape, dtype = _read_shape(fields), fields["dtype"]
    if dtype not in (FLOAT, BOOL):
        raise ValueError(f"a constant of unknown type {shorten(dtype)}")
    if kind == "values":
        value = _numbers_to_array(_items(fields, "values"), dtype)
    else:
        value = _bytes_to_array(fields["base64"], dtype)
    if value.size != math.prod(shape):
        raise ValueError(f"a constant of shape {shape} has {value.size} values")
    return value.reshape(shape)


def _numbers_to_array(numbers, dtype):
    kind = bool if dtype == BOOL else float
    spelled = _SPELLED if dtype == FLOAT else {}
    wrong = [v for v in numbers if type(v) is not kind and (type(v) is not str or v not in spelled)]
    wrong += [v for v in numbers if type(v) is float and not math.isfinite(v)]
    if wrong:
        raise ValueError(f"a {dtype} constant can't hold {shorten(wrong[0])}")
    return np.array([spelled.get(v, v) for v in numbers], dtype=kind)


def _bytes_to_array(text, dtype):
    if not isinstance(text, str):
        raise ValueError("base64 must be a string")
    data = base64.b64decode(text, validate=True)
    if dtype == BOOL and not set(data) <= {0, 1}:
        raise ValueError("a bool constant holds bytes other than 0 and 1")
    return np.frombuffer(data, dtype=_STORED[dtype]).astype(bool if dtype == BOOL else float)


def _add_node(builder, fields, inputs, constants, files):
    """Check one node and append it; what the builder derives must be what the text says."""
    _check_fields("the node", fields, ("op", "args", "attrs", "shape", "dtype"), ("origin",))
    op, args, attrs = fields["op"], _tuples(fields["args"]), _tuples(fields["attrs"])
    position = len(builder.nodes)
    if not isinstance(op, str) or op not in OPERATIONS:
        raise ValueError(f"unknown operation {shorten(op)}")
    if not isinstance(args, tuple) or not all(is_int(i) and 0 <= i < position for i in args):
        raise ValueError(f"the arguments of {op} must be earlier nodes, got {shorten(args)}")
    if not isinstance(attrs, tuple):
        raise ValueError(f"the attributes of {op} must be a list")
    if OPERATIONS[op].kind == "leaf":
        _add_leaf(builder, op, args, attrs, inputs, constants)
    else:
        arity = OPERATIONS[op].arity
        if not args or (arity is not None and len(args) != arity):
            raise ValueError(f"{op} takes {arity or 'some'} arguments, got {len(args)}")
        check_attributes(op, attrs, [builder.nodes[i].shape for i in args])
        builder.add(op, args, attrs, _read_origin(fields, files))
    node = builder.nodes[position]
    if (node.shape, node.dtype) != (_read_shape(fields), fields["dtype"]):
        stated = f"{shorten(fields['shape'])} and {shorten(fields['dtype'])}"
        raise ValueError(f"{op} has shape {node.shape} and type {node.dtype}, the text says {stated}")


def _add_leaf(builder, op, args, attrs, inputs, constants):
    """The next input or the next constant: they come in order, each once."""
    check_attributes(op, attrs, [])
    table, done = (inputs, builder.inputs) if op == "input" else (constants, builder.constants)
    if args or not is_int(attrs[0]) or attrs[0] != len(done) or attrs[0] >= len(table):
        raise ValueError(f"{op} {shorten(attrs[0])} is not the next of {len(table)}")
    if op == "input":
        name, shape = table[attrs[0]]
        _check_name(name, [item.name for item in builder.inputs])
        builder.add_input(name, shape)
    elif builder.constant(table[attrs[0]]) != len(builder.nodes) - 1 or len(builder.constants) != attrs[0] + 1:
        raise ValueError(f"constant {attrs[0]} repeats an earlier one")


def _read_origin(fields, files):
    if "origin" not in fields:
        return None
    origin = _tuples(fields["origin"])
    if not (isinstance(origin, tuple) and len(origin) == 2 and all(is_int(v) and v >= 0 for v in origin)):
        raise ValueError(f"an origin is the position of a file and a line, got {shorten(origin)}")
    return Origin(files[origin[0]], origin[1])
