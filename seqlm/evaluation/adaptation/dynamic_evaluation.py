"""Dynamic evaluation: a network that goes on learning from the text it is scored on.

Krause, Kahembwe, Murray & Renals 2018, after Mikolov et al. 2010. The text is cut, from its start,
into segments of k tokens. Each is scored, and only then a step is taken that would have made it
more probable:

    g  =  ∇ of -1/k Σ log p(token)          of the network alone: no cache, temperature 1
    θ  <-  θ + λ (θ_0 - θ) - η g                              gradient descent
    θ  <-  θ + λ R (θ_0 - θ) - η g / (r + ε)                  by the root mean square

θ_0 are the trained parameters, to which λ, the decay, pulls back. r, of each parameter, is the root
of the mean of g² over another text, best the training text, and R = min(r / mean r, 1/λ): what
often has had large gradients takes small steps and is pulled back fast. ε is mean r, for which the
authors have a constant: a rate then means the same whatever the scale of the gradients. The
gradient goes back to the start of its segment; the state is carried on without it, and a neural
cache on top keeps features as they were when it read them.

A network that can read W tokens only is started afresh, with what it has learnt, on the last W/2
of them whenever the next segment would not fit.

    k tokens of a segment · T tokens at a time, T <= k · D width of a feature
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from seqlm.errors import UsageError
from seqlm.evaluation.adaptation.constants import Adaptation
from seqlm.evaluation.scoring import Scorer, Scores
from seqlm.models.base import LanguageModel, LanguageNetwork, State
from seqlm.models.tree import detach
from seqlm.models.wrappers.neural_cache import NeuralCache, NeuralCacheConfig
from seqlm.models.wrappers.temperature import with_temperature
from seqlm.runs.load_model import LoadedModel
from seqlm.text.batches import StreamBatches
from seqlm.text.vocabulary import EOS

SEGMENT = 512
"""Tokens read at once by a network that does not learn."""
ROWS, BATCHES = 100, 100
"""r is taken over so many batches, each of a segment of so many rows."""

Roots = Sequence[Tensor]
"""r, a tensor for each parameter."""


class Rule(NamedTuple):
    """How a network learns from what it has been scored on."""

    segment: int
    """k, tokens between two steps."""
    rate: float
    decay: float
    roots: Roots | None = None
    """r of each parameter; None is plain gradient descent."""

    def factors(self, parameters: Sequence[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        """What the gradient of each parameter is divided by, and how far it is pulled back."""
        roots = self.roots
        if roots is None:
            one = parameters[0].new_ones(())
            return [one] * len(parameters), [self.decay * one] * len(parameters)
        mean = sum(root.sum() for root in roots) / sum(root.numel() for root in roots)
        return [r + mean for r in roots], [(self.decay * r / mean).clamp(max=1) for r in roots]


class Reader:
    """Reads a text piece by piece and gives the features that predict it; with a rule, learns.

    With a rule it works on a copy of `network`, which starts every text as it was handed in. The
    segments do not depend on how the text is cut into pieces: one that a piece leaves unfinished is
    read again, whole, with the next.
    """

    def __init__(self, network: LanguageNetwork, rule: Rule | None = None) -> None:
        self.rule = rule
        self.trained = [parameter.detach() for parameter in network.parameters()]
        self.network = learner(network) if rule else network
        if rule:
            self.scales, self.pulls = rule.factors(self.trained)
        horizon = network.context_length
        self.segment = rule.segment if rule else SEGMENT if horizon is None else horizon // 2
        self.restart()

    def restart(self) -> None:
        """The next piece begins a text of its own."""
        self.text = np.array([EOS])  # what the network may have to read again
        self.unfinished = 0  # tokens of this segment that have been given out
        self.consumed = 0
        self.network_cache: State = self.network.initial_cache(1)
        if self.rule:
            with torch.no_grad():
                for parameter, trained in zip(self.network.parameters(), self.trained):
                    parameter.copy_(trained)

    def __call__(self, ids: np.ndarray) -> Iterator[tuple[Tensor, Tensor]]:
        """`ids` (N,) -> features (1, T, D) and the tokens (1, T) they predict, N in all.

        What is given is to be scored before the next is asked for: then the network may change.
        """
        while len(ids):
            piece, ids = np.split(ids, [self.segment - self.unfinished])
            self.text = np.append(self.text, piece)
            self.unfinished += len(piece)
            whole = self.unfinished == self.segment
            text = torch.from_numpy(self.text[-self.unfinished - 1 :])[None].to(self.network.device)
            with torch.set_grad_enabled(whole and self.rule is not None):
                features, cache, *_ = self.network(text[:, :-1], self.network_cache)
                loss = (
                    self.network.output_layer.loss(features, text[:, 1:])
                    if whole and self.rule
                    else None
                )
            yield features.detach()[:, -len(piece) :], text[:, -len(piece) :]
            if loss is not None:
                self._learn(loss)
            if whole:
                self._go_on(detach(cache))

    def _learn(self, loss: Tensor) -> None:
        """One step of every parameter."""
        assert self.rule
        parameters = list(self.network.parameters())
        steps = zip(parameters, gradients(loss, parameters), self.trained, self.scales, self.pulls)
        with torch.no_grad():
            for parameter, gradient, trained, scale, pull in steps:
                parameter.lerp_(trained, pull)
                parameter.addcdiv_(gradient, scale, value=-self.rule.rate)

    def _go_on(self, cache: State) -> None:
        """Behind a whole segment, whose last token is the first that the next one reads."""
        horizon = self.network.context_length
        self.consumed += self.segment
        self.network_cache, self.unfinished = cache, 0
        kept = 1 if horizon is None else 1 + horizon - horizon // 2
        self.text = self.text[-kept:]
        if horizon is not None and self.consumed + self.segment > horizon:
            again = torch.from_numpy(self.text[:-1])[None].to(self.network.device)
            with torch.no_grad():
                _, self.network_cache, *_ = self.network(again, self.network.initial_cache(1))
            self.consumed = again.shape[1]


class AdaptiveScorer:
    """Scores ids piece by piece, in order, as one stream, by a network that may learn and a cache.

    It is to a network in motion what `scoring.Scorer` is to a model that stays as it is.
    """

    def __init__(
        self,
        network: LanguageNetwork,
        rule: Rule | None = None,
        cache: NeuralCacheConfig | None = None,
    ) -> None:
        self.reader = Reader(network, rule)
        self.cache = NeuralCache(self.reader.network, cache) if cache else None
        self.restart()

    def restart(self) -> None:
        """The next piece begins a text of its own."""
        self.reader.restart()
        self.memory = self.cache.empty_memory(1) if self.cache else None

    @torch.no_grad()
    def __call__(self, ids: np.ndarray) -> Scores:
        """`ids` (N,) -> their N scores."""
        scores = [np.empty(0)]
        for features, tokens in self.reader(ids):
            if self.cache and self.memory:
                some, self.memory = self.cache.score_features(self.memory, features, tokens)
            else:
                some = self.reader.network.output_layer.score(features, tokens)
            scores.append(some[0].cpu().double().numpy())
        return Scores(np.concatenate(scores), None)


# ------------------------------------------------------------------------------ what can be adapted


def scorer_of(
    model: LanguageModel,
    context: str,
    constants: Adaptation,
    roots: Roots | None = None,
    batch_size: int = 64,
    orders: bool = False,
    stride: int | None = None,
) -> Scorer | AdaptiveScorer:
    """What scores a text under a model, adapted by settled `constants` where it is a network."""
    if isinstance(model, LanguageNetwork):
        model = with_temperature(model, known(constants.temperature))
        if constants.adapts:
            return AdaptiveScorer(model, rule_of(constants, roots), cache_of(constants))
    return Scorer(model, context, batch_size, orders, stride)


def rule_of(constants: Adaptation, roots: Roots | None) -> Rule | None:
    if constants.segment is None:
        return None
    return Rule(constants.segment, known(constants.rate), known(constants.decay), roots)


def cache_of(constants: Adaptation) -> NeuralCacheConfig | None:
    if constants.window is None:
        return None
    return NeuralCacheConfig(constants.window, known(constants.weight), known(constants.flatness))


def known(constant: float | None) -> float:
    assert constant is not None, "constants are to be settled first"
    return constant


def check(constants: Adaptation, models: Sequence[LoadedModel]) -> None:
    """Errors: UsageError where `constants` mean nothing to one of `models`, or to all of them."""
    networks = [one for one in models if isinstance(one.model, LanguageNetwork)]
    if constants != Adaptation() and not networks:
        raise UsageError(
            f"{models[0].path} is no network: it has no temperature, cache or gradient"
        )
    for one in networks if constants.adapts else ():
        if one.config.context == "sentence":
            raise UsageError(
                f"{one.path} starts every line afresh (context sentence), so that no line can learn"
                " from another: --neural-cache and --dynamic are for the other contexts"
            )
        horizon = one.model.context_length
        if horizon is not None and (constants.segment or 1) > horizon // 2:
            raise UsageError(
                f"{one.path} reads {horizon} tokens at once: --dynamic takes 1 to {horizon // 2}"
            )


# -------------------------------------------------------------------------------------- gradients


def learner(network: LanguageNetwork) -> LanguageNetwork:
    """A copy that gradients go through. It stays in eval mode: nothing is dropped."""
    copied = copy.deepcopy(network).requires_grad_(True)
    for module in copied.modules():
        if isinstance(module, nn.RNNBase):  # cuDNN has no backward in eval mode
            module.train()
    return copied


def gradients(loss: Tensor, parameters: Sequence[Tensor]) -> Sequence[Tensor]:
    return torch.autograd.grad(loss, parameters, materialize_grads=True)


def roots_over(network: LanguageNetwork, ids: np.ndarray, segment: int) -> list[Tensor]:
    """r of each parameter of `network` over a text `ids` (N,), its dropout off.

    The text runs in parallel rows, and the first segments of each are taken.
    """
    copied, horizon = learner(network), network.context_length
    parameters = list(copied.parameters())
    squares = [torch.zeros_like(parameter) for parameter in parameters]
    batches = StreamBatches(ids, ROWS, segment, network.device)
    count = min(len(batches), BATCHES)
    for index in range(count):
        if index == 0 or (horizon is not None and index % max(1, horizon // segment) == 0):
            cache = copied.initial_cache(batches.rows)
        inputs, targets, *_ = batches[index]
        features, cache, *_ = copied(inputs, detach(cache))
        for square, g in zip(
            squares, gradients(copied.output_layer.loss(features, targets), parameters)
        ):
            square.addcmul_(g, g)
    return [(square / count).sqrt() for square in squares]
