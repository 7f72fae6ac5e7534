"""How Julia is reached from here. Light: imports nothing of Julia, starts no process but Julia's own ``--version``.

Three routes, the first that is there: the user's environment variables; the config file that ``use-julia`` writes;
juliapkg, which needs the network once. Variables are set in this process only.
"""

import hashlib
import importlib
import json
import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ...errors import EngineUnavailable, ProblemError
from .environment import JULIA_VERSIONS, find_manifest, find_problem, julia_folder, read_toml
from .image import find_image

# juliacall's names, which users may have set for it
EXE, PROJECT, IMAGE = "PYTHON_JULIACALL_EXE", "PYTHON_JULIACALL_PROJECT", "PYTHON_JULIACALL_SYSIMAGE"
OPTIONS = ("--handle-signals=yes",)  # without it two threads crash where one of them collects garbage
INSTALL = "python -m pysciml install-julia"


@dataclass(frozen=True)
class Route:
    """A way to Julia: ``kind`` is environment, config or juliapkg; ``reason`` says why this one, or what it lacks.

    ``image`` is the system image to start from, None for Julia's own.
    """

    kind: str
    executable: str | None
    project: str | None
    depots: tuple[str, ...]
    reason: str
    ready: bool
    image: str | None = None


def find_route() -> Route:
    """The route that a boot would take now; runs nothing and asks no network."""
    if os.environ.get(EXE) or os.environ.get(PROJECT):
        return _environment_route()
    path = config_path()
    if path.is_file():
        return _config_route(path)
    return _juliapkg_route()


def is_ready() -> bool:
    """Whether Julia and its packages are there."""
    return find_route().ready


def readiness() -> tuple[bool, str]:
    """Whether Julia can be used now, and by which route or why not."""
    route = find_route()
    return route.ready, route.reason


def config_path() -> Path:
    """Where ``use-julia`` writes: ``PYSCIML_CONFIG``, else the user's config folder."""
    named = os.environ.get("PYSCIML_CONFIG")
    if named:
        return Path(named).expanduser()
    folder = os.environ.get("XDG_CONFIG_HOME")
    return (Path(folder) if folder else Path.home() / ".config") / "pysciml" / "julia.toml"


def write_config(executable: str | Path, project: str | Path, depots: Sequence[str | Path] = ()) -> Path:
    """Remember a Julia that is on this machine. Returns the config file.

    Raises
    ------
    ProblemError
        If the program isn't a Julia of a version that was tried, the project has no Project.toml and Manifest.toml,
        or a depot isn't a folder.
    """
    program = _check_executable(executable)
    folder = _check_project(project)
    places = [_absolute(depot) for depot in depots]
    for place in places:
        if not place.is_dir():
            raise ProblemError(f"use-julia: depot {str(place)!r} is not a folder")
    lines = [f"executable = {_quote(program)}", f"project = {_quote(folder)}"]
    lines.append(f"depots = [{', '.join(_quote(place) for place in places)}]")
    path = config_path()
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(".tmp")
    draft.write_text("\n".join(lines) + "\n", encoding="utf-8")
    draft.replace(path)
    return path


def apply_route(route: Route) -> tuple[str, str, tuple[str, ...], str | None]:
    """Program, project, options and system image of the Julia to be started; sets what Julia reads of the environment.

    In this process only, and what the user has set stays.
    """
    os.environ.update(route_environment(route))
    return str(route.executable), str(route.project), OPTIONS, route.image


def route_environment(route: Route) -> dict[str, str]:
    """The variables that Julia is to find by a route, beside those that the user has set."""
    wanted = {}
    for level in ("ERROR", "WARNING"):  # Sundials' C code would print dozens of lines about one failing solve
        wanted[f"SUNLOGGER_{level}_FILENAME"] = os.devnull
    if route.kind != "juliapkg":
        if route.depots:
            wanted["JULIA_DEPOT_PATH"] = os.pathsep.join(route.depots)
        wanted["JULIA_PKG_OFFLINE"] = "true"
    wanted["JULIA_NUM_THREADS"] = "auto"  # for ensembles: as many as there are cores
    wanted = {name: value for name, value in wanted.items() if name not in os.environ}
    folder = str(julia_folder())
    first, *rest = os.environ.get("JULIA_LOAD_PATH", os.pathsep.join(("@", "@stdlib"))).split(os.pathsep)
    if route.kind != "juliapkg" and folder not in (first, *rest):
        wanted["JULIA_LOAD_PATH"] = os.pathsep.join((first, folder, *rest))
    return wanted


def install(progress: bool = True) -> Route:
    """Let juliapkg get Julia and the packages; EngineUnavailable in one sentence if that fails."""
    route = find_route()
    if route.kind != "juliapkg":
        if route.ready:
            return route
        raise EngineUnavailable(f"install-julia: {route.reason}")
    try:
        juliapkg = importlib.import_module("juliapkg")
        if progress:
            print("pysciml: getting Julia and its packages; the first time takes minutes", flush=True)
        juliapkg.resolve()
    except Exception as error:
        raise EngineUnavailable(
            "install-julia: juliapkg could not get Julia and its packages, which needs the network: "
            f"{_first_line(error)}. With a Julia of your own: "
            "python -m pysciml use-julia --executable PATH --project PATH"
        ) from error
    return find_route()


def _environment_route():
    executable, project = os.environ.get(EXE), os.environ.get(PROJECT)
    if not (executable and project):
        lacking = PROJECT if executable else EXE
        return Route(
            "environment", executable, project, (), f"{EXE} and {PROJECT} go together; set {lacking} too", False
        )
    executable = shutil.which(executable) or executable
    return _checked(Route("environment", executable, project, (), f"{EXE} and {PROJECT} are set", True))


def _config_route(path):
    try:
        executable, project, depots = _read_config(path)
    except (OSError, KeyError, ValueError) as error:
        reason = f"{path} can't be read ({type(error).__name__}: {_first_line(error)}): run use-julia again"
        return Route("config", None, None, (), reason, False)
    route = Route("config", executable, project, depots, f"use-julia's {path}", True)
    gone = [depot for depot in depots if not Path(depot).is_dir()]
    if gone:
        return _unready(route, f"it names the depot {gone[0]}, and there is no folder: run use-julia again")
    return _checked(route)


def _read_config(path):
    config = read_toml(path)
    executable, project, depots = config["executable"], config["project"], config.get("depots", [])
    if not (isinstance(executable, str) and isinstance(project, str)):
        raise ValueError("executable and project must be texts")
    if not (isinstance(depots, list) and all(isinstance(depot, str) for depot in depots)):
        raise ValueError("depots must be a list of folders")
    return executable, project, tuple(depots)


def _checked(route):
    """The route with its image, not ready if its Julia, its project or its depot won't do."""
    problem = find_problem(route.executable, route.project, route.depots)
    return _with_image(route) if problem is None else _unready(route, problem)


def _with_image(route):
    """The route with the system image that the user names, else with ours, if there is one that serves."""
    named = os.environ.get(IMAGE)
    if named:
        return replace(route, image=named, reason=f"{route.reason}; {IMAGE} is {named}")
    image, said = find_image(route.executable, route.project, route.depots)
    return replace(route, image=image, reason=f"{route.reason}; {said}" if said else route.reason)


def _unready(route, problem):
    return replace(route, reason=f"{route.reason}, but {problem}", ready=False)


def _juliapkg_route():
    """The environment of juliapkg, judged by the files it keeps: never by its resolver, which may use the network."""
    try:
        state = importlib.import_module("juliapkg.state").STATE
    except Exception as error:
        return Route(
            "juliapkg",
            None,
            None,
            (),
            f"juliapkg can't be imported ({_first_line(error)}): pip install juliapkg",
            False,
        )
    project = str(state["project"])
    try:
        meta = json.loads(Path(state["meta"]).read_text(encoding="utf-8"))
        executable, files = meta["executable"], meta["deps_files"]
    except (OSError, ValueError, KeyError):
        return Route("juliapkg", None, project, (), f"Julia isn't installed here yet: {INSTALL}", False)
    own = os.path.normcase(str(_juliapkg_file()))
    known = {os.path.normcase(os.path.realpath(name)): entry for name, entry in files.items()}
    is_current = own in known and known[own].get("hash_sha256") == _hash(own)
    if not (is_current and Path(executable).is_file() and find_manifest(Path(project))):
        return Route("juliapkg", executable, project, (), f"Julia's packages are not up to date: {INSTALL}", False)
    return _checked(Route("juliapkg", executable, project, (), f"juliapkg's environment {project}", True))


def _juliapkg_file():
    folder = julia_folder()
    return (folder.parent / "juliapkg.json").resolve()


def _check_executable(executable):
    program = _absolute(executable)
    try:
        said = subprocess.run([str(program), "--version"], capture_output=True, text=True, timeout=60).stdout
    except (OSError, subprocess.SubprocessError) as error:
        raise ProblemError(f"use-julia: {str(program)!r} can't be run: {_first_line(error)}") from None
    found = re.match(r"julia version (\d+)\.(\d+)", said)
    if not found or (int(found[1]), int(found[2])) not in JULIA_VERSIONS:
        known = " or ".join(f"{a}.{b}" for a, b in JULIA_VERSIONS)
        raise ProblemError(f"use-julia: {str(program)!r} must be Julia {known}, it says {said.strip()!r}")
    return program


def _check_project(project):
    folder = _absolute(project)
    if not any((folder / name).is_file() for name in ("Project.toml", "JuliaProject.toml")):
        raise ProblemError(f"use-julia: {str(folder)!r} has no Project.toml: give the folder of a Julia project")
    if find_manifest(folder) is None:
        raise ProblemError(f"use-julia: {str(folder)!r} has no Manifest.toml: instantiate the project in Julia first")
    return folder


def _absolute(path):
    return Path(os.path.abspath(Path(path).expanduser()))


def _quote(path):
    """A TOML basic string; JSON's escapes are TOML's."""
    return json.dumps(str(path), ensure_ascii=False)


def _hash(path):
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def _first_line(error):
    return (str(error).strip() or type(error).__name__).splitlines()[0]
