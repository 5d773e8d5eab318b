"""The window network against its equation, word by word."""

from __future__ import annotations

import pytest
import torch

from seqlm.models.labeling.window_tagger import WindowEncoder, WindowTagger

B, T, E, D = 3, 6, 2, 4
LENGTHS = [6, 1, 4]


@pytest.mark.parametrize("window", [0, 1, 2, 9])
def test_a_word_is_read_with_its_neighbors(window: int) -> None:
    torch.manual_seed(1)
    sizes = {"vocab_size": 5, "label_types": (2,), "character_types": 5, "affix_types": ()}
    config = WindowTagger.config_class(
        **sizes, column_types=(), contextual_widths=(), window=window, width=D
    )
    encoder = WindowEncoder(config, E).double()
    x = torch.randn(B, T, E).double()
    h, last = encoder(x, torch.tensor(LENGTHS))
    W, b = encoder.hidden.weight, encoder.hidden.bias
    for row, length in enumerate(LENGTHS):
        for t in range(length):
            words = [
                x[row, at] if 0 <= at < length else torch.zeros(E).double()
                for at in range(t - window, t + window + 1)
            ]
            torch.testing.assert_close(h[row, t], torch.tanh(W @ torch.cat(words) + b))
        assert torch.equal(last[row], h[row, length - 1])
