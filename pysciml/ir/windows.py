"""Windows: the ``(starts, lengths, steps)`` of slices and updates, one axis at a time; no axis is empty here."""

from .ops import Shape

Window = tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]


def is_whole(window: Window, shape: Shape) -> bool:
    """Whether a window is all of an array, in its order."""
    starts, lengths, steps = window
    forward = all(step == 1 or n <= 1 for n, step in zip(lengths, steps, strict=True))
    return lengths == shape and forward and not any(starts)


def compose_windows(outer: Window, inner: Window) -> Window:
    """The window of an array that is ``inner`` of its ``outer``."""
    starts = tuple(s + k * step for s, k, step in zip(outer[0], inner[0], outer[2], strict=True))
    return starts, inner[1], tuple(a * b for a, b in zip(outer[2], inner[2], strict=True))


def _ranges(window):
    return [range(s, s + n * step, step) for s, n, step in zip(*window, strict=True)]


def windows_apart(a: Window, b: Window) -> bool:
    """Whether two windows surely have no element in common."""
    return any(_apart(x, y) for x, y in zip(_ranges(a), _ranges(b), strict=True))


def _apart(x: range, y: range) -> bool:
    if len(x) == 1 or len(y) == 1:
        return x[0] not in y if len(x) == 1 else y[0] not in x
    if max(x) < min(y) or max(y) < min(x):
        return True
    return x.step == y.step and (x.start - y.start) % x.step != 0


def locate_window(outer: Window, part: Window) -> Window | None:
    """``part`` in the coordinates of ``outer``; None if it isn't wholly inside."""
    found = [_locate(x, y) for x, y in zip(_ranges(outer), _ranges(part), strict=True)]
    if any(item is None for item in found):
        return None
    starts, steps = zip(*found, strict=True) if found else ((), ())
    return starts, part[1], steps


def _locate(x: range, y: range) -> tuple[int, int] | None:
    """Start and step of ``y`` counted in elements of ``x``."""
    if y[0] not in x or y[-1] not in x:
        return None
    if len(y) == 1:
        return x.index(y[0]), 1
    if y.step % x.step:
        return None
    return x.index(y[0]), y.step // x.step
