"""A kind of model that seqlm and the `transformers` library both have, and its two spellings.

What the library keeps in config.json are options of a model here, and its weights have other names
and layouts. Each kind has a file: `gpt2_format.py`, `llama_format.py`, `mamba_format.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from torch import Tensor

from seqlm.errors import ModelError

Tensors = dict[str, Tensor]
TRANSFORMER_OPTIONS: dict[str, Iterable[Any]] = {
    "pre_norm": [True],
    "experts": [0],
    "softmax": ["full"],
}
"""The values of our options that every Transformer of the library has."""
MAX_NUMBER = 2**40
"""The largest number in a config.json that is taken for one."""


class LibraryModel(NamedTuple):
    name: str
    """What people call it: GPT-2."""
    model_type: str
    """What config.json calls it: gpt2."""
    arch: str
    """The architecture here."""
    prefix: str
    """What the library puts before the names of all tensors but those of the output layer; files
    of its older versions lack it."""
    options: Callable[[Any], Mapping[str, Iterable[Any]]] | None
    """The values of our options that it can have; an option that is not named may have any. None
    where models are read only."""
    to_config: Callable[[Any], dict[str, Any]] | None
    """Our options -> the content of config.json."""
    to_tensors: Callable[[Any, Mapping[str, Tensor]], Tensors] | None
    """Our options and tensors -> those of the library."""
    from_config: Callable[[ConfigReader], dict[str, Any]]
    """The content of config.json -> our options, without `vocab_size` and `tied`. Errors:
    ModelError where it says what our model cannot be."""
    from_tensors: Callable[[Mapping[str, Any], Mapping[str, Tensor]], Tensors]
    """Our options and the library's tensors -> ours, without those of the vocabulary. Errors:
    KeyError where one is missing."""
    embedding: str
    """The library's name of the embedding (V, D), without the prefix."""
    embedding_scale: float = 1.0
    """What our model multiplies embeddings by, and the library's does not."""


class ConfigReader:
    """The values of config.json, each checked as it is read."""

    def __init__(self, values: Mapping[str, Any], file: str) -> None:
        self.values, self.file = values, file

    def read(self, kind: type, *names: str, default: Any = None) -> Any:
        """The value of the first of `names` that is there and not null, else `default`.

        Errors: ModelError where it is of another type, is no positive number of a sane size, or is
        missing and has no default.
        """
        for name in names:
            value = self.values.get(name)
            if value is None:
                continue
            if kind is float and type(value) is int:
                value = min(value, MAX_NUMBER + 1.0)
            number: Any = value
            if type(value) is not kind or (kind is not bool and not 0 < number <= MAX_NUMBER):
                raise ModelError(f"{self.file}: {name} cannot be {value!r:.60}")
            return value
        if default is None:
            raise ModelError(f"{self.file} has no {names[0]}")
        return default

    def number(self, *names: str, default: int | None = None) -> int:
        """A positive whole number."""
        value: int = self.read(int, *names, default=default)
        return value

    def require(self, name: str, default: Any, *allowed: Any) -> None:
        """Errors: ModelError where the value of `name`, or else `default`, is not allowed."""
        value = self.values.get(name, default)
        if value not in allowed:
            raise ModelError(
                f"{self.file}: {name} is {value!r:.60}; seqlm has models with"
                f" {' or '.join(map(repr, allowed))} only"
            )
