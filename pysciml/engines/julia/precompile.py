"""Julia's packages compiled beforehand, in a Julia of its own: with progress, and going on where it was interrupted.

Julia compiles a package when it is first loaded. In this process that could be neither shown nor interrupted: Ctrl-C in
a terminal reaches the compiler too, which then ends in the middle. What is compiled stays, so another run goes on.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable

from ...errors import EngineUnavailable
from .environment import julia_folder
from .image import image_place, make_stamp, remove_image, write_stamp
from .route import OPTIONS, Route, find_route, route_environment

# What our package needs, each with the packages below it. Only if asked for: the ones of few solves, and what it can do
# without but finds. The arguments are words of ours.
_SCRIPT = """
id = Base.identify_package("PySciML")
id === nothing && error("PySciML is not on the load path")
known = Base.parsed_toml(joinpath(dirname(dirname(Base.locate_package(id))), "Project.toml"))
names = ARGS[1] == "all" ? sort!(collect(keys(known["deps"]))) : String[]
more = ARGS[1] == "all" ? sort!(collect(keys(known["weakdeps"]))) : String[]
more = filter!(!isnothing, [Base.identify_package(name) for name in more]) # those that the project has
ids = [id; [Base.identify_package(id, name) for name in names]; more]
todo = [x for x in ids if x === nothing || !(haskey(Base.loaded_modules, x) || Base.isprecompiled(x))]
for (k, x) in enumerate(todo)
    x === nothing && error("a package of julia/Project.toml is not in the environment")
    println("compiling ", k, " of ", length(todo), ": ", x.name)
    flush(stdout)
    Base.require(x)
end
ARGS[1] == "all" && !isempty(todo) && foreach(Base.require, ids) # extensions come when all are there
println("compiled ", length(todo))
"""
_LINKERS = ("gcc", "clang")  # that PackageCompiler looks for
_PATIENCE = 5.0  # seconds that an interrupted compiler is given


def compile_packages(route: Route, *, everything: bool, say: Callable[[str], None] | None = None) -> int:
    """Compile our package, or with ``everything`` the packages of rarer solves too, at the options of the boot.

    Returns how many were compiled. ``say`` is given a line at each.

    Raises
    ------
    EngineUnavailable
        If that fails, with Julia's own text.
    KeyboardInterrupt
        Passed on when the compiler has ended; the packages compiled until then are kept.
    """
    image = [f"--sysimage={route.image}"] if route.image else []
    words = [*image, "-e", _SCRIPT, "all" if everything else "own"]
    return int(_run(route, words, r"compiled (\d+)", say)[1])


def build_image(route: Route, *, say: Callable[[str], None] | None = None) -> Route:
    """Make the system image of a route: our package and its solvers in one library. Returns the route that uses it.

    ``say`` is given a line at each stage. The image in place before is used no more.

    Raises
    ------
    EngineUnavailable
        If there is no C compiler, or the build fails: with Julia's own text.
    KeyboardInterrupt
        Passed on when the build has ended; nothing is left of the image.
    """
    if not (os.environ.get("JULIA_CC") or os.name == "nt" or any(map(shutil.which, _LINKERS))):
        raise EngineUnavailable(f"a system image needs a C compiler to link it: install one of {', '.join(_LINKERS)}")
    executable, project = str(route.executable), str(route.project)
    image = image_place(executable, project, route.depots)
    stamp = make_stamp(executable, project)
    remove_image(image)
    draft = image.with_name(f"draft-{image.name}")
    words = [str(julia_folder() / "image" / "build.jl"), str(draft), str(image.with_suffix(""))]
    try:
        image.parent.mkdir(parents=True, exist_ok=True)
        _run(route, words, "made the image", say)
        draft.replace(image)
    finally:
        draft.unlink(missing_ok=True)
    write_stamp(image, stamp)
    return find_route()


def _run(route, words, done, say):
    """Run a Julia of a route and follow it; the match of its last line with what it says when it is done."""
    try:
        compiler = subprocess.Popen(
            [str(route.executable), f"--project={route.project}", *OPTIONS, "--startup-file=no", *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf8",
            errors="replace",
            env=_environment(route),
            start_new_session=True,  # a terminal's Ctrl-C shall reach this process only
        )
    except OSError as error:
        raise EngineUnavailable(f"Julia can't be run ({route.reason}): {error}") from error
    try:
        lines = _follow(compiler, say)
    except BaseException:
        _end(compiler)
        raise
    found = re.fullmatch(done, lines[-1] if lines else "")
    if compiler.wait() != 0 or found is None:
        first = next((k for k, line in enumerate(lines) if line.startswith("ERROR")), max(0, len(lines) - 20))
        text = "\n".join(lines[first : first + 20])
        raise EngineUnavailable(f"Julia's packages could not be compiled ({route.reason}):\n{text}")
    return found


def _environment(route):
    """Variables of a Julia of a route; a project in them would be that of each Julia which this one starts."""
    return {name: value for name, value in os.environ.items() if name != "JULIA_PROJECT"} | route_environment(route)


def _follow(compiler, say):
    """The lines of the compiler, those of its progress passed on."""
    lines = []
    for line in compiler.stdout:
        lines.append(line.rstrip())
        if say is not None and line.startswith(("compiling ", "image: ")):
            say(f"pysciml: {line.rstrip()}")
    return lines


def _end(compiler):
    """Stop the compiler and those that it started."""
    for number in (signal.SIGTERM, getattr(signal, "SIGKILL", signal.SIGTERM)):
        try:
            os.killpg(compiler.pid, number) if hasattr(os, "killpg") else compiler.terminate()
            compiler.wait(_PATIENCE)
        except (OSError, subprocess.TimeoutExpired):
            continue


def say_on_stderr(line: str) -> None:
    """A line of progress for whoever waits."""
    print(line, file=sys.stderr, flush=True)
