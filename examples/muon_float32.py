"""Muon in float32: a baseline of your own for a training script, which is a class like those of torch.

    PYTHONPATH=examples optsearch evaluate lion --script "python examples/gpt_torch.py" --steps 2000
                                                --baseline adamw --baseline muon_float32:MuonFloat32

The arithmetic is that of `torch.optim.Muon` with ``adjust_lr_fn="match_rms_adamw"`` for matrices, and of
`torch.optim.AdamW` for all other tensors. Torch orthogonalises in bfloat16, which a CPU without instructions for it has
to emulate; there this class is many times faster. Numbers of the constructor are tuned, as those of every baseline.

Sources: Jordan et al. 2024 (https://kellerjordan.github.io/posts/muon); the scale of the step: Liu et al. 2025
(arXiv:2502.16982).
"""

import math

import torch


def orthogonalised(matrix: torch.Tensor, steps: int = 5) -> torch.Tensor:
    """About U V^T for the singular value decomposition U S V^T of a matrix, by the iteration of Newton and Schulz."""
    wide = matrix.T if matrix.shape[0] > matrix.shape[1] else matrix
    x = wide / wide.norm().clamp(min=1e-7)
    for _ in range(steps):
        gram = x @ x.T
        x = torch.addmm(x, torch.addmm(gram, gram, gram, beta=-4.7750, alpha=2.0315), x, beta=3.4445)
    return x.T if wide is not matrix else x


class MuonFloat32(torch.optim.Optimizer):
    """Muon for matrices, and AdamW for all other tensors and groups with the entry `use_muon=False`.

    Args:
        params: parameters or groups of parameters.
        lr: learning rate of matrices.
        weight_decay: decoupled weight decay of all parameters.
        beta: decay of Muon's momentum, which looks ahead after Nesterov.
        adam_b1: decay of AdamW's momentum.
        adam_b2: decay of AdamW's second moment.
        adam_ratio: learning rate of AdamW as a multiple of that of matrices.
    """

    def __init__(self, params, lr=1e-3, weight_decay=0.1, beta=0.95, adam_b1=0.9, adam_b2=0.999, adam_ratio=1.0):
        groups = list(params)
        split = []
        for group in groups if isinstance(groups[0], dict) else [{"params": groups}]:
            rate = group.get("lr", lr)
            by_muon = [p for p in group["params"] if p.ndim == 2 and group.get("use_muon", True)]
            others = [p for p in group["params"] if all(p is not matrix for matrix in by_muon)]
            for use_muon, some, scaled in ((True, by_muon, rate), (False, others, adam_ratio * rate)):
                if some:
                    split.append({**group, "params": some, "use_muon": use_muon, "lr": scaled})
        constants = {"weight_decay": weight_decay, "beta": beta, "adam_b1": adam_b1, "adam_b2": adam_b2}
        super().__init__(split, {"lr": lr, **constants})

    @torch.no_grad()
    def step(self, closure=None):
        """One step of all parameters that have a gradient."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    p.mul_(1.0 - group["lr"] * group["weight_decay"])
                    (self._muon if group["use_muon"] else self._adam)(p, group)
        return loss

    def _muon(self, p, group):
        state = self.state[p]
        if not state:
            state["m"] = torch.zeros_like(p)
        state["m"].lerp_(p.grad, 1.0 - group["beta"])
        step = orthogonalised(p.grad.lerp(state["m"], group["beta"]))
        p.sub_(step, alpha=0.2 * math.sqrt(max(p.shape)) * group["lr"])

    def _adam(self, p, group):
        state = self.state[p]
        if not state:
            state.update(m=torch.zeros_like(p), v=torch.zeros_like(p), count=0)
        state["count"] += 1
        state["m"].lerp_(p.grad, 1.0 - group["adam_b1"])
        state["v"].mul_(group["adam_b2"]).addcmul_(p.grad, p.grad, value=1.0 - group["adam_b2"])
        first, second = (1.0 - group[decay] ** state["count"] for decay in ("adam_b1", "adam_b2"))
        p.addcdiv_(state["m"], (state["v"] / second).sqrt_().add_(1e-8), value=-group["lr"] / first)
