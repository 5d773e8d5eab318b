"""Settings meet the model and the device: what fits, and what is refused by name."""

from __future__ import annotations

import pytest

from seqlm.errors import UsageError
from seqlm.text.batches import LineBatches, StreamBatches, VariableBatches, WindowBatches
from seqlm.training.run import batches_of, fitted
from seqlm.training.settings import Settings
from tests.training.toy import CPU, corpus, network


@pytest.mark.parametrize(
    ("arch", "given", "context", "kind"),
    [
        ("lstm", {}, "carried", StreamBatches),
        ("lstm", {"variable_length": True}, "carried", VariableBatches),
        ("lstm", {"context": "sentence"}, "sentence", LineBatches),
        ("transformer", {}, "window", WindowBatches),
        ("transformer", {"context": "sentence"}, "sentence", LineBatches),
    ],
)
def test_the_context_is_the_models_unless_it_is_said(arch, given, context, kind):
    model = network(arch)
    settings = fitted(Settings(arch=arch, length=7, batch_size=4, **given), model, CPU, True)
    assert settings.context == context
    batches = batches_of(corpus(), model, settings)
    assert type(batches) is kind
    if arch == "transformer":
        assert max(batch.inputs.shape[1] for batch in batches.epoch(0)) <= model.horizon


@pytest.mark.parametrize(
    ("arch", "options", "given", "message"),
    [
        ("transformer", {}, {"context": "carried"}, "transformer reads 7 tokens at most"),
        ("gru", {}, {"context": "window"}, "--context window: gru has no window"),
        ("gru", {}, {"context": "sentence", "variable_length": True}, "is for carried context"),
        ("lstm", {}, {"precision": "float16"}, "cpu does not compute in it here"),
        (
            "lstm",
            {"softmax": "adaptive", "cutoffs": (4,)},
            {"label_smoothing": 0.1},
            "--label-smoothing needs the full softmax",
        ),
    ],
)
def test_what_does_not_fit_is_refused(arch, options, given, message):
    with pytest.raises(UsageError, match=message):
        fitted(Settings(arch=arch, **given), network(arch, **options), CPU, True)


@pytest.mark.parametrize("given", [{"average": "nt-asgd"}, {"schedule": "plateau"}], ids=str)
def test_what_waits_for_validations_needs_a_text_for_them(given):
    settings = Settings(arch="lstm", **given)
    assert fitted(settings, network("lstm"), CPU, True).context == "carried"
    with pytest.raises(UsageError, match="waits for validations: --valid or --valid-fraction"):
        fitted(settings, network("lstm"), CPU, False)
