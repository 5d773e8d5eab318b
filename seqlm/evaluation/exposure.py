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

    R stretches · T tokens of each at most · V vocabulary
"""

from __future__ import annotations

import math
from typing import cast

import numpy as np
import torch
from torch import Tensor

from seqlm.decoding.choose import chooser
from seqlm.decoding.generate import generate
from seqlm.decoding.noise import Noise
from seqlm.errors import DataError, UsageError
from seqlm.evaluation.mixing import Mix
from seqlm.models.base import EOS, LanguageModel
from seqlm.models.windowed import unbounded
from seqlm.runs.opening import common_ids
from seqlm.runs.save import Loaded
from seqlm.text.batches import pad

FIGURES = ("kl-true-prefix", "kl-own-prefix", "exposure")
"""By the names that `--metric` takes."""
STRETCHES, LENGTH = 256, 64
"""R and T."""
AT_ONCE = 1 << 22
"""Probabilities of a distribution in each row: so many rows are walked through together."""


@torch.inference_mode()
def measure(mix: Mix, oracle: Loaded, ids: np.ndarray, seed: int = 1) -> dict[str, float]:
    """FIGURES of a model, or a mixture, on the text `ids` (N,), as it numbers the types.

    Errors: ModelError where the oracle has other types; UsageError where it is the model itself, or
    that adapts; DataError where no line has a prefix.
    """
    if mix.adaptation.adapts:
        raise UsageError("exposure is of a network as it is: no --neural-cache, no --dynamic")
    if [oracle.weights] == [one.weights for one in mix.models]:
        raise UsageError(f"{oracle.path} is the model itself: an oracle is another that knows more")
    types = torch.from_numpy(common_ids([mix.models[0], oracle])[1])
    by_line = any(
        one.config["context"] == "sentence" and not one.model.restarts
        for one in (*mix.models, oracle)
    )
    model, judge = mix.decodable(), unbounded(cast(LanguageModel, oracle.model))
    starts, lengths = stretches(ids, by_line)
    sums = np.zeros((2, 2))  # of nats and of places, behind true prefixes and its own
    for rows in np.array_split(np.arange(len(starts)), -(-len(starts) * len(types) // AT_ONCE)):
        true, real = (torch.from_numpy(each) for each in pad(ids, starts[rows], lengths[rows]))
        own = sampled(model, rows, LENGTH, seed)
        until = (own == EOS).cumsum(1) - (own == EOS).long() < 1 if by_line else own >= 0
        for which, (tokens, counted) in enumerate([(true, real), (own.cpu(), until.cpu())]):
            nats = divergence(model, judge, tokens, types)  # (B, T - 1)
            sums[which] += nats[counted[:, 1:]].sum().item(), counted[:, 1:].sum().item()
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


def sampled(model: LanguageModel, numbers: np.ndarray, length: int, seed: int) -> Tensor:
    """(B, T) tokens that the model goes on with from its start: samples number `numbers` (B,)."""
    choose = chooser(noise=Noise.of(seed, numbers.tolist()))
    return torch.stack(list(generate(model, model.start(len(numbers)), choose, length)), 1)


def divergence(
    model: LanguageModel, oracle: LanguageModel, tokens: Tensor, types: Tensor
) -> Tensor:
    """(B, T - 1): KL(oracle || model) in nats before each of `tokens` (B, T) but the first.

    `types` (V,) is what the oracle calls the types of the model.
    """
    theirs = types[tokens].to(oracle.device)
    tokens, types = tokens.to(model.device), types.to(oracle.device)
    state, other = model.start(len(tokens)), oracle.start(len(tokens))
    nats = [torch.zeros(len(tokens), 0, dtype=torch.float64)]
    for t in range(tokens.shape[1] - 1):
        state = model.advance(state, tokens[:, t : t + 1])
        other = oracle.advance(other, theirs[:, t : t + 1])
        p = model.log_probs(state).cpu().double()
        o = oracle.log_probs(other)[:, types].cpu().double()  # (B, V)
        nats.append(torch.where(o > -torch.inf, o.exp() * (o - p), 0).sum(1, keepdim=True))
    return torch.cat(nats, 1)
