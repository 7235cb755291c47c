"""Reads signals that nirc wrote with NumPy and nir, and writes them again for nirc to read.

exchange_signals.py DIRECTORY DT

Reads  ours.npz, ours_events.h5, ours_grid.h5
Writes theirs.npz                          what NumPy reads, in Fortran order, big-endian where that can be
       theirs_from_{events,grid}.npz       what nir reads, on the grid of DT
       theirs_{events,grid}.h5             NIRData of what NumPy reads
"""

import pathlib
import sys

import nir
import numpy as np


def observables(graph, path=""):
    """(name, observable) of a graph's data; names are node.observable, nested nodes parted by /."""
    for name, node in graph.nodes.items():
        if isinstance(node, nir.NIRGraphData):
            yield from observables(node, f"{path}{name}/")
        else:
            for quantity, data in node.observables.items():
                yield f"{path}{name}.{quantity}", data


def gridded(data, dt):
    if not isinstance(data, nir.TimeGriddedData):
        data = data.to_time_gridded(dt)
    return np.transpose(data.data, (1, 0, 2))


def graph_data(arrays, convert):
    nodes = {}
    for name, array in arrays.items():
        if "/" in name:  # nir's writer of nested data recurses for ever
            continue
        node, quantity = name.rsplit(".", 1)
        nodes.setdefault(node, {})[quantity] = convert(np.transpose(array, (1, 0, 2)))
    return nir.NIRGraphData(
        {node: nir.NIRNodeData(data) for node, data in nodes.items()}
    )


def as_grid(array, dt):
    return nir.TimeGriddedData(array.astype(bool) if array.dtype == np.uint8 else array, dt)


def as_events(array, dt):
    if array.dtype == np.uint8:
        return as_grid(array, dt).to_event(n_events=array[0].size)
    samples, ticks, channels = array.shape
    idx = np.full((samples, array[0].size), -1)
    time = np.full(idx.shape, np.inf)
    value = np.zeros(idx.shape)
    for sample, bins in enumerate(array):
        tick, channel = np.nonzero(bins)
        idx[sample, : len(tick)] = channel
        time[sample, : len(tick)] = tick * dt
        value[sample, : len(tick)] = bins[tick, channel]
    return nir.ValuedEventData(idx, time, channels, ticks * dt, value)


def main():
    directory, dt = pathlib.Path(sys.argv[1]), float(sys.argv[2])
    with np.load(directory / "ours.npz") as archive:
        arrays = dict(archive)
    np.savez(
        directory / "theirs.npz",
        **{
            name: np.asfortranarray(array.astype(array.dtype.newbyteorder(">")))
            for name, array in arrays.items()
        },
    )
    for form, convert in [("events", as_events), ("grid", as_grid)]:
        ours = nir.read_data(directory / f"ours_{form}.h5")
        read = {name: gridded(data, dt) for name, data in observables(ours)}
        np.savez_compressed(directory / f"theirs_from_{form}.npz", **read)
        theirs = graph_data(arrays, lambda array: convert(array, dt))
        nir.write_data(directory / f"theirs_{form}.h5", theirs)


main()
