"""Outputs of labelers: features to a distribution over the labels of a sentence's tokens.

    softmax    softmax_labels.py    each label for itself; with one token, a classifier
    crf        crf.py               labels that depend on their neighbors

Both offer the verbs of `label_output.py`.
"""

from __future__ import annotations

from typing import Literal

from seqlm.models.labeling.outputs.crf import CRF
from seqlm.models.labeling.outputs.label_output import LabelOutput
from seqlm.models.labeling.outputs.softmax_labels import SoftmaxLabels


def make_output(kind: Literal["softmax", "crf"], width: int, labels: int) -> LabelOutput:
    """The output that `kind` names, of `labels` labels, for features that are `width` wide."""
    return CRF(width, labels) if kind == "crf" else SoftmaxLabels(width, labels)
