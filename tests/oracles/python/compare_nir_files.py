"""Compares pairs of .nir files as the reference implementation, Python `nir`, reads them.

usage: compare_nir_files.py ORIGINAL REWRITTEN [ORIGINAL REWRITTEN ...]

Prints the version of `nir`, then a line for each pair:
  same        both are read, and give the same graph: nodes, edges, values, element types, metadata
  unreadable  the original is not read, and neither is the other (nothing to compare)
  different   with what differs; the exit status is then 1
Exits with 2 if `nir` is not installed.
"""

import sys

try:
    import h5py
    import nir
    import numpy as np
except ImportError as error:
    print(f"cannot import: {error}")
    sys.exit(2)


def read(path):
    """The graph as nested dictionaries, or the error. A graph that is only read with its shapes
    unchecked (an option since 1.0.7) says so, so that it differs from one that passes the check."""
    try:
        return {"checked": True, **nir.read(path).to_dict()}, None
    except Exception as error:
        checked = f"{type(error).__name__}: {error}"
    try:
        return {"checked": False, **nir.read(path, type_check=False).to_dict()}, None
    except Exception:
        return None, checked


def differences(a, b, path=""):
    """Where two values differ."""
    if isinstance(a, dict) and isinstance(b, dict):
        for key in sorted(set(a) | set(b), key=str):
            if key not in a or key not in b:
                yield f"{path}/{key}: only in {'the second' if key not in a else 'the first'}"
            else:
                yield from differences(a[key], b[key], f"{path}/{key}")
    elif isinstance(a, (np.ndarray, np.generic)) or isinstance(b, (np.ndarray, np.generic)):
        a, b = np.asarray(a), np.asarray(b)
        if a.dtype != b.dtype or a.shape != b.shape:
            yield f"{path}: {a.dtype}{a.shape} against {b.dtype}{b.shape}"
        elif a.dtype.kind in "OSU":
            if not (a == b).all():
                yield f"{path}: other text"
        elif a.tobytes() != b.tobytes():
            yield f"{path}: other values"
    elif a != b:
        yield f"{path}: {a!r} against {b!r}"


def raw(path):
    """Everything in the file, without the reference implementation's opinion."""
    items = {}

    def visit(name, item):
        items[name] = item[()] if isinstance(item, h5py.Dataset) else "group"

    with h5py.File(path) as file:
        file.visititems(visit)
    return items


def compare(original, rewritten):
    found = list(differences(raw(original), raw(rewritten)))
    graph, error = read(original)
    again, error_again = read(rewritten)
    if graph is None:
        if again is not None:
            found.append(f"only the second is read; the first: {error}")
        elif not found:
            return "unreadable"
        else:
            found.append(f"neither is read: {error}")
    elif again is None:
        found.append(f"only the first is read; the second: {error_again}")
    else:
        found += differences(graph, again)
    return "different " + "; ".join(found) if found else "same"


def main(paths):
    print("nir", getattr(nir, "__version__", None) or nir.version)
    outcomes = [compare(*pair) for pair in zip(paths[::2], paths[1::2])]
    print("\n".join(outcomes))
    return 1 if any(o.startswith("different") for o in outcomes) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
