"""Programs as optax source files for other projects.

An exported file reads like handwritten code: it does not depend on this project, contains the program's text in its
docstring, and defines ``optimizer(learning_rate)``. All names follow the language's grammar and all numbers are printed
by ``repr``, so that exporting an untrusted program cannot inject code.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from optsearch.dsl.export.arguments import FACTOR, LEARNING_RATE, NO_ADVICE, Advice, prepared
from optsearch.dsl.export.source import about, formatted, helpers, listed_state, method
from optsearch.dsl.functions import FUNCTIONS, Scope
from optsearch.dsl.program import Program, Statement
from optsearch.dsl.types import Kind
from optsearch.dsl.verify import input_kinds, state_kinds, verify

_FILE = '''"""{about}"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

{helpers}
def checked(**settings):
    """Refuses negative settings whose values are known before compilation."""
    for name, value in settings.items():
        if not callable(value) and not isinstance(value, jax.core.Tracer) and not value >= 0.0:
            raise ValueError(f"{{name}} is {{value}}: it must be at least 0")


class State(NamedTuple):
    """Steps taken{state_words}."""

    count: jax.Array{state_fields}


def step({parameters}{extra}):
    """{step_words}"""
{numbers}{body}
    return {returns}


def optimizer({first}={rate!r}{keywords}) -> optax.GradientTransformation:
    """{method}
    """
    checked({checked})

    def init(params):
        return State({initial})

    def update(grads, state, params=None):
        if params is None:
            raise ValueError("this optimizer reads the weights: call update(grads, state, params)")
        rate = {argument}(state.count) if callable({argument}) else {argument}
        kind = jnp.result_type(jnp.float32, *jax.tree.leaves(params))  # in bfloat16 itself, 0.999 is 1

        def single(x):
            return jnp.asarray(x, kind)

{call}
        updates = jax.tree.map(lambda u, w: (-u).astype(jnp.result_type(w)), change, params)
        return updates, State({final})

    return optax.GradientTransformation(init, update)
'''


def to_optax_source(
    program: Program, title: str = "An optimizer", notes: Sequence[str] = (), advice: Advice = NO_ADVICE
) -> str:
    """Generates a Python module that needs only jax and optax and defines ``optimizer(learning_rate)``.

    Args:
        program: a verified program; dead statements are omitted.
        title: first line of the file; characters other than letters, digits, spaces and ``.,:;()+-_=/`` are dropped.
        notes: further lines of the file's docstring, such as provenance and measurements; cleaned like the title.
        advice: what the file says of the rate; by default a range around the program's own.

    Returns:
        Source text. ``optimizer(learning_rate)`` returns an optax ``GradientTransformation``; the default is the
        program's own rate. If the update is not proportional to the program's ``lr``, the argument is ``rate_factor``
        instead, which is the program's ``lr``. Further arguments are the program's constants, named by role.
    """
    made = prepared(program, _TAKEN)
    kinds, memory, named = verify(made.program), state_kinds(made.program), made.named
    argument = LEARNING_RATE if made.rate is not None else FACTOR
    program, extra = named.program, "".join(f", {name}" for name in named.defaults)
    whole_tree = any(FUNCTIONS[statement.function].scope is not Scope.ELEMENT for statement in program.body)
    state = program.state
    body = (
        _tree_lines(program, named.defaults, kinds)
        if whole_tree
        else [f"{s.target} = {_expression(s)}" for s in program.body]
    )
    changed = [f"{name}={name}" for name in state]
    cast = "jax.tree.map(lambda new, old: new.astype(old.dtype), {0}, state.{0})"
    trees = ["params", "grads", *(f"state.{name}" for name in state)]
    results = ", ".join(["change", *state]) if state else "change"
    if whole_tree:
        call = [
            f"arguments = ({', '.join(trees)}, rate{extra})",
            f"{results} = step(*jax.tree.map(single, arguments))",
        ]
        words = "One step on whole trees: the update, to be subtracted"
    else:
        arguments = f"map(single, (*leaves, rate{extra}))"
        call = [f"mapped = jax.tree.map(lambda *leaves: step(*{arguments}), {', '.join(trees)})"]
        if state:
            picked = f"jax.tree.map(lambda _, new: new[n], params, mapped) for n in range({len(state) + 1})"
            call.append(f"{results} = ({picked})")
        else:
            call = [call[0].replace("mapped =", "change =")]
        words = "One step on one array: the update, to be subtracted"
    call += [f"{name} = {cast.format(name)}" for name in state]
    source = _FILE.format(
        about=about(title, made, "jax and optax", notes),
        method=method(
            title,
            made,
            "    ",
            f"{made.rate_words(argument, advice)} It is a number, or a schedule from step to number.",
            made.decay_words,
        ),
        extra=extra,
        first=argument if made.rate is not None else f"*, {argument}",
        argument=argument,
        rate=made.rate or 1.0,
        keywords="".join(
            [", *" * bool(made.rate is not None and named.defaults)]
            + [f", {name}={value!r}" for name, value in named.defaults.items()]
        ),
        checked=", ".join(f"{name}={name}" for name in (argument, *made.checked)),
        helpers=helpers(program, lambda function: function.jax_definition),
        state_words=f", and the state: {listed_state(state, memory, 'the parameters')}" if state else "",
        state_fields="".join(f"\n    {name}: optax.Params" for name in state),
        parameters=", ".join(program.signature.inputs),
        step_words=f"{words}{', and the new state' if state else ''}.",
        numbers="    kind = lr.dtype\n" if any(", kind)" in line for line in body) else "",
        body="\n".join(f"    {line}" for line in body),
        returns=", ".join(program.signature.outputs),
        initial=", ".join(
            [
                "count=jnp.zeros((), jnp.int32)",
                *(
                    f"{n}=jax.tree.map(lambda p: jnp.zeros({_SHAPES[k]}, jnp.result_type(p, jnp.float32)), params)"
                    for n, k in zip(state, memory, strict=True)
                ),
            ]
        ),
        call="\n".join(f"        {line}" for line in call),
        final=", ".join(["count=optax.safe_increment(state.count)", *changed]),
    )
    return formatted(source)


_SHAPES = {
    Kind.LEAF: "jnp.shape(p)",
    Kind.PER_ROW: "(*jnp.shape(p)[:-1], 1)[: jnp.ndim(p)]",
    Kind.PER_COLUMN: "(1,) * (jnp.ndim(p) - 1) + jnp.shape(p)[-1:]",
}
"""Shape of a state variable for a parameter array ``p``, by kind."""


def _expression(statement: Statement) -> str:
    """The right-hand side. Calls on constants alone use arrays, which never raise and round as the program does."""
    constant = not any(isinstance(arg, str) for arg in statement.args)
    args = [arg if isinstance(arg, str) else _number(arg, array=constant) for arg in statement.args]
    code = FUNCTIONS[statement.function].jax_code.format(*args)
    return code if args else f"jnp.asarray({code}, kind)"


def _number(value: float, *, array: bool) -> str:
    if array:
        return f"jnp.asarray({value!r}, kind)"
    return f"({value!r})" if value < 0 else repr(value)


def _tree_lines(program: Program, constants: Mapping[str, float], results: Sequence[Kind]) -> list[str]:
    """Statements on whole trees; values that are not scalars are mapped over the leaves."""
    kinds = input_kinds(program) | dict.fromkeys(constants, Kind.SCALAR)
    lines: list[str] = []
    for statement, kind in zip(program.body, results, strict=True):
        code, function = _expression(statement), FUNCTIONS[statement.function]
        wide = list(dict.fromkeys(a for a in statement.args if isinstance(a, str) and kinds[a] is not Kind.SCALAR))
        if wide and function.scope is not Scope.TREE:
            code = f"jax.tree.map(lambda {', '.join(wide)}: {code}, {', '.join(wide)})"
        lines.append(f"{statement.target} = {code}")
        kinds[statement.target] = kind
    return lines


_TAKEN = frozenset(
    {"NamedTuple", "State", "ValueError", "arguments", "callable", "change", "count", "grads", "index", "init", "jax"}
    | {"jnp", "kind", "mapped", "optax", "optimizer", "params", "range", "rate", "state", "step", "sum", "updates"}
    | {"checked", "isinstance", "map", "name", "settings", "single", "value", "zip"}
)
"""Names that the file itself uses, and methods of tuples."""
