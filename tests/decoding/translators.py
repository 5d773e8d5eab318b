"""Translators whose every step can be foreseen, and tokenizers and lines for them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from seqlm.decoding.translation.translation_search import TranslatedLine
from seqlm.models import model_class
from seqlm.models.base import Translator
from seqlm.text.bpe.bpe_learning import learn_bpe
from seqlm.text.reading import Block
from seqlm.text.tokenizer import Tokenizer
from seqlm.text.vocabulary import EOS, RESERVED
from tests.decoding.tabular import Tabular

WORDS = Tokenizer("word", [*RESERVED, b"the", b"old", b"frog", b"sees", b"it"])
LINES = [
    "the old frog sees it",
    "",
    "it",
    "the frog the frog the frog sees the old old frog",
    "  \t ",
    "frog sees",
    "a pike sees it",
    "old",
    "it sees the frog",
]


def bytes_and_pairs() -> Tokenizer:
    return learn_bpe([Block(b"the old frog sees the old frog\n", "text", 1)], 270, 1)


KINDS = {
    "word": WORDS,
    "char": Tokenizer("char", RESERVED + [letter.encode() for letter in " efghort\r\u2028"]),
    "bpe": bytes_and_pairs(),
}


def random_model(arch: str, vocab_size: int, **options: Any) -> Translator:
    torch.manual_seed(3)
    model = model_class("translation", arch).from_settings({"vocab_size": vocab_size, **options})
    assert isinstance(model, Translator)
    for parameter in model.parameters():
        parameter.data.uniform_(-1, 1)
    model.output_layer.bias.data[EOS] -= 1  # some words first
    return model.double().eval()


def texts(translated: Iterable[TranslatedLine]) -> list[str]:
    return [line.best.text for line in translated]


class Read(NamedTuple):
    source: Tensor  # (B, S)
    at: Tensor  # (B,) tokens written so far


class Copier(Translator):
    """Writes token t of the source as token t of the target, and looks at it while it does."""

    from_settings = Tabular.from_settings

    def __init__(
        self, vocab_size: int, context_length: int | None = None, ends: bool = True
    ) -> None:
        super().__init__(None)
        self.vocab_size, self.context_length, self.ends = vocab_size, context_length, ends
        self.register_buffer("anything", torch.zeros(()))

    def start(self, source: Tensor, lengths: Tensor) -> Read:
        assert self.context_length is None or source.shape[1] <= self.context_length
        return Read(source, torch.zeros_like(lengths))

    def log_probs(self, state: Read) -> Tensor:
        token = state.source.gather(1, self.place(state)[:, None])
        logits = torch.zeros(len(token), self.vocab_size, dtype=torch.float64).scatter(1, token, 9)
        logits[:, EOS] -= 0 if self.ends else 99
        return logits.log_softmax(1)

    def advance(self, state: Read, tokens: Tensor) -> Read:
        return state._replace(at=state.at + tokens.shape[1])

    def alignment(self, state: Read) -> Tensor:
        place = self.place(state)
        return torch.zeros(state.source.shape).scatter(1, place[:, None], 1.0)

    def place(self, state: Read) -> Tensor:
        return state.at.clamp(max=state.source.shape[1] - 1)
