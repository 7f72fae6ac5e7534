"""The command line, as a user meets it: in new processes, on a machine where things may be missing."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
import xarray as xr
from support.engines import require_engine

from pysciml import load_example
from pysciml.cli import main, make_parser

HIDE = """
import importlib.machinery, sys
hidden = set(sys.argv[1].split(","))
class Hider:
    def find_spec(name, path=None, target=None):
        if name.split(".")[0] in hidden:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Hider)
from pysciml.cli import main
code = main(sys.argv[2:])
print("started:", *sorted({"pysciml.engines.julia.embed", "jax", "diffrax"} & set(sys.modules)), file=sys.stderr)
sys.exit(code)
"""


def run_without(hidden: str, *arguments, folder, **environment):
    """Run a command in a process in which some packages can't be imported, and with an empty user configuration."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON_JULIA", "JULIA", "PYSCIML"))}
    settings = (
        kept
        | {
            "PYTHON_JULIAPKG_PROJECT": str(folder / "julia_env"),
            "XDG_CONFIG_HOME": str(folder / "config"),
            "HOME": str(folder),
        }
        | environment
    )
    command = [sys.executable, "-c", HIDE, hidden or "-", *arguments]
    return subprocess.run(command, cwd=folder, env=settings, capture_output=True, text=True, timeout=200)


def read_json(done) -> dict:
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("hidden", ["", "juliapkg", "jax,jaxlib,diffrax,optax", "juliapkg,jax,diffrax,optax"])
def test_doctor_answers_whatever_is_missing(hidden, tmp_path):
    done = run_without(hidden, "doctor", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "started:\n" in done.stderr, "doctor starts no runtime"
    for word in ("diffrax", "julia", "next:"):
        assert word in done.stdout
    state = read_json(run_without(hidden, "doctor", "--json", folder=tmp_path))
    assert set(state["engines"]) == {"julia", "diffrax"}
    assert all(engine["reason"] for engine in state["engines"].values())
    assert state["engines"]["julia"]["ready"] is False  # an empty home and no configuration
    if "diffrax" in hidden:
        assert state["engines"]["diffrax"]["ready"] is False
        assert "pip install" in state["engines"]["diffrax"]["reason"]
        assert state["auto"] is None
    else:
        assert state["auto"] == "diffrax"
    assert state["next"]


def test_doctor_lists_capabilities(tmp_path):
    engines = read_json(run_without("juliapkg,jax", "doctor", "--json", folder=tmp_path))["engines"]
    assert {"Tsit5", "auto"} <= set(engines["diffrax"]["capabilities"]["algorithm"])
    assert {"Tsit5", "Rodas5P", "FBDF", "auto"} <= set(engines["julia"]["capabilities"]["algorithm"])
    assert all("adam" in engine["capabilities"]["optimizer"] for engine in engines.values())


def test_use_julia_then_doctor_says_so(tmp_path):
    project, julia = tmp_path / "project", tmp_path / "julia"
    project.mkdir()
    for name in ("Project.toml", "Manifest.toml"):
        (project / name).write_text("")
    julia.write_text("#!/bin/sh\necho julia version 1.10.9\n")
    julia.chmod(0o755)
    config = {"PYSCIML_CONFIG": str(tmp_path / "julia.toml")}
    done = run_without(
        "", "use-julia", "--executable", str(julia), "--project", str(project), folder=tmp_path, **config
    )
    assert done.returncode == 0, done.stderr
    assert str(tmp_path / "julia.toml") in done.stdout
    reason = read_json(run_without("", "doctor", "--json", folder=tmp_path, **config))["engines"]["julia"]["reason"]
    assert str(tmp_path) in reason


@pytest.mark.parametrize("arguments", [
    ["use-julia", "--executable", "/nowhere/julia", "--project", "/nowhere"],
    ["demo", "--engine", "fortran"],
])  # fmt: skip
def test_an_error_is_one_message_and_no_traceback(arguments, tmp_path):
    done = run_without("", *arguments, folder=tmp_path)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert done.stderr.startswith(f"pysciml {arguments[0]}: ")
    assert not (tmp_path / "config").exists()


def test_install_julia_without_network_is_a_short_error(tmp_path):
    nowhere = {key: "http://127.0.0.1:9" for key in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy")}
    done = run_without("", "install-julia", folder=tmp_path, PATH=str(tmp_path), **nowhere)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    message = done.stderr[done.stderr.index("pysciml install-julia: ") :]
    assert len(message) < 1500
    assert "network" in message and "use-julia" in message


def test_unknown_command_shows_the_four(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["solve"])
    assert stop.value.code == 2
    said = capsys.readouterr().err
    for command in ("demo", "doctor", "install-julia", "use-julia"):
        assert command in said


def test_options_of_demo_reach_it():
    options = make_parser().parse_args(["demo", "--engine", "diffrax", "--seed", "3", "--out", "there", "--quiet"])
    assert (options.engine, options.seed, options.out, options.quiet) == ("diffrax", 3, "there", True)


def test_demo(tmp_path):
    """The bar of the demo for seed 0: both states within 0.2 standard deviations on the trained years; its files."""
    require_engine("diffrax")
    done = run_without("", "demo", "--engine", "diffrax", "--out", str(tmp_path / "new"), "--quiet", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "new" / "hare_lynx.png").stat().st_size > 10_000
    with xr.open_dataset(tmp_path / "new" / "hare_lynx.nc", engine="h5netcdf") as ds:
        assert list(ds.source.values) == ["observed", "universal", "classical"]
        np.testing.assert_array_equal(ds.time.values, np.arange(1900, 1921))
        np.testing.assert_array_equal(ds.hare.sel(source="observed"), load_example("hare_lynx").hare)
        trained = ds.sel(time=slice(None, 1915))
        for source in ("universal", "classical"):
            miss = trained.sel(source=source) - trained.sel(source="observed")
            for state in ("hare", "lynx"):
                error = float(np.sqrt((miss[state] ** 2).mean()) / trained[state].sel(source="observed").std())
                assert error <= 0.2 or source == "classical"
                assert f"{error:.2f}" in done.stdout
    assert "held out" in done.stdout and "universal" in done.stdout and "classical" in done.stdout
