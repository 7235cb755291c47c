#!/usr/bin/env python3
"""Times training with exact spike times in jaxsnn and in nirc's native simulator, in turns, on one core.

Both train 5-120-3 on Yin-Yang with EventProp and Adam in batches of 22. jaxsnn's side is its own example
(`jaxsnn.examples.event.yinyang_layered_event_prop`): its network, loss and `update`, an epoch in one jitted
scan, without the first epoch, which compiles. Its neurons spike once at most and its time constants are 2 : 1,
for which it has a closed form; nirc's are 4 : 1, found by Newton's method, and spike as often as they do.

    jaxsnn_eventprop.py --nirc target/release/examples/exact_times [--rounds 3] [--core 0]
"""

import argparse
import os
import re
import statistics
import subprocess
import sys
import time

HIDDEN, BATCH, BATCHES, EPOCHS = 120, 22, 228, 3


def jaxsnn_rate():
    """Samples a second of the median epoch."""
    from functools import partial

    import jax
    import optax
    from jax import random
    from jaxsnn.base.dataset import data_loader, yinyang_dataset
    from jaxsnn.event.encode import encode, spatio_temporal_encode, target_temporal_encode
    from jaxsnn.event.loss import mse_loss
    from jaxsnn.event.modules import LIF, Linear, Source
    from jaxsnn.event.modules.lif.lif import LIFParameters
    from jaxsnn.event.topology import Topology
    from jaxsnn.event.training import update
    from jaxsnn.event.types import OptState
    from jaxsnn.examples.event.utils import loss_wrapper

    tau = 6e-6
    params = LIFParameters(v_reset=-1000.0, v_th=1.0, tau_syn=tau, tau_mem=2 * tau)
    weights_key, data_key, rng = random.split(random.PRNGKey(0), 3)
    data = yinyang_dataset(data_key, BATCH * BATCHES, mirror=True, bias_spike=0.0)
    inputs = partial(spatio_temporal_encode, t_late=2 * tau, duplication=5, duplicate_neurons=False)
    targets = partial(
        target_temporal_encode, n_classes=3, correct_target_time=0.8 * tau, wrong_target_time=1.2 * tau
    )
    spikes, labels = encode(data, jax.jit(jax.vmap(inputs)), jax.jit(jax.vmap(targets)))
    builder = Topology(t_max=4 * tau, backprop_method="eventprop")
    builder.add({
        "inp": Source(5),
        # As many events as the example has for 100 neurons: all spikes once, and the inputs.
        "lif1": LIF(HIDDEN, HIDDEN + 25, params),
        "lif2": LIF(3, HIDDEN + 3, params),
        "syn1": Linear(mean=3.0 / 5, std=1.6 / 5, min_delay=0.0),
        "syn2": Linear(mean=0.5, std=0.8, min_delay=0.0),
    })
    builder.connect([("inp", "syn1"), ("syn1", "lif1"), ("lif1", "syn2"), ("syn2", "lif2")])
    init, apply = builder.done()
    weights = init(weights_key)
    schedule = optax.exponential_decay(0.005, BATCHES, 0.99)
    optimizer = optax.chain(optax.scale(1 / tau), optax.clip(0.01), optax.adam(schedule))
    loss = partial(loss_wrapper, apply, mse_loss, params.tau_mem, "lif2", 3)
    scan = jax.jit(partial(jax.lax.scan, partial(update, optimizer, loss)))
    state = OptState(optimizer.init(weights), weights, rng)
    batches = data_loader(({"inp": spikes}, labels), BATCH, rng=rng)
    seconds = []
    for _ in range(1 + EPOCHS):
        start = time.perf_counter()
        state, _ = jax.block_until_ready(scan(state, batches))
        seconds.append(time.perf_counter() - start)
    return BATCH * BATCHES / statistics.median(seconds[1:])


def nirc_rate(program):
    """Samples a second that it prints."""
    output = subprocess.run([program, "1", "1"], check=True, capture_output=True, text=True).stdout
    found = re.search(r"^Train: (\d+) samples/s", output, re.MULTILINE)
    if not found:
        sys.exit(f"{program} printed no rate of training:\n{output}")
    return float(found[1])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--nirc", help="the example `exact_times` of nirc-host, built with --release")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--core", type=int, default=0)
    options = parser.parse_args()
    os.sched_setaffinity(0, {options.core})
    os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
    if options.nirc is None:
        print(f"{jaxsnn_rate():.0f}")
        return
    rates = {"jaxsnn": [], "nirc": []}
    for _ in range(options.rounds):
        # A process of its own, which leaves nothing behind for the other side.
        peer = subprocess.run(
            [sys.executable, __file__, "--core", str(options.core)], check=True, stdout=subprocess.PIPE, text=True
        )
        rates["jaxsnn"].append(float(peer.stdout.split()[-1]))
        rates["nirc"].append(nirc_rate(options.nirc))
    medians = {side: statistics.median(of_side) for side, of_side in rates.items()}
    print(f"5-120-3, batches of {BATCH}, one core, median of {options.rounds} rounds:")
    for side, median in medians.items():
        rounds = ", ".join(f"{rate:.0f}" for rate in rates[side])
        print(f"  {side:7} {median:8.0f} samples/s ({rounds})")
    print(f"  nirc is {medians['nirc'] / medians['jaxsnn']:.0f} times as fast")


if __name__ == "__main__":
    main()
