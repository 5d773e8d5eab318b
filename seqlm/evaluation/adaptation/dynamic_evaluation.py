"""Dynamic evaluation: a network that goes on learning from the text it is scored on.

Krause, Kahembwe, Murray & Renals 2018, after Mikolov et al. 2010. The text is cut, from its start,
into segments of k tokens. Each is scored, and only then a step is taken that would have made it
more probable:

    g  =  ∇ of -1/k Σ log p(token)          of the network alone: no cache, temperature 1
    θ  <-  θ + λ (θ_0 - θ) - η g                              gradient descent
    θ  <-  θ + λ R (θ_0 - θ) - η g / (r + ε)                  by the root mean square

θ_0 are the trained parameters, to which λ, the decay, pulls back, and η is the learning rate. r, of
each parameter, is the root of the mean of g² over another text, best the training text, and
R = min(r / mean r, 1/λ): a parameter whose gradients are often large takes small steps and is
pulled back fast. ε is mean r, for which the authors have a constant: a learning rate then means the
same whatever the scale of the gradients. The gradient goes back to the start of its segment; the
state is carried on without it, and a neural cache on top keeps features as they were when it read
them.

A network with a context length of W is started afresh, with its updated parameters, on the last W/2
tokens whenever the next segment would not fit.

    k tokens of a segment · T tokens at a time, T <= k · D width of a feature
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from seqlm.evaluation.adaptation.adaptation_settings import Adaptation, require
from seqlm.evaluation.scoring import Scores
from seqlm.models.base import LanguageNetwork, State
from seqlm.models.tree import detach
from seqlm.models.wrappers.neural_cache import NeuralCache, NeuralCacheConfig
from seqlm.text.batches import StreamBatches
from seqlm.text.vocabulary import EOS

SEGMENT = 512
"""Tokens read at once by a network that is not updated."""
ROWS, BATCHES = 100, 100
"""r is taken over so many batches, each of a segment of so many rows."""

RMSGradients = Sequence[Tensor]
"""r, a tensor for each parameter."""


class UpdateRule(NamedTuple):
    """How a network is updated after the tokens it has scored."""

    segment: int
    """k, tokens between two updates."""
    lr: float
    """η."""
    decay: float
    """λ."""
    rms_gradients: RMSGradients | None = None
    """r of each parameter; None is plain gradient descent."""

    def scales_and_decays(self, parameters: Sequence[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        """r + ε, which the gradient of each parameter is divided by, and λ R, the share of the way
        back to θ_0."""
        if self.rms_gradients is None:
            unit = parameters[0].new_ones(())
            return [unit] * len(parameters), [self.decay * unit] * len(parameters)
        rms = self.rms_gradients
        mean = sum(r.sum() for r in rms) / sum(r.numel() for r in rms)
        return [r + mean for r in rms], [(self.decay * r / mean).clamp(max=1) for r in rms]


class FeatureReader:
    """Reads a text piece by piece and gives the features that predict it. With an update rule, it
    updates the network between segments.

    An update rule works on a copy of `network`, which starts every text with the trained
    parameters. The segments do not depend on how the text is cut into pieces: a segment that a
    piece leaves unfinished is read again, whole, with the next piece.
    """

    def __init__(self, network: LanguageNetwork, rule: UpdateRule | None = None) -> None:
        self.rule = rule
        self.trained = [parameter.detach() for parameter in network.parameters()]
        self.network = trainable_copy(network) if rule else network
        if rule:
            self.scales, self.decays = rule.scales_and_decays(self.trained)
        context_length = network.context_length
        self.segment = SEGMENT if context_length is None else context_length // 2
        if rule:
            self.segment = rule.segment
        self.restart()

    def restart(self) -> None:
        """The next piece begins a text of its own."""
        self.text = np.array([EOS])  # the tokens that the network may have to read again
        self.unfinished = 0  # tokens of this segment whose features have been given out
        self.consumed = 0  # tokens in the state
        self.network_cache: State = self.network.initial_cache(1)
        if self.rule:
            with torch.no_grad():
                for parameter, trained in zip(self.network.parameters(), self.trained):
                    parameter.copy_(trained)

    def __call__(self, ids: np.ndarray) -> Iterator[tuple[Tensor, Tensor]]:
        """`ids` (N,) -> features (1, T, D) and the tokens (1, T) they predict, N in all.

        Features are to be scored before the next ones are asked for: then the network may change.
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
                self._update(loss)
            if whole:
                self._start_segment(detach(cache))

    def _update(self, loss: Tensor) -> None:
        """One step of every parameter."""
        assert self.rule
        parameters = list(self.network.parameters())
        steps = zip(parameters, gradients(loss, parameters), self.trained, self.scales, self.decays)
        with torch.no_grad():
            for parameter, gradient, trained, scale, decay in steps:
                parameter.lerp_(trained, decay)
                parameter.addcdiv_(gradient, scale, value=-self.rule.lr)

    def _start_segment(self, cache: State) -> None:
        """Continues after a segment, whose last token is the first that the next one reads."""
        context_length = self.network.context_length
        self.consumed += self.segment
        self.network_cache, self.unfinished = cache, 0
        size = 1 if context_length is None else 1 + context_length - context_length // 2
        self.text = self.text[-size:]
        if context_length is not None and self.consumed + self.segment > context_length:
            tokens = torch.from_numpy(self.text[:-1])[None].to(self.network.device)
            with torch.no_grad():
                _, self.network_cache, *_ = self.network(tokens, self.network.initial_cache(1))
            self.consumed = tokens.shape[1]


class AdaptiveScorer:
    """Scores ids piece by piece, in order, as one stream, by a network that may be updated and that
    may have a neural cache. `scoring.Scorer` does the same for a model that stays as it is."""

    def __init__(
        self,
        network: LanguageNetwork,
        rule: UpdateRule | None = None,
        cache: NeuralCacheConfig | None = None,
    ) -> None:
        self.reader = FeatureReader(network, rule)
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
                log_probs, self.memory = self.cache.score_features(self.memory, features, tokens)
            else:
                log_probs = self.reader.network.output_layer.score(features, tokens)
            scores.append(log_probs[0].cpu().double().numpy())
        return Scores(np.concatenate(scores), None)


# ---------------------------------------------------------------------------- by the constants


def update_rule(constants: Adaptation, rms_gradients: RMSGradients | None) -> UpdateRule | None:
    """The update rule of dynamic evaluation, None where that is off."""
    if constants.dynamic is None:
        return None
    lr, decay = require(constants.dynamic_lr), require(constants.dynamic_decay)
    return UpdateRule(constants.dynamic, lr, decay, rms_gradients)


def neural_cache_config(constants: Adaptation) -> NeuralCacheConfig | None:
    """The configuration of the neural cache, None where that is off."""
    if constants.neural_cache is None:
        return None
    weight, theta = require(constants.neural_cache_weight), require(constants.neural_cache_theta)
    return NeuralCacheConfig(constants.neural_cache, weight, theta)


# -------------------------------------------------------------------------------------- gradients


def trainable_copy(network: LanguageNetwork) -> LanguageNetwork:
    """A copy whose parameters take gradients. It stays in eval mode, without dropout."""
    copied = copy.deepcopy(network).requires_grad_(True)
    for module in copied.modules():
        if isinstance(module, nn.RNNBase):
            module.flatten_parameters()  # one piece of memory, as cuDNN takes them; copies are not
            module.train()  # cuDNN has no backward in eval mode
    return copied


def gradients(loss: Tensor, parameters: Sequence[Tensor]) -> Sequence[Tensor]:
    """The gradient of `loss` by each parameter, 0 where the loss does not depend on it."""
    return torch.autograd.grad(loss, parameters, materialize_grads=True)


def measure_rms_gradients(network: LanguageNetwork, ids: np.ndarray, segment: int) -> list[Tensor]:
    """r of each parameter of `network` over a text `ids` (N,), its dropout off.

    The text runs in parallel rows, and the first segments of each row are taken.
    """
    copied, context_length = trainable_copy(network), network.context_length
    parameters = list(copied.parameters())
    squares = [torch.zeros_like(parameter) for parameter in parameters]
    batches = StreamBatches(ids, ROWS, segment, network.device)
    count = min(len(batches), BATCHES)
    for index in range(count):
        if index == 0 or (
            context_length is not None and index % max(1, context_length // segment) == 0
        ):
            cache = copied.initial_cache(batches.rows)
        inputs, targets, *_ = batches[index]
        features, cache, *_ = copied(inputs, detach(cache))
        for square, g in zip(
            squares, gradients(copied.output_layer.loss(features, targets), parameters)
        ):
            square.addcmul_(g, g)
    return [(square / count).sqrt() for square in squares]
