"""How Julia is found: environment variables, the file of use-julia, juliapkg's records. Nothing here starts Julia."""

import json
import os
import sys

import pytest

from pysciml.engines.julia import environment, optional, route
from pysciml.errors import EngineUnavailable, ProblemError


@pytest.fixture(autouse=True)
def own_environment(monkeypatch, tmp_path):
    for name in (route.EXE, route.PROJECT, "JULIA_DEPOT_PATH", "JULIA_LOAD_PATH", "JULIA_PKG_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PYSCIML_CONFIG", str(tmp_path / "config" / "julia.toml"))


def make_julia(folder, said="julia version 1.10.8"):
    """A program that says it is Julia."""
    program = folder / "julia"
    program.write_text(f"#!{sys.executable}\nprint({said!r})\n")
    program.chmod(0o755)
    return program


def make_project(folder, lacking=()):
    """A Julia project whose manifest has what our package asks for."""
    folder.mkdir()
    ours = environment.read_toml(environment.julia_folder() / "Project.toml")
    wanted = {name: ours["compat"].get(name, "1") for name in ours["deps"] if name not in lacking}
    (folder / "Project.toml").write_text("[deps]\n")
    entries = (f"[[deps.{name}]]\nversion = '{version}'\n" for name, version in wanted.items())
    manifest = 'manifest_format = "2.0"\n' + "".join(entries)
    (folder / "Manifest.toml").write_text(manifest)
    return folder


def test_use_julia_is_remembered(tmp_path):
    program, project = make_julia(tmp_path), make_project(tmp_path / 'a project "with" quotes')
    path = route.write_config(program, project, [tmp_path])
    assert path == route.config_path() and path.parent.name == "config"
    found = route.find_route()
    assert (found.kind, found.executable, found.project) == ("config", str(program), str(project))
    assert found.depots == (str(tmp_path),)
    assert found.ready and route.readiness() == (True, found.reason)


def test_optional_packages_and_how_to_add_them(tmp_path):
    program, project = make_julia(tmp_path), make_project(tmp_path / "project")
    route.write_config(program, project)
    (what,), (said,) = zip(*optional.optional_packages().items(), strict=True)
    assert what == "SymbolicRegression for recover(method='pysr')"
    assert said == f"""to add it: {program} --project={project} -e 'import Pkg; Pkg.add("SymbolicRegression")'"""
    with (project / "Manifest.toml").open("a") as manifest:
        manifest.write("[[deps.SymbolicRegression]]\nversion = '1.13.2'\n")
    assert optional.optional_packages() == {what: "1.13.2"}


def test_config_folder_follows_xdg(monkeypatch, tmp_path):
    monkeypatch.delenv("PYSCIML_CONFIG")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert route.config_path() == tmp_path / "pysciml" / "julia.toml"


def test_the_users_variables_win(monkeypatch, tmp_path):
    project = make_project(tmp_path / "project")
    program = make_julia(tmp_path)
    route.write_config(program, project)
    monkeypatch.setenv(route.EXE, "julia")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert not route.find_route().ready and route.PROJECT in route.find_route().reason
    monkeypatch.setenv(route.PROJECT, str(project))
    assert route.find_route().kind == "environment" and route.find_route().ready
    assert route.find_route().executable == str(program)


def test_missing_packages_are_named(tmp_path):
    project = make_project(tmp_path / "project", lacking=["Sundials", "Optim"])
    route.write_config(make_julia(tmp_path), project)
    found = route.find_route()
    assert not found.ready and "Optim, Sundials" in found.reason


def test_an_old_config_is_not_ready(tmp_path):
    program = make_julia(tmp_path)
    route.write_config(program, make_project(tmp_path / "project"))
    program.unlink()
    assert not route.is_ready() and "there is no program" in route.find_route().reason
    route.config_path().write_text("executable = ")
    assert not route.is_ready() and "run use-julia again" in route.find_route().reason


@pytest.mark.parametrize(
    "said, project, depots, message",
    [
        ("julia version 1.6.7", "good", [], "must be Julia 1.10 or 1.11, it says 'julia version 1.6.7'"),
        ("hello", "good", [], "it says 'hello'"),
        ("julia version 1.11.2", "absent", [], "has no Project.toml"),
        ("julia version 1.11.2", "bare", [], "has no Manifest.toml"),
        ("julia version 1.11.2", "good", ["nowhere"], "nowhere' is not a folder"),
    ],
)
def test_use_julia_checks_what_it_is_given(tmp_path, said, project, depots, message):
    make_project(tmp_path / "good")
    (tmp_path / "bare").mkdir()
    (tmp_path / "bare" / "Project.toml").write_text("[deps]\n")
    with pytest.raises(ProblemError, match=message):
        route.write_config(make_julia(tmp_path, said), tmp_path / project, [tmp_path / d for d in depots])
    assert not route.config_path().exists()


def test_use_julia_says_that_a_program_is_absent(tmp_path):
    with pytest.raises(ProblemError, match="can't be run"):
        route.write_config(tmp_path / "julia", make_project(tmp_path / "project"))


def make_juliapkg(monkeypatch, folder):
    """juliapkg's records of a resolved environment in a folder."""
    state = pytest.importorskip("juliapkg.state").STATE
    make_project(folder)
    executable = make_julia(folder)
    own = route._juliapkg_file()
    meta = {"executable": str(executable), "deps_files": {str(own): {"hash_sha256": route._hash(own)}}}
    (folder / "meta.json").write_text(json.dumps(meta))
    monkeypatch.setitem(state, "project", str(folder))
    monkeypatch.setitem(state, "meta", str(folder / "meta.json"))
    return meta


def test_juliapkg_is_ready_when_it_resolved_our_file(monkeypatch, tmp_path):
    meta = make_juliapkg(monkeypatch, tmp_path / "julia_env")
    assert route.find_route().kind == "juliapkg" and route.is_ready()
    for entry in meta["deps_files"].values():
        entry["hash_sha256"] = "of an older version"
    (tmp_path / "julia_env" / "meta.json").write_text(json.dumps(meta))
    assert not route.is_ready() and route.INSTALL in route.find_route().reason
    (tmp_path / "julia_env" / "meta.json").unlink()
    assert not route.is_ready() and route.INSTALL in route.find_route().reason


def test_install_fails_in_one_sentence(monkeypatch, tmp_path):
    juliapkg = pytest.importorskip("juliapkg")
    monkeypatch.setitem(pytest.importorskip("juliapkg.state").STATE, "meta", str(tmp_path / "none.json"))

    def resolve():
        raise RuntimeError("no network\nand a long story")

    monkeypatch.setattr(juliapkg, "resolve", resolve)
    with pytest.raises(EngineUnavailable) as caught:
        route.install(progress=False)
    assert "no network" in str(caught.value) and "long story" not in str(caught.value)
    assert "use-julia" in str(caught.value)


def test_apply_sets_this_process_only(monkeypatch, tmp_path):
    monkeypatch.setattr(os, "environ", dict(os.environ))
    found = route.Route("config", "/bin/julia", "/project", ("/a", "/b"), "", True)
    assert route.apply_route(found) == ("/bin/julia", "/project", route.OPTIONS, None)
    assert os.environ["JULIA_DEPOT_PATH"] == os.pathsep.join(("/a", "/b"))
    assert os.environ["JULIA_LOAD_PATH"].split(os.pathsep) == ["@", str(environment.julia_folder()), "@stdlib"]
    route.apply_route(found)
    assert os.environ["JULIA_LOAD_PATH"].count(str(environment.julia_folder())) == 1


def test_apply_keeps_what_the_user_set(monkeypatch):
    monkeypatch.setattr(os, "environ", dict(os.environ) | {"JULIA_DEPOT_PATH": "/mine", "JULIA_LOAD_PATH": "@"})
    route.apply_route(route.Route("config", "/bin/julia", "/project", ("/a",), "", True))
    assert os.environ["JULIA_DEPOT_PATH"] == "/mine"
    assert os.environ["JULIA_LOAD_PATH"].split(os.pathsep) == ["@", str(environment.julia_folder())]


def test_the_package_is_found():
    assert environment.read_toml(environment.julia_folder() / "Project.toml")["name"] == "PySciML"
    entry = json.loads(route._juliapkg_file().read_text())["packages"]["PySciML"]
    assert entry["uuid"] == environment.read_toml(environment.julia_folder() / "Project.toml")["uuid"]
