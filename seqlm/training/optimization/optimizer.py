"""Optimisers.

    w parameter · g gradient · r rate · m, v running means of g and g^2, corrected for their start

    sgd       w <- w - r g                         Robbins & Monro 1951
    adam      w <- w - r m / (sqrt v + eps)        Kingma & Ba 2015; beta_1, beta_2 are the means'
    adamw     the same, and w <- w - r decay w     Loshchilov & Hutter 2019
    rmsprop   adam with beta_1 = 0, so that m = g  Tieleman & Hinton 2012, in the form of Melis,
                                                   Dyer & Blunsom 2018

Weight decay is added to the gradient in the others. beta_2 is 0.99 in Adam, as recurrent gradients
change fast. All are fused, one pass over the parameters, on a CPU as on a GPU. A network says which
of its parameters decay, and which learn at a rate of their own (`Network.groups`).
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW, Optimizer

from seqlm.errors import ModelError
from seqlm.models.base import Network

DEFAULT_RATE = {"adamw": 5e-3, "adam": 5e-3, "rmsprop": 4e-3, "sgd": 20.0}
"""Peak rates for recurrent networks; SGD's goes with gradients clipped to 0.25."""

EPSILON = 1e-8
"""Kingma & Ba's eps."""

BETAS = {"adamw": (0.9, 0.99), "adam": (0.9, 0.99), "rmsprop": (0.0, 0.999)}


def make_optimizer(
    name: str,
    network: Network,
    beta1: float | None = None,
    beta2: float | None = None,
    epsilon: float | None = None,
) -> Optimizer:
    """One of the four above; None is the optimiser's own. `set_rate` goes before each step."""
    groups = [
        {
            "params": group.parameters,
            "lr_scale": group.lr_scale,
            "max_lr": group.max_lr,
            "decays": group.weight_decay,
        }
        for group in network.parameter_groups()
        if group.parameters
    ]
    if name == "sgd":
        made: Optimizer = SGD(groups, fused=True)
    else:
        own1, own2 = BETAS[name]
        betas = (own1 if beta1 is None else beta1, own2 if beta2 is None else beta2)
        made = (AdamW if name == "adamw" else Adam)(
            groups, betas=betas, eps=epsilon or EPSILON, fused=True
        )
    assert set(trained(made)) == set(network.parameters()), "a parameter is in no group"
    return made


def set_rate(optimizer: Optimizer, rate: float, decay: float, beta1: float | None = None) -> None:
    """The rate and the weight decay from here on, as far as each group takes part in them."""
    for group in optimizer.param_groups:
        own = rate * group["lr_scale"]
        group["lr"] = own if group["max_lr"] is None else min(own, group["max_lr"])
        group["weight_decay"] = decay if group["decays"] else 0.0
        if beta1 is not None:
            group["betas"] = (beta1, group["betas"][1])


def trained(optimizer: Optimizer) -> list[nn.Parameter]:
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]


# ------------------------------------------------------------------------------------- for resuming


def moments(optimizer: Optimizer, network: Network) -> dict[str, Tensor]:
    """What the optimiser remembers of each parameter, under `parameter.moment`."""
    return {
        f"{name}.{moment}": value
        for name, parameter in network.named_parameters()
        for moment, value in optimizer.state.get(parameter, {}).items()
        if isinstance(value, Tensor)
    }


def restore_moments(optimizer: Optimizer, network: Network, stored: Mapping[str, Tensor]) -> None:
    """The inverse of `moments`. Errors: ModelError where they are of other parameters."""
    names = {parameter: name for name, parameter in network.named_parameters()}
    places = {names[parameter]: place for place, parameter in enumerate(trained(optimizer))}
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in stored.items():
        name, moment = key.rsplit(".", 1)
        if name not in places:
            raise ModelError(f"the saved optimiser knows a parameter {name}, which the model lacks")
        state.setdefault(places[name], {})[moment] = value.clone()
    optimizer.load_state_dict(optimizer.state_dict() | {"state": state})
