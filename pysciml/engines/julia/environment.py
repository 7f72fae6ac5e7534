"""What our Julia package needs of a Julia, its project and its depot, and what is wrong with those that are there.

Reads files only; asks a Julia for its version where the name of its library does not say it.
"""

import os
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path

from ...errors import EngineUnavailable

try:
    import tomllib
except ImportError:  # Python 3.10
    import tomli as tomllib

JULIA_VERSIONS = ((1, 10), (1, 11))
_MANIFESTS = ("Manifest-v{0}.{1}.toml", "JuliaManifest.toml", "Manifest.toml")
_MOST_NAMED = 6  # packages in a message


def julia_folder() -> Path:
    """The folder of our Julia package: beside ``pysciml/`` in the source tree, inside it in a wheel."""
    package = Path(__file__).resolve().parents[2]
    for folder in (package / "julia", package.parent / "julia"):
        if (folder / "Project.toml").is_file():
            return folder
    raise EngineUnavailable(
        f"pysciml's Julia package is in neither {package} nor {package.parent}: install pysciml again"
    )


def package_files() -> list[Path]:
    """The files that our Julia package is compiled from."""
    folder = julia_folder()
    return [folder / "Project.toml", *sorted(folder.glob("src/*.jl")), *sorted(folder.glob("ext/*.jl"))]


def read_toml(path) -> dict:
    """A TOML file; ValueError or OSError if it can't be read."""
    return tomllib.loads(Path(path).read_text(encoding="utf-8"))


def find_manifest(folder: Path) -> Path | None:
    """The manifest of a project, as Julia looks for it."""
    names = [name.format(*version) for name in _MANIFESTS for version in JULIA_VERSIONS]
    return next((folder / name for name in names if (folder / name).is_file()), None)


def find_problem(executable: str, project: str, depots: Sequence[str]) -> str | None:
    """What keeps our package from running with these, and the cure; None if nothing is seen."""
    if not Path(executable).is_file():
        return f"there is no program {executable}: give the path of julia"
    version = julia_version(executable)
    known = " or ".join(f"{a}.{b}" for a, b in JULIA_VERSIONS)
    if version not in JULIA_VERSIONS:
        said = "says no version" if version is None else f"is Julia {version[0]}.{version[1]}"
        return f"{executable} {said}, and pysciml needs Julia {known}: python -m pysciml install-julia gets one"
    manifest = find_manifest(Path(project))
    if manifest is None:
        return f"the project {project} has no Manifest.toml: instantiate it with Julia's Pkg"
    try:
        packages = read_toml(manifest).get("deps", {})
    except (OSError, ValueError) as error:
        return f"{manifest} can't be read ({error}): instantiate the project with Julia's Pkg again"
    return _package_problem(project, packages) or _depot_problem(depots)


def julia_version(executable: str) -> tuple[int, int] | None:
    """Major and minor version of a Julia: by its library's name, else by asking it."""
    names = [path.name for path in julia_libraries(executable)]
    said = next((match for name in names if (match := re.search(r"\.(\d+)\.(\d+)", name))), None)
    if said is None:
        said = re.match(r"julia version (\d+)\.(\d+)", ask_version(executable))
    return (int(said[1]), int(said[2])) if said else None


def julia_libraries(executable: str) -> list[Path]:
    """Julia's library, by its names with versions, beside a program; none beside a launcher."""
    folder = Path(os.path.realpath(executable)).parent.parent / "lib"
    return sorted(path for pattern in ("libjulia.so.*", "libjulia.*.dylib") for path in folder.glob(pattern))


def ask_version(executable: str) -> str:
    """What a Julia says of its version; nothing if it can't be run."""
    try:
        return subprocess.run([executable, "--version"], capture_output=True, text=True, timeout=60).stdout
    except (OSError, subprocess.SubprocessError):
        return ""


def _package_problem(project, packages):
    ours = read_toml(julia_folder() / "Project.toml")
    missing = sorted(name for name in ours["deps"] if name not in packages)
    if missing:
        return f"the project {project} lacks {_some(missing)}: add them there with Julia's Pkg"
    wrong = []
    for name, bound in ours["compat"].items():
        found = packages.get(name, [{}])[0].get("version")
        if found and not satisfies(found, bound):
            wrong.append(f"{name} {found} (needs {bound})")
    if wrong:
        return (
            f"the project {project} has other versions than pysciml needs, {_some(wrong)}: update it with Julia's Pkg"
        )
    return None


def _some(names):
    more = len(names) - _MOST_NAMED
    return ", ".join(names[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")


def satisfies(version: str, bound: str) -> bool:
    """Whether a version lies within a bound of Julia's ``[compat]``: a list of versions, each with what is next to it.

    https://pkgdocs.julialang.org/v1/compatibility/
    """
    found = _numbers(version)
    return any(_lies_in(found, part.strip()) for part in bound.split(","))


def _lies_in(found, part):
    if " - " in part:
        low, high = (end.strip() for end in part.split(" - "))
        return _numbers(low) <= found < _next(_numbers(high, full=False), -1)
    sign, numbers = re.match(r"([~^=]?|[<>]=?|[≥≤])\s*v?([\d.]+)", part).groups()
    low, given = _numbers(numbers), _numbers(numbers, full=False)
    if sign in ("", "^"):
        first = next((k for k, x in enumerate(given) if x), len(given) - 1)
        return low <= found < _next(given, first)
    if sign == "~":
        return low <= found < _next(given, min(1, len(given) - 1))
    if sign == "=":
        return found == low
    return {"<": found < low, "<=": found <= low, ">": found > low}.get(sign, found >= low)


def _numbers(version, full=True):
    numbers = tuple(int(x) for x in re.match(r"[\d.]+", version)[0].strip(".").split("."))[:3]
    return numbers + (0,) * (3 - len(numbers)) if full else numbers


def _next(numbers, place):
    """The first version above those that agree with a given one up to a place."""
    kept = list(numbers[: place + 1] if place >= 0 else numbers)
    kept[-1] += 1
    return tuple(kept) + (0,) * (3 - len(kept))


def depots_of(depots: Sequence[str]) -> list[Path]:
    """The depots in Julia's order: the user's variable, else those of the route, else the user's own."""
    named = list(filter(None, os.environ.get("JULIA_DEPOT_PATH", "").split(os.pathsep)))
    return [Path(depot).expanduser() for depot in named or depots or ["~/.julia"]]


def is_compiled(depots: Sequence[str]) -> bool:
    """Whether our package has been compiled since its files changed, as far as files tell."""
    newest = max(path.stat().st_mtime for path in package_files())
    caches = (path for depot in depots_of(depots) for path in depot.glob("compiled/v1.*/PySciML/*.ji"))
    return any(path.stat().st_mtime > newest for path in caches)


def _depot_problem(depots):
    """A first depot that can't be written to, where something has still to be compiled."""
    first = depots_of(depots)[0]
    place = next((folder for folder in (first, *first.parents) if folder.exists()), first)
    if (place.is_dir() and os.access(place, os.W_OK)) or is_compiled(depots):
        return None
    return (
        f"the depot {first} is read-only and pysciml's packages aren't compiled there: put a folder that can be "
        "written to in front (use-julia --depot FOLDER --depot ..., or JULIA_DEPOT_PATH)"
    )
