"""One order of a model from its counts and the order below.

    p(w | h), β(h)  =  method(c(hw), p(w | h'))        for all words w after all histories h

In array code a method is given a block of whole histories. Interpolated Kneser-Ney smoothing, which
is the default, of a large text is a compiled loop with the same numbers.

    U n-grams of the order · H histories, the n-grams of the order below
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from seqlm.counting.smoothing.interpolation_and_backoff import Histories, interpolate
from seqlm.counting.smoothing.kneser_ney import subtract_discount
from seqlm.counting.smoothing.smoothing_methods import Method
from seqlm.counting.tables.array_passes import history_blocks
from seqlm.counting.tables.ngrams import NGrams
from seqlm.machine.compilation import is_compiled
from seqlm.machine.memory import Memory
from seqlm.machine.threads import parallel_map
from seqlm.models.ngram.ngram_order import row_contexts


def smooth_order(
    table: NGrams,
    lower: np.ndarray,
    method: Method,
    constants: np.ndarray,
    is_full_history: np.ndarray | None,
    memory: Memory,
    progress: Callable[[float], None],
) -> tuple[np.ndarray, np.ndarray]:
    """p (U,) of every n-gram of an order and β (H,) of every history, float32, from `lower`, p of
    the order below."""
    prob = memory.empty(len(table.counts), np.float32)
    backoff = memory.empty(len(table.first) - 1, np.float32)
    backoff[:] = method.unseen_backoff  # histories without n-grams may be in no block
    is_kneser_ney = method.discount is subtract_discount and method.combine is interpolate

    def smooth_block(part: tuple[slice, slice]) -> None:
        owners, grams = part
        counts, suffix = table.counts[grams], table.suffix[grams]
        bounds = table.first[owners.start : owners.stop + 1] - grams.start
        pruned = None if table.pruned_count is None else table.pruned_count[owners]
        if is_kneser_ney and is_compiled(len(table.counts)):
            from seqlm.counting.estimation.compiled_estimation import interpolate_discounted

            pruned = np.zeros(len(bounds) - 1, np.int64) if pruned is None else pruned
            interpolate_discounted(
                counts, suffix, bounds, lower, pruned, constants, prob[grams], backoff[owners]
            )
        else:
            history, size = row_contexts(bounds), np.diff(bounds)
            total = np.bincount(history, counts, len(size))
            h = Histories(
                counts=counts,
                lower=lower[suffix].astype(np.float64),
                history=history,
                total=total if pruned is None else total + pruned,
                is_full_history=None if is_full_history is None else is_full_history[owners],
            )
            with np.errstate(divide="ignore", invalid="ignore"):  # histories without n-grams
                prob[grams], of_block = method.combine(h, method.discount(h, constants))
            backoff[owners] = np.where(size > 0, of_block, method.unseen_backoff)
        progress(grams.stop / max(1, len(table.counts)))
        memory.release_pages()

    parallel_map(smooth_block, history_blocks(table.first))
    return prob, backoff
