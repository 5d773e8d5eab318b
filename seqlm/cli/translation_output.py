"""How translations are printed: plain, as n-best lists, as tab-separated values, as JSON."""

from __future__ import annotations

import json as json_module
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

    from seqlm.decoding.translation_search import ScoredPair, Translated, Translation


def found(
    number: int, each: Translation, nbest: bool, scores: bool, align: bool, json: bool
) -> Iterator[str]:
    """What is printed of line `number`, from 0."""
    if json:
        yield dumped(
            {
                "line": number + 1,
                "source": each.source.text,
                "found": [as_object(each, one, align) for one in each.found],
            }
        )
        return
    for one in each.found if nbest else each.found[:1]:
        linked = [pharaoh(one.alignment, each.source.pieces, one.pieces)] if align else []
        if nbest:
            features = f"LogProb= {one.log_prob:.6f} Length= {len(one.tokens)}"
            yield " ||| ".join([str(number), one.text, features, f"{one.score:.6f}", *linked])
        elif scores:
            yield "\t".join([f"{one.score:.6f}", one.text, *linked])
        else:
            yield " ||| ".join([one.text, *linked])


def as_object(each: Translation, one: Translated, align: bool) -> dict[str, Any]:
    linked = {"align": pharaoh(one.alignment, each.source.pieces, one.pieces)} if align else {}
    return {
        "text": one.text,
        "log_prob": one.log_prob,
        "score": one.score,
        "tokens": len(one.tokens),
    } | linked


def scored(each: ScoredPair, align: bool, json: bool) -> str:
    """What is printed of a given target: its log-probability and its tokens."""
    log_prob, said = sum(each.log_probs), each.target.pieces[:-1]
    links = [pharaoh(each.alignment, each.source.pieces, each.target.pieces)] if align else []
    if not json:
        return "\t".join([f"{log_prob:.6f}", str(each.target.length), *links])
    return dumped(
        {
            "source": each.source.text,
            "target": each.target.text,
            "log_prob": log_prob,
            "tokens": [piece.decode(errors="replace") for piece in said] + ["</s>"],
            "log_probs": each.log_probs,
            **({"align": links[0]} if align else {}),
        }
    )


def pharaoh(attention: Tensor | None, source: list[bytes], target: list[bytes]) -> str:
    """'0-0 1-2': word of the source, word of the target."""
    from seqlm.decoding.alignment import links

    if attention is None:
        return ""
    return " ".join(f"{i}-{j}" for i, j in links(attention, source, target))


def dumped(record: dict[str, Any]) -> str:
    return json_module.dumps(record, ensure_ascii=False)
