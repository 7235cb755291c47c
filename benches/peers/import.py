"""Times Python's `nir.read` against nirc's read and import, file by file.

usage: import.py [--nirc ../../target/release/examples/import_time] [--rounds 20] [PATH ...]

Run it with a Python that has `nir` and h5py. A path is a file or a directory; by default the corpus beside
the repository and the examples. Both sides read from the same warm files, in a running process, and the best
of the rounds counts. A file that Python does not read has no ratio; nor has one that nirc does not read. One
that nirc reads but whose network it refuses is marked; its time is that until all problems are told.
Exits with 1 if a file takes more than a tenth of Python's time.
"""

import argparse
import pathlib
import subprocess
import sys
import time

import nir

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
DEFAULT_PATHS = [ROOT.parent / "shared" / "nir", ROOT.parent / "shared" / "models", ROOT / "examples"]
TARGET_RATIO = 10


def files(paths):
    """All files of graphs at or below the paths, in order."""
    for path in paths:
        found = path.rglob("*") if path.is_dir() else [path]
        yield from sorted(p for p in found if p.suffix in (".nir", ".h5"))


def python_time(path, rounds):
    """The best time of `nir.read` in microseconds, or the name of its error."""
    best = float("inf")
    for _ in range(rounds):
        start = time.perf_counter()
        try:
            nir.read(path)
        except Exception as error:
            return None, type(error).__name__
        best = min(best, (time.perf_counter() - start) * 1e6)
    return best, ""


def nirc_times(binary, paths, rounds):
    """For each file the best time in microseconds and what became of it."""
    command = [binary, str(rounds), *map(str, paths)]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    for line in output.splitlines():
        microseconds, outcome = line.split()
        yield float(microseconds), outcome


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--nirc", default=ROOT / "target/release/examples/import_time", type=pathlib.Path)
    parser.add_argument("--rounds", default=20, type=int)
    parser.add_argument("paths", nargs="*", default=DEFAULT_PATHS, type=pathlib.Path)
    arguments = parser.parse_args()

    paths = list(files(arguments.paths))
    ours = list(nirc_times(arguments.nirc, paths, arguments.rounds))
    slow = 0
    print(f"| {'file':66} | {'bytes':>8} | {'nir.read us':>12} | {'nirc us':>9} | {'ratio':>6} | |")
    print("|---|---|---|---|---|---|")
    for path, (microseconds, outcome) in zip(paths, ours, strict=True):
        theirs, error = python_time(path, arguments.rounds)
        compared = theirs is not None and outcome != "unread"
        ratio = f"{theirs / microseconds:6.1f}" if compared else ""
        slow += compared and theirs / microseconds < TARGET_RATIO
        notes = ", ".join(filter(None, [error and f"nir: {error}", outcome != "imported" and f"nirc: {outcome}"]))
        size = path.stat().st_size
        name = "/".join(path.parts[-3:])
        time_text = f"{theirs:12.0f}" if theirs is not None else " " * 12
        print(f"| {name:66} | {size:8} | {time_text} | {microseconds:9.1f} | {ratio:>6} | {notes} |")
    print(f"\n{slow} files take more than a tenth of nir.read's time")
    return 1 if slow else 0


if __name__ == "__main__":
    sys.exit(main())
