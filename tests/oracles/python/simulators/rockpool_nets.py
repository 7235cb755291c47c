"""Rockpool: networks of its modules, exported by `to_nir`, and files read by `from_nir`.

The importer fails on LIF (version 3.1.0), and on import `dt` is a guess from `r`: it is set. The exporter leaves out
recurrent weights and the bias of neurons; such files are made with `nir`. Importing Rockpool would start `pip install
samna`, which is prevented.
"""

import sys

sys.modules["samna"] = None
import nir
import torch
from rockpool.nn.combinators import Sequential
from rockpool.nn.modules.torch import LIFNeuronTorch, LIFTorch, LinearTorch, TorchModule
from rockpool.nn.modules.torch.nir import from_nir, to_nir

from common import Net, between, biases, chain, events, flat, loop, main, quiet, weights
from with_torch import tensor

DT = 1e-3


def run(net, x, names):
    """Runs a network on all ticks; what its neurons put out, and their voltages."""
    kept = {}

    def keep(name):
        def hook(module, _, output):
            output = output[0] if isinstance(output, tuple) else output
            kept[name] = (flat(output.detach().numpy()[0]), flat(module._record_dict["vmem"].detach().numpy()[0]))

        return hook

    for name, module in net.named_modules():
        if isinstance(module, (LIFTorch, LIFNeuronTorch)):
            module._record = True
            module.register_forward_hook(keep(names(name, module)))
    with torch.no_grad():
        if isinstance(net, TorchModule):
            net.evolve(tensor(x)[None], record=True)
        else:
            net(tensor(x)[None])
    return kept


def imported(graph, x, dt):
    """Runs a file's graph in Rockpool."""
    net = quiet(from_nir, graph)
    for module in net.modules():
        if isinstance(module, LIFTorch):
            module.dt = dt
    return run(net, x, lambda name, module: f"{name}.lif" if module._has_rec else name)


def exported(name, x, *modules):
    """A network of modules, exported and recorded as it is."""
    net = Sequential(*modules)
    with torch.no_grad():
        graph = quiet(to_nir, net, tensor(x)[None])
        net.reset_state()
    return Net(name, graph, x, DT, lambda _, x, __: run(net, x, lambda name, _: name))


def linear(seed, inputs, outputs, bias=True, **shape):
    weight = tensor(weights(seed, outputs, inputs, **shape)).T
    bias = tensor(biases(seed + 1, outputs)) if bias else None
    return LinearTorch((inputs, outputs), weight=weight, bias=bias, has_bias=bias is not None)


def cuba(seed, n):
    return LIFTorch(
        n, tau_mem=tensor(between(seed, 3e-3, 2e-2, n)), tau_syn=tensor(between(seed + 1, 2e-3, 8e-3, n)),
        threshold=tensor(between(seed + 2, 0.8, 1.2, n)), bias=tensor(between(seed, 0, 0, n)), dt=DT,
    )


def lif(seed, n):
    return LIFNeuronTorch(
        n, tau_mem=tensor(between(seed, 3e-3, 2e-2, n)), threshold=tensor(between(seed + 2, 0.8, 1.2, n)),
        bias=tensor(between(seed, 0, 0, n)), dt=DT,
    )


def node(seed, n):
    return nir.CubaLIF(
        tau_syn=between(seed, 2e-3, 8e-3, n), tau_mem=between(seed + 1, 3e-3, 2e-2, n), r=between(seed + 2, 1, 4, n),
        v_leak=between(seed + 3, 0, 0.1, n), v_threshold=between(seed + 4, 0.8, 1.2, n), v_reset=between(seed, 0, 0, n),
        w_in=between(seed + 5, 1, 3, n),
    )


def nets():
    yield exported("liftorch", events(1, 8, rate=0.1), linear(2, 8, 12), cuba(4, 12), linear(8, 12, 4, mean=-0.05), cuba(10, 4))
    yield exported("liftorch_no_bias", events(14, 8, rate=0.1), linear(15, 8, 12, bias=False, spread=0.8), cuba(17, 12))
    yield exported("lifneuron", events(20, 6), linear(21, 6, 12), lif(23, 12), linear(26, 12, 4), lif(28, 4))
    yield Net("cubalif_leak", chain([8], [10], fc=nir.Linear(weights(31, 10, 8)), pop=node(33, 10)),
              events(40, 8, rate=0.1), DT, imported)
    hidden = loop(10, node(43, 10), nir.Linear(weights(50, 10, 10, mean=-0.1, spread=0.1)))
    yield Net("cubalif_loop", chain(
        [8], [4], fc=nir.Affine(weights(41, 10, 8), biases(42, 10)), hidden=hidden,
        out=nir.Linear(weights(51, 4, 10, mean=0.0)), two=node(53, 4)), events(60, 8, rate=0.1), DT, imported)


if __name__ == "__main__":
    main(nets, imported)
