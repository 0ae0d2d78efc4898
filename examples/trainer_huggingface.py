"""A small GPT-2 in the Trainer of Hugging Face, as a training script for `optsearch evaluate --script`.

    optsearch evaluate lion --script "python examples/trainer_huggingface.py" --steps 500 --baseline adamw

It needs torch, transformers and accelerate, and downloads nothing: the model is made from its configuration, and the
text is that of plays that ship with optsearch. Lines that are marked with (contract) are all that the comparison needs.
"""

import argparse
import importlib.util
import json
import os
from importlib.resources import files

import numpy as np
import torch
from torch.optim.lr_scheduler import LambdaLR
from transformers import GPT2Config, GPT2LMHeadModel, Trainer, TrainerCallback, TrainingArguments, set_seed


def arguments() -> argparse.Namespace:
    """Options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--context", type=int, default=64)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--reports", type=int, default=10, help="number of reports")
    parser.add_argument("--evaluated", type=int, default=256, help="examples of each evaluation")
    return parser.parse_args()


def windows(name: str, context: int, most: int | None = None) -> list[dict[str, torch.Tensor]]:
    """Windows of a play as examples, evenly spaced if there are more than ``most``."""
    with np.load(str(files("optsearch.proxy_tasks.data") / "plays.npz")) as plays:
        text = plays[name]
    rows = text[: len(text) // context * context].reshape(-1, context).astype(np.int64)
    if most is not None and most < len(rows):
        rows = rows[np.arange(most) * len(rows) // most]
    return [{"input_ids": torch.from_numpy(row), "labels": torch.from_numpy(row)} for row in rows]


def loaded(path: str):
    """The module of a file."""
    spec = importlib.util.spec_from_file_location("optimizer", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Reports(TrainerCallback):
    """Prints the report of each evaluation, with the training loss that was logged before it."""

    def __init__(self):
        self.train_loss = None

    def on_log(self, args, state, control, logs=None, **kwargs):
        """Remembers the training loss."""
        self.train_loss = (logs or {}).get("loss", self.train_loss)

    def on_evaluate(self, args, state, control, metrics=None, **kwargs):
        """Prints a report."""
        if "eval_loss" in metrics:
            losses = {"train_loss": self.train_loss, "validation_loss": metrics["eval_loss"]}
            print(json.dumps({"step": state.global_step, **losses}))  # (contract)


def main() -> None:
    """Trains once."""
    options = arguments()
    steps, seed = int(os.environ["OPTSEARCH_STEPS"]), int(os.environ["OPTSEARCH_SEED"])  # (contract)
    set_seed(seed)
    config = GPT2Config(
        vocab_size=256,
        n_positions=options.context,
        n_embd=options.width,
        n_layer=options.layers,
        n_head=4,
        bos_token_id=0,
        eos_token_id=0,
    )
    model = GPT2LMHeadModel(config)
    module = loaded(os.environ["OPTSEARCH_OPTIMIZER"])  # (contract)
    optimizer = module.make_optimizer(model.parameters())  # (contract)
    warm_up = max(1, steps // 20)
    schedule = LambdaLR(optimizer, lambda step: min((step + 1) / warm_up, max(0.0, 1.0 - step / steps)))
    every = max(1, steps // options.reports)
    trainer = Trainer(
        model=model,
        args=TrainingArguments(
            output_dir=os.environ["OPTSEARCH_FOLDER"],  # a folder of the run, which is deleted afterwards
            max_steps=steps,
            per_device_train_batch_size=options.batch,
            per_device_eval_batch_size=options.batch,
            logging_steps=every,
            eval_steps=every,
            eval_strategy="steps",
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
            seed=seed,
            data_seed=seed,
            max_grad_norm=0.0,  # a limit of gradients is the optimizer's affair
        ),
        train_dataset=windows("hamlet", options.context),
        eval_dataset=windows("julius_caesar", options.context, options.evaluated),
        optimizers=(optimizer, schedule),
        callbacks=[reports := Reports()],
    )
    trainer.train()
    if trainer.state.global_step % every:  # the last step was no evaluation
        reports.train_loss = trainer.state.log_history[-1].get("train_loss", reports.train_loss)
        trainer.evaluate()
    test = trainer.evaluate(windows("macbeth", options.context, options.evaluated), metric_key_prefix="test")
    print(json.dumps({"test_loss": test["test_loss"]}))  # (contract)


if __name__ == "__main__":
    main()
