"""Exposure bias: what it costs a model to go on from its own text instead of a true one.

Trained on true prefixes, a model generates behind its own, and its errors may add up. Arora et al.
2022 measure this against an oracle o, which knows what comes after any prefix, true or not:

    e(prefixes)  =  mean of KL(o(. | prefix) || p(. | prefix))            nats a token
    kl-true-prefix   e over prefixes from a text
    kl-own-prefix    e over prefixes that p has sampled
    exposure         100 (kl-own-prefix / kl-true-prefix - 1)             % of excess error

Loss against the rest of the true text would not do: behind another prefix it is no longer what
should come, and even a perfect model would seem to suffer. Here a model that does as well behind
its own prefixes as behind true ones has exposure 0. The oracle is any model of the same types that
is much better than p, such as a larger network, or one trained on far more text: an error it shares
with p is not seen, and where it is no better than p the figures mean nothing.

Both walk through R stretches of the text, evenly spread and each from the start of a line, and then
through R that p samples from its start. Where one of them starts every line afresh, a stretch ends
with its line. The whole distributions are compared before every token but the first.

A translator's stretches are targets, each behind its own source, which the oracle, a translator
too, reads as well.

    R stretches · T tokens of each at most · V vocabulary
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import cast

import numpy as np
import torch
from torch import Tensor

from seqlm.decoding.generate import generate
from seqlm.decoding.sampling_noise import Noise
from seqlm.decoding.sentence_batches import padded, shortened
from seqlm.decoding.token_choice import chooser
from seqlm.errors import DataError, UsageError
from seqlm.evaluation.mixture_scoring import Mix
from seqlm.models.base import LanguageModel, SequenceModel, State, Translator
from seqlm.models.translation.encoder_memory import padding_mask
from seqlm.models.wrappers.sliding_window import with_sliding_window
from seqlm.runs.common_vocabulary import common_ids
from seqlm.runs.load_model import LoadedModel
from seqlm.text.batches import pad_rows
from seqlm.text.vocabulary import EOS

FIGURES = ("kl-true-prefix", "kl-own-prefix", "exposure")
"""By the names that `--metric` takes."""
STRETCHES, LENGTH = 256, 64
"""R and T."""
AT_ONCE = 1 << 22
"""Probabilities of a distribution in each row: so many rows are walked through together."""


def asked(wanted: Sequence[str], has_oracle: bool) -> list[str]:
    """Those of `wanted` that are FIGURES.

    Errors: UsageError where they have no oracle, or it has no use.
    """
    mine = [name for name in wanted if name in FIGURES]
    if mine and not has_oracle:
        raise UsageError(
            f"--metric {mine[0]} is measured against an --oracle, a model that knows more"
        )
    if has_oracle and not mine:
        raise UsageError("--oracle is what --metric exposure is measured against")
    return mine


@torch.inference_mode()
def measure(mix: Mix, oracle: LoadedModel, ids: np.ndarray, seed: int = 1) -> dict[str, float]:
    """FIGURES of a model, or a mixture, on the text `ids` (N,), as it numbers the types.

    Errors: ModelError where the oracle has other types; UsageError where it is the model itself, or
    that adapts; DataError where no line has a prefix.
    """
    if mix.adaptation.adapts:
        raise UsageError("exposure is of a network as it is: no --neural-cache, no --dynamic")
    if [oracle.weights_digest] == [one.weights_digest for one in mix.models]:
        raise UsageError(f"{oracle.path} is the model itself: an oracle is another that knows more")
    types = torch.from_numpy(common_ids([mix.models[0], oracle])[1])
    by_line = any(
        one.config.context == "sentence" and not one.model.resets_at_eos
        for one in (*mix.models, oracle)
    )
    model, judge = mix.decodable(), with_sliding_window(cast(LanguageModel, oracle.model))
    starts, lengths = stretches(ids, by_line)
    sums = np.zeros((2, 2))
    for rows in parts(len(starts), len(types)):
        true, real = (torch.from_numpy(each) for each in pad_rows(ids, starts[rows], lengths[rows]))
        begin = model.start(len(rows)), judge.start(len(rows))
        own = sampled(model, begin[0], rows, seed, LENGTH)
        counted = real, before_the_end(own) if by_line else own >= 0
        sums += compared((model, judge), begin, (true, own), counted, types)
    return figures(sums)


@torch.inference_mode()
def measure_translator(
    model: Translator,
    oracle: Translator,
    sources: Sequence[list[int]],
    targets: Sequence[list[int]],
    seed: int = 1,
) -> dict[str, float]:
    """FIGURES of a translator on pairs of sentences, ids with their `</s>`.

    Both read and write by the same ids; where one of them has a horizon, no source is read and no
    stretch is walked through beyond it. Errors: DataError where no target has a prefix.
    """
    horizons = [one.context_length for one in (model, oracle) if one.context_length is not None]
    length = min([LENGTH, *horizons])
    sources = [shortened(source, min(horizons, default=len(source))) for source in sources]
    chosen = np.unique(np.linspace(0, len(sources) - 1, STRETCHES).astype(int))
    types = torch.arange(model.log_probs(model.start(*padded(sources[:1], model.device))).shape[1])
    sums = np.zeros((2, 2))
    for rows in parts(len(chosen), len(types)):
        numbers = chosen[rows]
        read = [sources[number] for number in numbers]
        begin = model.start(*padded(read, model.device)), oracle.start(*padded(read, oracle.device))
        true, lengths = padded(
            [targets[number][:length] for number in numbers], torch.device("cpu")
        )
        own = sampled(model, begin[0], numbers, seed, length)
        counted = padding_mask(lengths, true.shape[1]), before_the_end(own)
        sums += compared((model, oracle), begin, (true, own), counted, types)
    return figures(sums)


def parts(stretches: int, types: int) -> list[np.ndarray]:
    """The numbers of those that are walked through together."""
    return np.array_split(np.arange(stretches), -(-stretches * types // AT_ONCE))


def compared(
    models: tuple[SequenceModel, SequenceModel],
    begin: tuple[State, State],
    prefixes: tuple[Tensor, Tensor],
    counted: tuple[Tensor, Tensor],
    types: Tensor,
) -> np.ndarray:
    """(2, 2) nats and places, behind true prefixes (B, T) and behind the model's own, both of
    which a model and its oracle go through from where they `begin`."""
    sums = []
    for tokens, where in zip(prefixes, counted):
        nats = divergence(*models, begin, tokens, types)  # (B, T - 1)
        sums.append((nats[where[:, 1:]].sum().item(), where[:, 1:].sum().item()))
    return np.array(sums)


def figures(sums: np.ndarray) -> dict[str, float]:
    """FIGURES of (2, 2) nats and places. Errors: DataError where there is no place."""
    if not sums[:, 1].all():
        raise DataError("no prefix to go on from: the text is nothing but empty lines")
    of_true, of_own = (sums[:, 0] / sums[:, 1]).tolist()
    excess = 100 * (of_own / of_true - 1) if of_true > 0 else math.nan
    return dict(zip(FIGURES, (of_true, of_own, excess)))


def stretches(ids: np.ndarray, by_line: bool) -> tuple[np.ndarray, np.ndarray]:
    """Where (R,) stretches of a text begin, and how many tokens they have, LENGTH at most."""
    ends = np.append(np.flatnonzero(ids[:-1] == EOS) + 1, len(ids))
    starts = np.append(0, ends[:-1])
    chosen = np.unique(np.linspace(0, len(starts) - 1, STRETCHES).astype(int))
    ends = ends[chosen] if by_line else np.full(len(chosen), len(ids))
    return starts[chosen], np.minimum(ends - starts[chosen], LENGTH)


def sampled(
    model: SequenceModel, state: State, numbers: np.ndarray, seed: int, length: int
) -> Tensor:
    """(B, T) tokens, on the CPU, that the model goes on with: samples number `numbers` (B,), of
    `length` tokens."""
    choose = chooser(noise=Noise.of(seed, numbers.tolist()))
    return torch.stack(list(generate(model, state, choose, length)), 1).cpu()


def before_the_end(tokens: Tensor) -> Tensor:
    """(B, T) True up to the first `</s>`, and there."""
    ends = tokens == EOS
    return ends.cumsum(1) - ends.long() < 1


def divergence(
    model: SequenceModel,
    oracle: SequenceModel,
    begin: tuple[State, State],
    tokens: Tensor,
    types: Tensor,
) -> Tensor:
    """(B, T - 1): KL(oracle || model) in nats before each of `tokens` (B, T) but the first.

    `types` (V,) is what the oracle calls the types of the model.
    """
    theirs = types[tokens].to(oracle.device)
    tokens, types = tokens.to(model.device), types.to(oracle.device)
    state, other = begin
    nats = [torch.zeros(len(tokens), 0, dtype=torch.float64)]
    for t in range(tokens.shape[1] - 1):
        state = model.advance(state, tokens[:, t : t + 1])
        other = oracle.advance(other, theirs[:, t : t + 1])
        p = model.log_probs(state).cpu().double()
        o = oracle.log_probs(other)[:, types].cpu().double()  # (B, V)
        nats.append(torch.where(o > -torch.inf, o.exp() * (o - p), 0).sum(1, keepdim=True))
    return torch.cat(nats, 1)
