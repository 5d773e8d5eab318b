"""Operations on states: nests of tuples whose leaves are tensors, ints and None.

The models of this package return their states as such nests, with one row of a batch in each row
(axis 0) of every tensor, so that these functions serve the state of any model.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar, cast

from torch import Tensor

S = TypeVar("S")


def tree_map(function: Callable[[Tensor], Tensor], state: S) -> S:
    """The same nest of tuples with `function` of every tensor; other leaves stay as they are."""
    if isinstance(state, Tensor):
        return cast(S, function(state))
    if isinstance(state, tuple):
        parts = [tree_map(function, part) for part in state]
        return type(state)(*parts) if hasattr(state, "_fields") else cast(S, tuple(parts))
    return state


def select(state: S, rows: Tensor) -> S:
    """The state of the given rows, reordered, repeated or dropped. `rows` (R,) indexes axis 0."""
    return tree_map(lambda tensor: tensor.index_select(0, rows), state)


def detach(state: S) -> S:
    """The same state without its graph, as truncated back-propagation carries it on."""
    return tree_map(Tensor.detach, state)


def pack(state: Any, name: str = "state") -> dict[str, Tensor]:
    """A state's tensors under the paths that lead to them, for a checkpoint."""
    if isinstance(state, Tensor):
        return {name: state}
    if isinstance(state, tuple):
        packed: dict[str, Tensor] = {}
        for index, part in enumerate(state):
            packed |= pack(part, f"{name}.{index}")
        return packed
    return {}


def unpack(like: S, packed: Mapping[str, Tensor], name: str = "state") -> S:
    """The inverse of `pack`, given any state of the same shape of nest."""
    if isinstance(like, Tensor):
        return cast(S, packed[name].to(like.device))
    if isinstance(like, tuple):
        parts = [unpack(part, packed, f"{name}.{index}") for index, part in enumerate(like)]
        return type(like)(*parts) if hasattr(like, "_fields") else cast(S, tuple(parts))
    return like
