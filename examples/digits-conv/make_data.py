"""Writes scikit-learn's handwritten digits as a data set for nirc.

    pip install -r requirements.txt
    python make_data.py                                  # digits.npz: all 1797
    python make_data.py --samples 300 digits-300.npz     # the subset that the repository holds

The images are those of the UCI set "Optical Recognition of Handwritten Digits" (E. Alpaydin and C. Kaynak,
1998, CC BY 4.0) that scikit-learn ships: 8 x 8 pixels of 0 to 16, classes 0 to 9.

The archive holds, with samples in the order of numpy.random.RandomState(0).permutation,
    train_features (B, 1, 8, 8), train_labels (B,): the first two thirds,
    test_features  (B, 1, 8, 8), test_labels  (B,): the third that is held out.
A subset takes the first samples of either part, so that none of its training samples is held out of the
whole. Arrays are uint8. Run again, it writes the same bytes.
"""

import argparse

import numpy as np
from sklearn.datasets import load_digits


def parts(samples):
    """Features and labels to train and to test on; `samples` in all, of the 1797."""
    images, labels = load_digits(return_X_y=True)
    order = np.random.RandomState(0).permutation(len(labels))
    held_out = len(labels) // 3
    for name, part, share in [
        ("train", order[:-held_out], samples - samples // 3),
        ("test", order[-held_out:], samples // 3),
    ]:
        chosen = part[:share]
        yield f"{name}_features", images[chosen].reshape(-1, 1, 8, 8).astype(np.uint8)
        yield f"{name}_labels", labels[chosen].astype(np.uint8)


def main():
    parser = argparse.ArgumentParser(description="Writes scikit-learn's digits for nirc.")
    parser.add_argument("output", nargs="?", default="digits.npz")
    parser.add_argument("--samples", type=int, default=1797, help="samples in all (default: 1797)")
    arguments = parser.parse_args()
    if not 3 <= arguments.samples <= 1797:
        parser.error(f"--samples: expected 3 to 1797, found {arguments.samples}")
    np.savez_compressed(arguments.output, **dict(parts(arguments.samples)))


if __name__ == "__main__":
    main()
