"""Writes .nir files that are legal HDF5 but out of the ordinary, for the reader to be tried on.

usage: write_odd_nir_files.py DIRECTORY

Files whose names start with `ok_` hold a NIR graph in[4] -> fc[3, 4] -> lif[3] -> out with some
unusual element type, layout or link (`ok_link_`: one that is passed over with a warning); those that start with `no_` hold something that NIR does not
have, and the rest of the name up to the first dot is the diagnostic code expected for it.
"""

import pathlib
import sys

try:
    import h5py
    import numpy as np
except ImportError as error:
    print(f"cannot import: {error}")
    sys.exit(2)


def text(group, name, value):
    group.create_dataset(name, data=value, dtype=h5py.string_dtype())


def write(path, weight=None, change=None, **options):
    """A small graph; `weight` may be an array or a function that creates the data set."""
    with h5py.File(path, "w", **options) as file:
        text(file, "version", "1.0.8")
        node = file.create_group("node")
        text(node, "type", "NIRGraph")
        edges = [("in", "fc"), ("fc", "lif"), ("lif", "out")]
        node.create_dataset("edges", data=edges, dtype=h5py.string_dtype())
        nodes = node.create_group("nodes")
        for name, kind, shape in [("in", "Input", 4), ("out", "Output", 3)]:
            text(nodes.create_group(name), "type", kind)
            nodes[name]["shape"] = np.array([shape])
        fc = nodes.create_group("fc")
        text(fc, "type", "Linear")
        if callable(weight):
            weight(fc)
        else:
            fc["weight"] = default_weight() if weight is None else weight
        lif = nodes.create_group("lif")
        text(lif, "type", "LIF")
        for field, value in [("tau", 0.5), ("r", 1), ("v_leak", 0), ("v_threshold", 1)]:
            lif[field] = np.full(3, value, "f4")
        if change:
            change(file)


def default_weight(dtype="f4"):
    return np.arange(12).reshape(3, 4).astype(dtype)


def packed(**options):
    return lambda fc: fc.create_dataset("weight", data=default_weight(), **options)


def metadata(file):
    group = file["node"].create_group("metadata")
    group["truth"] = True
    group["truths"] = np.array([True, False])
    group["fixed"] = np.bytes_(b"fixed")
    group["fixed_list"] = np.array([b"a", b"bcd"])
    group["small"] = np.int8(-3)
    group["none_at_all"] = np.zeros((0, 3), "i2")
    text(group, "empty", "")
    text(group, "unicode", "Ünïcödé 🧠")
    group.create_dataset("list", data=["x", "yz"], dtype=h5py.string_dtype())
    group.create_group("deep/deeper")["value"] = np.float32(1.5)


def virtual(fc):
    layout = h5py.VirtualLayout((3, 4), "f4")
    layout[:] = h5py.VirtualSource("elsewhere.h5", "weight", (3, 4))
    fc.create_virtual_dataset("weight", layout)


def external(fc):
    fc.create_dataset("weight", (3, 4), "f4", external=[("elsewhere.bin", 0, 48)])


def cyclic(file):
    file["node/nodes/again"] = file["node"]


def link_away(file):
    file["node"].create_group("metadata")["notes"] = h5py.ExternalLink("elsewhere.h5", "/notes")


def link_within(file):
    file["node"].create_group("metadata")["notes"] = h5py.SoftLink("/version")


def attributes(file):
    file["node"].attrs["made_by"] = "hand"
    file["node/nodes/fc/weight"].attrs["unit"] = "mV"


def main(directory):
    directory = pathlib.Path(directory)

    for dtype in ["<f2", ">f2", ">f4", ">f8", "i1", "u1", "<i2", ">i4", "<u4", ">i8", "<u8", "?"]:
        name = dtype.replace("<", "little_").replace(">", "big_").replace("?", "bool")
        write(directory / f"ok_type_{name}.nir", default_weight(dtype))
    write(directory / "ok_gzip9_shuffle_fletcher.nir",
          packed(chunks=(2, 3), compression=9, shuffle=True, fletcher32=True))
    write(directory / "ok_lzf_shuffle.nir", packed(chunks=(1, 4), compression="lzf", shuffle=True))
    write(directory / "ok_chunks_only.nir", packed(chunks=(2, 2)))
    write(directory / "ok_resizable.nir", packed(maxshape=(None, 4), chunks=(8, 4), compression=1))
    for version in ["earliest", "v108", "v110", "v112", "v114"]:
        write(directory / f"ok_libver_{version}.nir", packed(chunks=(2, 2), compression=4),
              libver=version)
    write(directory / "ok_tracked_order.nir", track_order=True)
    write(directory / "ok_metadata.nir", change=metadata)
    write(directory / "ok_user_block.nir", userblock_size=512)
    write(directory / "ok_attributes.nir", change=attributes)
    write(directory / "ok_link_external.nir", change=link_away)
    write(directory / "ok_link_soft.nir", change=link_within, libver="v108")

    write(directory / "no_N0106.compound.nir", np.zeros((3, 4), [("re", "f4"), ("im", "f4")]))
    write(directory / "no_N0106.complex.nir", np.zeros((3, 4), "c8"))
    write(directory / "no_N0106.opaque.nir", np.zeros((3, 4), "V5"))
    write(directory / "no_N0106.empty.nir", h5py.Empty("f4"))
    write(directory / "no_N0106.scaleoffset.nir", packed(chunks=(3, 4), scaleoffset=2))
    write(directory / "no_N0106.sequences.nir",
          lambda fc: fc.create_dataset("weight", (3,), h5py.vlen_dtype("f4")))
    write(directory / "no_N0106.virtual.nir", virtual)
    write(directory / "no_N0106.external.nir", external)
    if h5py.version.hdf5_version_tuple >= (2, 0, 0):  # its newest layout is not read yet
        write(directory / "no_N0106.libver_latest.nir", packed(chunks=(2, 2), compression=4),
              libver="latest")
    write(directory / "no_N0106.soft_link.nir", change=link_within)
    write(directory / "no_N0104.cycle.nir", change=cyclic)
    write(directory / "no_N0105.unwritten.nir",
          lambda fc: fc.create_dataset("weight", (1 << 20, 1 << 20), "f4", chunks=(1, 1 << 16)))


if __name__ == "__main__":
    main(*sys.argv[1:])
