"""A small network on handwritten digits in plain JAX, as a training script for `optsearch evaluate --script`.

    optsearch evaluate lion --script "python examples/digits_jax.py" --framework jax --steps 500 --baseline adamw

Lines that are marked with (contract) are all that the comparison needs. The digits ship with optsearch.
"""

import argparse
import importlib.util
import json
import os
from importlib.resources import files

import jax
import jax.numpy as jnp
import numpy as np
import optax


def arguments() -> argparse.Namespace:
    """Options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--reports", type=int, default=20, help="number of reports")
    return parser.parse_args()


def splits(rng: np.random.Generator):
    """Images in [0, 1] and labels to train, to validate and to test on, in an order that all runs share."""
    with np.load(str(files("optsearch.proxy_tasks.data") / "digits.npz")) as digits:
        images, labels = digits["images"].reshape(-1, 64) / np.float32(16.0), digits["labels"].astype(np.int32)
    order = rng.permutation(len(labels))
    return [(images[part], labels[part]) for part in np.split(order, [1197, 1497])]


def loaded(path: str):
    """The module of a file."""
    spec = importlib.util.spec_from_file_location("optimizer", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def loss_of(params, images, labels):
    """Mean cross-entropy."""
    hidden = jax.nn.relu(images @ params["w1"] + params["b1"])
    logits = hidden @ params["w2"] + params["b2"]
    return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()


def main() -> None:
    """Trains once."""
    options = arguments()
    steps, seed = int(os.environ["OPTSEARCH_STEPS"]), int(os.environ["OPTSEARCH_SEED"])  # (contract)
    rng = np.random.default_rng(seed)
    (images, labels), validation, test = splits(np.random.default_rng(0))
    params = {
        "w1": jnp.asarray(rng.normal(0, 64**-0.5, (64, options.width)), jnp.float32),
        "b1": jnp.zeros(options.width),
        "w2": jnp.asarray(rng.normal(0, options.width**-0.5, (options.width, 10)), jnp.float32),
        "b2": jnp.zeros(10),
    }
    warm_up = max(1, steps // 20)

    def schedule(count):
        """Factor on the learning rate: a warm-up, then a cosine."""
        return jnp.minimum((count + 1) / warm_up, 0.5 + 0.5 * jnp.cos(jnp.pi * count / steps))

    optimizer = loaded(os.environ["OPTSEARCH_OPTIMIZER"]).make_optimizer(schedule)  # (contract)
    state = optimizer.init(params)

    @jax.jit
    def step(params, state, images, labels):
        loss, grads = jax.value_and_grad(loss_of)(params, images, labels)
        updates, state = optimizer.update(grads, state, params)
        return optax.apply_updates(params, updates), state, loss

    held_out = jax.jit(loss_of)
    every = max(1, steps // options.reports)
    recent = []
    for number in range(1, steps + 1):
        chosen = rng.integers(0, len(labels), options.batch)
        params, state, loss = step(params, state, images[chosen], labels[chosen])
        recent.append(loss)
        if number == 1 or number % every == 0 or number == steps:
            losses = {"train_loss": float(np.mean(recent)), "validation_loss": float(held_out(params, *validation))}
            print(json.dumps({"step": number, **losses}))  # (contract)
            recent.clear()
    print(json.dumps({"test_loss": float(held_out(params, *test))}))  # (contract)


if __name__ == "__main__":
    main()
