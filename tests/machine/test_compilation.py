"""When loops are compiled, and what happens where they cannot be."""

from __future__ import annotations

import sys

import pytest

from seqlm.machine import compilation
from seqlm.machine.compilation import LARGE, compiled, expect, has_numba, is_compiled


def test_much_work_is_compiled_and_little_is_not() -> None:
    pytest.importorskip("numba")
    assert is_compiled(LARGE)
    assert not is_compiled(LARGE - 1)


def test_a_part_of_a_large_text_is_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("numba")
    monkeypatch.setattr(compilation, "_expected", 0)
    expect(LARGE // 2)
    assert not is_compiled(1)
    assert is_compiled(1, large=LARGE // 2)
    expect(LARGE)
    expect(10)  # of another text; the loops are compiled by now
    assert is_compiled(1)


def test_without_numba_nothing_is_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    has_numba.cache_clear()
    monkeypatch.setitem(sys.modules, "numba", None)  # which makes its import fail
    try:
        assert not is_compiled(LARGE)
    finally:
        has_numba.cache_clear()


def test_a_loop_is_compiled_where_no_folder_can_keep_it(monkeypatch: pytest.MonkeyPatch) -> None:
    numba = pytest.importorskip("numba")
    asked = []

    def njit(cache: bool = False, **options: bool) -> object:
        asked.append(cache)
        if cache:
            raise RuntimeError("no locator available")
        return lambda function: function

    monkeypatch.setattr(numba, "njit", njit)
    assert compilation.compiled(abs) is abs
    assert asked == [True, False]


def test_a_compiled_loop_gives_what_the_function_gives() -> None:
    pytest.importorskip("numba")
    assert compiled(lambda n: n * n)(7) == 49
