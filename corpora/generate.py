"""Write the corpora, and print a row of the README's tables for each file.

    python corpora/generate.py [--out DIR] [NAME ...]

Seeds are fixed, so that the same names give the same bytes.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))  # where the package `corpora` is, for a script inside it

from corpora import brackets, courtyard, hidden, markov, meadow, prose, reviews  # noqa: E402

SOURCES = {
    "prose": prose,
    "markov": markov,
    "hidden": hidden,
    "brackets": brackets,
    "courtyard": courtyard,
    "meadow": meadow,
    "reviews": reviews,
}


def write(name: str, folder: Path) -> list[str]:
    """Write the files of one source; return a row for each."""
    module = SOURCES[name]
    rows = []
    for file, lines in module.files().items():
        data = "".join(line + "\n" for line in lines).encode()
        (folder / file).write_bytes(data)
        if hasattr(module, "figures"):  # labeled text
            records, tokens, accuracy = module.figures(file, lines)
            best = f"{100 * accuracy:.2f} %"
        else:
            records, tokens = len(lines), sum(len(line.split()) + 1 for line in lines)
            entropy = module.source().cross_entropy(lines) if hasattr(module, "source") else None
            best = "-" if entropy is None else f"{entropy:.4f}"
        rows.append(f"| `{file}` | {len(data):,} | {records:,} | {tokens:,} | {best} |")
    return rows


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=HERE, metavar="DIR", help="where to write")
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"one of {', '.join(SOURCES)}; default: all"
    )
    options = parser.parse_args(arguments)
    for name in set(options.names) - set(SOURCES):
        parser.error(f"no source is named {name}; there are {', '.join(SOURCES)}")
    options.out.mkdir(parents=True, exist_ok=True)
    for name in options.names or SOURCES:
        print(*write(name, options.out), sep="\n")


if __name__ == "__main__":
    main()
