"""The command line: demo, doctor, install-julia, use-julia."""

import argparse
import dataclasses
import json
import pathlib
import sys
from collections.abc import Sequence

from .api.doctor import doctor
from .demo import run_demo
from .engines.julia.precompile import build_image, compile_packages
from .engines.julia.route import find_route, install, write_config
from .errors import ProblemError, PySciMLError

_IMAGE = "also build a system image, for a quicker start; takes long once, needs a C compiler"


def make_parser() -> argparse.ArgumentParser:
    """The four commands and their options."""
    parser = argparse.ArgumentParser(
        prog="python -m pysciml", description="Differential equations in Python, solved and fitted by Julia or diffrax."
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")

    demo = commands.add_parser("demo", help="fit the hare and lynx record; saves hare_lynx.nc and hare_lynx.png")
    demo.add_argument("--engine", default="auto", help="auto (default), julia or diffrax")
    demo.add_argument("--seed", type=int, default=0, help="seed of the network's first weights (default 0)")
    demo.add_argument("--out", default=".", metavar="FOLDER", help="where the two files go (default: here)")
    demo.add_argument("--quiet", action="store_true", help="no progress bar")
    demo.set_defaults(run=_demo)

    state = commands.add_parser("doctor", help="what is ready here, what each engine can do, and the next step")
    state.add_argument("--json", action="store_true", help="the same as JSON")
    state.add_argument("--boot", action="store_true", help="also start each engine that is ready, and solve with it")
    state.set_defaults(run=_doctor)

    getting = commands.add_parser("install-julia", help="get Julia and its packages into this environment")
    getting.add_argument("--image", action="store_true", help=_IMAGE)
    getting.set_defaults(run=_install_julia)

    using = commands.add_parser("use-julia", help="use a Julia that is already on this machine; needs no network")
    using.add_argument("--executable", required=True, metavar="PATH", help="the julia program")
    using.add_argument("--project", required=True, metavar="PATH", help="a Julia project that has the packages")
    using.add_argument("--depot", action="append", default=[], metavar="PATH", help="a depot; may be given repeatedly")
    using.add_argument("--no-compile", action="store_true", help="leave compiling to the first solves")
    using.add_argument("--image", action="store_true", help=_IMAGE)
    using.set_defaults(run=_use_julia)
    return parser


def _demo(options):
    pathlib.Path(options.out).mkdir(parents=True, exist_ok=True)
    run_demo(engine=options.engine, seed=options.seed, folder=options.out, progress=not options.quiet)


def _doctor(options):
    diagnosis = doctor(boot=options.boot)
    print(json.dumps(dataclasses.asdict(diagnosis), indent=2) if options.json else diagnosis)


def _install_julia(options):
    _compile(install(progress=True), options.image)
    print(doctor())


def _use_julia(options):
    if options.image and options.no_compile:
        raise ProblemError("use-julia: --image compiles, and --no-compile forbids it: give one of them")
    path = write_config(executable=options.executable, project=options.project, depots=options.depot)
    print(f"wrote {path}", flush=True)
    if not options.no_compile:
        _compile(find_route(), options.image)
    print(f"\n{doctor()}")


def _compile(route, with_image):
    """Compile what solves need, saying which package; what was compiled stays if this is interrupted."""
    if not route.ready:
        return
    if with_image and route.image is None:
        _say("pysciml: building a system image, which takes long once; Ctrl-C stops it")
        route = build_image(route, say=_say)
    _say("pysciml: compiling Julia's packages, which takes minutes once; Ctrl-C stops, another run goes on")
    count = compile_packages(route, everything=True, say=_say)
    _say(f"pysciml: {count} packages compiled" if count else "pysciml: all were compiled already")


def _say(line):
    print(line, flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit status is 1 after an error, which is one message on stderr."""
    options = make_parser().parse_args(arguments)
    try:
        options.run(options)
    except (PySciMLError, OSError) as error:
        print(f"pysciml {options.command}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"pysciml {options.command}: interrupted", file=sys.stderr)
        return 130
    return 0
