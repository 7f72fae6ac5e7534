"""Every Python block of the README runs, in a new process and an empty folder, and so do a page's blocks together."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from support.engines import require_engine, users_environment

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def read_blocks(text):
    return re.findall(r"^```python\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE)


def run(text, folder):
    require_engine("diffrax")
    command, words = [sys.executable, "-c", text], {"cwd": folder, "env": users_environment()}
    done = subprocess.run(command, capture_output=True, text=True, timeout=280, **words)
    assert done.returncode == 0, done.stderr[-3000:]


BLOCKS = read_blocks(README)


@pytest.mark.parametrize("number", range(len(BLOCKS)))
def test_block_runs(number, tmp_path):
    run(BLOCKS[number], tmp_path)
    for file in re.findall(r"(?:savefig|save)\(\"([\w.]+)\"\)", BLOCKS[number]):
        assert (tmp_path / file).stat().st_size > 1000


@pytest.mark.parametrize("page", ["ensembles.md"])
def test_page_runs(page, tmp_path):
    blocks = read_blocks((ROOT / "docs" / page).read_text(encoding="utf-8"))
    assert blocks
    run("\n".join(blocks), tmp_path)


def test_there_is_an_example_and_its_picture():
    assert len(BLOCKS) >= 2
    pictures = re.findall(r"!\[.*?\]\((.*?)\)", README)
    assert pictures
    for picture in pictures:
        assert (ROOT / picture).is_file()


def test_names_its_two_commands():
    for command in ("pip install -e . && python -m pysciml demo", 'pip install -e ".[test]" && python -m pytest'):
        assert command in README
