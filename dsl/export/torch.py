"""Programs as PyTorch optimizers, in a file that needs only torch.

Elementwise programs run on all small tensors of a param group concatenated into one, so that a model with many small
tensors costs a few kernel calls per step; on a CPU they run block by block. Programs with norms keep the tensors apart;
matrices of one shape are orthogonalised together. (An optax file does this array by array: compiled, it gains little,
and for large matrices on a CPU it loses.)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from optsearch.dsl.dataflow import prune
from optsearch.dsl.export.source import about, formatted, helpers, method
from optsearch.dsl.functions import FUNCTIONS, Function, Scope
from optsearch.dsl.parameters import parametrised, without_clashes
from optsearch.dsl.program import Program, Statement
from optsearch.dsl.types import Kind
from optsearch.dsl.verify import input_kinds, state_kinds, verify

LARGE = 16_384
"""Tensors with more elements than this are not concatenated: the copy would cost more than the kernel calls."""

BLOCK = 65_536
"""Elements updated at a time on a CPU, so that intermediate values fit into the cache."""

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

    `lr` is the learning rate; the other arguments are the constants. Each may differ between groups of parameters.
    """

    def __init__(self, params, lr=1.0{keywords}):
        super().__init__(params, {{{defaults}}})
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
        """Restores a saved state in its saved precision."""
        super().load_state_dict(state_dict)
        weights = [w for group in self.param_groups for w in group["params"]]
        numbers = [number for group in state_dict["param_groups"] for number in group["params"]]
        for w, number in zip(weights, numbers):
            for name, value in state_dict["state"].get(number, {}).items():
                self.state[w][name] = value.to(w.device, copy=True)
'''

_JOIN = '''
def joined(arrays):
    """Concatenates arrays in at least single precision; a single array is not copied."""
    flat = [x.reshape(-1) for x in arrays]
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
    program: Program, title: str = "An optimizer", notes: Sequence[str] = (), name: str = "Optimizer"
) -> str:
    """Generates a Python module that needs only torch and defines an ``Optimizer`` class.

    Args:
        program: a verified program; dead statements are omitted.
        title: first line of the file, cleaned as for optax.
        notes: further lines of the file's docstring.
        name: name of the class, an identifier.

    Returns:
        Source text. ``Optimizer(params, lr)`` is a ``torch.optim.Optimizer`` with param groups; ``lr`` is the program's
        ``lr``. Its other arguments are the program's constants, named by role. Global norms are computed over each
        param group.

    Raises:
        ValueError: ``name`` is not an identifier.
    """
    if not name.isidentifier():
        raise ValueError(f"'{name}' cannot name a class: use letters, digits and underscores")
    program = without_clashes(prune(program), _TAKEN)
    kinds, named = verify(program), parametrised(program, _TAKEN)
    apart = any(FUNCTIONS[statement.function].scope is not Scope.ELEMENT for statement in program.body)
    state, extra = program.state, "".join(f", {constant}" for constant in named.defaults)
    constants = "".join(f', group["{constant}"]' for constant in named.defaults)
    lines = _apart(named.program, named.defaults, kinds) if apart else _joined(named.program, named.defaults)
    words = "One step on lists of arrays" if apart else "One step on arrays of one shape"
    call = _call_apart(state, constants) if apart else _call_joined(state, constants)
    source = _FILE.format(
        about=about(title, program, "torch alone", notes),
        helpers=helpers(program, lambda function: function.torch_definition, {"home": _HOME}, apart),
        join="" if apart else _JOIN,
        numbers="    number = lr.new_tensor\n" if any("number(" in line for line in lines) else "",
        parameters=", ".join(program.signature.inputs),
        extra=extra,
        step_words=f"{words}: the update, to be subtracted{', and the new state' if state else ''}.",
        body="\n".join(f"    {line}" for line in lines),
        returns=", ".join(program.signature.outputs),
        name=name,
        method=method(title, named, "    "),
        keywords="".join(f", {constant}={value!r}" for constant, value in named.defaults.items()),
        defaults=", ".join(f'"{constant}": {constant}' for constant in ("lr", *named.defaults)),
        load=_LOAD if state else "",
        home="home(weights)" if apart else "first.device",
        gathering=_GATHER_APART if apart else _GATHER_JOINED.format(large=LARGE),
        states=_states(state, state_kinds(program)),
        call=call,
    )
    return formatted(source)


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


def _joined(program: Program, constants: Mapping[str, float]) -> list[str]:
    return [f"{statement.target} = {_expression(statement, constants)}" for statement in program.body]


def _apart(program: Program, constants: Mapping[str, float], results: Sequence[Kind]) -> list[str]:
    """Statements on lists of tensors; values that are not scalars are computed tensor by tensor."""
    kinds = input_kinds(program) | dict.fromkeys(constants, Kind.SCALAR)
    lines: list[str] = []
    for statement, kind in zip(program.body, results, strict=True):
        code, function = _expression(statement, constants), FUNCTIONS[statement.function]
        wide = list(dict.fromkeys(a for a in statement.args if isinstance(a, str) and kinds[a] is not Kind.SCALAR))
        if wide and not _takes_lists(function):
            names = ", ".join(wide)
            code = f"[{code} for {names} in {names if len(wide) == 1 else f'zip({names})'}]"
        lines.append(f"{statement.target} = {code}")
        kinds[statement.target] = kind
    return lines


def _takes_lists(function: Function) -> bool:
    """True for functions of the whole tree, and for those of matrices, which compute matrices of one shape together."""
    return function.scope is Scope.TREE or (function.scope is Scope.MATRIX and not function.removes)


def _expression(statement: Statement, constants: Mapping[str, float]) -> str:
    """The right-hand side; constants become tensors where a torch function requires them.

    An EMA with a constant decay is one fused addition, which takes a third of the time of its formula. One minus the
    decay is a tensor too, because Python's double precision would give another number. ``torch.lerp`` is not used: it
    gives NaN where the formula gives infinity.
    """
    code = FUNCTIONS[statement.function].torch_code
    weight = statement.args[-1] if statement.function == "interp" else None
    if isinstance(weight, str) and weight in constants:
        x, y = (f"number({a})" if a in constants or not isinstance(a, str) else a for a in statement.args[:2])
        return f"torch.add((number(1.0) - {weight}) * {x}, {y}, alpha={weight})"
    alone = not any(isinstance(arg, str) for arg in statement.args)
    called = "torch." in code
    args: list[str] = []
    for arg in statement.args:
        if isinstance(arg, str):
            args.append(f"number({arg})" if called and arg in constants else arg)
        elif alone or called:
            args.append(f"number({arg!r})")
        else:
            args.append(f"({arg!r})" if arg < 0 else repr(arg))
    code = code.format(*args)
    return code if args else f"number({code})"


_TAKEN = frozenset(
    {
        "change",
        "closure",
        "first",
        "group",
        "home",
        "id",
        "joined",
        "kind",
        "loss",
        "memory",
        "new",
        "number",
        "own",
        "params",
        "rate",
    }
    | {"rate", "self", "single", "size", "state", "step", "sum", "super", "torch", "weights", "whole", "zip"}
)
"""Names that the file itself uses."""
