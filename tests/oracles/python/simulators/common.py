"""What the scripts of all simulators share: seeded networks, inputs, and the files they write.

A script is called as `TOOL_nets.py record FOLDER` or `TOOL_nets.py run FILE.nir INPUT.npz OUT.npz`. The first writes
`NAME.nir` and `NAME.npz` for each of its networks; the second runs a file in the tool. A recording holds

    input            (T, J...)  what went in, channels first
    dt               ()         seconds a tick
    POPULATION.spikes  (T, N)   spikes of each tick (a count, where a neuron can fire several times a tick)
    POPULATION.v       (T, N)   the voltage that the tool keeps from tick to tick

and of a tool without ticks, which gives `Events`, in place of the last two

    POPULATION.times    (S,)    when its spikes are, in seconds from the beginning of the first tick
    POPULATION.neurons  (S,)    whose they are
    POPULATION.lateness (S,)    ticks by which one may be late that is seen, and resets, at the end of its tick
    POPULATION.margin   ()      how near a voltage comes to a spike more or less, in units of the threshold
"""

import contextlib
import io
import logging
import sys
import warnings
from pathlib import Path

warnings.filterwarnings("ignore")
logging.disable(logging.WARNING)

import nir
import numpy as np

TICKS = 120


class Net:
    """A network to record: its graph, what goes in, and how it runs."""

    def __init__(self, name, graph, x, dt, run):
        self.name, self.graph, self.x, self.dt, self.run = name, graph, x, dt, run


class Events:
    """What a tool without ticks gives of a population."""

    def __init__(self, times, neurons, lateness, margin):
        self.times, self.neurons, self.lateness, self.margin = times, neurons, lateness, margin


def rng(seed):
    return np.random.default_rng(seed)


def events(seed, *shape, rate=0.3, ticks=TICKS):
    """Random spikes, (T, ...)."""
    return (rng(seed).random((ticks, *shape)) < rate).astype(np.float32)


def exact(x):
    """The nearest multiples of 1/1024: sums of them are exact in any order, as the tools have orders of their own."""
    return (np.round(x * 1024) / 1024).astype(np.float32)


def weights(seed, *shape, mean=0.15, spread=0.4):
    """Random weights, outputs first."""
    return exact(rng(seed).normal(mean, spread, shape))


def biases(seed, n):
    """Random biases."""
    return exact(rng(seed).uniform(-0.03, 0.1, n))


def between(seed, low, high, *shape):
    """Random parameters in a range."""
    return rng(seed).uniform(low, high, shape).astype(np.float32)


def chain(inputs, outputs, **nodes):
    """The graph of nodes in a row between an Input and an Output of these shapes."""
    names = ["input", *nodes, "output"]
    nodes = {
        "input": nir.Input({"input": np.array(inputs)}),
        **nodes,
        "output": nir.Output({"output": np.array(outputs)}),
    }
    return nir.NIRGraph(nodes=nodes, edges=list(zip(names, names[1:])), type_check=False)


def loop(n, neuron, weight):
    """The subgraph of neurons whose spikes come back through weights."""
    return nir.NIRGraph(
        nodes={
            "input": nir.Input({"input": np.array([n])}),
            "lif": neuron,
            "w_rec": weight,
            "output": nir.Output({"output": np.array([n])}),
        },
        edges=[("input", "lif"), ("lif", "w_rec"), ("w_rec", "lif"), ("lif", "output")],
        type_check=False,
    )


def quiet(function, *arguments, **named):
    """Calls a function that prints."""
    with contextlib.redirect_stdout(io.StringIO()):
        return function(*arguments, **named)


def flat(x):
    """(T, N) in f32."""
    x = np.asarray(x, np.float32)
    return x.reshape(len(x), -1)


def write(path, x, dt, recorded):
    """Writes a recording, after a look whether it can decide anything."""
    arrays = {"input": np.asarray(x, np.float32), "dt": np.float64(dt)}
    for population, kept in recorded.items():
        if isinstance(kept, Events):
            arrays[f"{population}.times"] = np.asarray(kept.times, np.float64)
            arrays[f"{population}.neurons"] = np.asarray(kept.neurons, np.uint8)
            arrays[f"{population}.lateness"] = np.asarray(kept.lateness, np.float64)
            arrays[f"{population}.margin"] = np.float64(kept.margin)
            continue
        spikes, v = kept
        if spikes is not None:
            arrays[f"{population}.spikes"] = flat(spikes).astype(np.uint8)
            assert np.array_equal(arrays[f"{population}.spikes"], flat(spikes)), population
        if v is not None:
            arrays[f"{population}.v"] = flat(v)
    np.savez_compressed(path, **arrays)


def record(net, folder):
    nir.write(folder / f"{net.name}.nir", net.graph, compression=None)
    recorded = net.run(net.graph, net.x, net.dt)
    for population, kept in recorded.items():
        if isinstance(kept, Events):
            of = np.bincount(kept.neurons)
            print(f"{net.name} {population}: {of} spikes, margin {kept.margin:.2e}")
            assert of.max() > 2, "some should fire several times"
            continue
        spikes, _ = kept
        if spikes is not None:
            share = np.count_nonzero(spikes) / np.size(spikes)
            print(f"{net.name} {population}: {share:.3f} of {np.size(spikes)} bins with spikes")
            assert 0.005 < share < 0.7, "it should fire, and not always"
    write(folder / f"{net.name}.npz", net.x, net.dt, recorded)


def main(nets, run):
    """The command line of a script: `nets()` gives its networks, `run(graph, x, dt)` runs a file's graph."""
    match sys.argv[1:]:
        case ["record", folder]:
            folder = Path(folder)
            folder.mkdir(parents=True, exist_ok=True)
            for net in nets():
                record(net, folder)
        case ["run", file, recording, out]:
            with np.load(recording) as given:
                x, dt = given["input"], float(given["dt"])
            write(out, x, dt, run(nir.read(file, type_check=False), x, dt))
        case _:
            sys.exit(__doc__)
