"""Trains a small convolutional network in snnTorch and writes what the example starts from.

bars.nir     the network, as snnTorch exports it
bars.npz     200 samples: `input` (T, B, 1, H, W), `label` (B,), and the spikes of both layers as snnTorch computed them

Needs snntorch 1.0.0, nir 1.0.8 and PyTorch on a CPU: python make.py
"""

import numpy as np
import nir
import snntorch as snn
import torch
from snntorch.export_nir import export_to_nir

T, SIDE, CLASSES = 16, 10, 4


def bars(rng, samples):
    """Noisy bars that move right, down, left or up by a pixel in two ticks, from a random start."""
    x = np.zeros((T, samples, 1, SIDE, SIDE), np.float32)
    label = rng.integers(0, CLASSES, samples)
    start = rng.integers(0, SIDE, samples)
    for t in range(T):
        at = (start + t // 2) % SIDE
        for b in range(samples):
            place = at[b] if label[b] < 2 else SIDE - 1 - at[b]
            bar = x[t, b, 0].T if label[b] % 2 == 0 else x[t, b, 0]
            bar[place] = 1
    shown = rng.random(x.shape) < np.where(x > 0, 0.5, 0.02)
    return shown.astype(np.float32), label


def leaky(beta, *shape):
    # The exporter's shape inference needs a decay and a threshold for every neuron.
    decay, threshold = torch.full(shape, beta), torch.ones(shape)
    return snn.Leaky(decay, threshold=threshold, init_hidden=True, reset_mechanism="zero", reset_delay=False)


def network():
    return torch.nn.Sequential(
        torch.nn.Conv2d(1, 6, 3, padding=1),
        leaky(0.7, 6, SIDE, SIDE),
        torch.nn.AvgPool2d(2),
        torch.nn.Flatten(),
        torch.nn.Linear(6 * 25, 24),
        leaky(0.9, 24),
        torch.nn.Linear(24, CLASSES),
        leaky(0.8, CLASSES),
    )


def run(net, x):
    """Spikes of every spiking module, each (T, B, N)."""
    spiking = [i for i, module in enumerate(net) if isinstance(module, snn.Leaky)]
    seen = {i: [] for i in spiking}
    for i in spiking:
        net[i].reset_mem()
    for now in x:
        for i, module in enumerate(net):
            now = module(now)
            if i in seen:
                seen[i].append(now.flatten(1))
    return {i: torch.stack(spikes) for i, spikes in seen.items()}


def train(net, rng, steps=400, batch=64):
    optimiser = torch.optim.Adam(net.parameters(), 3e-3)
    for _ in range(steps):
        x, label = bars(rng, batch)
        counts = run(net, torch.from_numpy(x))[7].sum(0)
        loss = torch.nn.functional.cross_entropy(counts, torch.from_numpy(label))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()


def main():
    torch.manual_seed(1)
    torch.set_num_threads(1)
    rng = np.random.default_rng(1)
    net = network()
    train(net, rng)
    x, label = bars(np.random.default_rng(2), 200)
    with torch.no_grad():
        graph = export_to_nir(net, torch.from_numpy(x[0, :1]), ignore_dims=[0])
        spikes = run(net, torch.from_numpy(x))
    right = (spikes[7].sum(0).argmax(1).numpy() == label).mean()
    print(f"{right:.1%} right, spikes a neuron and tick:", {i: float(s.mean()) for i, s in spikes.items()})
    nir.write("bars.nir", graph)
    recorded = {f"{i}.spikes": s.numpy().astype(np.uint8) for i, s in spikes.items()}
    np.savez_compressed("bars.npz", input=x.astype(np.uint8), label=label.astype(np.uint8), **recorded)


main()
