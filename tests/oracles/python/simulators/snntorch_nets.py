"""snnTorch: networks of its modules, exported by `export_to_nir`, and files read by `import_from_nir`.

Its importer makes IF into Leaky with beta = 0.9 and cannot run a recurrent graph (version 1.0.0), so these are recorded
from the exported modules. RSynaptic works only with `reset_delay=True`.
"""

import nir
import numpy as np
import snntorch as snn
import torch
from snntorch.export_nir import export_to_nir
from snntorch.import_nir import import_from_nir

from common import Net, between, biases, chain, events, main, quiet, weights
from with_torch import Recorder, tensor

DT = 1e-4  # What the exporter assumes.


def spiking(net):
    """The spiking modules by the names that their nodes have."""
    modules = {}
    for name, module in net.named_modules():
        if isinstance(module, snn.SpikingNeuron):
            name = name.replace("nir_node_", "")
            modules[f"{name}.lif" if isinstance(module, (snn.RLeaky, snn.RSynaptic)) else name] = module
    return modules


def ticks(forward, net, x):
    recorder = Recorder(spiking(net), lambda module: module.mem)
    with torch.no_grad():
        for now in tensor(x):
            forward(now[None])
    return recorder.recorded()


def imported(graph, x, dt):
    """Runs a file's graph in snnTorch."""
    assert dt == DT, "the importer assumes 1e-4 s"
    net, state = quiet(import_from_nir, graph), None

    def forward(now):
        nonlocal state
        _, state = net(now, state)

    # It puts gains into thresholds, and counts voltages in them.
    modules, recorded = spiking(net), ticks(forward, net, x)
    unit = {name: float(np.ravel(graph.nodes[name].v_threshold / np.asarray(modules[name].threshold))[0]) for name in recorded}
    return {name: (spikes, v * np.float32(unit[name])) for name, (spikes, v) in recorded.items()}


class Hidden(torch.nn.Sequential):
    """Modules in a row that keep their own states."""

    def run(self, _, x, __):
        return ticks(self, self, x)


def exported(name, x, *modules):
    """A network of modules, recorded as it is and exported."""
    net = Hidden(*modules)
    with torch.no_grad():
        graph = quiet(export_to_nir, net, tensor(x[:1]), ignore_dims=[0])
        for module in spiking(net).values():
            module.reset_mem()
    return Net(name, graph, x, DT, net.run)


def linear(seed, inputs, outputs, **shape):
    module = torch.nn.Linear(inputs, outputs)
    module.weight.data = tensor(weights(seed, outputs, inputs, **shape))
    module.bias.data = tensor(biases(seed + 1, outputs))
    return module


def conv(seed, inputs, outputs):
    module = torch.nn.Conv2d(inputs, outputs, 3, padding=1)
    module.weight.data = tensor(weights(seed, outputs, inputs, 3, 3, mean=0.1))
    module.bias.data = tensor(biases(seed + 1, outputs))
    return module


def neurons(kind, seed, *shape, **how):
    """Neurons with decays and thresholds of their own."""
    def decay(seed):
        return tensor(between(seed, 0.6, 0.95, *shape))

    decays = [decay(seed), decay(seed + 100)] if kind in (snn.Synaptic, snn.RSynaptic) else [decay(seed)]
    return kind(*decays, threshold=tensor(between(seed + 200, 0.8, 1.2, *shape)), **how)


def recurrent(module, seed, n):
    module.recurrent.weight.data = tensor(weights(seed, n, n, mean=-0.05, spread=0.2))
    module.recurrent.bias.data = tensor(biases(seed + 1, n))
    return module


def nets():
    same = dict(init_hidden=True, reset_mechanism="zero", reset_delay=False)
    late = dict(init_hidden=True, reset_mechanism="subtract", reset_delay=True)
    yield exported(
        "leaky", events(1, 6),
        linear(2, 6, 12), neurons(snn.Leaky, 3, 12, **same),
        linear(4, 12, 4), neurons(snn.Leaky, 5, 4, **same),
    )
    yield exported(
        "leaky_subtract", events(6, 6),
        linear(7, 6, 12, mean=0.3), neurons(snn.Leaky, 8, 12, **{**same, "reset_mechanism": "subtract"}),
        linear(9, 12, 4), neurons(snn.Leaky, 10, 4, **{**same, "reset_mechanism": "subtract"}),
    )
    yield exported(
        "leaky_subtract_late", events(11, 6),
        linear(12, 6, 12), neurons(snn.Leaky, 13, 12, **late),
        linear(14, 12, 4), neurons(snn.Leaky, 15, 4, **late),
    )
    yield exported(
        "synaptic", events(16, 8, rate=0.1),
        linear(17, 8, 16), neurons(snn.Synaptic, 18, 16, **same),
        linear(20, 16, 5, mean=0.05), neurons(snn.Synaptic, 21, 5, **same),
    )
    yield exported(
        "leaky_conv", events(23, 1, 6, 6, ticks=60),
        conv(24, 1, 3), neurons(snn.Leaky, 25, 3, 6, 6, **same),
        torch.nn.AvgPool2d(2), torch.nn.Flatten(),
        linear(26, 27, 4), neurons(snn.Leaky, 27, 4, **same),
    )
    yield exported(
        "rleaky", events(28, 6),
        linear(29, 6, 10), recurrent(neurons(snn.RLeaky, 30, 10, linear_features=10, **same), 31, 10),
        linear(32, 10, 4), neurons(snn.Leaky, 33, 4, **same),
    )
    yield exported(
        "rleaky_diagonal", events(34, 6),
        linear(35, 6, 10), neurons(snn.RLeaky, 36, 10, V=tensor(weights(37, 10)), all_to_all=False, **same),
    )
    yield exported(
        "rsynaptic_late", events(38, 8, rate=0.1),
        linear(39, 8, 10),
        recurrent(neurons(snn.RSynaptic, 40, 10, linear_features=10, **late), 42, 10),
    )
    yield Net(
        "if", chain(
            [6], [10],
            fc=nir.Affine(weights(43, 10, 6), biases(44, 10)),
            neurons=nir.IF(r=between(45, 1, 1, 10), v_threshold=between(46, 1, 1, 10)),
        ),
        events(47, 6), DT, imported,
    )
    tau = between(48, 3e-4, 2e-3, 10)
    yield Net(
        "lif_gain", chain(
            [6], [10],
            fc=nir.Affine(weights(49, 10, 6), biases(50, 10)),
            neurons=nir.LIF(tau=tau, r=tau / DT * 0.25, v_leak=0 * tau, v_threshold=0 * tau + 0.3, v_reset=0 * tau),
        ),
        events(51, 6), DT, imported,
    )


if __name__ == "__main__":
    main(nets, imported)
