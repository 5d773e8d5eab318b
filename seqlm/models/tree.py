"""Operations on states: nests of tuples whose leaves are arrays, ints and None.

The models of this package return their states as such nests, with one row of a batch in each row
(axis 0) of every array, so that these functions serve the state of any model. The arrays of a state
are all of one kind, tensors or those of numpy, which is that of the tokens that the model reads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeVar, cast

from seqlm.models.arrays import Array, index_select, is_array

if TYPE_CHECKING:
    from torch import Tensor

S = TypeVar("S")


def tree_map(function: Callable[[Array], Array], state: S) -> S:
    """The same nest of tuples with `function` of every array; other leaves stay as they are."""
    if is_array(state):
        return cast(S, function(state))
    if isinstance(state, tuple):
        parts = [tree_map(function, part) for part in state]
        return type(state)(*parts) if hasattr(state, "_fields") else cast(S, tuple(parts))
    return state


def arrays_of(state: Any) -> Iterator[Array]:
    """The arrays of the nest, from left to right."""
    if is_array(state):
        yield state
    elif isinstance(state, tuple):
        for part in state:
            yield from arrays_of(part)


def select(state: S, rows: Array) -> S:
    """The state of the given rows, reordered, repeated or dropped. `rows` (R,) indexes axis 0."""
    return tree_map(lambda array: index_select(array, rows), state)


def detach(state: S) -> S:
    """The same state without its graph, as truncated back-propagation carries it on."""
    return tree_map(lambda tensor: tensor.detach(), state)


def pack(state: Any, name: str = "state") -> dict[str, Tensor]:
    """A state's tensors under the paths that lead to them, for a checkpoint."""
    if is_array(state):
        return {name: state}
    if isinstance(state, tuple):
        packed: dict[str, Tensor] = {}
        for index, part in enumerate(state):
            packed |= pack(part, f"{name}.{index}")
        return packed
    return {}


def unpack(like: S, packed: Mapping[str, Tensor], name: str = "state") -> S:
    """The inverse of `pack`, given any state of the same shape of nest."""
    if is_array(like):
        return cast(S, packed[name].to(like.device))  # type: ignore[attr-defined]
    if isinstance(like, tuple):
        parts = [unpack(part, packed, f"{name}.{index}") for index, part in enumerate(like)]
        return type(like)(*parts) if hasattr(like, "_fields") else cast(S, tuple(parts))
    return like
