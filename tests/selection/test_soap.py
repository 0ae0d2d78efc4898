"""SOAP matches an independent NumPy implementation of algorithm 3 of the paper, in double precision."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from optsearch.selection.baselines.soap import SoapState, scale_by_soap, soap

SHAPES = {"kernel": (2, 2, 3, 4), "long": (13, 3), "square": (5, 5), "vector": (6,), "wide": (4, 7)}
"""In the order of ``jax.tree.leaves``."""

MAX_DIM = 12
"""The rows of ``long`` are not rotated."""

B1, B2, EPS, RATE, DECAY, EVERY = 0.9, 0.8, 1e-3, 0.05, 0.1, 3

Bases = list[np.ndarray | None]


def gradients(steps: int) -> list[dict[str, np.ndarray]]:
    rng = np.random.default_rng(11)
    return [{key: rng.normal(size=shape) for key, shape in SHAPES.items()} for _ in range(steps)]


class Reference:
    """One array: the algorithm as in the paper, with the first step and the order of updates as the authors have them.

    ``turns`` holds the bases of the array. An axis that is longer than the rank of its first factor has no unique
    eigenvectors, so the first bases come from the outside.
    """

    def __init__(self, shape: tuple[int, ...], bases: Bases):
        self.flat = shape if len(shape) < 3 else (int(np.prod(shape[:-1])), shape[-1])
        self.w, self.m, self.v = np.ones(self.flat), np.zeros(self.flat), np.zeros(self.flat)
        self.turns = bases
        self.factors = [None if q is None else np.zeros_like(q) for q in bases]

    def turned(self, x: np.ndarray, *, back: bool = False) -> np.ndarray:
        for axis, q in enumerate(self.turns):
            if q is not None:  # contract an axis of x with the rows of q, or its columns on the way back
                x = np.moveaxis(np.tensordot(q, x, axes=(1 if back else 0, axis)), 0, axis)
        return x

    def step(self, t: int, gradient: np.ndarray) -> None:
        g, update = gradient.reshape(self.flat), np.zeros(self.flat)
        if t > 0:
            self.m = B1 * self.m + (1 - B1) * g
            self.v = B2 * self.v + (1 - B2) * self.turned(g) ** 2
            update = self.turned(self.turned(self.m) / (np.sqrt(self.v) + EPS), back=True)
            update *= np.sqrt(1 - B2**t) / (1 - B1**t)
        self.w = self.w - RATE * (update + DECAY * self.w)
        for axis, old in enumerate(self.factors):
            if old is not None:
                other = 1 - axis
                self.factors[axis] = B2 * old + (1 - B2) * np.tensordot(g, g, axes=([other], [other]))
        if t > 0 and t % EVERY == 0:
            self.refresh()

    def refresh(self) -> None:
        for axis, (factor, q) in enumerate(zip(self.factors, self.turns, strict=True)):
            if factor is not None and q is not None:
                values = np.array([column @ factor @ column for column in q.T])
                order = np.argsort(values)[::-1]
                self.v = np.take(self.v, order, axis=axis)
                self.turns[axis] = np.linalg.qr(factor @ q[:, order])[0]


def test_soap_is_the_algorithm_of_the_paper() -> None:
    with jax.enable_x64(True):
        optimizer = soap(RATE, B1, B2, EPS, DECAY, EVERY, MAX_DIM)
        weights = {key: jnp.ones(shape) for key, shape in SHAPES.items()}
        state, references = optimizer.init(weights), dict[str, Reference]()
        advance = jax.jit(optimizer.update)
        for t, gradient in enumerate(gradients(14)):
            given = {key: jnp.asarray(g) for key, g in gradient.items()}
            updates, state = advance(given, state, weights)
            weights = {key: weights[key] + updates[key] for key in weights}
            inner: SoapState = state[0]
            if t == 0:
                for key, leaf in zip(SHAPES, inner.leaves, strict=True):
                    bases: Bases = [None if q is None else np.asarray(q) for q in leaf.bases]
                    references[key] = Reference(SHAPES[key], bases[: len(SHAPES[key])])
            for key, reference in references.items():
                reference.step(t, gradient[key])
                np.testing.assert_allclose(weights[key].reshape(reference.flat), reference.w, rtol=1e-8, err_msg=key)
        rotated = {key: [q is not None for q in reference.turns] for key, reference in references.items()}
    assert rotated == {
        "kernel": [True, True], "long": [False, True], "square": [True, True], "vector": [False], "wide": [True, True],
    }  # fmt: skip


def test_the_first_bases_are_eigenvectors_by_decreasing_eigenvalue() -> None:
    optimizer = scale_by_soap()
    (gradient,) = ({"wide": g["wide"]} for g in gradients(1))
    weights = {"wide": jnp.zeros(SHAPES["wide"])}
    updates, state = jax.jit(optimizer.update)(
        {key: jnp.asarray(g, jnp.float32) for key, g in gradient.items()}, optimizer.init(weights)
    )
    assert all(not np.any(update) for update in jax.tree.leaves(updates))
    assert isinstance(state, SoapState)
    (leaf,) = state.leaves
    for axis, q in enumerate(leaf.bases):
        assert q is not None
        factor = 0.05 * np.tensordot(gradient["wide"], gradient["wide"], axes=([1 - axis], [1 - axis]))
        diagonal = np.asarray(q).T @ factor @ np.asarray(q)
        np.testing.assert_allclose(np.asarray(q).T @ np.asarray(q), np.eye(len(factor)), atol=1e-5)
        np.testing.assert_allclose(diagonal, np.diag(np.linalg.eigvalsh(factor)[::-1]), atol=1e-5)


def test_rotations_of_the_weights_do_not_matter() -> None:
    """The path in rotated coordinates is the rotated path, which Adam does not satisfy."""
    rng = np.random.default_rng(3)
    left, right = (np.linalg.qr(rng.normal(size=(size, size)))[0] for size in (4, 4))

    optimizer = scale_by_soap(0.9, 0.9, 1e-12, 2)
    advance = jax.jit(optimizer.update)

    def path(turn: bool) -> np.ndarray:
        weights, rng = jnp.zeros((4, 4)), np.random.default_rng(5)
        state = optimizer.init(weights)
        for _ in range(8):
            gradient = rng.normal(size=(4, 4))
            update, state = advance(jnp.asarray(left @ gradient @ right.T if turn else gradient), state)
            weights += update  # pyright: ignore[reportOperatorIssue]
        return np.asarray(weights)

    with jax.enable_x64(True):
        np.testing.assert_allclose(path(turn=True), left @ path(turn=False) @ right.T, rtol=1e-6)
