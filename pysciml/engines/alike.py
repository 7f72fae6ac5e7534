"""Members of an ensemble in an order in which neighbours are alike: solved side by side, they take like steps."""

import numpy as np

MOST_COLUMNS = 32  # that differ between members: with more, none are alike


def order_alike(values: np.ndarray, group: int) -> np.ndarray:
    """Places of all members such that each ``group`` of them is a box in the space of what differs.

    ``values`` are all of theirs, ``(member, number)``.

    Boxes are halved along the values that spread the most in them, by rank, as in a k-d tree: Bentley (1975),
    doi:10.1145/361002.361007.
    """
    values = values[:, (values != values[0]).any(axis=0)]
    n, columns = values.shape
    if not 0 < columns <= MOST_COLUMNS:
        return np.arange(n)
    if columns == 1:
        (column,) = values.T
        return np.arange(n) if (column[1:] >= column[:-1]).all() else np.argsort(column, kind="stable")
    ranks = np.argsort(np.argsort(values, axis=0, kind="stable"), axis=0)
    found, boxes = [], [np.arange(n)]
    while boxes:
        box = boxes.pop()
        if len(box) <= group:
            found.append(np.sort(box))
            continue
        inside = ranks[box]
        column = int(np.argmax(inside.max(axis=0) - inside.min(axis=0)))
        middle = group * max(1, round(len(box) / (2 * group)))
        middle = min(middle, len(box) - 1)
        parted = np.argpartition(inside[:, column], middle)
        boxes += [box[parted[middle:]], box[parted[:middle]]]
    return np.concatenate(found)
