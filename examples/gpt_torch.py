"""A small GPT on Shakespeare's plays, as a training script for `optsearch evaluate --script`; needs torch.

    optsearch evaluate lion --script "python examples/gpt_torch.py" --steps 2000 --baseline adamw --baseline muon

The model has 0.8 million parameters by default; options make it as small as a test needs it. Lines that are marked with
(contract) are all that the comparison needs.
"""

import argparse
import importlib.util
import json
import math
import os
from importlib.resources import files

import numpy as np
import torch
from torch import nn
from torch.nn import functional


def arguments() -> argparse.Namespace:
    """Options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--text", help="a text file; by default plays that ship with optsearch")
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--heads", type=int, default=4)
    parser.add_argument("--context", type=int, default=64)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--reports", type=int, default=20, help="number of reports")
    parser.add_argument("--evaluated", type=int, default=16, help="batches of each evaluation")
    return parser.parse_args()


def splits(path: str | None) -> list[np.ndarray]:
    """Bytes to train, to validate and to test on: parts of a file, or different plays of those that optsearch ships."""
    if path:
        data = np.fromfile(path, np.uint8)
        return np.split(data, [int(len(data) * part) for part in (0.8, 0.9)])
    with np.load(str(files("optsearch.proxy_tasks.data") / "plays.npz")) as plays:
        held_out = [plays["julius_caesar"], plays["macbeth"]]
        return [np.concatenate([plays[name] for name in plays if name not in ("julius_caesar", "macbeth")]), *held_out]


class Block(nn.Module):
    """Causal self-attention and a two-layer network, each on normalised input and added to it."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.mixed, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.wide, self.narrow = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Maps float [batch, context, width] to the same shape."""
        batch, context, width = x.shape
        parts = self.mixed(self.norm1(x)).view(batch, context, 3, self.heads, width // self.heads)
        q, k, v = parts.permute(2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(mixed.transpose(1, 2).reshape(batch, context, width))
        return x + self.narrow(functional.gelu(self.wide(self.norm2(x))))


class GPT(nn.Module):
    """A decoder-only transformer over bytes."""

    def __init__(self, symbols: int, width: int, layers: int, heads: int, context: int):
        super().__init__()
        self.tokens, self.places = nn.Embedding(symbols, width), nn.Embedding(context, width)
        self.blocks = nn.Sequential(*(Block(width, heads) for _ in range(layers)))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, symbols, bias=False)
        for name, weight in self.named_parameters():
            if weight.ndim == 2:
                nn.init.normal_(weight, std=0.02 / math.sqrt(2 * layers) if "out" in name or "narrow" in name else 0.02)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Maps int [batch, context] to logits [batch, context, symbols]."""
        x = self.tokens(tokens) + self.places.weight[: tokens.shape[1]]
        return self.head(self.norm(self.blocks(x)))


def loaded(path: str):
    """The module of a file."""
    spec = importlib.util.spec_from_file_location("optimizer", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def main() -> None:
    """Trains once."""
    options = arguments()
    steps, seed = int(os.environ["OPTSEARCH_STEPS"]), int(os.environ["OPTSEARCH_SEED"])  # (contract)
    torch.manual_seed(seed)
    device = "cuda" if torch.cuda.is_available() else "cpu"

    texts = splits(options.text)
    alphabet = np.unique(np.concatenate(texts))
    train, validation, test = (torch.from_numpy(np.searchsorted(alphabet, text)).to(device) for text in texts)

    model = GPT(len(alphabet), options.width, options.layers, options.heads, options.context).to(device)
    # Muon is for matrices inside the network; `use_muon` is read by it alone.
    outer = [model.tokens.weight, model.places.weight, model.head.weight]
    inner = [weight for weight in model.parameters() if all(weight is not other for other in outer)]
    module = loaded(os.environ["OPTSEARCH_OPTIMIZER"])  # (contract)
    optimizer = module.make_optimizer([{"params": inner}, {"params": outer, "use_muon": False}])  # (contract)
    warm_up = max(1, steps // 20)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min((step + 1) / warm_up, 0.5 + 0.5 * math.cos(math.pi * min(step / steps, 1.0)))
    )

    batches, evaluated = torch.Generator().manual_seed(seed), torch.Generator()

    def batch(split: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        starts = torch.randint(len(split) - options.context - 1, (options.batch,), generator=generator).to(device)
        return split[starts[:, None] + torch.arange(options.context + 1, device=device)]

    def loss_on(rows: torch.Tensor) -> torch.Tensor:
        logits = model(rows[:, :-1])
        return functional.cross_entropy(logits.flatten(0, 1), rows[:, 1:].flatten())

    @torch.no_grad()
    def mean_loss(split: torch.Tensor) -> float:
        """Mean loss on the same batches at every call."""
        evaluated.manual_seed(0)
        return sum(loss_on(batch(split, evaluated)).item() for _ in range(options.evaluated)) / options.evaluated

    every = max(1, steps // options.reports)
    recent: list[torch.Tensor] = []
    for step in range(1, steps + 1):
        loss = loss_on(batch(train, batches))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        recent.append(loss.detach())
        if step == 1 or step % every == 0 or step == steps:
            losses = {"train_loss": torch.stack(recent).mean().item(), "validation_loss": mean_loss(validation)}
            print(json.dumps({"step": step, **losses}))  # (contract)
            recent.clear()
    print(json.dumps({"test_loss": mean_loss(test)}))  # (contract)


if __name__ == "__main__":
    main()
