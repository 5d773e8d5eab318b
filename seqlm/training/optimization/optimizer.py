"""Optimizers.

    w parameter · g gradient · r learning rate · m, v running means of g and g^2, bias-corrected

    sgd       w <- w - r g                             Robbins & Monro 1951
    adam      w <- w - r m / (sqrt v + eps)            Kingma & Ba 2015; beta_1, beta_2 decay m, v
    adamw     w <- w - r m / (sqrt v + eps) - r d w    Loshchilov & Hutter 2019; d is weight decay
    rmsprop   adam with beta_1 = 0, so that m = g      Tieleman & Hinton 2012, in the form of Melis,
                                                       Dyer & Blunsom 2018

    adagrad       see `row_wise_adagrad.py`            Duchi, Hazan & Singer 2011, for each row
    implicit-sgd  see `implicit_sgd.py`                Toulis & Airoldi 2017, for each row

    orthogonal-iteration   see `orthogonal_iteration.py`: of matrices with orthogonal columns

In all but adamw, weight decay adds d w to the gradient. By default beta_2 of Adam is 0.99, as
recurrent gradients change fast. All but the last three are fused, one pass over the parameters, on
a CPU as on a GPU. `StoredModel.parameter_groups` says which parameters decay, and which have a
learning rate of their own.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW, Optimizer

from seqlm.errors import ModelError
from seqlm.models.stored_model import StoredModel
from seqlm.training.config.training_settings import DEFAULT_BETAS, DEFAULT_EPSILON
from seqlm.training.optimization.implicit_sgd import ImplicitSGD
from seqlm.training.optimization.orthogonal_iteration import OrthogonalIteration
from seqlm.training.optimization.row_wise_adagrad import RowWiseAdagrad


def make_optimizer(
    name: str,
    network: StoredModel,
    beta1: float | None = None,
    beta2: float | None = None,
    epsilon: float | None = None,
) -> Optimizer:
    """One of the seven above; None stands for its default. Each step needs `set_learning_rate`."""
    groups = [
        {
            "params": group.parameters,
            "lr_scale": group.lr_scale,
            "max_lr": group.max_lr,
            "has_weight_decay": group.weight_decay,
            "still_until": group.still_until,
            "bounded_rate": group.bounded_rate,
        }
        for group in network.parameter_groups()
        if group.parameters
    ]
    if name == "sgd":
        optimizer: Optimizer = SGD(groups, fused=True)
    elif name == "implicit-sgd":
        optimizer = ImplicitSGD(groups)
    elif name == "orthogonal-iteration":
        optimizer = OrthogonalIteration(groups)
    elif name == "adagrad":
        optimizer = RowWiseAdagrad(groups, epsilon=epsilon or DEFAULT_EPSILON)
    else:
        default1, default2 = DEFAULT_BETAS[name]
        betas = (default1 if beta1 is None else beta1, default2 if beta2 is None else beta2)
        optimizer = (AdamW if name == "adamw" else Adam)(
            groups, betas=betas, eps=epsilon or DEFAULT_EPSILON, fused=True
        )
    in_groups = set(optimized_parameters(optimizer))
    assert in_groups == set(network.parameters()), "a parameter is in no group"
    return optimizer


def set_learning_rate(
    optimizer: Optimizer,
    lr: float,
    weight_decay: float,
    beta1: float | None = None,
    done: float = 1.0,
) -> None:
    """Sets the learning rate and weight decay of the next step, scaled as each group asks; `done`
    is the share of training that is done."""
    for group in optimizer.param_groups:
        group_lr = lr * group["lr_scale"] if done >= group["still_until"] else 0.0
        group["lr"] = group_lr if group["max_lr"] is None else min(group_lr, group["max_lr"])
        group["weight_decay"] = weight_decay if group["has_weight_decay"] else 0.0
        if beta1 is not None:
            group["betas"] = (beta1, group["betas"][1])


def optimized_parameters(optimizer: Optimizer) -> list[nn.Parameter]:
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]


# ------------------------------------------------------------------------------------- for resuming


def optimizer_moments(optimizer: Optimizer, network: StoredModel) -> dict[str, Tensor]:
    """The optimizer's running means of each parameter, under `parameter.moment`."""
    return {
        f"{name}.{moment}": value
        for name, parameter in network.named_parameters()
        for moment, value in optimizer.state.get(parameter, {}).items()
        if isinstance(value, Tensor)
    }


def restore_moments(
    optimizer: Optimizer, network: StoredModel, stored: Mapping[str, Tensor]
) -> None:
    """The inverse of `optimizer_moments`. Errors: ModelError on a parameter the network lacks."""
    names = {parameter: name for name, parameter in network.named_parameters()}
    positions = {names[p]: index for index, p in enumerate(optimized_parameters(optimizer))}
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in stored.items():
        name, moment = key.rsplit(".", 1)
        if name not in positions:
            raise ModelError(f"the saved optimizer has a parameter {name} that the model lacks")
        state.setdefault(positions[name], {})[moment] = value.clone()
    optimizer.load_state_dict(optimizer.state_dict() | {"state": state})
