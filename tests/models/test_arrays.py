"""Arrays of numpy and tensors: every function does the same to both, and what a plain loop does."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import numpy as np
import pytest
import torch

from seqlm.errors import ModelError
from seqlm.models import arrays
from seqlm.models.tree import arrays_of, select
from tests.decoding.both_kinds import on_both

VALUES = np.random.default_rng(1).integers(0, 4, (5, 7)).astype(np.float32)  # with many ties
COLUMNS = np.array([[3, 0], [1, 1], [6, 5], [0, 2], [4, 4]])


def test_columns_are_gathered_and_replaced() -> None:
    gathered = on_both(arrays.gather, VALUES, COLUMNS)
    scattered = on_both(arrays.scatter, VALUES, COLUMNS, -gathered)
    expected = VALUES.copy()
    for row, columns in enumerate(COLUMNS.tolist()):
        assert gathered[row].tolist() == [VALUES[row, column] for column in columns]
        for column in columns:
            expected[row, column] = -VALUES[row, column]
    assert scattered.tolist() == expected.tolist()


def test_equals_keep_their_order_when_they_are_sorted() -> None:
    found = on_both(arrays.argsort, VALUES)
    for row, order in zip(VALUES, found.tolist()):
        assert order == sorted(range(7), key=lambda column: row[column])


@pytest.mark.parametrize("k", [1, 3, 7])
def test_the_highest_are_found(k: int) -> None:
    for values in (VALUES, torch.from_numpy(VALUES)):
        best, columns = (arrays.to_numpy(found) for found in arrays.topk(values, k))
        assert best.tolist() == [sorted(row.tolist(), reverse=True)[:k] for row in VALUES]
        np.testing.assert_array_equal(arrays.gather(VALUES, columns), best)
        assert all(len(set(row)) == k for row in columns.tolist())


def test_states_of_both_kinds_are_selected_and_their_arrays_found() -> None:
    state = (VALUES, None, 3, (COLUMNS,))
    tensors = (torch.from_numpy(VALUES), None, 3, (torch.from_numpy(COLUMNS),))
    rows = np.array([4, 4, 0])
    found, number, length, (columns,) = select(state, rows)
    assert (number, length) == (None, 3)
    assert found.tolist() == [VALUES[row].tolist() for row in (4, 4, 0)]
    assert columns.tolist() == [COLUMNS[row].tolist() for row in (4, 4, 0)]
    for one, other in zip(arrays_of(select(tensors, torch.from_numpy(rows))), (found, columns)):
        np.testing.assert_array_equal(one, other)


def test_values_become_what_an_array_is() -> None:
    assert arrays.as_like(VALUES, COLUMNS) is VALUES
    tensor = arrays.as_like(VALUES, torch.zeros(2))
    assert isinstance(tensor, torch.Tensor)
    np.testing.assert_array_equal(arrays.to_numpy(tensor), VALUES)
    assert on_both(arrays.double, VALUES).dtype == np.float64


def test_what_is_no_number_is_an_error() -> None:
    assert on_both(arrays.check_numbers, VALUES).tolist() == VALUES.tolist()
    bad = VALUES.copy()
    bad[2, 3] = np.nan
    for values in (bad, torch.from_numpy(bad)):
        with pytest.raises(ModelError, match="NaN where a probability should be"):
            arrays.check_numbers(values)


def test_nothing_is_recorded_for_gradients() -> None:
    weight = torch.ones(1, requires_grad=True)

    @arrays.without_gradients
    def product(factor: float) -> torch.Tensor:
        """The product."""
        return weight * factor

    @arrays.without_gradients
    def products() -> Iterator[torch.Tensor]:
        for factor in range(3):
            yield weight * factor

    assert not product(factor=2).requires_grad
    assert product.__doc__ == "The product."
    for each in products():
        assert not each.requires_grad
        assert not torch.is_inference_mode_enabled()
    assert (weight * 2).requires_grad


def test_torch_is_not_imported_for_arrays_of_numpy() -> None:
    program = """if True:
        import sys
        import numpy as np
        from seqlm.decoding.generate import generate
        from seqlm.decoding.sampling_noise import Noise
        from seqlm.decoding.token_sampling import make_chooser

        class Uniform:
            def log_probs(self, state):
                return np.zeros((len(state), 9), np.float32)

            def advance(self, state, tokens):
                return state

        choose = make_chooser(0.5, 7, 0.9, 0.1, 1.2, 2, Noise.of(1, range(3)), np.array([3]), False)
        print(len([*generate(Uniform(), np.zeros(3), choose, 70)]), "torch" in sys.modules)
    """
    finished = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (finished.stdout, finished.stderr) == ("70 False\n", "")


def test_float64_is_of_numpy_whatever_the_array() -> None:
    for array in (np.array([0.5, 2], np.float32), torch.tensor([0.5, 2]).bfloat16()):
        values = arrays.to_float64(array)
        assert (type(values), values.dtype, values.tolist()) == (np.ndarray, np.float64, [0.5, 2])
