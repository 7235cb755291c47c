"""Records optimisers.npz: what PyTorch's optimisers, schedules and clipping do to two tensors.

    python tests/golden/optimisers.py

Needs torch (recorded with 2.15 on a CPU with AVX-512) and NumPy. `tests/tests/optimisers.rs` has the same
cases by the same names.

PyTorch takes square roots from MKL, which rounds about every fifth of them wrongly by one place. Here the
roots are rounded correctly, but for the cases that end in `_mkl`.
"""

import contextlib
import pathlib
from unittest import mock

import numpy as np
import torch

STEPS = 60
# Weights after so many steps are kept.
KEPT = [1, 2, 3, 5, 10, 20, 30, 40, 50, 60]
SIZES = {"weight": 65, "bias": 13}

LR = 1e-2
EXP = lambda o: torch.optim.lr_scheduler.ExponentialLR(o, 0.97)
STEP = lambda o: torch.optim.lr_scheduler.StepLR(o, 7, 0.3)


def cosine(eta_min, batches=STEPS):
    return lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, batches, eta_min)


def behind_warm_up(batches, schedule):
    """The rate rises by 1/batches a batch; the schedule starts after them."""

    def make(o):
        rise = torch.optim.lr_scheduler.LinearLR(o, 1 / batches, 1.0, batches - 1)
        return torch.optim.lr_scheduler.SequentialLR(o, [rise, schedule(o)], [batches])

    return make


def constant(o):
    return torch.optim.lr_scheduler.ConstantLR(o, 1.0)


def value(parameters):
    torch.nn.utils.clip_grad_value_(parameters, 0.5)


def norm(parameters):
    torch.nn.utils.clip_grad_norm_(parameters, 2.0)


SGD, ADAM, ADAMW, ADAMAX = (
    torch.optim.SGD,
    torch.optim.Adam,
    torch.optim.AdamW,
    torch.optim.Adamax,
)

# Name: rule, its options, schedule, clipping.
CASES = {
    "sgd": (SGD, {"weight_decay": 1e-3}, constant, None),
    "momentum": (SGD, {"momentum": 0.9, "weight_decay": 1e-3}, constant, None),
    "nesterov": (SGD, {"momentum": 0.9, "nesterov": True}, constant, None),
    "adam": (ADAM, {"weight_decay": 1e-3}, constant, None),
    "adam_short": (ADAM, {"betas": (0.4, 0.9)}, constant, None),
    "adamw": (ADAMW, {"weight_decay": 1e-2}, constant, None),
    "adamax": (ADAMAX, {"weight_decay": 1e-3}, constant, None),
    "exponential": (SGD, {"momentum": 0.9}, EXP, None),
    "step": (ADAM, {}, STEP, None),
    "cosine": (SGD, {}, cosine(0.0), None),
    "cosine_last": (ADAMW, {"weight_decay": 1e-2}, cosine(1e-3), None),
    "warm_up": (ADAM, {}, behind_warm_up(8, constant), None),
    "warm_up_exponential": (SGD, {}, behind_warm_up(5, EXP), None),
    "warm_up_step": (SGD, {}, behind_warm_up(3, STEP), None),
    "warm_up_cosine": (ADAMAX, {}, behind_warm_up(10, cosine(0.0, STEPS - 10)), None),
    "value": (SGD, {"momentum": 0.9, "weight_decay": 1e-3}, constant, value),
    "norm": (SGD, {}, constant, norm),
    "norm_adamw": (ADAMW, {"weight_decay": 1e-2}, EXP, norm),
    "adam_mkl": (ADAM, {"weight_decay": 1e-3}, constant, None),
    "adamw_mkl": (ADAMW, {"weight_decay": 1e-2}, constant, None),
}


def exact_root(tensor):
    return torch.sqrt(tensor.double()).float()


def run(initial, gradients, rule, options, schedule, clip):
    parameters = [torch.nn.Parameter(torch.from_numpy(v.copy())) for v in initial.values()]
    optimiser = rule(parameters, lr=LR, foreach=False, **options)
    scheduler = schedule(optimiser)
    weights, rates = [], []
    for step in range(STEPS):
        for parameter, gradient in zip(parameters, gradients.values()):
            parameter.grad = torch.from_numpy(gradient[step].copy())
        if clip:
            clip(parameters)
        rates.append(optimiser.param_groups[0]["lr"])
        optimiser.step()
        scheduler.step()
        if step + 1 in KEPT:
            weights.append(torch.cat(parameters).detach().numpy().copy())
    return np.stack(weights), np.array(rates)


def main():
    draw = np.random.default_rng(42)
    initial = {k: draw.normal(size=n).astype(np.float32) for k, n in SIZES.items()}
    # Some gradients are below the bounds of clipping, some above.
    scale = 10 ** draw.uniform(-1.5, 0.5, size=(STEPS, 1))
    gradients = {
        k: (scale * draw.normal(size=(STEPS, n))).astype(np.float32) for k, n in SIZES.items()
    }
    arrays = {"kept": np.array(KEPT, dtype=np.int64)}
    arrays |= {f"initial_{k}": v for k, v in initial.items()}
    arrays |= {f"gradient_{k}": v for k, v in gradients.items()}
    for name, case in CASES.items():
        exact = mock.patch.object(torch.Tensor, "sqrt", exact_root)
        with contextlib.nullcontext() if name.endswith("_mkl") else exact:
            weights, rates = run(initial, gradients, *case)
        arrays[f"{name}_weights"], arrays[f"{name}_rates"] = weights, rates
    np.savez_compressed(pathlib.Path(__file__).with_name("optimisers.npz"), **arrays)


if __name__ == "__main__":
    main()
