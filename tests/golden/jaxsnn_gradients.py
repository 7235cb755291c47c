"""Records jaxsnn_gradients.npz: losses and gradients of jaxsnn's event solver, by both of its methods.

    python tests/golden/jaxsnn_gradients.py

Needs jaxsnn 0.3.0 with jax 0.10.2 on a CPU; runs in f64. `tests/tests/jaxsnn.rs` has the same networks by the same
names. jaxsnn solves time constants of 2 : 1 and 1 : 1 only.

Times in ms, as nirc's with bins of 1 ms. Losses are read off the first output spikes: `cross_entropy` is
log sum_k exp((t_label - t_k) / XI), `targets` the mean square of the distance from HIT and MISS.
"""

import pathlib

import jax

jax.config.update("jax_enable_x64", True)

import jax.numpy as jnp
import numpy as np
from jaxsnn.event.modules import LIF, Linear, Source
from jaxsnn.event.modules.lif.lif import LIFParameters
from jaxsnn.event.topology import Topology
from jaxsnn.event.types import Spike

SAMPLES = 20
T_MAX = 60.0
XI, HIT, MISS = 1.5, 8.0, 14.0
SIZES = [5, 20, 3]
# Time constants, and means and deviations of the weights.
NETS = {
    "double": ((10.0, 5.0), ((1.9, 1.2), (0.5, 0.4))),
    "equal": ((8.0, 8.0), ((1.0, 0.5), (0.25, 0.2))),
}
# Events that a layer can take, its own spikes among them.
STEPS = [150, 300]


def network(taus, method):
    params = LIFParameters(v_reset=0.0, v_th=1.0, tau_syn=taus[1], tau_mem=taus[0])
    topology = Topology(t_max=T_MAX, backprop_method=method)
    topology.add({
        "in": Source(SIZES[0]),
        "hidden": LIF(SIZES[1], STEPS[0], params),
        "out": LIF(SIZES[2], STEPS[1], params),
        "w1": Linear(mean=0.0, std=1.0, min_delay=0.0),
        "w2": Linear(mean=0.0, std=1.0, min_delay=0.0),
    })
    topology.connect([("in", "w1"), ("w1", "hidden"), ("hidden", "w2"), ("w2", "out")])
    start, apply = topology.done()
    return start(jax.random.PRNGKey(0)), apply


def first_spikes(events):
    own = jnp.where(events.internal, events.time, jnp.inf)
    first = [jnp.min(jnp.where(events.idx == k, own, jnp.inf)) for k in range(SIZES[2])]
    return jnp.minimum(jnp.array(first), T_MAX)


def cross_entropy(first, label):
    return jax.nn.logsumexp((first[label] - first) / XI)


def targets(first, label):
    target = jnp.where(jnp.arange(SIZES[2]) == label, HIT, MISS)
    return jnp.mean((first - target) ** 2)


def spikes(times, channels):
    order = jnp.argsort(times)
    n = len(times)
    return Spike(
        time=times[order][None], idx=channels[order][None], current=jnp.zeros((1, n)),
        layer_idx=jnp.zeros((1, n), int), internal=jnp.ones((1, n), bool),
    )


def only(events):
    return jax.tree.map(lambda leaf: leaf[0], events)


def record(name, taus, scales, kept):
    rng = np.random.RandomState(7)
    w = [rng.normal(m, s, (a, b)) for (m, s), a, b in zip(scales, SIZES, SIZES[1:])]
    # Each channel once, some twice.
    channels = np.array([0, 1, 2, 3, 4, 1, 3])
    times = np.concatenate([rng.uniform(2, 20, (SAMPLES, 5)), rng.uniform(22, 30, (SAMPLES, 2))], 1)
    w, times = [x.astype(np.float32) for x in w], times.astype(np.float32)
    labels = rng.randint(0, 3, SAMPLES)
    kept |= {f"{name}_w1": w[0], f"{name}_w2": w[1], f"{name}_times": times, f"{name}_labels": labels}
    kept["channels"] = channels
    for method in ["eventprop", "analytical"]:
        given, apply = network(taus, method)

        def run(weights, times):
            out = apply({"in": spikes(times, jnp.array(channels))}, weights)
            return out

        # The parameters are a tree of weights by name.
        weights = {"w1": jnp.array(w[0], jnp.float64), "w2": jnp.array(w[1], jnp.float64)}
        assert jax.tree.structure({k: given[k] for k in weights}) == jax.tree.structure(weights)
        weights = {**given, **weights}
        for loss in [cross_entropy, targets]:
            def value(weights, times, label):
                out = run(weights, times)
                for layer, steps in zip(["hidden", "out"], STEPS):
                    assert out[layer].idx.shape[-1] == steps
                first = first_spikes(only(out["out"]))
                return loss(first, label), (first, out["hidden"].idx[0, -1], out["out"].idx[0, -1])

            both = jax.jit(jax.value_and_grad(value, has_aux=True))
            found = []
            for t, label in zip(times, labels):
                (l, (first, *last)), g = both(weights, jnp.array(t, jnp.float64), label)
                assert all(int(k) == -1 for k in last), "more events than steps"
                found.append((first, l, g["w1"], g["w2"]))
            key = f"{name}_{method}_{loss.__name__}"
            for field, values in zip(["first", "loss", "g1", "g2"], zip(*found)):
                kept[f"{key}_{field}"] = np.array(values)
            print(key, np.array([f[1] for f in found])[:4], np.abs(np.array([f[2] for f in found])).max())


def main():
    kept = {}
    for name, (taus, scales) in NETS.items():
        record(name, taus, scales, kept)
    np.savez_compressed(pathlib.Path(__file__).with_suffix(".npz"), **kept)
    for name in NETS:
        for loss in ["cross_entropy", "targets"]:
            a, b = (kept[f"{name}_{m}_{loss}_g1"] for m in ["eventprop", "analytical"])
            norm = np.abs(b).max(axis=(1, 2))
            print(name, loss, "methods differ by", (np.abs(a - b).max(axis=(1, 2)) / norm))


if __name__ == "__main__":
    main()
