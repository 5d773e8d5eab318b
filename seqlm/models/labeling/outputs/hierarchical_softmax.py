"""The hierarchical softmax of Morin & Bengio (2005) over a Huffman tree, as word2vec and fastText
have it (Mikolov et al. 2013, section 2.1; Joulin et al. 2017, section 2.1).

The labels are the leaves of a binary tree, and each inner node says how probable its two children
are. The probability of a label is the product along its path, from the root to the leaf:

    p(y | h) = prod_{n on the path to y} sigma(d_n (w_n h + b_n))

    h          features of a text, (D,)
    w_n, b_n   weight (D,) and bias of the inner node n, one of L - 1
    d_n        1 where the path goes on to the first child of n, -1 where to the second

The children's probabilities add up to that of their parent, since sigma(-z) = 1 - sigma(z), and
those of all labels to 1. In a Huffman tree frequent labels are near the root: to train on a text
takes about as many products of vectors as the labels have bits of entropy, and not L.

B texts · T = 1 tokens · D width · L labels · P inner nodes on the longest path · F on all paths

`parent` and `direction` (2L - 1,) are those of `output/huffman_tree.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from seqlm.errors import ModelError
from seqlm.models.labeling.outputs.label_output import LabelSequences
from seqlm.models.labeling.outputs.softmax_labels import SoftmaxLabels
from seqlm.models.layers.padding import padding_mask
from seqlm.models.layers.sparse_rows import add_to_rows, bag_of_term, sum_rows
from seqlm.models.output.huffman_tree import huffman_tree
from seqlm.text.labeled.label_vocabulary import UNKNOWN_LABEL


class HierarchicalSoftmax(SoftmaxLabels):
    """Independent labels whose likelihood costs less than L products of vectors.

    The other verbs do cost that. What they read as `scores` are the features themselves.
    """

    parent: Tensor
    direction: Tensor

    def __init__(self, width: int, labels: int) -> None:
        """At first all labels count as equally frequent; see `set_counts`."""
        super().__init__(width, max(1, labels - 1))  # `linear` has w and b of node L + i at i
        self.labels = labels
        self.register_buffer("parent", torch.empty(2 * labels - 1, dtype=torch.int64))
        self.register_buffer("direction", torch.empty(2 * labels - 1, dtype=torch.int64))
        self.set_counts([1] * labels)

    def set_counts(self, counts: Sequence[int]) -> None:
        """Makes the tree for labels that occur `counts` times (L,)."""
        parent, direction = huffman_tree(counts)
        self.parent.copy_(torch.tensor(parent))
        self.direction.copy_(torch.tensor(direction))

    def check_tensors(self) -> None:
        """Errors: ModelError where `parent` and `direction` make no tree, so that probabilities
        would not sum to 1, or a walk would not end."""
        L, root = self.labels, 2 * self.labels - 2
        children = torch.stack([self.parent[:-1], self.direction[:-1]], 1).cpu()
        every = torch.cartesian_prod(torch.arange(L, root + 1), torch.tensor([-1, 1]))
        rises = (children[:, 0] > torch.arange(root)).all()
        has_root = self.parent[-1] == root and self.direction[-1] == 0
        if not (has_root and rises and torch.equal(children.unique(dim=0), every)):
            raise ModelError("parent and direction are not a tree with two children at each node")

    # -- the verbs

    def scores(self, features: Tensor) -> Tensor:
        return features.to(self.linear.weight.dtype)

    def log_likelihood(self, scores: Tensor, labels: Tensor, lengths: Tensor) -> Tensor:
        """The gradient of the weight is a sparse tensor."""
        known = padding_mask(lengths, scores.shape[1]) & (labels != UNKNOWN_LABEL)
        h, y = scores[known], labels[known]  # (n, D), (n,)
        log_p = scores.new_zeros(known.shape).masked_scatter(known, self.along_path(h, y))
        return log_p.sum(1)

    def decode(self, scores: Tensor, lengths: Tensor) -> Tensor:
        return super().decode(self.log_probs(scores), lengths)

    def marginals(self, scores: Tensor, lengths: Tensor) -> Tensor:
        return super().marginals(self.log_probs(scores), lengths)

    def nbest(self, scores: Tensor, lengths: Tensor, n: int) -> LabelSequences:
        return super().nbest(self.log_probs(scores), lengths, n)

    def sample(
        self, scores: Tensor, lengths: Tensor, generator: torch.Generator | None = None
    ) -> Tensor:
        return super().sample(self.log_probs(scores), lengths, generator)

    # -- the tree

    def log_probs(self, features: Tensor) -> Tensor:
        """h (.., D) -> (.., L), the natural log of the probability of each label."""
        L, root = self.labels, 2 * self.labels - 2
        # Given the parent; the root has none, and is certain.
        z = self.linear(features)[..., (self.parent - L).clamp(min=0)]  # (.., 2L - 1)
        log_p = logsigmoid(self.direction * z).masked_fill(self.direction == 0, 0)
        # Each time, a node adds what an ancestor has added up, which is twice as far away.
        ancestor = self.parent
        while (ancestor != root).any():
            log_p = log_p + log_p[..., ancestor]
            ancestor = ancestor[ancestor]
        return log_p[..., :L]

    def along_path(self, h: Tensor, y: Tensor) -> Tensor:
        """h (n, D), labels (n,) -> (n,) log p(y | h)."""
        nodes, directions = self.paths(y)  # (n, P)
        on_path = directions != 0
        index, d = nodes[on_path] - self.labels, directions[on_path]  # (F,)
        z = DotOfRows.apply(self.linear.weight, h, index, on_path.sum(1))
        log_p = logsigmoid(d * (z + self.linear.bias.gather(0, index)))
        return h.new_zeros(nodes.shape).masked_scatter(on_path, log_p).sum(1)

    def paths(self, y: Tensor) -> tuple[Tensor, Tensor]:
        """labels (n,) -> (n, P) the inner nodes from each leaf's parent up to the root, which fills
        what is left, and (n, P) the directions in which they are left, 0 there."""
        node, nodes, directions = y, [], []
        while True:
            nodes.append(self.parent[node])
            directions.append(self.direction[node])
            node = nodes[-1]
            if not self.direction[node].any():
                return torch.stack(nodes, 1), torch.stack(directions, 1)


class DotOfRows(torch.autograd.Function):
    """z_i = w_{r_i} h_b, for the terms i of each text b; the gradient of the w is sparse."""

    @staticmethod
    def forward(ctx: Any, weight: Tensor, h: Tensor, rows: Tensor, sizes: Tensor) -> Tensor:
        """weight (R, D), h (B, D), rows (F,), of which each text has `sizes` (B,) -> (F,)."""
        text = bag_of_term(sizes)  # (F,)
        ctx.save_for_backward(weight, h, rows, sizes, text)
        z: Tensor = torch.linalg.vecdot(weight[rows], h[text])
        return z

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        weight, h, rows, sizes, text = ctx.saved_tensors
        d_weight = add_to_rows(rows, h, text, len(weight), factors=grads[0])
        return d_weight, sum_rows(weight, rows, sizes, factors=grads[0]), None, None
