#!/usr/bin/env python3
"""Times training here and in the PyTorch peer, in turns, and prints the ratios.

Both sides train the same net on the same set with the same batch, on the same machine and in the
same minutes: round by round, first the peer, then nirc with each executor. What one round measures
is the median epoch of that side; what counts in the end is the median of the rounds.

    compare.py --nirc target/release/nirc --train yin_yang_train.npz [--executor host emulator]
"""

import argparse
import json
import pathlib
import statistics
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
EXAMPLE = HERE.parent.parent / "examples" / "yin-yang" / "full.toml"


def peer_seconds(options):
    """Median seconds of an epoch for each (style, threads)."""
    command = [options.python, HERE / "pytorch_eventprop.py", "--bench", "--train", options.train]
    command += ["--epochs", str(options.epochs)]
    if options.threads:
        command += ["--threads", *map(str, options.threads)]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return {
        f"peer {run['style']}, threads {run['threads']}": run["median_seconds"]
        for run in json.loads(output)["runs"]
    }


def nirc_seconds(options, executor):
    """Median seconds of the first epochs; the run is ended when it has reported enough of them."""
    command = [options.nirc, "train", options.example, "--executor", executor, "--json", *options.extra]
    seconds = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout:
            try:
                record = json.loads(line)
            except json.JSONDecodeError:
                continue
            if isinstance(record, dict) and "seconds" in record:
                seconds.append(float(record["seconds"]))
            if len(seconds) == options.epochs:
                process.terminate()
                break
    if len(seconds) < options.epochs:
        sys.exit(
            f"{' '.join(map(str, command))} reported {len(seconds)} epochs with \"seconds\", "
            f"expected {options.epochs} (exit code {process.returncode})"
        )
    return statistics.median(seconds)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0], epilog="What follows -- is passed on to nirc train."
    )
    parser.add_argument("--nirc", default="nirc", help="the binary, built with --release")
    parser.add_argument("--python", default=sys.executable, help="an interpreter that has torch")
    parser.add_argument("--example", default=EXAMPLE)
    parser.add_argument("--train", required=True, help="the peer's training set, .npz")
    parser.add_argument("--executor", nargs="+", default=["host", "emulator"])
    parser.add_argument("--threads", type=int, nargs="+", help="of the peer; default: 1 and PyTorch's own")
    parser.add_argument("--epochs", type=int, default=3, help="per side and round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("extra", nargs="*", metavar="-- ARGUMENT", help=argparse.SUPPRESS)
    options = parser.parse_args()

    rounds = {}
    for number in range(1, options.rounds + 1):
        results = peer_seconds(options)
        for executor in options.executor:
            results[f"nirc {executor}"] = nirc_seconds(options, executor)
        for name, seconds in results.items():
            rounds.setdefault(name, []).append(seconds)
        print(f"round {number}: " + "; ".join(f"{n} {s:.4g} s" for n, s in results.items()), file=sys.stderr)

    median = {name: statistics.median(seconds) for name, seconds in rounds.items()}
    ratios = {
        f"{peer} / {ours}": median[peer] / median[ours]
        for peer in median
        if peer.startswith("peer")
        for ours in median
        if ours.startswith("nirc")
    }
    print(json.dumps({"seconds_per_epoch": median, "rounds": rounds, "ratios": ratios}, indent=2))


if __name__ == "__main__":
    main()
