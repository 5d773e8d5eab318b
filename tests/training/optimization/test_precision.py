"""Products of bfloat16 in training: near those of float32, and only where they are meant to be."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from seqlm.errors import UsageError
from seqlm.machine.device import set_up_device
from seqlm.models import model_class
from seqlm.models.tree import pack
from seqlm.runs.loading.load_model import load_model
from seqlm.runs.loading.locate import locate
from seqlm.text.batches import Batch
from seqlm.training.config.resolve import resolve
from seqlm.training.config.training_settings import TrainingSettings
from seqlm.training.optimization import precision
from seqlm.training.optimization.objective import Objective
from seqlm.training.optimization.precision import (
    Precision,
    check_precision,
    default_precision,
    is_supported,
)
from seqlm.training.resuming import restore_training
from seqlm.training.training_run import resume, train
from tests.training.toy import CPU, finish, make, network

needs_bfloat16 = pytest.mark.skipif(
    not is_supported("bfloat16", CPU), reason="this processor has no bfloat16"
)


def batch() -> Batch:
    ids = torch.randint(0, 12, (8, 33), generator=torch.Generator().manual_seed(3))
    return Batch(ids[:, :-1], ids[:, 1:], True, 8 * 32)


@needs_bfloat16
@pytest.mark.parametrize("softmax", ["full", "adaptive", "sampled"])
@pytest.mark.parametrize("arch", ["lstm", "gru", "transformer", "mamba"])
def test_bfloat16_is_near_and_all_tensors_are_float32(arch, softmax) -> None:
    window = {"context_length": 32} if arch == "transformer" else {}
    sizes = {"softmax_samples": 100} if softmax == "sampled" else {}
    torch.manual_seed(1)
    model = network(arch, width=64, vocab_size=300, softmax=softmax, **window, **sizes)
    losses, gradients = [], []
    for name in ("float32", "bfloat16"):
        torch.manual_seed(2)
        objective = Objective(model, precision=Precision(name, model))
        loss, cache, _ = objective(batch(), None)
        objective.precision.backward(loss)
        losses.append(loss.item())
        trained = [p.grad for p in model.parameters() if p.grad is not None]
        gradients.append(torch.cat([gradient.flatten() for gradient in trained]))
        model.zero_grad()
        tensors = pack(cache).values()
        assert {t.dtype for t in tensors if t.is_floating_point()} <= {torch.float32}
    exact, rounded = gradients
    assert losses[0] != losses[1]
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)
    assert rounded.dtype == torch.float32
    assert 0 < (rounded - exact).norm() < 0.02 * exact.norm()


def test_a_precision_that_the_device_lacks_is_refused() -> None:
    with pytest.raises(UsageError, match="precision float16: cpu does not compute in it"):
        check_precision("float16", CPU)
    check_precision("float32", torch.device("mps"))


# -------------------------------------------------------------------------------------- the default


def test_large_matrices_are_multiplied_in_bfloat16_where_that_pays(monkeypatch) -> None:
    monkeypatch.setattr(precision, "pays", lambda: True)
    small, large = network("lstm"), network("lstm", width=128)
    vectors = model_class("vectors", "skipgram").from_settings({"vocab_size": 2000, "width": 64})
    assert default_precision(small, CPU) == "float32"
    assert default_precision(large, CPU) == "bfloat16"
    assert default_precision(vectors, CPU) == "float32"
    monkeypatch.setattr(precision, "pays", lambda: False)
    assert default_precision(large, CPU) == "float32"


@pytest.mark.parametrize("supported", [True, False])
def test_a_gpu_computes_in_tf32_where_it_can(supported, monkeypatch) -> None:
    monkeypatch.setattr(precision, "is_supported", lambda *of: supported)
    cuda = torch.device("cuda")
    vectors = model_class("vectors", "skipgram").from_settings({"vocab_size": 2000, "width": 64})
    assert default_precision(network("lstm"), cuda) == ("tf32" if supported else "float32")
    assert default_precision(vectors, cuda) == "float32"


def test_tf32_is_for_training_alone() -> None:
    backends = torch.backends.cuda.matmul, torch.backends.cudnn
    usual = TrainingSettings(epochs=1, batch_size=4, seq_length=7, steps=1)
    trainer = make(usual)
    set_up_device("cpu")
    trainer.precision.is_tf32 = True
    seen = []
    trainer.network.register_forward_hook(lambda *_: seen.append([b.allow_tf32 for b in backends]))
    trainer.objective.network_pass = trainer.network.__call__
    finish(trainer)
    assert seen == [[True, True]]
    assert [backend.allow_tf32 for backend in backends] == [False, False]


@pytest.mark.parametrize("gain", [0.3, 1.2, 1.3, 4.0])
def test_it_pays_where_it_is_supported_and_clearly_faster(gain, monkeypatch) -> None:
    monkeypatch.setattr(precision, "gain", lambda: gain)
    for supported in (True, False):
        monkeypatch.setattr(precision, "is_supported", lambda *of: supported)  # noqa: B023
        assert precision.pays.__wrapped__() == (supported and gain > 1.25)


def test_the_gain_is_a_ratio_of_times() -> None:
    assert precision.gain(rows=64, width=64, types=64, trials=2) > 0


@needs_bfloat16
def test_a_run_records_its_precision_and_is_resumed_in_it(monkeypatch, tmp_path) -> None:
    (tmp_path / "corpus").write_text("the cat sat .\nthe dog ran .\n" * 60)
    files = {"corpus": [str(tmp_path / "corpus")]}
    given = {"arch": "gru", "width": 128, "layers": 1, "batch_size": 4, "valid_fraction": 0.2}
    weights = []
    for name, pauses in (("whole", []), ("broken", [3])):
        monkeypatch.setattr(precision, "pays", lambda: True)
        monkeypatch.setattr(precision, "LEAST_WEIGHTS", 128 * 128)
        settings, options = resolve({**given, "valid_every": 3, "schedule": "constant"})
        first = replace(settings, steps=[*pauses, 6][0])
        run = train(files, first, options, output=tmp_path / name)
        monkeypatch.setattr(precision, "pays", lambda: False)
        if pauses:
            resume(locate(run.path), {"steps": 6})
        assert run.read_config().settings["precision"] == "bfloat16"
        weights.append(load_model(locate(run.path)).model.state_dict())
    assert all(torch.equal(tensor, weights[1][name]) for name, tensor in weights[0].items())


# ------------------------------------------------------------------------------------------ scaling


def test_a_scaled_loss_gives_the_same_steps() -> None:
    """S is a power of two: in float32 nothing is lost."""
    usual = TrainingSettings(epochs=1, batch_size=4, seq_length=7, steps=9)
    plain, scaled = make(usual, dropout=0.0), make(usual, dropout=0.0)
    scaled.precision.scaler = torch.amp.GradScaler("cpu", init_scale=2.0**8)
    finish(plain)
    finish(scaled, checkpoints := [])
    for one, other in zip(plain.network.parameters(), scaled.network.parameters()):
        assert torch.equal(one, other)
    again = make(usual)
    again.precision.scaler = torch.amp.GradScaler("cpu")
    restore_training(again, *checkpoints[-1])
    assert again.precision.scaler.get_scale() == 2.0**8
    assert again.precision.scaler.state_dict()["_growth_tracker"] == 9
