"""The nearest right word, for messages about a wrong one."""

import difflib
from collections.abc import Iterable


def nearest(word, known: Iterable[str]) -> str:
    """``"; did you mean 'x'?"``, or nothing where no known word is near. Case does not count."""
    by_lower = {str(k).lower(): str(k) for k in known}
    found = difflib.get_close_matches(str(word).lower(), by_lower, n=1, cutoff=0.5)
    return f"; did you mean {by_lower[found[0]]!r}?" if found else ""
