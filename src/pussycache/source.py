"""Source text made of a signature, and the functions made of that.

Which functions are made, and what for, is the business of those who ask.
"""

from __future__ import annotations

from types import CodeType

from pussycache.declare.parameters import Parameter, is_plain, parameters, signature
from pussycache.engine.clock import hot

TYPE_CHECKING = False
if TYPE_CHECKING:
    import inspect
    from collections.abc import Callable, Mapping, Sequence
    from types import FunctionType
    from typing import Any

    from pussycache.declare.signatures import Method

__all__ = ["Text", "binder", "made", "named"]


class Text:
    """The pieces of source text that a signature comes to."""

    def __init__(self, params: Sequence[Parameter]) -> None:
        self.names = [param.name for param in params]
        self.own = "_pc"
        while any(name.startswith(self.own) for name in self.names):
            self.own += "_"
        self.params = params

    def list(self, first: bool) -> str:
        """The parameter list; `defaults` are the objects that it names."""
        parts = [f"{self.own}self"] if first else []
        slash_after = len(parts) if first else 0
        starred = False
        for param in self.params:
            text = param.name
            if param.default is not Parameter.empty:
                text += f"={self.own}d_{param.name}"
            if param.kind == Parameter.POSITIONAL_ONLY:
                slash_after = len(parts) + 1
            elif param.kind == Parameter.VAR_POSITIONAL:
                text, starred = f"*{param.name}", True
            elif param.kind == Parameter.VAR_KEYWORD:
                text = f"**{param.name}"
            elif param.kind == Parameter.KEYWORD_ONLY and not starred:
                parts.append("*")
                starred = True
            parts.append(text)
        if slash_after:
            parts.insert(slash_after, "/")
        return ", ".join(parts)

    def tuple(self, names: Sequence[str] | None = None) -> str:
        """The arguments as a tuple."""
        names = self.names if names is None else names
        return "(" + "".join(f"{name}, " for name in names) + ")"

    def pass_on(self, value: Callable[[int, str], str]) -> str:
        """The arguments as they are passed to a call."""
        parts = []
        for i, param in enumerate(self.params):
            text = value(i, param.name)
            if param.kind == Parameter.VAR_POSITIONAL:
                text = f"*{text}"
            elif param.kind == Parameter.VAR_KEYWORD:
                text = f"**{text}"
            elif param.kind == Parameter.KEYWORD_ONLY:
                text = f"{param.name}={text}"
            parts.append(text)
        return ", ".join(parts)

    @property
    def defaults(self) -> dict[str, object]:
        """The defaults, by the names that the text has for them."""
        return {
            f"{self.own}d_{param.name}": param.default
            for param in self.params
            if param.default is not Parameter.empty
        }

    @property
    def variadic(self) -> set[str]:
        kinds = (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD)
        return {param.name for param in self.params if param.kind in kinds}


def made(
    text: str, name: str, given: Mapping[str, object], renamed: Mapping[str, str] | None = None
) -> Any:
    """Run the generated text of a maker and return the function it makes.

    All functions share one dictionary of globals, the clock's; the rest they close over.
    Nothing is set on a function afterwards that the interpreter would stop specialising it for.

    :param renamed: attributes in the text and what they are really called.
    """
    own: dict[str, Any] = {}
    lines = "\n".join("    " + line for line in text.splitlines())
    source = f"def make({', '.join(given)}):\n{lines}\n    return {name}\n"
    code = compile(source, "<pussycache>", "exec")
    exec(_renamed(code, renamed) if renamed else code, hot, own)
    return own["make"](*given.values())


def _renamed(code: CodeType, names: Mapping[str, str]) -> CodeType:
    return code.replace(
        co_names=tuple([names.get(name, name) for name in code.co_names]),
        co_consts=tuple(
            [_renamed(c, names) if isinstance(c, CodeType) else c for c in code.co_consts]
        ),
    )


def binder(params: Sequence[Parameter], name: str) -> Callable[..., tuple[Any, ...]]:
    """Return a function with these parameters that returns the arguments, in order.

    :param name: what errors about the arguments are to call it.
    """
    text = Text(params)
    source = f"def bind({text.list(first=False)}):\n    return {text.tuple()}"
    bind: FunctionType = made(source, "bind", text.defaults)
    bind.__name__ = bind.__qualname__ = name
    return bind


def named(function: FunctionType, method: Method, first: bool) -> FunctionType:
    """Give a generated function the name, the signature and the looks of its method."""
    raw = method.raw.__func__ if isinstance(method.raw, (staticmethod, classmethod)) else method.raw
    function.__name__ = method.name
    function.__qualname__ = getattr(raw, "__qualname__", None) or f"{method.owner}.{method.name}"
    function.__doc__ = getattr(raw, "__doc__", None)
    function.__module__ = getattr(raw, "__module__", None) or __name__
    function.__wrapped__ = raw  # type: ignore[attr-defined]
    if not _is_told_by(raw, method, first):
        function.__signature__ = _signature(raw, method, first)  # type: ignore[attr-defined]
    annotations = getattr(raw, "__annotations__", None)
    if isinstance(annotations, dict):
        function.__annotations__.update(annotations)
    return function


def _is_told_by(raw: Any, method: Method, first: bool) -> bool:
    """Whether what is wrapped has the very parameters: then `inspect` finds them there."""
    if not is_plain(raw):
        return False
    theirs = parameters(raw)[first:]
    return len(theirs) == len(method.params) and all(
        (one.name, one.kind) == (other.name, other.kind) and one.default is other.default
        for one, other in zip(theirs, method.params, strict=True)
    )


def _signature(raw: Any, method: Method, first: bool) -> inspect.Signature:
    import inspect

    own = [Parameter("self", Parameter.POSITIONAL_ONLY)] if first else []
    try:
        returns = inspect.signature(raw).return_annotation
    except (TypeError, ValueError):
        returns = inspect.Signature.empty
    params = list(method.params)
    if own and params and params[0].kind != Parameter.POSITIONAL_ONLY:
        own = [Parameter("self", Parameter.POSITIONAL_OR_KEYWORD)]
    if any(p.name == "self" for p in params):
        own = [Parameter("_self", own[0].kind)] if own else []
    return signature([*own, *params]).replace(return_annotation=returns)
