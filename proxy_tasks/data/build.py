"""Make the shipped arrays again: ``python -m proxy_tasks.data.build``.

It is kept so that anybody can check where every byte comes from. It needs scikit-learn and pillow, which the package
does not.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

LUMA = np.array([0.299, 0.587, 0.114])
"""Weights of red, green and blue in grey (ITU-R BT.601)."""


def build(folder: Path) -> None:
    """Write ``photographs.npz`` and ``digits.npz``.

    Args:
        folder: where to write; files of these names are replaced.
    """
    from sklearn.datasets import load_digits, load_sample_image

    photographs = {
        name: np.rint(load_sample_image(f"{name}.jpg") @ LUMA).astype(np.uint8) for name in ("china", "flower")
    }
    np.savez_compressed(folder / "photographs.npz", **photographs)
    images, labels = load_digits(return_X_y=True)
    np.savez_compressed(folder / "digits.npz", images=np.asarray(images, np.uint8), labels=np.asarray(labels, np.uint8))


if __name__ == "__main__":
    build(Path(__file__).parent)
