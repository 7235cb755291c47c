"""Writes model.nir: a network that compares what comes in with what came in before.

    input 10 ──► direct ───────────┐
        │                          ▼
        └──► late (Delay) ──► fc ─► CubaLIF 40 ──► readout ──► CubaLI, 2 outputs

Weights and delays are drawn here. The delays, 8 to 14 ms, are shorter than what the task asks for; training finds what they have
to be.
"""

import nir
import numpy as np

CHANNELS, HIDDEN = 10, 40
TAU_MEM, TAU_SYN, TAU_OUT = 4e-3, 2e-3, 10e-3

rng = np.random.RandomState(0)


def weights(mean, deviation, *shape):
    return rng.normal(mean, deviation, shape).astype(np.float32)


def full(value, size):
    return np.full(size, value, np.float32)


nodes = {
    "input": nir.Input({"input": np.array([CHANNELS])}),
    "direct": nir.Linear(weight=weights(0.8, 0.8, HIDDEN, CHANNELS)),
    "late": nir.Delay(delay=rng.uniform(8e-3, 14e-3, CHANNELS).astype(np.float32)),
    "fc": nir.Linear(weight=weights(0.8, 0.8, HIDDEN, CHANNELS)),
    "hidden": nir.CubaLIF(
        tau_syn=full(TAU_SYN, HIDDEN),
        tau_mem=full(TAU_MEM, HIDDEN),
        r=full(1, HIDDEN),
        v_leak=full(0, HIDDEN),
        v_reset=full(0, HIDDEN),
        v_threshold=full(1, HIDDEN),
        w_in=full(1, HIDDEN),
    ),
    "readout": nir.Linear(weight=weights(0, 0.03, 2, HIDDEN)),
    "out": nir.CubaLI(
        tau_syn=full(5e-3, 2),
        tau_mem=full(TAU_OUT, 2),
        r=full(1, 2),
        v_leak=full(0, 2),
        w_in=full(1, 2),
    ),
    "output": nir.Output({"output": np.array([2])}),
}
edges = [
    ("input", "direct"),
    ("direct", "hidden"),
    ("input", "late"),
    ("late", "fc"),
    ("fc", "hidden"),
    ("hidden", "readout"),
    ("readout", "out"),
    ("out", "output"),
]
nir.write("model.nir", nir.NIRGraph(nodes=nodes, edges=edges))
