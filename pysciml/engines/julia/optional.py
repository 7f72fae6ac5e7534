"""Julia packages that few users need, so that they are not installed with ours, and how to get them."""

from pathlib import Path

from .environment import find_manifest, read_toml
from .route import Route, find_route

SYMBOLIC = "SymbolicRegression"
_IDS = {"CUDA": "052768ef-5323-5732-b1bb-66c8b64840ba", SYMBOLIC: "8254be44-1295-4e6a-a16d-46603ac705cb"}
_PURPOSES = {SYMBOLIC: "recover(method='pysr')"}


def how_to_add(name: str, route: Route) -> str:
    """The command that adds a package to the project of a route."""
    if route.kind == "juliapkg":
        return f"""python -c 'import juliapkg; juliapkg.add("{name}", "{_IDS[name]}"); juliapkg.resolve()'"""
    return f"""{route.executable} --project={route.project} -e 'import Pkg; Pkg.add("{name}")'"""


def find_version(name: str) -> str:
    """Its version in the project that a boot would take now; empty where that lacks it, or isn't ready."""
    route = find_route()
    manifest = find_manifest(Path(route.project)) if route.ready and route.project is not None else None
    return "" if manifest is None else read_toml(manifest).get("deps", {}).get(name, [{}])[0].get("version", "")


def optional_packages() -> dict[str, str]:
    """What they are for: the version that there is, or how to add it."""
    route = find_route()
    if not route.ready:
        return {}
    said = {name: find_version(name) or f"to add it: {how_to_add(name, route)}" for name in _PURPOSES}
    return {f"{name} for {_PURPOSES[name]}": text for name, text in said.items()}
