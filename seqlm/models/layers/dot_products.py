"""Dot products of chosen rows of two tables: a few numbers of a product of matrices.

    z_i = a_{r_i} · b_{c_i}          (A B^T at the places (r_i, c_i), and nowhere else)

It is the *sampled dense-dense matrix product* of sparse libraries. Terms are taken row by row, so
that a row of A is read once for all of its terms, and no row is copied for a term. Each product is
summed by itself, and does not depend on the number of threads.

R rows of A, r of them used · S rows of B · F terms · D width
"""

from __future__ import annotations

import warnings

import torch
from torch import Tensor

from seqlm.models.layers.sparse_rows import TermsByRow


def dot_products(a: Tensor, terms: TermsByRow, b: Tensor, columns: Tensor) -> Tensor:
    """a (R, D), b (S, D) -> z (F,), in the order of `terms`, as `columns` (F,) are."""
    first = torch.cat([terms.sizes.new_zeros(1), terms.sizes.cumsum(0)])
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta state")
        places = torch.sparse_csr_tensor(
            first,
            columns,
            a.new_zeros(len(columns)),
            (len(terms.rows), len(b)),
            check_invariants=False,
        )
    rows = a.index_select(0, terms.rows)  # (r, D)
    products: Tensor = torch.sparse.sampled_addmm(places, rows, b.T, beta=0.0)
    return products.values()
