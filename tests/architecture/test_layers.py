"""Imports go only to lower layers, or within a layer to a room listed above: the table of CONTRIBUTING.md, enforced."""

import ast
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "pysciml"
FILES = sorted(PACKAGE.rglob("*.py"))
ENGINE_FOLDERS = ("engines.julia", "engines.diffrax")
EVERYWHERE = {"numpy", "xarray"}  # the price of `import pysciml`
NUMPY_ONLY = ("ir", "networks", "tracing", "requests", "engines")  # no Dataset before the rooms that speak xarray
HOMES = {
    "juliapkg": ("engines/julia/",),
    "matplotlib": ("plotting/",),
    "jax": ("engines/diffrax/", "jax.py", "sampling/"),
    "blackjax": ("sampling/",),
} | {name: ("engines/diffrax/", "jax.py") for name in ("diffrax", "optax", "equinox", "lineax", "optimistix")}


def read_layers(text: str) -> dict[str, tuple[int, int]]:
    """Room -> (layer, place in the table)."""
    rows = re.findall(r"^\| (\d+) \| `([\w.]+)` \|", text, flags=re.MULTILINE)
    return {room: (int(layer), place) for place, (layer, room) in enumerate(rows)}


LAYERS = read_layers((ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"))


def module_name(file: Path) -> str:
    """Dotted name below the package: ``ir.program``; a folder's ``__init__`` is the folder."""
    parts = file.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)


MODULES = {module_name(file): file for file in FILES}


def room_of(module: str) -> str:
    """The most precise row of the table that holds a module."""
    parts = module.split(".")
    candidates = [".".join(parts[:n]) for n in range(len(parts), 0, -1)]
    return next((c for c in candidates if c in LAYERS), module)


def imported_names(node: ast.AST, file: Path) -> list[str]:
    """Absolute dotted names that an import statement may refer to, own ones beginning with ``pysciml``."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if not isinstance(node, ast.ImportFrom):
        return []
    base = node.module or ""
    if node.level:
        package = ("pysciml", *file.relative_to(PACKAGE).parts[:-1])
        base = ".".join([*package[: len(package) - node.level + 1], *([node.module] if node.module else [])])
    return [f"{base}.{alias.name}" for alias in node.names]


def own_module(name: str) -> str | None:
    """The module of ours that a dotted name lies in, or None."""
    if name.split(".")[0] != "pysciml":
        return None
    parts = name.split(".")[1:]
    for n in range(len(parts), 0, -1):
        if ".".join(parts[:n]) in MODULES:
            return ".".join(parts[:n])
    return "__init__"


def own_imports(file: Path) -> set[str]:
    """Our own modules that a file imports."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    found = (own_module(name) for node in ast.walk(tree) for name in imported_names(node, file))
    return {module for module in found if module}


def is_allowed(importer: str, imported: str) -> bool:
    """Whether the table lets one module import another."""
    here, there = room_of(importer), room_of(imported)
    if here == there:
        return True
    if here in ENGINE_FOLDERS and there in (*ENGINE_FOLDERS, "engines.choose"):
        return False  # an engine knows the contract, never another engine
    return LAYERS[there] < LAYERS[here] and there != "__init__"


def function_imports(tree: ast.AST) -> set[ast.AST]:
    """Import statements inside functions."""
    functions = [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)]
    return {n for f in functions for n in ast.walk(f) if isinstance(n, ast.Import | ast.ImportFrom)}


def place_in_api(module: str) -> int:
    order = ["solve", "objective", "gradient", "source", "fit_result", "fit"]
    last = module.split(".")[-1]
    return order.index(last) if last in order else -1


def test_table_lists_every_room():
    unlisted = {room_of(m) for m in MODULES if room_of(m) not in LAYERS and m != "engines"}
    assert not unlisted, f"add these rooms to the table in CONTRIBUTING.md: {sorted(unlisted)}"


@pytest.mark.parametrize("module", [m for m in MODULES if m != "engines"])
def test_imports_go_down(module):
    wrong = [m for m in sorted(own_imports(MODULES[module])) if m != "engines" and not is_allowed(module, m)]
    assert not wrong, f"{module} may not import {wrong}"


def test_api_files_import_only_those_before_them():
    files = [m for m in MODULES if m.startswith("api.") and place_in_api(m) >= 0]
    wrong = {
        m: [i for i in own_imports(MODULES[m]) if i in files and place_in_api(i) >= place_in_api(m)] for m in files
    }
    assert not {m: i for m, i in wrong.items() if i}


def test_no_cycles():
    graph = {module: own_imports(file) - {module} for module, file in MODULES.items()}
    seen, path = set(), []

    def visit(module):
        assert module not in path, f"cycle: {' -> '.join([*path[path.index(module) :], module])}"
        if module not in seen:
            path.append(module)
            for other in sorted(graph[module]):
                visit(other)
            path.pop()
            seen.add(module)

    for module in graph:
        visit(module)


@pytest.mark.parametrize("file", FILES, ids=[f.relative_to(PACKAGE).as_posix() for f in FILES])
def test_imports_of_a_file(file):
    tree = ast.parse(file.read_text(encoding="utf-8"))
    late, place = function_imports(tree), file.relative_to(PACKAGE).as_posix()
    for node in ast.walk(tree):
        for name in imported_names(node, file):
            top = name.split(".")[0]
            if top == "pysciml":
                assert node not in late, f"{place}:{node.lineno}: own import inside a function"
            elif top not in sys.stdlib_module_names:
                check_third_party(top, place, node in late, node.lineno)


def check_third_party(top: str, place: str, late: bool, line: int) -> None:
    """Runtimes stay in their rooms; outside engine folders only NumPy and xarray are imported at the top."""
    in_engine_folder = place.startswith(tuple(f.replace(".", "/") + "/" for f in ENGINE_FOLDERS))
    homes = HOMES.get(top)
    assert homes is None or place.startswith(homes), f"{place}:{line}: {top} belongs to {', '.join(homes)}"
    assert late or in_engine_folder or top in EVERYWHERE, f"{place}:{line}: import {top} where it is used"
    if top == "xarray":
        assert not place.startswith(NUMPY_ONLY), f"{place}:{line}: this room speaks NumPy only"
    if place.startswith("ir/"):
        assert top == "numpy", f"{place}:{line}: ir imports only NumPy"


def test_the_rules_can_fail():
    assert not is_allowed("ir.program", "tracing.layout")
    assert not is_allowed("tracing.trace", "problems.ode")
    assert not is_allowed("fitting.losses", "requests")
    assert not is_allowed("engines.diffrax.engine", "engines.julia.route")
    assert not is_allowed("engines.julia.engine", "engines.choose")
    assert not is_allowed("cli", "__init__")
    assert is_allowed("api.solve", "engines.julia.route")
    assert is_allowed("tracing.layout", "networks")
    with pytest.raises(AssertionError, match="belongs to"):
        check_third_party("jax", "api/solve.py", True, 1)
    with pytest.raises(AssertionError, match="where it is used"):
        check_third_party("matplotlib", "plotting/states.py", False, 1)
