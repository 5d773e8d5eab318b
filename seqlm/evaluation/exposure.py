"""Exposure bias: the extra divergence of a model that continues its own samples.

Trained on true prefixes, a model generates after its own, and its errors may add up. Arora et al.
2022 measure this against an oracle o, which knows what comes after any prefix, true or not:

    e(prefixes)  =  mean of KL(o(. | prefix) || p(. | prefix))            nats a token
    kl-true-prefix   e over prefixes from a text
    kl-own-prefix    e over prefixes that p has sampled
    exposure         100 (kl-own-prefix / kl-true-prefix - 1)             % of excess error

Loss against the rest of the true text would not do: after another prefix it is no longer what
should come, and even a perfect model would seem to suffer. Here a model that does as well after its
own prefixes as after true ones has exposure 0. The oracle is any model of the same types that is
much better than p, such as a larger network, or one trained on far more text: an error it shares
with p is not seen, and where it is no better than p the figures mean nothing.

Both models read R passages of the text, evenly spread, each from the start of a line, and then R
passages that p samples. Where one of the models starts every line afresh, a passage ends with its
line. All that comes before a token of a passage is a prefix: the whole distributions are compared
before every token but the first.

A translator's passages are targets, each after its own source. The oracle is a translator too, and
reads the same source.

    R passages · T tokens of each at most · V vocabulary · B passages at once
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from seqlm.decoding.generate import generate
from seqlm.decoding.sampling_noise import Noise
from seqlm.decoding.token_sampling import make_chooser
from seqlm.decoding.translation.sentence_batches import keep_ends, pad_sentences
from seqlm.errors import DataError, UsageError
from seqlm.evaluation.mixtures.mixture_scoring import LoadedMixture
from seqlm.models.base import LanguageModel, SequenceModel, State, Translator
from seqlm.models.layers.padding import padding_mask
from seqlm.models.ngram.ngram_language_model import in_tensors
from seqlm.models.wrappers.sliding_window import with_sliding_window
from seqlm.runs.loading.common_vocabulary import common_ids
from seqlm.runs.loading.load_model import LoadedModel
from seqlm.text.pad_rows import pad_rows
from seqlm.text.vocabulary import EOS

PASSAGES, LENGTH = 256, 64
"""R and T."""
PROBABILITIES_AT_ONCE = 1 << 22
"""B V: the probabilities of B passages that are read together."""


@torch.inference_mode()
def measure_exposure(
    models: LoadedMixture, oracle: LoadedModel, ids: np.ndarray, seed: int = 1
) -> dict[str, float]:
    """The three figures of a model, or a mixture, on the text `ids` (N,), as it numbers the types.

    Errors: ModelError where the oracle has other types; UsageError where it is the model itself, or
    the model is adapted; DataError where no line has a prefix.
    """
    if models.adaptation.adapts:
        raise UsageError(
            "exposure is measured on a static network: leave out `neural_cache` and `dynamic`"
        )
    if [oracle.weights_digest] == [loaded.weights_digest for loaded in models.models]:
        raise UsageError(f"{oracle.path} is the model itself: an oracle is another that knows more")
    types = torch.from_numpy(common_ids([models.models[0], oracle])[1])
    by_line = any(
        loaded.config.context == "sentence" and not loaded.model.resets_at_eos
        for loaded in (*models.models, oracle)
    )
    model: LanguageModel = in_tensors(models.as_language_model())
    judge = with_sliding_window(in_tensors(oracle.model))
    starts, lengths = choose_passages(ids, by_line)
    sums = np.zeros((2, 2))
    for rows in split_rows(len(starts), len(types)):
        true, real = (torch.from_numpy(x) for x in pad_rows(ids, starts[rows], lengths[rows]))
        states = model.start(len(rows)), judge.start(len(rows))
        sampled = sample_passages(model, states[0], rows, seed, LENGTH)
        masks = real, up_to_eos(sampled) if by_line else sampled >= 0
        sums += compare((model, judge), states, (true, sampled), masks, types)
    return exposure_figures(sums)


@torch.inference_mode()
def measure_translator_exposure(
    model: Translator,
    oracle: Translator,
    sources: Sequence[list[int]],
    targets: Sequence[list[int]],
    seed: int = 1,
) -> dict[str, float]:
    """The three figures of a translator on pairs of sentences, ids with their `</s>`.

    Both translators have the same vocabularies. Where one of them has a context length, sources and
    passages are cut at it. Errors: DataError where no target has a prefix.
    """
    context_lengths = [x.context_length for x in (model, oracle) if x.context_length is not None]
    length = min([LENGTH, *context_lengths])
    sources = [keep_ends(source, min(context_lengths, default=len(source))) for source in sources]
    chosen = np.unique(np.linspace(0, len(sources) - 1, PASSAGES).astype(int))
    first = model.start(*pad_sentences(sources[:1], model.device))
    types = torch.arange(model.log_probs(first).shape[1])
    sums = np.zeros((2, 2))
    for rows in split_rows(len(chosen), len(types)):
        numbers = chosen[rows]
        read = [sources[number] for number in numbers]
        states = (
            model.start(*pad_sentences(read, model.device)),
            oracle.start(*pad_sentences(read, oracle.device)),
        )
        written = [targets[number][:length] for number in numbers]
        true, lengths = pad_sentences(written, torch.device("cpu"))
        sampled = sample_passages(model, states[0], numbers, seed, length)
        masks = padding_mask(lengths, true.shape[1]), up_to_eos(sampled)
        sums += compare((model, oracle), states, (true, sampled), masks, types)
    return exposure_figures(sums)


# ------------------------------------------------------------------------------------- passages


def choose_passages(ids: np.ndarray, by_line: bool) -> tuple[np.ndarray, np.ndarray]:
    """(R,) the first index of each passage of a text, and (R,) how many tokens it has, T at
    most."""
    ends = np.append(np.flatnonzero(ids[:-1] == EOS) + 1, len(ids))
    starts = np.append(0, ends[:-1])
    chosen = np.unique(np.linspace(0, len(starts) - 1, PASSAGES).astype(int))
    ends = ends[chosen] if by_line else np.full(len(chosen), len(ids))
    return starts[chosen], np.minimum(ends - starts[chosen], LENGTH)


def split_rows(passages: int, types: int) -> list[np.ndarray]:
    """The numbers of the passages that are read together, B in each array."""
    batches = -(-passages * types // PROBABILITIES_AT_ONCE)
    return np.array_split(np.arange(passages), batches)


def sample_passages(
    model: SequenceModel, state: State, numbers: np.ndarray, seed: int, length: int
) -> Tensor:
    """(B, T) tokens, on the CPU, that the model goes on with: the samples `numbers` (B,), of
    `length` tokens each."""
    choose = make_chooser(noise=Noise.of(seed, numbers.tolist()))
    return torch.stack(list(generate(model, state, choose, length)), 1).cpu()


def up_to_eos(tokens: Tensor) -> Tensor:
    """(B, T) True up to the first `</s>`, which is included."""
    ends = tokens == EOS
    return ends.cumsum(1) - ends.long() < 1


# ----------------------------------------------------------------------------------- divergence


def compare(
    models: tuple[SequenceModel, SequenceModel],
    states: tuple[State, State],
    prefixes: tuple[Tensor, Tensor],
    masks: tuple[Tensor, Tensor],
    types: Tensor,
) -> np.ndarray:
    """(2, 2) the nats and the number of prefixes, of true ones and of the model's own.

    A model and its oracle start in `states` and read `prefixes`, (B, T) each, of which those in
    `masks` count.
    """
    sums = []
    for tokens, mask in zip(prefixes, masks):
        nats = divergence(*models, states, tokens, types)  # (B, T - 1)
        sums.append((nats[mask[:, 1:]].sum().item(), mask[:, 1:].sum().item()))
    return np.array(sums)


def divergence(
    model: SequenceModel,
    oracle: SequenceModel,
    states: tuple[State, State],
    tokens: Tensor,
    types: Tensor,
) -> Tensor:
    """(B, T - 1): KL(oracle || model) in nats before each of `tokens` (B, T) but the first.

    `types` (V,) are the ids that the oracle gives to the types of the model.
    """
    oracle_tokens = types[tokens].to(oracle.device)
    tokens, types = tokens.to(model.device), types.to(oracle.device)
    state, oracle_state = states
    nats = [torch.zeros(len(tokens), 0, dtype=torch.float64)]
    for t in range(tokens.shape[1] - 1):
        state = model.advance(state, tokens[:, t : t + 1])
        oracle_state = oracle.advance(oracle_state, oracle_tokens[:, t : t + 1])
        p = model.log_probs(state).cpu().double()
        o = oracle.log_probs(oracle_state)[:, types].cpu().double()  # (B, V)
        nats.append(torch.where(o > -torch.inf, o.exp() * (o - p), 0).sum(1, keepdim=True))
    return torch.cat(nats, 1)


def exposure_figures(sums: np.ndarray) -> dict[str, float]:
    """The figures from the sums of `compare`. Errors: DataError where there is no prefix."""
    if not sums[:, 1].all():
        raise DataError("no prefix to go on from: the text is nothing but empty lines")
    true, own = (sums[:, 0] / sums[:, 1]).tolist()
    excess = 100 * (own / true - 1) if true > 0 else math.nan
    return {"kl-true-prefix": true, "kl-own-prefix": own, "exposure": excess}
