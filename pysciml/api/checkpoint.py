"""The folder of a fit that can be killed: whose it is."""

import dataclasses
import hashlib
import json
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from ..engines.checkpoint import write_whole
from ..errors import ProblemError
from ..ir.program import Program
from ..requests import FitRequest

DATA = {"values", "weights", "saveat"}  # the fields of requests that hold data


def claim_folder(folder, identity: Mapping[str, object]) -> tuple[Path, bool]:
    """A folder that belongs to one fit, and whether that had begun; ProblemError if it holds another one's."""
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        about = folder / "checkpoint.json"
        has_begun = about.exists()
        if has_begun:
            _check(folder, json.loads(about.read_text(encoding="utf-8")), json.loads(json.dumps(identity)))
        else:
            write_whole(about, json.dumps(identity, indent=1).encode())
    except (OSError, json.JSONDecodeError) as error:
        raise ProblemError(f"checkpoint: {str(folder)!r} can't be used as a folder for one: {error}") from error
    return folder, has_begun


def _check(folder, there, here):
    where = f"checkpoint: {str(folder)!r} holds a fit"
    remedy = "choose another folder, or delete this one to begin anew"
    for kind, words in (("problem", "another problem"), ("data", "other data")):
        if there[kind] != here[kind]:
            raise ProblemError(f"{where} of {words}; {remedy}")
    changed = _changes(there["settings"], here["settings"])
    if changed or there["request"] != here["request"]:
        raise ProblemError(f"{where} with other settings{changed and f' ({changed})'}; {remedy}")
    changed = _changes(there["versions"], here["versions"])
    if changed:
        raise ProblemError(f"{where} by other versions ({changed}), which may take other steps; {remedy}")
    changed = _changes(there.get("threads", {}), here["threads"])
    if changed:
        warnings.warn(
            f"{where} that was begun with another number of threads ({changed}): it goes on, but may end at other last "
            "digits than without a break",
            RuntimeWarning,
            stacklevel=6,
        )


def _changes(there, here):
    """What both know and differs, in words."""
    pairs = ((key, there[key], here[key]) for key in there if key in here)
    return ", ".join(f"{key} was {old}, is {new}" for key, old, new in pairs if old != new)


def identify(
    problem_json: str,
    request: FitRequest,
    settings: Mapping,
    versions: Mapping[str, str],
    threads: Mapping[str, int],
) -> dict:
    """What a fit is known by: hashes of problem, data and the rest, and settings, versions and threads in words."""
    data, rest = hashlib.sha256(), hashlib.sha256()
    for path, content in _leaves(request):
        digest = data if DATA & set(path) else rest
        digest.update(f"{path}{len(content)}".encode() + content)
    return {
        "problem": hashlib.sha256(problem_json.encode()).hexdigest(),
        "data": data.hexdigest(),
        "request": rest.hexdigest(),
        "settings": dict(settings),
        "versions": dict(versions),
        "threads": dict(threads),
    }


def _leaves(value, path=()) -> Iterator[tuple[tuple, bytes]]:
    """What a value is made of: the fields and places that lead there, and bytes."""
    if isinstance(value, Program):
        yield path, value.hash.encode()
    elif isinstance(value, np.ndarray):
        yield path, f"{value.dtype.str}{value.shape}".encode() + np.ascontiguousarray(value).tobytes()
    elif dataclasses.is_dataclass(value):
        for field in dataclasses.fields(value):
            yield from _leaves(getattr(value, field.name), (*path, field.name))
    elif isinstance(value, tuple | list):
        for place, item in enumerate(value):
            yield from _leaves(item, (*path, place))
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _leaves(item, (*path, key))
    else:
        yield path, repr(value).encode()
