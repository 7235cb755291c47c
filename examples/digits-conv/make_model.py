"""Writes model.nir: a small convolutional network for 8 x 8 digits.

input 1 x 8 x 8 -> Conv2d 3 x 3, 64 channels -> CubaLIF 64 x 6 x 6 -> SumPool2d 2 x 2 -> Flatten -> Linear -> LI, 10 outputs

Weights are drawn here; biases of the convolution are 0 to begin with. The scales of time and input are such that a
spike of weight w raises a current, and an output's voltage, by w at a tick of 1 ms.
"""

import nir
import numpy as np

TICK, TAU_MEM, TAU_SYN, TAU_OUT = 1e-3, 20e-3, 5e-3, 20e-3
CHANNELS, SIDE, POOL = 64, 6, 2

rng = np.random.RandomState(0)
kernel = rng.normal(0.3, 1.5, (CHANNELS, 1, 3, 3)).astype(np.float32)
pooled = (CHANNELS, SIDE // POOL, SIDE // POOL)
readout = rng.normal(0.0, 0.07, (10, np.prod(pooled))).astype(np.float32)


def full(value, *shape):
    return np.full(shape, value, np.float32)


hidden = (CHANNELS, SIDE, SIDE)
nodes = {
    "input": nir.Input({"input": np.array([1, 8, 8])}),
    "conv": nir.Conv2d(
        input_shape=(8, 8), weight=kernel, stride=1, padding=0, dilation=1, groups=1, bias=full(0, CHANNELS)
    ),
    "hidden": nir.CubaLIF(
        tau_syn=full(TAU_SYN, *hidden),
        tau_mem=full(TAU_MEM, *hidden),
        r=full(1, *hidden),
        v_leak=full(0, *hidden),
        v_reset=full(0, *hidden),
        v_threshold=full(1, *hidden),
        w_in=full(TAU_SYN / TICK, *hidden),
    ),
    "pool": nir.SumPool2d(
        kernel_size=np.array([POOL, POOL]), stride=np.array([POOL, POOL]), padding=np.array([0, 0])
    ),
    "flatten": nir.Flatten({"input": np.array(pooled)}, start_dim=0, end_dim=-1),
    "fc": nir.Linear(weight=readout),
    "out": nir.LI(tau=full(TAU_OUT, 10), r=full(TAU_OUT / TICK, 10), v_leak=full(0, 10)),
    "output": nir.Output({"output": np.array([10])}),
}
names = list(nodes)
nir.write("model.nir", nir.NIRGraph(nodes=nodes, edges=list(zip(names, names[1:]))))
