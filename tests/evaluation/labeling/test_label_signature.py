"""The signature of figures of labels."""

from __future__ import annotations

from seqlm.evaluation.labeling.label_signature import label_signature


def test_a_signature_says_what_is_counted_and_how() -> None:
    assert label_signature(["f1", "accuracy"], "iob2", 23, 1000, 1) == (
        "metric:f1+accuracy|unit:span|scheme:iob2|rules:conlleval|labels:23"
        "|interval:bootstrap.1000.1"
    )
    assert label_signature(["ece"], "none", 17, 0, 1) == (
        "metric:ece|unit:token|outside:O|labels:17|bins:15"
    )
    assert label_signature(["f1"], None, 2, 0, 1) == "metric:f1|unit:text|labels:2"
