"""Output layers: features to a distribution over the vocabulary.

    full       softmax.py             every logit, the exact distribution
    adaptive   adaptive_softmax.py    frequent words first, the rest in clusters: exact and cheaper
    sampled    sampled_softmax.py     trained against a sample of words; its probabilities are exact

All have one matrix with a row for each type, which may be the embedding too.
"""

from __future__ import annotations

from seqlm.models.config.network_config import NetworkConfig
from seqlm.models.output.adaptive_softmax import AdaptiveSoftmax
from seqlm.models.output.output_layer import OutputLayer
from seqlm.models.output.sampled_softmax import SampledSoftmax
from seqlm.models.output.softmax import Softmax


def make_output_layer(config: NetworkConfig, width: int) -> OutputLayer:
    """The output layer that `config.softmax` names, for features that are `width` wide."""
    if config.softmax == "adaptive":
        return AdaptiveSoftmax(config.vocab_size, width, config.softmax_cutoffs)
    if config.softmax == "sampled":
        return SampledSoftmax(config.vocab_size, width, config.softmax_samples)
    return Softmax(config.vocab_size, width)
