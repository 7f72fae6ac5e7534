"""Engines by word: which is taken, what is said, what is missing."""

import pytest

from pysciml.engines import choose
from pysciml.engines.choose import choose_engine, engine_capabilities, engine_readiness, load_engine
from pysciml.errors import EngineUnavailable, ProblemError
from pysciml.requests import Capability


@pytest.fixture
def fresh():
    """What "auto" found is looked for anew, before and after."""
    choose._first_ready.cache_clear()
    yield
    choose._first_ready.cache_clear()


def test_unknown_word_names_the_nearest():
    with pytest.raises(
        ProblemError, match=r"unknown word 'difrax'; one of auto, julia, diffrax; did you mean 'diffrax'\?"
    ):
        choose_engine("difrax")


def test_auto_without_julia_is_diffrax_and_says_so_once(fresh, monkeypatch, capsys):
    pytest.importorskip("diffrax")
    monkeypatch.setattr(choose, "engine_readiness", lambda name: (name == "diffrax", "a reason"))
    assert choose_engine("auto").name == "diffrax"
    assert "python -m pysciml install-julia" in capsys.readouterr().err
    assert choose_engine("auto") is choose_engine("diffrax")
    assert capsys.readouterr().err == ""


def test_auto_takes_julia_where_it_is_ready(fresh, monkeypatch, capsys):
    loaded = []
    monkeypatch.setattr(choose, "engine_readiness", lambda name: (True, "ready"))
    monkeypatch.setattr(choose, "load_engine", lambda name: loaded.append(name))
    choose_engine("auto")
    assert loaded == ["julia"] and capsys.readouterr().err == ""


def test_no_engine_at_all(fresh, monkeypatch):
    monkeypatch.setattr(choose, "_is_installed", lambda package: False)
    with pytest.raises(
        EngineUnavailable, match="julia: not installed: juliapkg.*diffrax: not installed: jax.*pip install"
    ):
        choose_engine("auto")


def test_missing_package_is_named_with_the_command(monkeypatch):
    monkeypatch.setattr(choose, "_is_installed", lambda package: package != "optax")
    assert engine_readiness("diffrax") == (False, "not installed: optax; pip install optax")
    with pytest.raises(
        EngineUnavailable, match="engine 'diffrax' isn't ready: not installed: optax; pip install optax"
    ):
        load_engine.__wrapped__("diffrax")


def test_capabilities_of_all_engines_without_starting_one():
    capabilities = engine_capabilities()
    assert set(capabilities) == {"julia", "diffrax"}
    for of_one in capabilities.values():
        assert Capability("problem", "ode") in of_one and Capability("algorithm", "Tsit5") in of_one
    assert Capability("algorithm", "Rodas5P") in capabilities["julia"] - capabilities["diffrax"]


def test_one_instance_a_process():
    pytest.importorskip("diffrax")
    assert load_engine("diffrax") is load_engine("diffrax")
