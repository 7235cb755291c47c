"""Writes recurrent.nir and feedforward.nir: the same network with and without recurrent synapses.

    input 20 -> Linear -> CubaLIF 64 -> Affine -> LI, 2 outputs
                            |   ^
                            v   |
                            Linear

Weights are drawn here, the same for both files. A hidden neuron excites itself, so strongly that it goes on spiking once
it has begun (as the identity does that recurrent networks of ReLUs are begun with); all other recurrent weights are 0
to begin with. The threshold is 100, and hidden weights are as much larger: Adam moves every weight by about the learning
rate, and these shall move slowly against the read-out's.

The scales of time and input are such that a spike of weight w raises a current by w at a tick of 1 ms.
"""

import nir
import numpy as np

TICK, TAU_MEM, TAU_SYN, TAU_OUT = 1e-3, 10e-3, 5e-3, 10e-3
CHANNELS, HIDDEN, THRESHOLD = 20, 64, 100.0

rng = np.random.RandomState(0)
inputs = (THRESHOLD * rng.normal(0, 2, (HIDDEN, CHANNELS))).astype(np.float32)
recurrent = (THRESHOLD * 6 * np.eye(HIDDEN)).astype(np.float32)
readout = rng.normal(0, 0.03, (2, HIDDEN)).astype(np.float32)


def full(value, size):
    return np.full(size, value, np.float32)


nodes = {
    "input": nir.Input({"input": np.array([CHANNELS])}),
    "fc": nir.Linear(weight=inputs),
    "hidden": nir.CubaLIF(
        tau_syn=full(TAU_SYN, HIDDEN),
        tau_mem=full(TAU_MEM, HIDDEN),
        r=full(1, HIDDEN),
        v_leak=full(0, HIDDEN),
        v_reset=full(0, HIDDEN),
        v_threshold=full(THRESHOLD, HIDDEN),
        w_in=full(TAU_SYN / TICK, HIDDEN),
    ),
    "readout": nir.Affine(weight=readout, bias=full(0, 2)),
    "out": nir.LI(tau=full(TAU_OUT, 2), r=full(30, 2), v_leak=full(0, 2)),
    "output": nir.Output({"output": np.array([2])}),
}
names = list(nodes)
edges = list(zip(names, names[1:]))
nir.write("feedforward.nir", nir.NIRGraph(nodes=nodes, edges=edges))

nodes["recurrent"] = nir.Linear(weight=recurrent)
edges += [("hidden", "recurrent"), ("recurrent", "hidden")]
nir.write("recurrent.nir", nir.NIRGraph(nodes=nodes, edges=edges))
