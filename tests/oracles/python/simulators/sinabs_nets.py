"""Sinabs: networks of its layers, exported by `to_nir`, and files read by `from_nir`.

Times in these files are in ticks. The importer takes tensors where `nir.read` gives arrays, and imports a `Linear` as
nothing (version 3.1.3): all weights have a bias.
"""

import nir
import numpy as np
import sinabs.layers as sl
import torch
from sinabs.nir import from_nir, to_nir

from common import Net, between, biases, events, exact, flat, main, quiet, weights
from with_torch import tensor

DT = 1.0


def run(net, x):
    """Runs a network on all ticks; what its layers put out, and their voltages."""
    kept = {}

    def keep(name):
        def hook(module, _, output):
            v = flat(module.recordings["v_mem"][0].detach().numpy())
            spikes = None if isinstance(module, sl.ExpLeak) else flat(output.detach().numpy())
            kept[name] = (spikes, v)

        return hook

    for name, module in net.named_modules():
        if isinstance(module, sl.StatefulLayer):
            module.record_states = True
            module.register_forward_hook(keep(name))
    with torch.no_grad():
        net(tensor(x))
    return kept


def imported(graph, x, dt):
    """Runs a file's graph in Sinabs."""
    assert dt == DT, "times are in ticks"
    for node in graph.nodes.values():
        for field in ("tau", "v_threshold", "v_leak", "r"):
            if hasattr(node, field):
                setattr(node, field, tensor(getattr(node, field)))
    return run(quiet(from_nir, graph, batch_size=1), x)


def exported(name, x, *modules, shape=None):
    """A network of layers, recorded as it is and exported; `shape` is that of what is flattened."""
    net = torch.nn.Sequential(*modules)
    with torch.no_grad():
        graph = quiet(to_nir, net, tensor(x))
        # The exporter leaves shapes out, and `nir.write` cannot write that.
        for node in graph.nodes.values():
            if isinstance(node, nir.Conv2d):
                node.input_shape = np.array(x.shape[2:])
            if isinstance(node, nir.Flatten):
                node.input_type = {"input": np.array(shape)}
        net.apply(lambda module: module.reset_states() if hasattr(module, "reset_states") else None)
    return Net(name, graph, x, DT, lambda _, x, __: run(net, x))


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


def lif(seed, n):
    return sl.LIFSqueeze(
        tau_mem=tensor(between(seed, 2, 20, n)), spike_threshold=tensor(between(seed + 1, 0.8, 1.2, n)),
        norm_input=False, batch_size=1,
    )


def iaf(seed, *shape):
    threshold = tensor(exact(between(seed, 0.9, 1.1, *shape)))
    return sl.IAFSqueeze(spike_threshold=threshold, min_v_mem=-threshold, batch_size=1)


def nets():
    yield exported("lif", events(1, 6), linear(2, 6, 12), lif(4, 12), linear(6, 12, 4), lif(8, 4))
    # Strong weights: several spikes a tick.
    yield exported("lif_many_spikes", events(10, 6), linear(11, 6, 12, mean=0.6), lif(13, 12), linear(15, 12, 4), lif(17, 4))
    yield exported("iaf", events(20, 6), linear(21, 6, 12), iaf(23, 12), linear(24, 12, 4), iaf(26, 4))
    yield exported(
        "iaf_conv", events(30, 1, 6, 6, ticks=60),
        conv(31, 1, 3), iaf(33, 3, 6, 6), sl.SumPool2d(2), torch.nn.Flatten(), linear(34, 27, 4, mean=0.0), iaf(36, 4),
        shape=[3, 3, 3],
    )
    readout = sl.ExpLeakSqueeze(tau_mem=tensor(between(40, 3, 10, 3)), norm_input=False, batch_size=1)
    yield exported("lif_readout", events(41, 6), linear(42, 6, 10), lif(44, 10), linear(46, 10, 3), readout)


if __name__ == "__main__":
    main(nets, imported)
