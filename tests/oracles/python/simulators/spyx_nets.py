"""Spyx: networks of its layers, exported by `to_nir`, and files read by what `from_nir` builds models with.

The voltage that Spyx keeps is the one before the reset of its own crossing.
"""

import os

os.environ.setdefault("JAX_PLATFORMS", "cpu")
import jax
import jax.numpy as jnp
import nir
import numpy as np
import spyx.nn as layers
from flax import nnx
from spyx.nir import _build_model, to_nir

from common import Net, between, biases, chain, events, loop, main, quiet, weights

DT = 1.0


def names(graph):
    """Names of the populations from the input on, those of loops within their subgraphs."""
    after, at, found = dict(map(tuple, graph.edges)), "input", []
    while at in after:
        at = after[at]
        node = graph.nodes[at]
        if isinstance(node, (nir.LIF, nir.CubaLIF, nir.IF)):
            found.append(at)
        elif isinstance(node, nir.NIRGraph):
            inner = next(key for key, own in node.nodes.items() if isinstance(own, (nir.LIF, nir.CubaLIF, nir.IF)))
            found.append(f"{at}.{inner}")
    return found


def channels_first(x):
    """(T, B, H, W, C) or (T, B, N) of one sample to (T, N)."""
    x = np.asarray(x)[:, 0]
    return x.transpose(0, 3, 1, 2) if x.ndim == 4 else x


def imported(graph, x, dt):
    """Runs a file's graph in Spyx."""
    populations = names(graph)
    model = quiet(_build_model, graph, dt, nnx.Rngs(0))
    x = jnp.array(x)[:, None]
    if x.ndim == 5:
        x = x.transpose(0, 1, 3, 4, 2)
    def step(state, now):
        spikes, after = [], []
        for layer, own in zip(model.layers, state):
            # A layer without memory has no state.
            if own is None:
                now = layer(now)
            else:
                now, own = layer(now, own)
                spikes.append(now)
            after.append(own)
        return after, (spikes, [own for own in after if own is not None])

    start = [layer.initial_state(1) if hasattr(layer, "initial_state") else None for layer in model.layers]
    _, (spikes, states) = jax.lax.scan(step, start, x)
    recorded = {}
    for name, own, state in zip(populations, spikes, states, strict=True):
        own, state = channels_first(own), channels_first(state)
        # Voltages are first, currents follow.
        axis = 1 if own.ndim == 4 else -1
        recorded[name] = (own, np.take(state, range(own.shape[axis]), axis))
    return recorded


def exported(name, x, *modules):
    """A network of layers, exported, and the file run."""
    size = modules[-1].hidden_shape
    graph = to_nir(
        layers.Sequential(*modules), {"input": np.array(x.shape[1:])}, {"output": np.array(size)}, dt=DT
    )
    return Net(name, graph, x, DT, imported)


def linear(seed, inputs, outputs, **shape):
    module = nnx.Linear(inputs, outputs, rngs=nnx.Rngs(0))
    module.kernel[...] = jnp.array(weights(seed, outputs, inputs, **shape).T)
    module.bias[...] = jnp.array(biases(seed + 1, outputs))
    return module


def decay(seed, n):
    return jnp.array(between(seed, 0.6, 0.95, n))


def lif(seed, n):
    layer = layers.LIF((n,), rngs=nnx.Rngs(0))
    layer.beta[...] = decay(seed, n)
    return layer


def cuba(seed, n):
    layer = layers.CuBaLIF((n,), rngs=nnx.Rngs(0))
    layer.alpha[...], layer.beta[...] = decay(seed, n), decay(seed + 1, n)
    return layer


def node(seed, *shape):
    """A LIF whose gain, leak and reset Spyx does not look at."""
    return nir.LIF(
        tau=between(seed, 2, 20, *shape), r=between(seed + 1, 1, 4, *shape), v_leak=between(seed + 2, 0, 0.1, *shape),
        v_threshold=between(seed + 3, 0.8, 1.2, *shape), v_reset=between(seed, 0, 0, *shape),
    )


def nets():
    yield exported("lif", events(1, 6), linear(2, 6, 12), lif(4, 12), linear(6, 12, 4), lif(8, 4))
    yield exported(
        "cubalif", events(10, 8, rate=0.1), linear(11, 8, 12, mean=0.0, spread=0.3), cuba(13, 12),
        linear(15, 12, 4, mean=-0.05, spread=0.2), cuba(17, 4),
    )
    yield exported(
        "if", events(20, 6), linear(21, 6, 12, mean=0.05), layers.IF((12,)),
        linear(23, 12, 4, mean=0.0), layers.IF((4,)),
    )
    hidden = layers.RLIF((10,), rngs=nnx.Rngs(0))
    hidden.beta[...] = decay(30, 10)
    hidden.recurrent_w[...] = jnp.array(weights(31, 10, 10, mean=-0.05, spread=0.2))
    yield Net("lif_loop", chain(
        [6], [4], fc=nir.Affine(weights(32, 10, 6), biases(33, 10)),
        hidden=loop(10, node(34, 10), nir.Linear(weights(38, 10, 10, mean=-0.05, spread=0.2))),
        out=nir.Linear(weights(39, 4, 10)), two=node(40, 4)), events(44, 6), DT, imported)
    neuron = nir.CubaLIF(
        tau_syn=between(50, 2, 8, 10), tau_mem=between(51, 2, 20, 10), r=between(52, 1, 4, 10), v_leak=between(53, 0, 0, 10),
        v_threshold=between(54, 0.8, 1.2, 10), v_reset=between(55, 0, 0, 10), w_in=between(56, 1, 3, 10))
    yield Net("cubalif_loop", chain(
        [8], [10], fc=nir.Affine(weights(57, 10, 8), biases(58, 10)),
        hidden=loop(10, neuron, nir.Affine(weights(59, 10, 10, mean=-0.05, spread=0.2), biases(60, 10)))),
        events(61, 8, rate=0.1), DT, imported)
    yield Net("lif_conv", chain(
        [1, 6, 6], [3, 3, 3],
        conv=nir.Conv2d(input_shape=(6, 6), weight=weights(70, 3, 1, 3, 3, mean=0.0), stride=(1, 1),
                        padding=(1, 1), dilation=(1, 1), groups=1, bias=biases(71, 3)),
        one=node(72, 3, 6, 6),
        pool=nir.SumPool2d(kernel_size=np.array([2, 2]), stride=np.array([2, 2]), padding=np.array([0, 0])),
        two=nir.IF(r=between(76, 1, 4, 3, 3, 3), v_threshold=between(77, 3, 5, 3, 3, 3))),
        events(80, 1, 6, 6, ticks=60), DT, imported)


if __name__ == "__main__":
    main(nets, imported)
