"""No file over 400 lines, no function over 60 (its docstring apart), no vague names."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / "pysciml").rglob("*.py"))
LONGEST_FILE, LONGEST_FUNCTION = 400, 60
VAGUE = {"utils", "util", "common", "misc", "helpers"}


def function_sizes(source: str) -> dict[str, int]:
    """Lines of each function, docstring apart."""
    sizes = {}
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            docstring = ast.get_docstring(node, clean=False) or ""
            sizes[f"{node.name}:{node.lineno}"] = node.end_lineno - node.lineno + 1 - len(docstring.splitlines())
    return sizes


@pytest.mark.parametrize("file", FILES, ids=[f.relative_to(ROOT).as_posix() for f in FILES])
def test_sizes(file):
    source = file.read_text(encoding="utf-8")
    assert source.count("\n") <= LONGEST_FILE
    assert not {name: size for name, size in function_sizes(source).items() if size > LONGEST_FUNCTION}


def test_names():
    assert not [f for f in FILES if VAGUE & set(f.with_suffix("").relative_to(ROOT).parts)]
    classes = [
        n.name for f in FILES for n in ast.walk(ast.parse(f.read_text(encoding="utf-8"))) if isinstance(n, ast.ClassDef)
    ]
    assert not [name for name in classes if name.startswith("Base") or name.endswith(("Manager", "Handler"))]


def test_a_long_function_would_be_found():
    source = "def f():\n" + "    x = 1\n" * 61
    assert max(function_sizes(source).values()) > LONGEST_FUNCTION
