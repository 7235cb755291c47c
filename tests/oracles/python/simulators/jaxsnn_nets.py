"""jaxsnn: files read by `from_nir`, run by its event solver in f64, which gives spikes at exact times.

Version 0.3.0 has no exporter (`to_nir` came after it): the files are made with `nir`. It reads the weights of a Linear
as [source, target], where NIR has [target, source], so that a file of other than square weights fails, and one of
square weights is another network. The files here mean what NIR says; the weights are transposed before `from_nir` gets
them. A population takes the parameters of its first neuron for all of them; `r` and `w_in` do not count, nor does
`v_leak` in 0.3.0.

A raster goes in: a spike in tick k comes at k dt exactly. What comes out has no ticks.
"""

import jax

jax.config.update("jax_enable_x64", True)

import jax.numpy as jnp
import nir
import numpy as np
from jaxsnn import event
from jaxsnn.event.types import Spike

from common import Events, Net, between, chain, events, main, weights

DT = 0.25e-3
TICKS = 240
# Events that a layer can take, its own spikes among them.
STEPS = 800


def readable(graph):
    """The graph as `from_nir` wants it."""
    transposed = not hasattr(event, "to_nir")

    def node(old):
        if isinstance(old, nir.Linear) and transposed:
            return nir.Linear(weight=np.asarray(old.weight, np.float64).T)
        return old

    nodes = {name: node(old) for name, old in graph.nodes.items()}
    return nir.NIRGraph(nodes=nodes, edges=graph.edges, type_check=False)


def imported(graph, x, dt):
    """Runs a file's graph in jaxsnn."""
    t_max = len(x) * dt
    steps = {name: STEPS for name in graph.nodes}
    topology = event.from_nir(readable(graph), event.ConversionConfig(n_steps=steps, t_max=t_max))
    start, apply = topology.done()
    given = {name for name, node in graph.nodes.items() if isinstance(node, nir.Input)}
    ticks, channels = np.nonzero(x)
    n = len(ticks)
    spikes = Spike(
        time=jnp.array([ticks * dt]), idx=jnp.array([channels]), current=jnp.zeros((1, n)),
        layer_idx=jnp.zeros((1, n), int), internal=jnp.ones((1, n), bool),
    )
    out = jax.jit(apply)({name: spikes for name in given}, start(jax.random.PRNGKey(0)))
    kept = {}
    arriving = (ticks * dt, channels)
    # Nodes in a row.
    weight = None
    for name, node in graph.nodes.items():
        if isinstance(node, nir.Linear):
            weight = np.asarray(node.weight, np.float64)
        if isinstance(node, nir.CubaLIF):
            layer = out[name]
            assert layer.idx[0, -1] == -1, "more events than steps"
            own = np.asarray(layer.internal[0])
            fired = (np.asarray(layer.time[0])[own], np.asarray(layer.idx[0])[own])
            kept[name] = Events(*fired, **solved_again(node, weight, arriving, fired, t_max))
            arriving = fired
    return kept


def solved_again(node, weight, arriving, fired, t_max):
    """A check of the spikes by the exact solution between the events, and what it tells beside them.

    The margin is how near to its threshold a voltage turns, in units of it: the least distance of a peak that no spike
    follows, and of the peak that would have followed a spike without its reset.

    The lateness is what a solver of ticks may be late with a spike, in ticks, if all that it does wrong is to see
    spikes and to reset at the end of the tick: the first spike by one tick, and any other by one tick and what the
    reset before it does. A reset that is late by s is a later spike by
    s (I(reset) - v_reset) exp(-dt/tau_mem) / (I(spike) - v_threshold), with dt from the one to the other.
    """
    mem, syn = float(node.tau_mem[0]) * 1e-3, float(node.tau_syn[0]) * 1e-3
    threshold, v_reset = float(node.v_threshold[0]), float(node.v_reset[0])

    def after(v, i, t):
        a, b = np.exp(-t / syn), np.exp(-t / mem)
        overlap = t / mem * b if mem == syn else syn * (a - b) / (syn - mem)
        return v * b + i * overlap, i * a

    def turn(v, i, end):
        """The peak within a time, if the voltage turns: V' = (I - V) / mem is 0 there."""
        low, high = 0.0, end
        if i <= v or (lambda v, i: i >= v)(*after(v, i, end)):
            return None
        for _ in range(100):
            middle = (low + high) / 2
            vm, im = after(v, i, middle)
            low, high = (middle, high) if im > vm else (low, middle)
        return after(v, i, low)[0]

    def peak(v, i, t, rest):
        """The first peak from now on without a spike."""
        for time, step in rest:
            turned = turn(v, i, time - t)
            if turned is not None:
                return turned
            rising = i > v
            v, i = after(v, i, time - t)
            t, rising, i = time, i > v, i + step
            if rising and i < v:
                return v
        return None

    nearest, lateness = 1.0, np.zeros(len(fired[0]))
    for neuron in range(len(node.tau_mem)):
        inputs = [(t, weight[neuron, j]) for t, j in zip(*arriving)] + [(t_max, 0.0)]
        places = np.flatnonzero(fired[1] == neuron)
        own = fired[0][places]
        v, i, t, at, late, before = 0.0, 0.0, 0.0, 0, [], None
        for spike in [*own, None]:
            while at < len(inputs) and (spike is None or inputs[at][0] <= spike):
                found = peak(v, i, t, inputs[at:at + 1])
                if found is not None:
                    assert found < threshold, "a spike is missing"
                    nearest = min(nearest, (threshold - found) / threshold)
                v, i = after(v, i, inputs[at][0] - t)
                t, i = inputs[at][0], i + inputs[at][1]
                at += 1
            if spike is not None:
                v, i = after(v, i, spike - t)
                t = spike
                assert abs(v - threshold) < 1e-9 * threshold, f"a spike at {v} of {threshold}"
                found = peak(v, i, t, inputs[at:])
                if found is not None:
                    nearest = min(nearest, (found - threshold) / threshold)
                late.append(1.0)
                if before is not None:
                    reset, current = before
                    grows = (current - v_reset) * np.exp(-(t - reset) / mem) / (i - threshold)
                    late[-1] += late[-2] * grows
                before = t, i
                v = v_reset
        lateness[places] = late
    return {"margin": nearest, "lateness": lateness}


def cuba(seed, n, mem, syn, v_reset=0.0, v_leak=0.0, threshold=1.0):
    """Neurons of one kind. Time constants are in milliseconds, and exact, as jaxsnn's solver asks for their ratio."""
    one = np.ones(n)
    return nir.CubaLIF(
        tau_mem=mem * one, tau_syn=syn * one, v_threshold=threshold * one, v_reset=v_reset * one, v_leak=v_leak * one,
        r=between(seed, 0.5, 1.5, n), w_in=between(seed + 1, 1, 3, n),
    )


def linear(seed, outputs, inputs, mean, spread=1.0):
    return nir.Linear(weights(seed, outputs, inputs, mean=mean, spread=spread))


def drawn(name, graph, seed):
    """The network with the first input by which no voltage turns within 1 % of its threshold.

    Nearer than that, ticks of any affordable length decide otherwise whether there is a spike, and then all later
    ones of the neuron differ."""
    while True:
        x = events(seed, 6, rate=0.02, ticks=TICKS)
        kept = imported(graph, x, DT)
        if min(population.margin for population in kept.values()) >= 0.01:
            return Net(name, graph, x, DT, lambda *_: kept)
        print(f"{name}: another input than that of seed {seed}, which leaves a voltage too near to its threshold")
        seed += 1000


def nets():
    yield drawn("double", chain(
        [6], [8], fc=linear(1, 8, 6, mean=0.75, spread=1.25), neurons=cuba(2, 8, 20, 10)), 3)
    yield drawn("equal", chain([6], [8], fc=linear(11, 8, 6, mean=0.5), neurons=cuba(12, 8, 8, 8)), 13)
    yield drawn("reset", chain(
        [6], [6], fc=linear(21, 6, 6, mean=0.5), neurons=cuba(22, 6, 12, 6, v_reset=-0.5, threshold=0.75)), 23)
    yield drawn("leak", chain(
        [6], [6], fc=linear(31, 6, 6, mean=0.75, spread=1.25), neurons=cuba(32, 6, 20, 10, v_leak=0.25)), 33)
    yield drawn("double_two", chain(
        [6], [5], fc=linear(41, 8, 6, mean=0.75, spread=1.25), one=cuba(42, 8, 20, 10),
        out=linear(43, 5, 8, mean=0.5), two=cuba(44, 5, 10, 5)), 45)
    yield drawn("equal_two", chain(
        [6], [5], fc=linear(51, 8, 6, mean=0.25), one=cuba(52, 8, 8, 8),
        out=linear(53, 5, 8, mean=0.15), two=cuba(54, 5, 10, 10, v_reset=-0.25)), 55)


if __name__ == "__main__":
    main(nets, imported)
