"""Hadamard matrices by their definition."""

import numpy as np
import pytest

from transferlens.estimation.hadamard import hadamard, order_for


@pytest.mark.parametrize("order", [1, 2, 4, 8, 12, 20, 24, 28, 36, 60, 200, 1000])
def test_rows_are_orthogonal_signs(order):
    matrix = hadamard(order).astype(int)
    assert set(np.unique(matrix)) <= {-1, 1}
    np.testing.assert_array_equal(matrix @ matrix.T, order * np.eye(order, dtype=int))


def test_any_number_of_columns_has_an_order_not_much_larger():
    for columns in range(1, 400):
        assert columns <= order_for(columns) <= columns + 12
    assert order_for(1000) == 1000  # twice Paley's 500


def test_an_order_out_of_reach_is_refused():
    with pytest.raises(ValueError, match="order 6"):
        hadamard(6)
