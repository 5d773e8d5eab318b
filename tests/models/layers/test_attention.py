"""Attention against loops, and the cache of keys and values however it grows."""

import math

import pytest
import torch

from seqlm.models.layers.attention import KVCache, SelfAttention, append, attend, causal_mask
from seqlm.models.layers.rotary import RotaryAngles, rotary_angles
from seqlm.models.tree import select

B, H, T, WIDTH = 2, 4, 5, 3  # rows, heads, positions, width of a head


def heads(count: int = H, length: int = T, width: int = WIDTH) -> torch.Tensor:
    return torch.randn(B, count, length, width, dtype=torch.float64)


def attend_slowly(queries, keys, values, visible):
    """Position by position. `visible(t)` are the positions that t attends to."""
    rows, num_heads, length, width = queries.shape
    group = num_heads // keys.shape[1]
    attended = torch.zeros(rows, num_heads, length, values.shape[-1], dtype=torch.float64)
    for b in range(rows):
        for h in range(num_heads):
            for t in range(length):
                scores = [
                    sum(queries[b, h, t, i] * keys[b, h // group, s, i] for i in range(width))
                    / math.sqrt(width)
                    for s in visible(t)
                ]
                total = sum(math.exp(score) for score in scores)
                for s, score in zip(visible(t), scores):
                    attended[b, h, t] += math.exp(score) / total * values[b, h // group, s]
    return attended


# ------------------------------------------------------------------------------------- the equation


@pytest.mark.parametrize("kv_heads", [H, 2, 1])
def test_attention_is_its_equation(kv_heads):
    torch.manual_seed(1)
    queries, keys, values = heads(), heads(kv_heads), heads(kv_heads)
    expected = attend_slowly(queries, keys, values, lambda t: range(T))
    torch.testing.assert_close(attend(queries, keys, values), expected)
    expected = attend_slowly(queries, keys, values, lambda t: range(t + 1))
    torch.testing.assert_close(attend(queries, keys, values, causal=True), expected)


@pytest.mark.parametrize("kv_heads", [H, 2])
def test_a_causal_mask_sees_what_came_before(kv_heads):
    torch.manual_seed(1)
    queries, keys, values = heads(), heads(kv_heads, 3 + T), heads(kv_heads, 3 + T)
    mask = causal_mask(T, 3, torch.device("cpu"))
    expected = attend_slowly(queries, keys, values, lambda t: range(3 + t + 1))
    torch.testing.assert_close(attend(queries, keys, values, mask), expected)


def effect_of_order(mask: torch.Tensor | None, angles: RotaryAngles | None) -> float:
    """The largest difference between a layer's output for permuted positions and its permuted
    output."""
    torch.manual_seed(1)
    x, order = torch.randn(B, T, 8, dtype=torch.float64), torch.tensor([3, 0, 4, 1, 2])
    layer = SelfAttention(8, H, 2, bias=True, dropout=0.0).double()
    y, _ = layer(x, layer.empty_cache(B), mask, angles)
    permuted, _ = layer(x[:, order], layer.empty_cache(B), mask, angles)
    return (y[:, order] - permuted).abs().max().item()


def test_without_positions_and_mask_attention_is_blind_to_order():
    """Only a causal mask or a rotation makes the output depend on the order of the positions."""
    all_visible = torch.ones(T, T, dtype=torch.bool)
    assert effect_of_order(all_visible, None) < 1e-12
    assert effect_of_order(None, None) > 0.01
    assert effect_of_order(all_visible, rotary_angles(T, 0, 2, all_visible.device)) > 0.01


def test_dropout_zeroes_weights_and_scales_the_rest():
    torch.manual_seed(1)
    ones = torch.ones(1, 1, 2000, 1)
    alone = attend(ones, ones[:, :, :1], ones[:, :, :1], dropout=0.25)
    assert sorted({round(value, 4) for value in alone.flatten().tolist()}) == [0.0, 1.3333]
    assert alone.mean().item() == pytest.approx(1, abs=0.1)


# ---------------------------------------------------------------------------------------- the cache


def step(cache: KVCache, length: int = 1) -> tuple[KVCache, torch.Tensor]:
    keys = torch.randn(B, 2, length, WIDTH)
    return append(cache, keys, -keys), keys


def empty() -> KVCache:
    return KVCache(torch.zeros(B, 2, 0, WIDTH), torch.zeros(B, 2, 0, WIDTH))


@torch.no_grad()
def test_a_cache_holds_all_that_was_appended_however_it_grew():
    cache, seen = empty(), []
    for length in (1, 3, 60, 1, 1, 70, 200):  # beyond 64, 128 and 256
        cache, keys = step(cache, length)
        seen.append(keys)
        assert torch.equal(cache.keys, torch.cat(seen, 2))
        assert torch.equal(cache.values, -torch.cat(seen, 2))


@torch.no_grad()
def test_growth_is_in_place_while_the_buffer_has_free_positions():
    cache, _ = step(step(step(empty())[0])[0])
    grown, _ = step(cache)
    assert grown.buffer is cache.buffer
    assert grown.keys.data_ptr() == cache.keys.data_ptr()
    capacities = []
    for _ in range(200):
        grown, _ = step(grown)
        capacities.append(grown.buffer.keys.shape[2])
    assert sorted(set(capacities)) == [64, 128, 256]


@torch.no_grad()
def test_a_cache_that_others_went_on_from_keeps_its_content():
    cache, _ = step(step(empty(), 5)[0])
    before = cache.keys.clone()
    first, first_keys = step(cache, 2)
    second, second_keys = step(cache, 2)
    assert torch.equal(cache.keys, before)
    assert torch.equal(first.keys, torch.cat([before, first_keys], 2))
    assert torch.equal(second.keys, torch.cat([before, second_keys], 2))
    further, further_keys = step(first)
    assert torch.equal(further.keys, torch.cat([before, first_keys, further_keys], 2))
    assert torch.equal(second.keys, torch.cat([before, second_keys], 2))


@torch.no_grad()
@pytest.mark.parametrize("rows", [[0, 1], [1, 0], [1], [0, 0, 1]], ids=str)
def test_selected_rows_share_nothing_with_the_others(rows):
    cache, _ = step(step(empty(), 5)[0])
    before, index = cache.keys.clone(), torch.tensor(rows)
    chosen = select(cache, index)
    keys = torch.randn(len(rows), 2, 1, WIDTH)
    after = append(chosen, keys, keys)
    other, _ = step(cache)
    assert torch.equal(after.keys, torch.cat([before[index], keys], 2))
    assert torch.equal(other.keys[:, :, :-1], before)
    assert torch.equal(cache.keys, before)


def test_with_gradients_nothing_is_written_in_place():
    keys = torch.randn(B, 2, 3, WIDTH, requires_grad=True)
    cache = append(empty(), keys, keys)
    after, _ = step(cache)
    assert after.buffer is None
    after.keys.sum().backward()
    assert torch.equal(keys.grad, torch.ones_like(keys))


def test_a_buffer_made_in_inference_mode_is_not_written_outside_it():
    with torch.inference_mode():
        cache, _ = step(step(empty(), 5)[0])
    with torch.no_grad():
        after, keys = step(cache)
    assert torch.equal(after.keys, torch.cat([cache.keys, keys], 2))
    assert after.buffer is not cache.buffer


@pytest.mark.parametrize("graph", [True, False])
@pytest.mark.parametrize("cuts", [[1] * 9, [4, 5], [1, 7, 1], [8, 1]], ids=str)
def test_a_text_read_in_segments_is_the_text_read_at_once(cuts, graph):
    torch.manual_seed(1)
    layer = SelfAttention(16, H, 2, bias=False, dropout=0.0).double()
    x = torch.randn(B, 9, 16, dtype=torch.float64)
    with torch.set_grad_enabled(graph):
        whole, end = layer(x, layer.empty_cache(B), None, rotary_angles(9, 0, 4, x.device))
        cache, parts, before = layer.empty_cache(B), [], 0
        for segment in x.split(cuts, 1):
            new = segment.shape[1]
            mask = causal_mask(new, before, x.device)
            y, cache = layer(segment, cache, mask, rotary_angles(new, before, 4, x.device))
            parts.append(y)
            before += new
    torch.testing.assert_close(torch.cat(parts, 1), whole)
    torch.testing.assert_close(cache.keys, end.keys)
