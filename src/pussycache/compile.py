"""A signature becomes the function that answers a hit.

For each cached method a function with the method's own parameters is generated, so that the
interpreter binds, orders and defaults the arguments. A hit is one look-up, one reading of the clock
and one count. Everything else is handed to the flow. Only parameters' names reach the generated
text, and they are identifiers by construction: names of methods and defaults are put in as objects.
"""

from __future__ import annotations

import functools
import inspect
import sys
from inspect import Parameter
from types import CodeType, CoroutineType, FunctionType
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pussycache.declare.keys import ATOMS, Coded, encode
from pussycache.declare.policy import Cached
from pussycache.declare.signatures import Method
from pussycache.engine import drivers, tasks
from pussycache.engine.clock import hot
from pussycache.engine.entry import Entry
from pussycache.engine.flow import Plan
from pussycache.engine.generations import Table
from pussycache.engine.keeping import AsyncItems, Items, Keeping, fresh
from pussycache.engine.speed import Hit
from pussycache.engine.writes import Effect, Write

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = ["Access", "Handle", "Writing", "binder", "forwarder", "planned", "reader", "writer"]


class Handle(NamedTuple):
    """What stands behind a cached function, for the operations on one of its calls.

    ``owner`` is the proxy or the instance that the function was taken from, `None` for a function;
    ``everywhere`` stands for the tables of all instances, where there is such a thing.
    """

    method: Method
    cached: Cached
    plan: Callable[[Table], Plan]
    table: Callable[[Any], Table]
    call: Callable[[Any], Callable[..., Any]]
    me: Callable[[Any], object]
    bind: Callable[..., tuple[Any, ...]]
    everywhere: Any = None


class Writing(NamedTuple):
    """What stands behind an invalidating function."""

    method: Method
    effects: Callable[[Any], Sequence[Effect]]


class Access(NamedTuple):
    """How the generated code gets at what it needs, as expressions over its first argument.

    ``$`` stands for the prefix of our own names. ``first`` says whether there is a first argument
    (an object) that is no part of the call; ``table_on_miss`` finds the table where ``table`` may
    not find one yet, ``plan`` the plan where the cache, and with it the ttl, differs by object;
    ``slot`` says that the table is in a slot of the object, where the C extension can find it.
    """

    table: str
    call: str
    me: str
    first: bool = True
    table_on_miss: str = ""
    plan: str = "$plan"
    slot: bool = False


_POSITIONAL: Final = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)
_PLAIN: Final = ("function", "coroutine")
_MOST: Final = 32
_MISS: Final = Coded("no hit")


class _Text:
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
            if param.kind is Parameter.POSITIONAL_ONLY:
                slash_after = len(parts) + 1
            elif param.kind is Parameter.VAR_POSITIONAL:
                text, starred = f"*{param.name}", True
            elif param.kind is Parameter.VAR_KEYWORD:
                text = f"**{param.name}"
            elif param.kind is Parameter.KEYWORD_ONLY and not starred:
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
            if param.kind is Parameter.VAR_POSITIONAL:
                text = f"*{text}"
            elif param.kind is Parameter.VAR_KEYWORD:
                text = f"**{text}"
            elif param.kind is Parameter.KEYWORD_ONLY:
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


def _made(
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


def binder(params: Sequence[Parameter]) -> Callable[..., tuple[Any, ...]]:
    """Return a function with these parameters that returns the arguments, in order."""
    text = _Text(params)
    source = f"def bind({text.list(first=False)}):\n    return {text.tuple()}"
    bind: Callable[..., tuple[Any, ...]] = _made(source, "bind", text.defaults)
    return bind


def planned(method: Method, cached: Cached, ttl: float | None) -> Plan:
    """Return what the flow needs to know of a cached method."""
    method.check(cached)
    text = _Text(method.params)
    o = text.own
    invoke: Callable[[Any, tuple[Any, ...]], Any] | None = None
    if any(p.kind not in _POSITIONAL for p in method.params) or method.kind not in _PLAIN:
        invoke = _read_whole(
            method.kind,
            _made(
                f"def invoke({o}call, {o}v):\n"
                f"    return {o}call({text.pass_on(lambda i, name: f'{o}v[{i}]')})",
                "invoke",
                {},
            ),
        )
    label = f"{method.owner}.{method.name}"
    keeping = Keeping(label, cached, ttl)
    return Plan(label, _encoder(method, cached, text), invoke, keeping)


def _read_whole(kind: str, lazy: Callable[[Any, tuple[Any, ...]], Any]) -> Any:
    """Let a generator function be called and read to its end, in one."""

    def invoke(call: Any, values: tuple[Any, ...]) -> Items:
        return Items(lazy(call, values))

    async def invoke_async(call: Any, values: tuple[Any, ...]) -> AsyncItems:
        return AsyncItems([item async for item in lazy(call, values)])

    return {"generator": invoke, "asyncgen": invoke_async}.get(kind, lazy)


def _encoder(method: Method, cached: Cached, text: _Text) -> Callable[[Any, object], Any]:
    o = text.own
    given: dict[str, object] = {f"{o}encode": encode, f"{o}atoms": ATOMS}
    if cached.key is not None:
        given[f"{o}key"] = cached.key
        body = [
            f"return {o}encode(({o}key({text.pass_on(lambda i, name: name)}), ), {o}me)",
        ]
    else:
        at = method.key_positions(cached)
        names = [text.names[i] for i in at]
        body = [f"return {o}encode({text.tuple(names)}, {o}me)"]
        if names and not text.variadic & set(names):
            plain = " and ".join(f"type({name}) in {o}atoms" for name in names)
            body.insert(0, f"if {plain}: return {_raw_key(text, names)}")
    unpack = f"    {text.tuple()} = {o}v\n" if text.names else ""
    source = f"def encode({o}v, {o}me):\n{unpack}" + "\n".join("    " + line for line in body)
    encoder: Callable[[Any, object], Any] = _made(source, "encode", given)
    return encoder


def _raw_key(text: _Text, names: Sequence[str]) -> str:
    return text.tuple([*names, *(f"type({name})" for name in names)])


_IN_PYTHON: Final = """\
    try:
        {o}e = {table}.entries[{key}]
        if {o}e.expires > {now}:
            {o}e.hits += 1
            return {value}
    except Exception:
        pass
"""

_IN_C: Final = """\
    {o}v = {o}hit({o}self, {names})
    if {o}v is not {o}miss:
        return {o}v
"""

_CALL: Final = """\
{define} method({params}):
{hit}    {o}v = {values}
    {o}t = {table_again}
    return {wait}{o}run({plan}, {o}t, {me}, {call}, {o}v, {known_key})
"""

_REPLAY: Final = """\
async def method({params}):
    {o}v = {values}
    {o}t = {table_again}
    async for {o}e in await {o}run({plan}, {o}t, {me}, {call}, {o}v, None):
        yield {o}e
"""


def reader(
    method: Method, cached: Cached, plan: Plan, access: Access, given: Mapping[str, object]
) -> FunctionType:
    """Return the function that stands for a cached method.

    :param given: the objects that the expressions of ``access`` name, by name without the prefix.
    """
    text = _Text(method.params)
    o = text.own
    asynchronous = method.kind in ("coroutine", "asyncgen")
    keeping = plan.keeping
    names = [text.names[i] for i in method.key_positions(cached)]
    known_key = "None"
    if cached.key is None and not text.variadic & set(names):
        key = _raw_key(text, names)
        plain = " and ".join(f"type({name}) in {o}atoms" for name in names)
        if not asynchronous:
            known_key = f"{key} if {plain} else None" if plain else key
    else:
        key = f"{o}plan.encode({text.tuple()}, {access.me.replace('$', o)})"
    compiled = (
        Hit is not None
        and access.slot
        and cached.key is None
        and keeping.hand is None
        and method.kind in _PLAIN
        and len(text.names) <= _MOST
        and all(p.kind is Parameter.POSITIONAL_OR_KEYWORD for p in method.params)
    )
    # A compiled hit calls the function only where it has none itself: it need not look again.
    look = "" if compiled and not asynchronous else _IN_C if compiled else _IN_PYTHON
    template = _REPLAY if method.kind == "asyncgen" else _CALL.replace("{hit}", look)
    source = template.format(
        o=o,
        names="".join(f"{name}, " for name in text.names),
        define="async def" if asynchronous else "def",
        wait="await " if asynchronous else "",
        params=text.list(access.first),
        key=key,
        known_key=known_key,
        now="now()" if keeping.timed else "floor",
        value=f"{o}e.value" if keeping.hand is None else f"{o}hand({o}e.value)",
        values=text.tuple(),
        table=access.table.replace("$", o),
        table_again=(access.table_on_miss or access.table).replace("$", o),
        plan=access.plan.replace("$", o),
        call=access.call.replace("$", o),
        me=access.me.replace("$", o),
    )
    objects: dict[str, object] = {
        "run": tasks.run if asynchronous else drivers.run,
        "atoms": ATOMS,
        "plan": plan,
        "hand": keeping.hand or fresh,
        **given,
    }
    if compiled and asynchronous:
        objects["hit"] = _compiled(None, method, cached, keeping, _MISS)
        objects["miss"] = _MISS
    closed = {o + name: value for name, value in objects.items()}
    function = named(_made(source, "method", closed | text.defaults), method, access.first)
    if not compiled:
        return function
    if asynchronous:
        function.__pussycache_hit__ = objects["hit"]  # type: ignore[attr-defined]
        return function
    hit: Any = _compiled(function, method, cached, keeping)
    functools.update_wrapper(hit, function).__wrapped__ = function.__wrapped__  # type: ignore[attr-defined]
    hit.__pussycache_hit__ = hit
    return hit  # type: ignore[no-any-return]


def _compiled(
    fallback: Any, method: Method, cached: Cached, keeping: Keeping, miss: object = None
) -> Any:
    return Hit(
        fallback,
        table_type=Table,
        entry_type=Entry,
        names=tuple([p.name for p in method.params]),
        key_positions=tuple(method.key_positions(cached)),
        defaults=tuple([p.default for p in method.params if p.default is not Parameter.empty]),
        timed=keeping.timed,
        miss=miss,
    )


def at_home(function: Any, owner: type, slot: str) -> None:
    """Tell a compiled hit, if there is one, the class whose instances keep the table in a slot."""
    hit = getattr(function, "__pussycache_hit__", None)
    if hit is not None:
        hit.bind_owner(owner, slot)


def named(function: FunctionType, method: Method, first: bool) -> FunctionType:
    """Give a generated function the name, the signature and the looks of its method."""
    raw = method.raw.__func__ if isinstance(method.raw, (staticmethod, classmethod)) else method.raw
    function.__name__ = method.name
    function.__qualname__ = getattr(raw, "__qualname__", None) or f"{method.owner}.{method.name}"
    function.__doc__ = getattr(raw, "__doc__", None)
    function.__module__ = getattr(raw, "__module__", None) or __name__
    function.__wrapped__ = raw  # type: ignore[attr-defined]
    own = [Parameter("self", Parameter.POSITIONAL_ONLY)] if first else []
    try:
        returns = inspect.signature(raw).return_annotation
    except (TypeError, ValueError):
        returns = inspect.Signature.empty
    params = list(method.params)
    if own and params and params[0].kind is not Parameter.POSITIONAL_ONLY:
        own = [Parameter("self", Parameter.POSITIONAL_OR_KEYWORD)]
    if any(p.name == "self" for p in params):
        own = [p.replace(name="_self") for p in own]
    function.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [*own, *params], return_annotation=returns
    )
    annotations = getattr(raw, "__annotations__", None)
    if isinstance(annotations, dict):
        function.__annotations__.update(annotations)
    return function


def writer(
    method: Method,
    effects: Callable[[Any], Sequence[Effect]],
    call: Callable[[Any], Callable[..., Any]],
    first: bool = True,
) -> FunctionType:
    """Return the function that stands for an invalidating method.

    :param effects: gives, for the owner, what a write makes wrong.
    :param call: gives, for the owner, the bare method.
    """
    bind = binder(method.params)
    names = tuple(method.positions)

    def write_of(owner: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Write:
        try:
            arguments = dict(zip(names, bind(*args, **kwargs), strict=True))
        except TypeError:
            # The method will say what is wrong with the call.
            return Write(method.name, effects(owner), None)
        return Write(method.name, effects(owner), arguments)

    async def awaited(owner: Any, args: Any, kwargs: Any, coroutine: Any) -> Any:
        # A plain function handed on a coroutine: what it does, it does when it is awaited.
        write = write_of(owner, args, kwargs)
        write.begin(inside=True)
        try:
            result = await coroutine
        except BaseException:
            write.end()
            raise
        write.end(result)
        return result

    def function(owner: Any, /, *args: Any, **kwargs: Any) -> Any:
        write = write_of(owner, args, kwargs)
        write.begin(inside=True)
        try:
            result = call(owner)(*args, **kwargs)
        except BaseException:
            write.end()
            raise
        write.end(result)
        if type(result) in ATOMS:
            return result
        if type(result) is CoroutineType:
            return awaited(owner, args, kwargs, result)
        if hasattr(type(result), "add_done_callback"):
            # A task or a future: what it does, it does until it is done.
            later = write_of(owner, args, kwargs)
            later.begin()
            result.add_done_callback(lambda done: later.end())
        elif (entered := generator_of(result)) is not None:
            result.gen = entered(owner, args, kwargs, result.gen)
        return result

    async def coroutine(owner: Any, /, *args: Any, **kwargs: Any) -> Any:
        return await awaited(owner, args, kwargs, call(owner)(*args, **kwargs))

    def generator(owner: Any, /, *args: Any, **kwargs: Any) -> Any:
        return (yield from yielded(owner, args, kwargs, call(owner)(*args, **kwargs)))

    def asyncgen(owner: Any, /, *args: Any, **kwargs: Any) -> Any:
        return yielded_async(owner, args, kwargs, call(owner)(*args, **kwargs))

    def yielded(owner: Any, args: Any, kwargs: Any, items: Any) -> Any:
        write = write_of(owner, args, kwargs)
        write.begin()
        try:
            return (yield from items)
        finally:
            write.end()

    async def yielded_async(owner: Any, args: Any, kwargs: Any, items: Any) -> Any:
        write = write_of(owner, args, kwargs)
        write.begin()
        try:
            step = items.asend(None)
            while True:
                try:
                    item = await step
                except StopAsyncIteration:
                    return
                try:
                    step = items.asend((yield item))
                except GeneratorExit:
                    await items.aclose()
                    raise
                except BaseException as error:
                    step = items.athrow(error)
        finally:
            write.end()

    def generator_of(result: Any) -> Any:
        # What contextlib's decorators make: what it does, it does while it is entered.
        contexts: Any = sys.modules.get("contextlib")
        if contexts is None or not isinstance(result, contexts._GeneratorContextManagerBase):
            return None
        return yielded_async if hasattr(result.gen, "asend") else yielded

    kinds: dict[str, Any] = {
        "function": function,
        "coroutine": coroutine,
        "generator": generator,
        "asyncgen": asyncgen,
    }
    made: FunctionType = kinds[method.kind]
    if not first:
        made = _ownerless(made, method.kind)
    made.__pussycache_writes__ = Writing(method, effects)  # type: ignore[attr-defined]
    return named(made, method, first)


def _ownerless(inner: Any, kind: str) -> FunctionType:
    def function(*args: Any, **kwargs: Any) -> Any:
        return inner(None, *args, **kwargs)

    async def coroutine(*args: Any, **kwargs: Any) -> Any:
        return await inner(None, *args, **kwargs)

    kinds: dict[str, Any] = {"coroutine": coroutine}
    made: FunctionType = kinds.get(kind, function)
    return made


_NIL: Final = Coded("not given")


def forwarder(name: str, raw: Any, target: str) -> FunctionType | None:
    """Return a function that passes a plain method's calls on to the target, as they were made.

    `None` if the method is not of a kind for which this is exact and worth it. The attribute is
    looked up at each call: a method that is replaced on the target is seen at once.
    """
    if type(raw) is not FunctionType or hasattr(raw, "__wrapped__"):
        return None
    try:
        params = list(inspect.signature(raw).parameters.values())[1:]
    except (TypeError, ValueError):
        return None
    optional = [p.name for p in params if p.default is not Parameter.empty]
    if len(optional) > 2 or any(p.kind is not Parameter.POSITIONAL_OR_KEYWORD for p in params):
        return None
    text = _Text(params)
    o = text.own
    needed = text.names[: len(text.names) - len(optional)]

    def call(*more: str) -> str:
        return f"return {o}self.{target}.{o}name({', '.join([*needed, *more])})"

    lines = []
    if len(optional) == 2:
        a, b = optional
        lines = [
            f"if {b} is {o}nil:",
            f"    if {a} is {o}nil: {call()}",
            f"    {call(a)}",
            f"if {a} is {o}nil: {call(f'{b}={b}')}",
        ]
    elif optional:
        lines = [f"if {optional[0]} is {o}nil: {call()}"]
    lines.append(call(*optional))
    body = "\n".join("    " + line for line in lines)
    function = _made(
        f"def method({text.list(first=True)}):\n{body}",
        "method",
        {f"{o}nil": _NIL} | dict.fromkeys(text.defaults, _NIL),
        {f"{o}name": name},
    )
    return named(function, Method(name, raw, "function", tuple(params), ""), first=True)
