"""Norse: files read by `from_nir`, and a network exported by `to_nir`.

The exporter writes `dt / tau_mem_inv` for a time constant, which is one only with `dt=1` (version 1.1.0), and loses what
`from_nir` has made of a CubaLIF; the other files are made with `nir`.
"""

import nir
import norse.torch as norse
import numpy as np
import torch
from norse.torch.functional import reset

from common import Net, between, biases, chain, events, loop, main, quiet, weights
from with_torch import tensor

DT = 1e-3


def states(state, names=None, prefix=""):
    """Spikes and voltages of all populations in the state of a graph; a loop may be a graph within."""
    for key, (own, *_) in state.state.items():
        # `nirtorch` writes `_` for `.`.
        name = prefix + (names or {}).get(key, key)
        if hasattr(own, "cache"):
            yield from states(own, prefix=f"{name}.")
            continue
        # Of a CubaLIF, the state of the membrane follows that of the synapse.
        while not hasattr(own, "v"):
            own = own[-1]
        yield name, state.cache[key], own.v


def imported(graph, x, dt, **how):
    """Runs a file's graph in Norse."""
    net, state, kept = quiet(norse.from_nir, graph, ignore_warnings=True, dt=dt, **how), None, {}
    with torch.no_grad():
        for now in tensor(x):
            # Convolutions want a batch.
            _, state = net(now[None] if now.ndim > 1 else now, state)
            for key, out, v in states(state, {key.replace(".", "_"): key for key in graph.nodes}):
                spikes, voltages = kept.setdefault(key, ([], []))
                spikes.append(out.numpy().copy())
                voltages.append(v.numpy().copy())
    return {key: (np.array(spikes), np.array(v)) for key, (spikes, v) in kept.items()}


def subtracting(graph, x, dt):
    return imported(graph, x, dt, reset_method=reset.reset_subtract)


def lif(seed, *shape):
    return nir.LIF(
        tau=between(seed, 2e-3, 2e-2, *shape), r=between(seed, 1, 1, *shape),
        v_leak=between(seed + 1, -0.1, 0.2, *shape), v_threshold=between(seed + 2, 0.2, 0.3, *shape),
        v_reset=between(seed, 0, 0, *shape),
    )


def cuba(seed, n):
    return nir.CubaLIF(
        tau_syn=between(seed, 2e-3, 1e-2, n), tau_mem=between(seed + 1, 3e-3, 2e-2, n),
        r=between(seed + 2, 1, 4, n), v_leak=between(seed + 3, -0.1, 0.2, n),
        v_threshold=between(seed + 4, 0.4, 0.6, n), w_in=between(seed + 5, 1, 3, n), v_reset=between(seed, 0, 0, n),
    )


def alike(seed, n):
    """Neurons of one threshold and one gain, though not of one time constant: what snnTorch could read."""
    syn, mem, one = between(seed, 2e-3, 1e-2, n), between(seed + 1, 3e-3, 2e-2, n), np.ones(n, np.float32)
    return nir.CubaLIF(
        tau_syn=syn, tau_mem=mem, r=mem / DT, w_in=syn / DT, v_leak=0 * one, v_threshold=2 * one, v_reset=0 * one,
    )


def affine(seed, outputs, inputs, **shape):
    return nir.Affine(weights(seed, outputs, inputs, **shape), biases(seed + 1, outputs))


def exported():
    """A network of LIFBoxCells and an IAFCell."""
    def box(seed, n):
        parameters = norse.LIFBoxParameters(
            tau_mem_inv=tensor(between(seed, 50, 400, n)), v_leak=tensor(between(seed, 0, 0.1, n)),
            v_th=tensor(between(seed + 1, 0.2, 0.3, n)),
        )
        return norse.LIFBoxCell(parameters, dt=DT)

    def linear(seed, inputs, outputs):
        module = torch.nn.Linear(inputs, outputs)
        module.weight.data = tensor(weights(seed, outputs, inputs))
        module.bias.data = tensor(biases(seed + 1, outputs))
        return module

    net = norse.SequentialState(linear(1, 6, 12), box(3, 12), linear(5, 12, 4), box(7, 4))
    with torch.no_grad():
        return quiet(norse.to_nir, net, torch.zeros(1, 6), dt=1.0)


def nets():
    yield Net("lifbox", exported(), events(9, 6), DT, imported)
    yield Net("lif", chain(
        [6], [5], fc=affine(10, 12, 6, mean=0.4), one=lif(12, 12), out=affine(15, 5, 12, mean=0.3), two=lif(17, 5)),
        events(20, 6), DT, imported)
    yield Net("cubalif", chain([8], [5], fc=affine(21, 16, 8), one=cuba(23, 16), out=affine(30, 5, 16), two=cuba(32, 5)),
              events(39, 8), DT, imported)
    yield Net("cubalif_subtract", chain([8], [10], fc=affine(40, 10, 8), neurons=cuba(42, 10)), events(49, 8), DT, subtracting)
    yield Net("cubalif_no_leak", chain([8], [10], fc=affine(90, 10, 8), neurons=alike(92, 10)), events(99, 8), DT, imported)
    yield Net("if", chain(
        [6], [10], fc=affine(50, 10, 6), neurons=nir.IF(r=between(52, 1, 1, 10), v_threshold=between(53, 1, 2, 10))),
        events(54, 6), DT, imported)
    yield Net("cubalif_loop", chain(
        [8], [5], fc=affine(60, 10, 8), hidden=loop(10, cuba(62, 10), affine(69, 10, 10, mean=-0.05, spread=0.2)),
        out=affine(71, 5, 10), two=cuba(73, 5)), events(80, 8), DT, imported)
    yield Net("lif_conv", chain(
        [1, 6, 6], [4],
        conv=nir.Conv2d(input_shape=(6, 6), weight=weights(81, 3, 1, 3, 3, mean=0.5), stride=(1, 1),
                        padding=(1, 1), dilation=(1, 1), groups=1, bias=biases(82, 3)),
        one=lif(83, 3, 6, 6),
        pool=nir.SumPool2d(kernel_size=np.array([2, 2]), stride=np.array([2, 2]), padding=np.array([0, 0])),
        flat=nir.Flatten(input_type={"input": np.array([3, 3, 3])}, start_dim=1, end_dim=-1),
        fc=affine(86, 4, 27, mean=0.0), two=lif(88, 4)), events(91, 1, 6, 6, ticks=60), DT, imported)


if __name__ == "__main__":
    main(nets, imported)
