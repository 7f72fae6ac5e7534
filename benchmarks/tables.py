"""Tables and pictures of what ``solvers.py`` has measured: ``python benchmarks/tables.py`` reads ``solvers.json``.

A contender's time at an error is read off its quickest method's ladder, straight lines between logarithms; beyond its
crudest rung a method is as slow as there. Ratios are over pysciml's: above 1 we win.
"""

import json
from pathlib import Path

import matplotlib
import numpy as np

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402

HERE = Path(__file__).parent
RESULTS = HERE / "solvers.json"
OTHERS = ("julia", "scipy", "diffrax", "torchdiffeq", "sundae")
ERRORS = {False: (1e-4, 1e-6, 1e-8), True: (1e-3, 1e-4, 1e-5)}
COLOURS = dict(
    zip(("pysciml", *OTHERS), ("tab:red", "tab:purple", "tab:blue", "tab:green", "tab:orange", "tab:gray"), strict=True)
)


def time_at(rungs, error):
    """(method, median, distance of the quartiles) in seconds at a measured error; nan if never that accurate."""
    best = ("-", np.nan, np.nan)
    for word in sorted({rung[0] for rung in rungs}):
        line = sorted((max(rung[-1], 1e-16), *rung[3:6]) for rung in rungs if rung[0] == word)
        errors, *quartiles = np.log(np.array(line).T)
        if errors[0] <= np.log(error):
            median, low, high = (float(np.exp(np.interp(np.log(error), errors, q))) for q in quartiles)
            if not median >= best[1]:
                best = (word, median, high - low)
    return best


def write_row(name, row):
    """Lines of a Markdown table: one an error."""
    found = row["contenders"]
    for error in ERRORS[row["states"] > 100]:
        word, ours, spread = time_at(found["pysciml"]["rungs"], error)
        cells = [name, f"{error:.0e}", f"{ours * 1e3:.3g} ± {spread * 1e3:.2g}, {word}"]
        for who in OTHERS:
            word, seconds, _ = time_at(found.get(who, {"rungs": []})["rungs"], error)
            note = found.get(who, {"note": "not run"})["note"]
            lacking = (
                note
                if note and not found.get(who, {"rungs": []})["rungs"]
                else f"not reached{'; ' + note if note else ''}"
            )
            ratio = seconds / ours
            text = f"{ratio:.3g}" if ratio >= 1 else f"**{ratio:.2g}**"
            cells.append(lacking[:60] if np.isnan(seconds) else f"{text}, {word}")
        print("| " + " | ".join(cells) + " |")


def write_first(name, row):
    """A line of the table of cold solves: seconds to load, and of the first solve of the first method."""
    cells = [name]
    for who in ("pysciml", *OTHERS):
        found = row["contenders"].get(who, {"rungs": []})
        rungs = found["rungs"]
        cells.append(
            f"{found['start']:.1f} + {rungs[0][2]:.2f}, {rungs[0][0]}" if rungs and found["start"] is not None else "-"
        )
    print("| " + " | ".join(cells) + " |")


def draw(name, row):
    """Work against precision: each method's ladder."""
    figure, axes = plt.subplots(figsize=(5.2, 3.8), layout="constrained")
    for who, found in row["contenders"].items():
        words = list(dict.fromkeys(rung[0] for rung in found["rungs"]))
        for word, style in zip(words, ("-o", "--s", ":^", "-.D", "-v", "--<", ":>", "-.p"), strict=False):
            line = np.array([(max(rung[-1], 1e-16), rung[3]) for rung in found["rungs"] if rung[0] == word])
            axes.loglog(*line.T, style, color=COLOURS[who], markersize=3, linewidth=0.9, label=f"{who} {word}")
    axes.set(xlabel="largest relative error", ylabel="seconds a solve, warm", title=f"{name}, {row['states']} states")
    axes.invert_xaxis()
    axes.legend(fontsize=5, ncols=2)
    figure.savefig(HERE / f"{name}.png", dpi=90)
    plt.close(figure)


def main():
    """Print the tables, draw a picture a problem."""
    results = json.loads(RESULTS.read_text())
    print(f"{results['date']}; {results['machine']}; " + ", ".join(f"{k} {v}" for k, v in results["versions"].items()))
    print("\n| problem | error | pysciml, ms | " + " | ".join(OTHERS) + " |\n" + "|---" * (3 + len(OTHERS)) + "|")
    for name, row in results["problems"].items():
        write_row(name, row)
    print(
        "\n| first solve, s: load + solve | pysciml | " + " | ".join(OTHERS) + " |\n" + "|---" * (2 + len(OTHERS)) + "|"
    )
    for name, row in results["problems"].items():
        write_first(name, row)
        draw(name, row)


if __name__ == "__main__":
    main()
