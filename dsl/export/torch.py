"""Programs as PyTorch optimizers, in a file that needs only torch.

Elementwise programs run on all small tensors of a param group concatenated into one, so that a model with many small
tensors costs a few kernel calls per step; on a CPU they run block by block. Programs with norms keep the tensors apart;
matrices of one shape are orthogonalised together. (An optax file does this array by array: compiled, it gains little,
and for large matrices on a CPU it loses.)
"""

from __future__ import annotations

from collections.abc import Sequence

from optsearch.dsl.export.arguments import FACTOR, NO_ADVICE, Advice, prepared
from optsearch.dsl.export.source import about, formatted, helpers, method
from optsearch.dsl.export.torch_statements import apart_lines, joined_lines
from optsearch.dsl.functions import FUNCTIONS, Scope
from optsearch.dsl.program import Program
from optsearch.dsl.types import Kind
from optsearch.dsl.verify import state_kinds, verify

LARGE = 16_384
"""Tensors with more elements than this are not concatenated: the copy would cost more than the kernel calls."""

BLOCK = 65_536
"""Elements updated at a time on a CPU, so that intermediate values fit into the cache."""

KEPT = 4_194_304
"""Elements of the tensor that an optimizer allocates and frees at once; see `_FILE`."""

_HOME = '''def home(x):
    """Device of scalars that apply to all arrays of a list: their common device, or the CPU if they have several."""
    devices = {a.device for a in x}
    return devices.pop() if len(devices) == 1 else torch.device("cpu")
'''

_FILE = '''"""{about}"""

import torch


def single(x):
    """Converts an array to at least single precision; bfloat16 rounds 0.999 to 1."""
    return x.to(torch.promote_types(x.dtype, torch.float32))

{helpers}{join}
def step({parameters}{extra}):
    """{step_words}"""
{numbers}{body}
    return {returns}


class {name}(torch.optim.Optimizer):
    """{method}
    """

    def __init__(self, params, {first}={rate!r}{keywords}):
        super().__init__(params, {{{defaults}}})
        # glibc returns freed memory to the system, so that each step would fault it in again, until a larger block than
        # those of a step has been freed once.
        torch.empty({kept:_}, device="cpu")

    def add_param_group(self, param_group):
        """Adds parameters with settings of their own; refuses unknown settings and invalid values."""
        if isinstance(param_group, dict):
            for name in param_group.keys() - {{"params", "param_names", "initial_lr", *self.defaults}}:
                raise ValueError(f"unknown setting '{{name}}' of a param group: use {{', '.join(self.defaults)}}")
            for name in {checked}:
                if not (value := param_group.get(name, self.defaults[name])) >= 0.0:
                    raise ValueError(f"{{name}} is {{value}}: it must be at least 0")
        super().add_param_group(param_group)
{load}
    @torch.no_grad()
    def step(self, closure=None):
        """One step; `closure`, if given, computes the loss and its gradients anew."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
{gathering}
        return loss

    def _update(self, weights, group):
        """Changes arrays of one group."""
        first = single(weights[0])
        rate = torch.as_tensor(group["lr"], dtype=first.dtype, device={home})
{states}{call}
'''

_LOAD = '''
    def load_state_dict(self, state_dict):
        """Restores a saved state{precision}; refuses that of another optimizer."""
        saved = {{name for group in state_dict["param_groups"] for name in group if not name.endswith("_lr")}}
        for name in saved - {{"params", "param_names", *self.defaults}}:
            raise ValueError(f"the saved setting '{{name}}' is of another optimizer or an older file: start anew")
        super().load_state_dict(state_dict)
{restoring}'''

_RESTORING = """        weights = [w for group in self.param_groups for w in group["params"]]
        numbers = [number for group in state_dict["param_groups"] for number in group["params"]]
        for w, number in zip(weights, numbers):
            for name, value in state_dict["state"].get(number, {}).items():
                self.state[w][name] = value.to(w.device, copy=True)
"""

_JOIN = '''
def joined(arrays):
    """Concatenates arrays in at least single precision; a single array is not copied."""
    flat = [x.detach().reshape(-1) for x in arrays]
    return single(flat[0] if len(flat) == 1 else torch.cat(flat))


def put_back(whole, arrays):
    """Copies concatenated values back to their arrays, unless `whole` is a view."""
    if whole.data_ptr() != arrays[0].data_ptr():
        parts = whole.split([x.numel() for x in arrays])
        torch._foreach_copy_(arrays, [part.view_as(x) for part, x in zip(parts, arrays)])

'''

_GATHER_JOINED = """            alike = {{}}
            for w in group["params"]:
                if w.grad is not None:
                    kind = id(w) if w.numel() > {large:_} else (w.device, w.dtype)
                    alike.setdefault(kind, []).append(w)
            for weights in alike.values():
                self._update(weights, group)"""

_GATHER_APART = """            weights = [w for w in group["params"] if w.grad is not None]
            if weights:
                self._update(weights, group)"""

_JOINED = """        whole = [{gathered}]
        size = {block:_} if whole[0].is_cpu else max(whole[0].numel(), 1)  # fits into a CPU's cache
        for w, g{olds} in zip(*(x.split(size) for x in whole)):
{change}
        put_back(whole[0], weights)"""

_APART = """        {results} = step({arguments})
        for w, change in zip(weights, update):
            w.sub_(change)"""


def to_torch_source(
    program: Program,
    title: str = "An optimizer",
    notes: Sequence[str] = (),
    advice: Advice = NO_ADVICE,
    name: str = "Optimizer",
) -> str:
    """Generates a Python module that needs only torch and defines an ``Optimizer`` class.

    Args:
        program: a verified program; dead statements are omitted.
        title: first line of the file, cleaned as for optax.
        notes: further lines of the file's docstring.
        advice: what the file says of the rate; by default a range around the program's own.
        name: name of the class, an identifier.

    Returns:
        Source text. ``Optimizer(params, lr)`` is a ``torch.optim.Optimizer`` with param groups; ``lr`` is the learning
        rate, by default the program's own. If the update is not proportional to the program's ``lr``, the argument is
        ``rate_factor`` instead, which is the program's ``lr`` and has this name in groups. Further arguments are the
        program's constants, named by role. Global norms are computed over each param group.

    Raises:
        ValueError: ``name`` is not an identifier.
    """
    if not name.isidentifier():
        raise ValueError(f"'{name}' cannot name a class: use letters, digits and underscores")
    made = prepared(program, _TAKEN)
    program, named = made.program, made.named
    kinds = verify(program)
    argument = "lr" if made.rate is not None else FACTOR
    settings = {"lr": argument} | {constant: constant for constant in named.defaults}
    apart = any(FUNCTIONS[statement.function].scope is not Scope.ELEMENT for statement in program.body)
    state, extra = program.state, "".join(f", {constant}" for constant in named.defaults)
    constants = "".join(f', group["{constant}"]' for constant in named.defaults)
    lines = (
        apart_lines(named.program, named.defaults, kinds)
        if apart
        else joined_lines(named.program, named.defaults, kinds)
    )
    words = "One step on lists of arrays" if apart else "One step on arrays of one shape"
    call = _call_apart(state, constants) if apart else _call_joined(state, constants)
    source = _FILE.format(
        about=about(title, made, "torch alone", notes),
        helpers=helpers(program, lambda function: function.torch_definition, {"home": _HOME}, apart),
        join="" if apart else _JOIN,
        numbers="    number = lr.new_tensor\n" if any("number(" in line for line in lines) else "",
        parameters=", ".join(program.signature.inputs),
        extra=extra,
        step_words=f"{words}: the update, to be subtracted{', and the new state' if state else ''}.",
        body="\n".join(f"    {line}" for line in lines),
        returns=", ".join(program.signature.outputs),
        name=name,
        method=method(title, made, "    ", made.rate_words("lr", advice), made.decay_words, _groups(argument)),
        first="lr" if made.rate is not None else f"*, {FACTOR}",
        rate=made.rate or 1.0,
        keywords="".join(
            [", *" * bool(made.rate is not None and named.defaults)]
            + [f", {constant}={value!r}" for constant, value in named.defaults.items()]
        ),
        defaults=", ".join(f'"{setting}": {value}' for setting, value in settings.items()),
        checked=repr(("lr", *made.checked)).replace("'", '"'),
        kept=KEPT,
        load=_LOAD.format(precision=" in its saved precision" if state else "", restoring=_RESTORING if state else ""),
        home="home(weights)" if apart else "first.device",
        gathering=_GATHER_APART if apart else _GATHER_JOINED.format(large=LARGE),
        states=_states(state, state_kinds(program)),
        call=call,
    )
    return formatted(source)


def _groups(argument: str) -> str:
    """Describes settings of groups, and schedulers."""
    renamed = f", where `{argument}` is called `lr`" if argument != "lr" else ""
    return (
        f"All arguments may differ between groups of parameters{renamed}. Schedulers change `lr`; OneCycleLR and "
        "CyclicLR need cycle_momentum=False, since there is no momentum that they could cycle."
    )


_ZEROS = {
    Kind.LEAF: "torch.zeros_like(single(w))",
    Kind.PER_ROW: "single(w).new_zeros((*w.shape[:-1], 1)[: w.ndim])",
    Kind.PER_COLUMN: "single(w).new_zeros((1,) * (w.ndim - 1) + w.shape[-1:])",
}
"""State of an array ``w`` before the first step, by kind."""


def _states(state: Sequence[str], kinds: Sequence[Kind]) -> str:
    """Lines that initialise missing state and collect it."""
    if not state:
        return ""
    made = ", ".join(f'"{name}": {_ZEROS[kind]}' for name, kind in zip(state, kinds, strict=True))
    return (
        "        for w in weights:\n"
        "            if not self.state[w]:\n"
        f"                self.state[w].update({{{made}}})\n"
        "        memory = [self.state[w] for w in weights]\n"
    )


def _call_apart(state: Sequence[str], constants: str) -> str:
    """Lines that update the tensors of a group as lists."""
    trees = ["[single(w) for w in weights]", "[single(w.grad) for w in weights]"]
    trees += [f'[single(own["{name}"]) for own in memory]' for name in state]
    call = _APART.format(results=", ".join(("update", *state)), arguments=", ".join([*trees, "rate"]) + constants)
    for name in state:
        call += f'\n        for own, new in zip(memory, {name}):\n            own["{name}"].copy_(new)'
    return call


def _call_joined(state: Sequence[str], constants: str) -> str:
    """Lines that update the tensors of a group concatenated, block by block."""
    memory = [f'[own["{name}"] for own in memory]' for name in state]
    gathered = ", ".join(f"joined({arrays})" for arrays in ("weights", "[w.grad for w in weights]", *memory))
    if not state:
        change = f"            w.sub_(step(w, g, rate{constants}))"
        return _JOINED.format(gathered=gathered, block=BLOCK, olds="", change=change)
    change = f"""            update, *new = step(w, g, *old, rate{constants})
            w.sub_(update)
            for x, y in zip(old, new):
                x.copy_(y)"""
    call = _JOINED.format(gathered=gathered, block=BLOCK, olds=", *old", change=change)
    for number, arrays in enumerate(memory, start=2):
        call += f"\n        put_back(whole[{number}], {arrays})"
    return call


_TAKEN = frozenset(
    {"change", "closure", "dict", "first", "group", "home", "id", "isinstance", "joined", "kind", "loss", "memory"}
    | {"name", "new", "number", "own", "param_group", "params", "rate", "self", "single", "size", "state", "step"}
    | {"sum", "super", "torch", "value", "weights", "whole", "zip"}
)
"""Names that the file itself uses."""
