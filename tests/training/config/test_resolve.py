"""What `resolve` makes of settings: defaults, precedence, types, and names that nearly exist."""

from __future__ import annotations

import pytest

from seqlm.errors import UsageError
from seqlm.training.config.defaults import options_of
from seqlm.training.config.resolve import choose_softmax, resolve
from seqlm.training.config.training_settings import DEFAULT_LR, TrainingSettings

LM_DROPOUT = {"dropout_input": 0.1, "dropout_hidden": 0.1, "dropout_output": 0.2}
TRANSLATION = {
    "tokenizer": "bpe", "epochs": 15, "clip": 1.0, "label_smoothing": 0.1, "schedule": "cosine",
    "warmup": 0.1,
}  # fmt: skip
RECURRENT_TRANSLATOR = {
    **TRANSLATION,
    "lr": 2e-3, "dropout_input": 0.3, "dropout_hidden": 0.3, "dropout_output": 0.3,
}  # fmt: skip
LABELER = {
    "epochs": 10, "lr": 3e-3, "clip": 5.0,
    "dropout_word": 0.2, "dropout_input": 0.5, "dropout_output": 0.5,
}  # fmt: skip
STATE_SPACE = {**LM_DROPOUT, "seq_length": 64, "clip": 1.0}
TAGGER = {"affixes": 4, **LABELER}
TRANSFORMER_LABELER = {"lr": 1e-3, "warmup": 0.1, "dropout_hidden": 0.2}
VECTORS = {
    "epochs": 5, "batch_size": 12_288, "optimizer": "implicit-sgd", "schedule": "linear",
    "clip": 0.0,
}  # fmt: skip
DEFAULTS = {
    ("lm", "ffnn"): {"dropout_input": 0.1, "dropout_output": 0.2},
    ("lm", "rnn"): LM_DROPOUT,
    ("lm", "lstm"): {**LM_DROPOUT, "lr": 0.012, "epsilon": 1e-4},
    ("lm", "gru"): LM_DROPOUT,
    ("lm", "transformer"): {
        **LM_DROPOUT,
        "seq_length": 128, "lr": 1e-3, "clip": 1.0, "weight_decay": 0.1, "warmup": 0.05,
        "schedule": "cosine", "context_length": 128,
    },
    ("lm", "s4d"): {**STATE_SPACE, "lr": 8e-3},
    ("lm", "mamba"): {**STATE_SPACE, "lr": 6e-3},
    ("lm", "mamba2"): {**STATE_SPACE, "lr": 6e-3},
    ("translation", "rnn"): RECURRENT_TRANSLATOR,
    ("translation", "lstm"): RECURRENT_TRANSLATOR,
    ("translation", "gru"): RECURRENT_TRANSLATOR,
    ("translation", "transformer"): {
        **TRANSLATION,
        "lr": 1e-3, "beta2": 0.98, "dropout_input": 0.2, "dropout_hidden": 0.2,
    },
    **{("tagging", arch): TAGGER for arch in ("ffnn", "rnn", "lstm", "gru")},
    ("tagging", "transformer"): TAGGER | TRANSFORMER_LABELER,
    **{("classification", arch): LABELER for arch in ("cnn", "rnn", "lstm", "gru")},
    ("classification", "transformer"): LABELER | TRANSFORMER_LABELER,
    ("classification", "bag-of-ngrams"): {
        "epochs": 3, "batch_size": 128, "optimizer": "adagrad", "clip": 0.0, "lr": 0.05,
        "schedule": "cosine",
    },
    ("vectors", "skipgram"): {**VECTORS, "lr": 0.075},
    ("vectors", "cbow"): {**VECTORS, "lr": 0.2},
    ("vectors", "fasttext"): {**VECTORS, "lr": 0.1, "noise_exponent": 0.5, "subsample": 1e-4},
}  # fmt: skip
"""What is not the default of `TrainingSettings` or of the model's own configuration."""


@pytest.mark.parametrize(("task", "arch"), DEFAULTS)
def test_an_architecture_has_defaults_of_its_own(task, arch):
    settings, model = resolve({"task": task, "arch": arch})
    expected = DEFAULTS[task, arch]
    own = {name: value for name, value in expected.items() if name in options_of(task, arch)}
    others = {name: value for name, value in expected.items() if name not in own}
    assert model == own
    assert settings == TrainingSettings(task=task, arch=arch, **others)


def test_the_usual_architecture():
    assert resolve({}) == resolve({"task": "lm", "arch": "lstm"})
    assert resolve({"task": "translation"}) == resolve(
        {"task": "translation", "arch": "transformer"}
    )


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"learning_rate": 1.0}, "learning_rate is no setting of lstm"),
        ({"epoch": 3}, "did you mean 'epochs'"),
        ({"widht": 3}, "did you mean 'width'"),
        ({"epochs": "three"}, "epochs is 'three'; it takes a whole number"),
        ({"epochs": 2.5}, "epochs is 2.5; it takes a whole number"),
        ({"epochs": True}, "epochs is True"),
        ({"tied": 1}, "tied is 1; it takes true or false"),
        ({"schedule": "onecycle"}, "did you mean 'one-cycle'"),
        ({"arch": "lstn"}, "did you mean 'lstm'"),
        ({"arch": "ngram"}, "seqlm count"),
        ({"dropout_input": 1.5}, "dropout_input is 1.5; it must be from"),
        ({"task": "vectors", "dropout": 0.3}, "dropout: a model of arch skipgram has none"),
        ({"task": "classification", "arch": "bag-of-ngrams", "dropout": 0.3}, "has none"),
        ({"lr": "fast"}, "lr is 'fast'"),
        ({"lr": float("nan")}, "lr is nan"),
        ({"context": "lines"}, "context is 'lines'; there are carried, sentence, window"),
        (
            {"softmax_cutoffs": "2000,many"},
            "softmax_cutoffs is '2000,many'; it takes whole",
        ),
        ({"softmax_cutoffs": [2000, 2.5]}, "softmax_cutoffs is [2000, 2.5]"),
        ({"softmax_cutoffs": "0"}, "softmax_cutoffs is 0; it must be"),
        ({"arch": "transformer", "norm": "batch"}, "norm is 'batch'; there are"),
        (
            {"arch": "transformer", "seq_length": 70, "context_length": 64},
            "seq_length 70 is longer than context_length 64",
        ),
        (
            {"optimizer": "sgd", "beta1_min": 0.7},
            "beta1_min needs optimizer adam or adamw",
        ),
        ({"cooldown": 0.3}, "cooldown needs schedule wsd"),
        ({"softmax_cutoffs": "7"}, "softmax_cutoffs needs softmax adaptive"),
        ({"heads": 4}, "heads is an option of transformer, not of lstm"),
        (
            {"arch": "transformer", "optimizer": "sgd"},
            "no default learning rate for arch transformer",
        ),
        (
            {"arch": "transformer", "seq_length": 9, "context_length": 5},
            "seq_length 9 is longer than context_length 5",
        ),
    ],
)
def test_refusals_name_the_setting(given, message):
    with pytest.raises(UsageError) as error:
        resolve(given)
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("task", "instead"),
    [("translation", "; here it is max_length"), ("tagging", ""), ("vectors", "")],
)
def test_another_setting_is_named_where_it_has_an_effect(task, instead):
    with pytest.raises(UsageError) as error:
        resolve({"task": task, "seq_length": 3})
    assert str(error.value) == f"seq_length needs task lm{instead}"


@pytest.mark.parametrize("value", ["2000,6000", [2000, 6000], (2000, 6000), "2000, 6000"])
def test_several_numbers_are_a_flag_or_a_list(value):
    given = {"softmax": "adaptive", "softmax_cutoffs": value}
    assert resolve(given)[1]["softmax_cutoffs"] == (2000, 6000)
    assert resolve(given, {"softmax_cutoffs": None})[1]["softmax_cutoffs"] is None


def test_dropout_is_all_that_the_architecture_has():
    both = {"dropout": 0.4, "dropout_hidden": 0.1}
    _, lstm = resolve(both)
    assert {k: v for k, v in lstm.items() if k.startswith("dropout")} == {
        "dropout_input": 0.4,
        "dropout_hidden": 0.1,
        "dropout_output": 0.4,
    }
    _, transformer = resolve({"arch": "transformer", **both})
    assert (transformer["dropout_attention"], transformer["dropout_hidden"]) == (0.4, 0.1)
    _, later = resolve({"arch": "lstm", "dropout_input": 0.2}, {"dropout": 0.3})
    assert later["dropout_input"] == 0.3


def test_given_settings_go_before_those_of_the_architecture():
    settings, model = resolve({"arch": "transformer"})
    assert (settings.seq_length, settings.lr) == (128, 1e-3)
    assert model["context_length"] == settings.seq_length
    assert resolve({"arch": "transformer", "seq_length": 32})[1]["context_length"] == 32
    given, _ = resolve({"arch": "transformer", "lr": 0.5, "clip": 3.0}, {"clip": 2.0})
    assert (given.lr, given.clip) == (0.5, 2.0)
    # A rate and a decay are those of an optimiser.
    adam, _ = resolve({"arch": "transformer", "optimizer": "adam"})
    assert (adam.peak_lr, adam.weight_decay) == (DEFAULT_LR["adam"], 0)
    short, model = resolve({"arch": "transformer", "context_length": 5})
    assert (short.seq_length, model["context_length"]) == (5, 5)


def test_input_feeding_takes_an_attention_that_has_it():
    given = {"task": "translation", "arch": "gru", "input_feeding": True}
    assert resolve(given)[1]["attention"] == "general"
    assert resolve(given | {"attention": "dot"})[1]["attention"] == "dot"


def test_averaging_on_a_trigger_waits_for_it():
    settings, _ = resolve({"average": "nt-asgd"})
    assert (settings.optimizer, settings.schedule, settings.patience) == ("sgd", "constant", None)
    assert settings.peak_lr == DEFAULT_LR["sgd"]
    settings, _ = resolve({"average": "nt-asgd", "patience": 20, "optimizer": "adam"})
    assert (settings.patience, settings.peak_lr) == (20, DEFAULT_LR["adam"])


@pytest.mark.parametrize(
    ("given", "vocab_size", "softmax", "said"),
    [
        ({}, 9_999, None, ""),
        ({}, 10_001, None, "full, which is slow for 10,001 types; `softmax=adaptive` is several"),
        ({}, 10_002, "adaptive", "adaptive, as there are 10,002 types; `softmax=full` computes"),
        ({"softmax": "full"}, 50_000, "full", ""),
        ({"softmax": "sampled"}, 50_000, "sampled", ""),
        ({"label_smoothing": 0.1}, 50_000, None, "`softmax=adaptive`, without `label_smoothing`,"),
        ({"task": "translation"}, 50_000, None, "`softmax=adaptive`, without `label_smoothing`,"),
    ],
)
def test_many_types_have_the_adaptive_softmax_or_a_word_about_it(given, vocab_size, softmax, said):
    settings, model = resolve(given)
    chosen, message = choose_softmax(settings, model, vocab_size)
    assert chosen.get("softmax") == softmax
    assert {**chosen, "softmax": None} == {**model, "softmax": None}
    assert said in message
    assert bool(said) == bool(message)
