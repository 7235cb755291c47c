#!/usr/bin/env python3
"""EventProp training in eager PyTorch: the peer that nirc's training speed is measured against.

The scheme is the published one (arXiv 2412.15021): a feed-forward net of current-based LIF neurons
on a grid of 1 ms bins, the loss on first spike times, the adjoint pass of EventProp as a custom
autograd function per layer, Adam with a learning rate that decays a little after every batch.
It is written as a PyTorch user would write it: a Python loop over the bins, in each bin a handful of
tensor operations on (batch, neurons), autograd for the rest.

Two styles differ in where the matrix products are:
    bins     in the loop, a small product per bin, and a gradient per sample that the batch sum follows
    hoisted  outside the loop, one product for all bins: the faster way that the layer-wise order allows

    --validate GOLDEN.npz ...             compare every intermediate array with recorded ones
    --bench --train TRAIN.npz             time epochs; prints one JSON object
"""

import argparse
import json
import math
import os
import platform
import resource
import statistics
import sys
import time

import numpy as np
import torch
from torch.nn import functional as F

BINS = 27
DT, TAU_MEM, TAU_SYN = 1e-3, 20e-3, 5e-3
T_MIN = 2
HIDDEN = 120
XI, BETA, ALPHA = 1.5, 100.0, 1e-2
LR, GAMMA, WEIGHT_DECAY = 1.9e-3, 0.95, 6.5e-7
BATCH = 22
STYLES = ("bins", "hoisted")

SYN = math.exp(-DT / TAU_SYN)
MEM = math.exp(-DT / TAU_MEM)


def encode(x):
    """Features (N, 4) in [0, 1] to spikes (BINS, N, 5): linear latency, and a bias spike in bin 0."""
    span = BINS - 1 - T_MIN
    bins = np.rint(np.minimum(span * (1 - x), span * 0.99) + T_MIN).astype(np.int64)
    bins = np.concatenate([bins, np.zeros((len(x), 1), np.int64)], axis=1)
    spikes = torch.zeros(BINS, *bins.shape)
    return spikes.scatter_(0, torch.from_numpy(bins)[None], 1.0), bins


def simulate(weight, spikes, style):
    """Current, voltage before the reset, and spikes of one layer, each (BINS, batch, neurons)."""
    drive = F.linear(spikes, weight) if style == "hoisted" else None
    current = torch.zeros(spikes.shape[1], weight.shape[0])
    voltage = torch.zeros_like(current)
    currents, voltages, fired = [current], [voltage], [torch.zeros_like(current)]
    for i in range(1, len(spikes)):
        arriving = F.linear(spikes[i - 1], weight) if drive is None else drive[i - 1]
        current = SYN * current + arriving
        before = MEM * voltage + (1 - MEM) * current
        z = (before > 1.0).to(before.dtype)
        voltage = (1 - z) * before
        currents.append(current)
        voltages.append(before)
        fired.append(z)
    return torch.stack(currents), torch.stack(voltages), torch.stack(fired)


def adjoint(weight, spikes, fired, rise, error, style, want_input):
    """Errors for the layer below, weight gradient, and the two adjoint states (lists over the bins).

    `rise` is current minus voltage before the reset, `error` the loss gradient by own spike.
    """
    lv = torch.zeros_like(error[0])
    li = torch.zeros_like(lv)
    lvs, lis = [lv], [li]
    below = [torch.zeros_like(spikes[0])]
    per_sample = torch.zeros(error.shape[1], *weight.shape)
    for i in range(len(spikes) - 2, -1, -1):
        if style == "bins" and want_input:
            below.append((lv - li) @ weight)
        jump = fired[i + 1] * ((lv + error[i + 1]) / (rise[i + 1] + 1e-10))
        li = SYN * li + (1 - SYN) * lv
        lv = MEM * lv + jump
        lvs.append(lv)
        lis.append(li)
        if style == "bins":
            per_sample -= (TAU_SYN * spikes[i])[:, None, :] * li[:, :, None]
    lvs.reverse()
    lis.reverse()
    if style == "bins":
        below.reverse()
        return (torch.stack(below) if want_input else None), per_sample.sum(0), lvs, lis
    li = torch.stack(lis)
    gradient = -TAU_SYN * (li.flatten(0, 1).T @ spikes.flatten(0, 1))
    if not want_input:
        return None, gradient, lvs, lis
    # What is sent down in bin i is the difference in bin i + 1; nothing in the last bin.
    difference = torch.stack(lvs) - li
    below = torch.cat([difference[1:] @ weight, torch.zeros_like(spikes[:1])])
    return below, gradient, lvs, lis


class Layer(torch.autograd.Function):
    """Spikes in, spikes out; backwards, errors of spikes in, errors of spikes out."""

    @staticmethod
    def forward(ctx, spikes, weight, style):
        current, before, fired = simulate(weight, spikes, style)
        ctx.save_for_backward(weight, spikes, fired, current - before)
        ctx.style = style
        return fired

    @staticmethod
    def backward(ctx, error):
        weight, spikes, fired, rise = ctx.saved_tensors
        below, gradient, _, _ = adjoint(
            weight, spikes, fired, rise, error, ctx.style, ctx.needs_input_grad[0]
        )
        return below, gradient, None


class FirstSpike(torch.autograd.Function):
    """Bin of the first spike, the number of bins for a silent neuron."""

    @staticmethod
    def forward(ctx, fired):
        bins = torch.arange(len(fired), dtype=fired.dtype)[:, None, None]
        first = torch.where(fired > 0, bins, float(len(fired))).amin(0)
        ctx.save_for_backward(first)
        ctx.bins = len(fired)
        return first

    @staticmethod
    def backward(ctx, gradient):
        (first,) = ctx.saved_tensors
        # A silent neuron gets no error, nor does a spike in the last bin.
        reached = first <= ctx.bins - 2
        index = torch.where(reached, first, 0.0).long()
        error = torch.zeros(ctx.bins, *first.shape)
        return error.scatter_(0, index[None], torch.where(reached, gradient, 0.0)[None])


class Net(torch.nn.Module):
    def __init__(self, weights, style):
        super().__init__()
        self.weights = torch.nn.ParameterList(torch.nn.Parameter(w) for w in weights)
        self.style = style

    def forward(self, spikes):
        for weight in self.weights:
            spikes = Layer.apply(spikes, weight, self.style)
        return FirstSpike.apply(spikes)


def losses(first, label):
    """Cross entropy, and what training minimises: with the term that pulls the label's spike early."""
    entropy = F.cross_entropy(-first / XI, label)
    of_label = first.gather(1, label[:, None])
    return entropy, entropy + ALPHA * (torch.exp(of_label / BETA) - 1).mean()


def optimiser(net, batches):
    adam = torch.optim.Adam(net.parameters(), lr=LR, weight_decay=WEIGHT_DECAY)
    return adam, torch.optim.lr_scheduler.ExponentialLR(adam, GAMMA ** (1 / batches))


def initial_weights(seed):
    rng = np.random.RandomState(seed)
    drawn = [
        rng.normal(3.2 / 5**0.5, 3.2 / 5**0.5, (5, HIDDEN)).T,
        rng.normal(5.2 / HIDDEN**0.5, 2.8 / HIDDEN**0.5, (HIDDEN, 3)).T,
    ]
    return [torch.from_numpy(w.astype(np.float32)) for w in drawn]


def step(net, adam, schedule, spikes, label):
    adam.zero_grad()
    entropy, loss = losses(net(spikes), label)
    loss.backward()
    adam.step()
    schedule.step()
    return entropy, loss


# --- comparison with recorded arrays -------------------------------------------------------------


class Check:
    """Collects comparisons; each has a bound, 0 for equality to the bit."""

    def __init__(self):
        self.failed = False

    def __call__(self, name, found, expected, bound, scale=1.0):
        found = np.asarray(found.detach() if torch.is_tensor(found) else found, np.float64)
        error = np.abs(found - expected).max() / scale
        good = error <= bound
        self.failed |= not good
        print(f"  {'ok  ' if good else 'FAIL'} {name:24} error {error:.2e}  bound {bound:.0e}")

    def relative(self, name, found, expected, bound):
        self(name, found, expected, bound, np.abs(expected).max())


def validate(path, style, check):
    golden = np.load(path)
    print(f"{os.path.basename(path)}, style {style}")
    spikes, bins = encode(golden["x"])
    label = torch.from_numpy(golden["label"])
    check("input bins", bins, golden["in_times"], 0)

    weights = [torch.from_numpy(golden[k]) for k in ("W1", "W2")]
    source = spikes
    recorded = []
    for layer, weight in zip("12", weights):
        current, before, fired = simulate(weight, source, style)
        check(f"L{layer} spikes", fired, golden[f"L{layer}_spikes"], 0)
        check.relative(f"L{layer} current", current, golden[f"L{layer}_I"], 2e-6)
        check.relative(f"L{layer} voltage", before, golden[f"L{layer}_Vpre"], 2e-6)
        recorded.append((weight, source, fired, current - before))
        source = fired
    error = torch.from_numpy(golden["L2_grad_out"])
    for layer, arguments in zip("21", reversed(recorded)):
        below, gradient, lvs, lis = adjoint(*arguments, error, style, True)
        check.relative(f"L{layer} adjoint voltage", torch.stack(lvs), golden[f"L{layer}_lV"], 2e-6)
        check.relative(f"L{layer} adjoint current", torch.stack(lis), golden[f"L{layer}_lI"], 2e-6)
        check.relative(f"L{layer} error sent down", below, golden[f"L{layer}_grad_in"], 2e-6)
        check.relative(f"L{layer} gradient", gradient, golden[f"gW{layer}"], 2e-6)
        error = below

    net = Net([w.clone() for w in weights], style)
    first = net(spikes)
    entropy, loss = losses(first, label)
    check("first spikes", first, golden["first_spike"], 0)
    check("cross entropy", entropy, golden["loss_ce"], 5e-7)
    check("loss", loss, golden["loss_reg"], 5e-7)
    # The recorded runs had 227 batches in an epoch.
    adam, schedule = optimiser(net, 227)
    for k in range(len(golden["traj_x"])):
        spikes, _ = encode(golden["traj_x"][k])
        label = torch.from_numpy(golden["traj_label"][k])
        entropy, loss = step(net, adam, schedule, spikes, label)
        check(f"step {k + 1} loss", [loss.item(), entropy.item()], golden["traj_loss"][k], 5e-7)
        for n, weight in enumerate(net.weights, 1):
            check.relative(f"step {k + 1} gradient {n}", weight.grad, golden[f"traj_gW{n}"][k], 2e-6)
            check(f"step {k + 1} weights {n}", weight, golden[f"traj_W{n}"][k], 5e-7)


# --- timing --------------------------------------------------------------------------------------


def load(path):
    data = np.load(path)
    spikes, bins = encode(data["x"])
    if "spike_bin_T27" in data and (bins != data["spike_bin_T27"]).any():
        sys.exit(f"{path}: the spike bins in the file are not those of its features")
    return spikes, torch.from_numpy(data["label"])


def train_epoch(net, adam, schedule, spikes, label, batches, generator):
    order = torch.randperm(len(label), generator=generator)
    for k in range(batches):
        chosen = order[k * BATCH : (k + 1) * BATCH]
        step(net, adam, schedule, spikes[:, chosen], label[chosen])


@torch.no_grad()
def accuracy(net, spikes, label):
    return (net(spikes).argmin(1) == label).double().mean().item()


def cpu_seconds():
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def bench_run(options, threads, style):
    torch.set_num_threads(threads)
    spikes, label = load(options.train)
    batches = len(label) // BATCH
    net = Net(initial_weights(options.seed), style)
    adam, schedule = optimiser(net, batches)
    generator = torch.Generator().manual_seed(options.seed)
    wall, cpu = [], []
    for _ in range(options.epochs):
        wall_start, cpu_start = time.perf_counter(), cpu_seconds()
        train_epoch(net, adam, schedule, spikes, label, batches, generator)
        wall.append(time.perf_counter() - wall_start)
        cpu.append(cpu_seconds() - cpu_start)
    run = {
        "style": style,
        "threads": threads,
        "samples": len(label),
        "batch": BATCH,
        "epochs": options.epochs,
        "median_seconds": statistics.median(wall),
        "median_cpu_seconds": statistics.median(cpu),
        "seconds": wall,
        "cpu_seconds": cpu,
    }
    if options.test:
        run["test_accuracy"] = accuracy(net, *load(options.test))
    return run


def cpu_name():
    try:
        with open("/proc/cpuinfo") as lines:
            return next(line.split(":", 1)[1].strip() for line in lines if "model name" in line)
    except (OSError, StopIteration):
        return platform.processor()


def bench(options):
    default = torch.get_num_threads()
    threads = options.threads or sorted({1, default})
    styles = options.style or STYLES
    return {
        "peer": "pytorch_eventprop",
        "torch": torch.__version__,
        "cpu": cpu_name(),
        "cores": os.cpu_count(),
        "load_before": os.getloadavg()[0],
        "runs": [bench_run(options, n, style) for n in threads for style in styles],
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    mode = parser.add_mutually_exclusive_group(required=True)
    mode.add_argument("--validate", nargs="+", metavar="GOLDEN", help="recorded arrays, .npz")
    mode.add_argument("--bench", action="store_true", help="time training")
    parser.add_argument("--train", help="training set, .npz with x, label")
    parser.add_argument("--test", help="test set; reports the accuracy after the last epoch")
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--seed", type=int, default=42)
    parser.add_argument("--threads", type=int, nargs="+", help="default: 1 and PyTorch's own choice")
    parser.add_argument("--style", choices=STYLES, nargs="+", help="default: both")
    options = parser.parse_args()
    if options.bench:
        if not options.train:
            parser.error("--bench needs --train")
        print(json.dumps(bench(options), indent=2))
        return
    check = Check()
    for path in options.validate:
        for style in options.style or STYLES:
            validate(path, style, check)
    sys.exit(check.failed)


if __name__ == "__main__":
    main()
