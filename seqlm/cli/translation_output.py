"""How translations are printed: plain, as n-best lists, as tab-separated values, as JSON."""

from __future__ import annotations

import json as json_module
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

    from seqlm.decoding.translation.forced_decoding import ScoredPair
    from seqlm.decoding.translation.translation_search import TranslatedLine, Translation


def format_line(
    number: int, line: TranslatedLine, nbest: bool, scores: bool, align: bool, json: bool
) -> Iterator[str]:
    """The lines to print for the translations of source line `number`, from 0."""
    if json:
        translations = [as_object(line, translation, align) for translation in line.translations]
        yield to_json({"line": number + 1, "source": line.source.text, "found": translations})
        return
    for translation in line.translations if nbest else line.translations[:1]:
        links = [alignment_of(line, translation)] if align else []
        text, score = translation.text, f"{translation.score:.6f}"
        if nbest:
            features = f"LogProb= {translation.log_prob:.6f} Length= {len(translation.tokens)}"
            yield " ||| ".join([str(number), text, features, score, *links])
        elif scores:
            yield "\t".join([score, text, *links])
        else:
            yield " ||| ".join([text, *links])


def as_object(line: TranslatedLine, translation: Translation, align: bool) -> dict[str, Any]:
    """A translation in the object of --json."""
    links = {"align": alignment_of(line, translation)} if align else {}
    return {
        "text": translation.text,
        "log_prob": translation.log_prob,
        "score": translation.score,
        "tokens": len(translation.tokens),
        "ended": not translation.is_truncated,
    } | links


def format_scored_pair(pair: ScoredPair, align: bool, json: bool) -> str:
    """The line to print for a given target: its log-probability and its tokens."""
    log_prob, pieces = sum(pair.log_probs), pair.target.pieces[:-1]
    links = [pharaoh(pair.alignment, pair.source.pieces, pair.target.pieces)] if align else []
    if not json:
        return "\t".join([f"{log_prob:.6f}", str(pair.target.length), *links])
    return to_json(
        {
            "source": pair.source.text,
            "target": pair.target.text,
            "log_prob": log_prob,
            "tokens": [piece.decode(errors="replace") for piece in pieces] + ["</s>"],
            "log_probs": pair.log_probs,
            **({"align": links[0]} if align else {}),
        }
    )


def alignment_of(line: TranslatedLine, translation: Translation) -> str:
    """The word alignment of a translation with its source."""
    return pharaoh(translation.alignment, line.source.pieces, translation.pieces)


def pharaoh(attention: Tensor | None, source: list[bytes], target: list[bytes]) -> str:
    """A word alignment in the format of Pharaoh, '0-0 1-2': word of the source, word of the
    target."""
    from seqlm.decoding.translation.alignment import align_words

    if attention is None:
        return ""
    return " ".join(f"{i}-{j}" for i, j in align_words(attention, source, target))


def to_json(record: dict[str, Any]) -> str:
    return json_module.dumps(record, ensure_ascii=False)
