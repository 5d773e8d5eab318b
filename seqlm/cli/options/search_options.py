"""How translations are looked for: the flags that `translate` and `eval` share."""

from __future__ import annotations

import math
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from seqlm.cli import console
from seqlm.cli.console import flag
from seqlm.errors import UsageError

if TYPE_CHECKING:
    import typer

    from seqlm.decoding.translation_search import Search

BEAM = flag(
    "--beam",
    help="Width of the search; 1 is greedy, whatever the penalties. [default: 5]",
    min=1,
    max=1 << 16,
)
LENGTH_PENALTY = flag(
    "--length-penalty", help="How far a translation's length excuses what it costs. [default: 1]"
)
NORMALISATION = flag(
    "--normalisation", help="Scores are divided by |Y|^penalty (simple), or as gnmt does."
)
COVERAGE_PENALTY = flag(
    "--coverage-penalty", help="Above 0, source words without attention cost. [default: 0]"
)
MAX_RATIO = flag(
    "--max-ratio", help="The most tokens, in those of the source; 10 more are free. [default: 2]"
)
MAX_INPUT_LENGTH = flag(
    "--max-input-length",
    help="Tokens of a source line that are read; of a longer one, the first. [default: 1000]",
    min=1,
)
REPLACE_UNK = flag("--replace-unk", help="Write for <unk> the source word with most attention.")


def search(flags: typer.Context, **others: Any) -> Search:
    """As a command's flags of the same names say, and `others`; the default where one is None.

    Errors: UsageError.
    """
    from seqlm.decoding.translation_search import Search

    values = flags.params | others
    asked = {field.name: values.get(field.name) for field in fields(Search)}
    given = {name: value for name, value in asked.items() if value is not None}
    console.check_choice("normalisation", given.get("normalisation"), ("simple", "gnmt"))
    for name in ("length_penalty", "coverage_penalty"):
        if not 0 <= given.get(name, 0) < math.inf:
            raise UsageError(f"--{name.replace('_', '-')} must be 0 or more, not {given[name]}")
    if not 0 < given.get("max_ratio", 1) <= 1000:
        raise UsageError(f"--max-ratio must be above 0 and at most 1000, not {given['max_ratio']}")
    found = Search(**given)
    if found.nbest > found.beam:
        raise UsageError(f"--nbest {found.nbest} needs a --beam at least as wide")
    return found
