"""The features of a network: what its last layer makes of each token and the text before it."""

from __future__ import annotations

import numpy as np
import torch

from seqlm.errors import ModelError
from seqlm.models.base import LanguageNetwork
from seqlm.runs.loading.load_model import LoadedModel


@torch.inference_mode()
def token_features(loaded: LoadedModel, text: str) -> np.ndarray:
    """(T, D) float32, the features after each of the T tokens of `text`, as they are read.

    The features after a token predict the next one. A newline in the text is the token `</s>`.
    Errors: ModelError where the model is no network, or the text is longer than its context length.
    """
    network = loaded.model
    if not isinstance(network, LanguageNetwork):
        raise ModelError(f"{loaded.path} has no features: it is no neural language model")
    tokens = torch.from_numpy(loaded.tokenizer.encode_text(text)).long().to(network.device)
    start = network.start(1)
    if len(tokens) == 0:
        return np.empty((0, start.last_features.shape[1]), np.float32)
    features: torch.Tensor = network(tokens[None], start.cache).features  # (1, T, D)
    return features[0].float().cpu().numpy()
