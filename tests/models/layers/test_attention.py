"""Attention against loops, rotations against complex numbers, and what is kept of the cache."""

import cmath
import math

import pytest
import torch

from seqlm.models.layers.attention import KVCache, SelfAttention, append, attend, causal_mask
from seqlm.models.layers.rotary import RotaryAngles, rotary_angles, rotate
from seqlm.models.tree import select

B, H, T, WIDTH = 2, 4, 5, 3  # rows, heads, positions, width of a head


def heads(count: int = H, length: int = T, width: int = WIDTH) -> torch.Tensor:
    return torch.randn(B, count, length, width, dtype=torch.float64)


def naive(queries, keys, values, sees):
    """Position by position. `sees(t)` are the positions that t attends to."""
    rows, all_heads, new, width = queries.shape
    each = all_heads // keys.shape[1]
    mixed = torch.zeros(rows, all_heads, new, values.shape[-1], dtype=torch.float64)
    for b in range(rows):
        for h in range(all_heads):
            for t in range(new):
                places = sees(t)
                scores = [
                    sum(queries[b, h, t, i] * keys[b, h // each, s, i] for i in range(width))
                    / math.sqrt(width)
                    for s in places
                ]
                total = sum(math.exp(score) for score in scores)
                for s, score in zip(places, scores):
                    mixed[b, h, t] += math.exp(score) / total * values[b, h // each, s]
    return mixed


# ------------------------------------------------------------------------------------- the equation


@pytest.mark.parametrize("shared", [H, 2, 1])
def test_attention_is_its_equation(shared):
    torch.manual_seed(1)
    queries, keys, values = heads(), heads(shared), heads(shared)
    expected = naive(queries, keys, values, lambda t: range(T))
    torch.testing.assert_close(attend(queries, keys, values), expected)
    expected = naive(queries, keys, values, lambda t: range(t + 1))
    torch.testing.assert_close(attend(queries, keys, values, causal=True), expected)


@pytest.mark.parametrize("shared", [H, 2])
def test_a_causal_mask_sees_what_came_before(shared):
    torch.manual_seed(1)
    queries, keys, values = heads(), heads(shared, 3 + T), heads(shared, 3 + T)
    mask = causal_mask(T, 3, torch.device("cpu"))
    expected = naive(queries, keys, values, lambda t: range(3 + t + 1))
    torch.testing.assert_close(attend(queries, keys, values, mask), expected)


def told_apart(mask: torch.Tensor | None, angles: RotaryAngles | None) -> float:
    """How far a layer over permuted positions is from the permutation of the layer over them."""
    torch.manual_seed(1)
    x, order = torch.randn(B, T, 8, dtype=torch.float64), torch.tensor([3, 0, 4, 1, 2])
    layer = SelfAttention(8, H, 2, bias=True, dropout=0.0).double()
    y, _ = layer(x, layer.empty_cache(B), mask, angles)
    permuted, _ = layer(x[:, order], layer.empty_cache(B), mask, angles)
    return (y[:, order] - permuted).abs().max().item()


def test_without_positions_and_mask_attention_is_blind_to_order():
    """Permuted positions give the same, permuted. A causal mask or a rotation tells them apart."""
    everything = torch.ones(T, T, dtype=torch.bool)
    assert told_apart(everything, None) < 1e-12
    assert told_apart(None, None) > 0.01
    assert told_apart(everything, rotary_angles(T, 0, 2, everything.device)) > 0.01


def test_dropout_zeroes_weights_and_scales_the_rest():
    torch.manual_seed(1)
    ones = torch.ones(1, 1, 2000, 1)
    alone = attend(ones, ones[:, :, :1], ones[:, :, :1], dropout=0.25)
    assert sorted({round(value, 4) for value in alone.flatten().tolist()}) == [0.0, 1.3333]
    assert alone.mean().item() == pytest.approx(1, abs=0.1)


# ---------------------------------------------------------------------------------------- positions


def test_a_rotation_multiplies_complex_numbers():
    torch.manual_seed(1)
    width, before = 6, 4
    x = torch.randn(B, T, H, width, dtype=torch.float64)
    turned = rotate(x, rotary_angles(T, before, width, x.device))
    for t in range(T):
        for i in range(width // 2):
            turn = cmath.exp(1j * (before + t) * 10000 ** (-2 * i / width))
            expected = torch.complex(x[:, t, :, i], x[:, t, :, i + width // 2]) * turn
            torch.testing.assert_close(turned[:, t, :, i], expected.real, atol=1e-6, rtol=0)
            torch.testing.assert_close(
                turned[:, t, :, i + width // 2], expected.imag, atol=1e-6, rtol=0
            )


def test_rotated_products_depend_on_the_distance_alone():
    torch.manual_seed(1)
    query, key = torch.randn(2, 1, 1, 1, 8, dtype=torch.float64)

    def product(t: int, s: int) -> float:
        places = [rotate(x, rotary_angles(1, at, 8, x.device)) for x, at in ((query, t), (key, s))]
        return (places[0] * places[1]).sum().item()

    assert product(7, 3) == pytest.approx(product(104, 100), abs=1e-5)
    assert product(7, 3) != pytest.approx(product(7, 4), abs=1e-3)


# ---------------------------------------------------------------------------------------- the cache


def step(cache: KVCache, length: int = 1) -> tuple[KVCache, torch.Tensor]:
    keys = torch.randn(B, 2, length, WIDTH)
    return append(cache, keys, -keys), keys


def nothing() -> KVCache:
    return KVCache(torch.zeros(B, 2, 0, WIDTH), torch.zeros(B, 2, 0, WIDTH))


@torch.no_grad()
def test_what_is_read_is_all_there_however_it_grew():
    cache, seen = nothing(), []
    for length in (1, 3, 60, 1, 1, 70, 200):  # beyond 64, 128 and 256
        cache, keys = step(cache, length)
        seen.append(keys)
        assert torch.equal(cache.keys, torch.cat(seen, 2))
        assert torch.equal(cache.values, -torch.cat(seen, 2))


@torch.no_grad()
def test_growth_is_in_place_while_there_is_room():
    cache, _ = step(step(step(nothing())[0])[0])
    grown, _ = step(cache)
    assert grown.buffer is cache.buffer
    assert grown.keys.data_ptr() == cache.keys.data_ptr()
    capacities = []
    for _ in range(200):
        grown, _ = step(grown)
        capacities.append(grown.buffer.keys.shape[2])
    assert sorted(set(capacities)) == [64, 128, 256]


@torch.no_grad()
def test_a_state_that_others_went_on_from_still_means_what_it_meant():
    cache, _ = step(step(nothing(), 5)[0])
    before = cache.keys.clone()
    one, ones = step(cache, 2)
    other, others = step(cache, 2)
    assert torch.equal(cache.keys, before)
    assert torch.equal(one.keys, torch.cat([before, ones], 2))
    assert torch.equal(other.keys, torch.cat([before, others], 2))
    further, more = step(one)
    assert torch.equal(further.keys, torch.cat([before, ones, more], 2))
    assert torch.equal(other.keys, torch.cat([before, others], 2))


@torch.no_grad()
@pytest.mark.parametrize("rows", [[0, 1], [1, 0], [1], [0, 0, 1]], ids=str)
def test_selected_rows_share_nothing_with_the_others(rows):
    cache, _ = step(step(nothing(), 5)[0])
    before, index = cache.keys.clone(), torch.tensor(rows)
    chosen = select(cache, index)
    keys = torch.randn(len(rows), 2, 1, WIDTH)
    after = append(chosen, keys, keys)
    other, _ = step(cache)
    assert torch.equal(after.keys, torch.cat([before[index], keys], 2))
    assert torch.equal(other.keys[:, :, :-1], before)
    assert torch.equal(cache.keys, before)


def test_under_a_graph_nothing_is_written_in_place():
    keys = torch.randn(B, 2, 3, WIDTH, requires_grad=True)
    cache = append(nothing(), keys, keys)
    after, _ = step(cache)
    assert after.buffer is None
    after.keys.sum().backward()
    assert torch.equal(keys.grad, torch.ones_like(keys))


def test_a_room_made_in_inference_can_be_left():
    with torch.inference_mode():
        cache, _ = step(step(nothing(), 5)[0])
    with torch.no_grad():
        after, keys = step(cache)
    assert torch.equal(after.keys, torch.cat([cache.keys, keys], 2))
    assert after.buffer is not cache.buffer


@pytest.mark.parametrize("graph", [True, False])
@pytest.mark.parametrize("cuts", [[1] * 9, [4, 5], [1, 7, 1], [8, 1]], ids=str)
def test_a_text_read_in_pieces_is_the_text_read_at_once(cuts, graph):
    torch.manual_seed(1)
    layer = SelfAttention(16, H, 2, bias=False, dropout=0.0).double()
    x = torch.randn(B, 9, 16, dtype=torch.float64)
    with torch.set_grad_enabled(graph):
        whole, end = layer(x, layer.empty_cache(B), None, rotary_angles(9, 0, 4, x.device))
        cache, parts, before = layer.empty_cache(B), [], 0
        for piece in x.split(cuts, 1):
            new = piece.shape[1]
            mask = causal_mask(new, before, x.device)
            y, cache = layer(piece, cache, mask, rotary_angles(new, before, 4, x.device))
            parts.append(y)
            before += new
    torch.testing.assert_close(torch.cat(parts, 1), whole)
    torch.testing.assert_close(cache.keys, end.keys)
