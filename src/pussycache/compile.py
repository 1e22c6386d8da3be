"""A signature becomes the function that answers a hit.

For each cached method a function with the method's own parameters is generated, so that the
interpreter binds, orders and defaults the arguments. A hit is one look-up, one reading of the clock
and one count. Everything else is handed to the flow. Only parameters' names reach the generated
text, and they are identifiers by construction: names of methods and defaults are put in as objects.
"""

from __future__ import annotations

import functools
from types import FunctionType

from pussycache.declare.keys import ATOMS, Coded, encode
from pussycache.declare.parameters import LAZY, Parameter, parameters
from pussycache.declare.policy import Cached
from pussycache.declare.signatures import Method
from pussycache.declare.templates import tags_of
from pussycache.engine import drivers, tasks
from pussycache.engine.asking import AT_ONCE, NOWHERE, WATCHED
from pussycache.engine.entry import Entry, Tended
from pussycache.engine.generations import Table
from pussycache.engine.keeping import AsyncItems, Items, Keeping, fresh
from pussycache.engine.landing import landed
from pussycache.engine.plan import Plan, Tagger
from pussycache.engine.singleflight import ABANDONED, LOADING, Failure, Flight
from pussycache.engine.speed import Hit
from pussycache.errors import ConfigurationError
from pussycache.source import Text, made, named

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any, Final

    from pussycache.engine.asking import Far
    from pussycache.engine.ids import Ids

__all__ = ["Access", "Handle", "at_home", "forwarder", "ids_of", "planned", "reader"]


class Handle:
    """What stands behind a cached function, for the operations on one of its calls.

    ``owner`` is the proxy or the instance that the function was taken from, `None` for a function;
    ``everywhere`` stands for the tables of all instances, where there is such a thing. A function
    that is not ``owned`` has one table of its own. ``ids`` says how a call for many ids comes
    apart; ``item`` gives, for the class of an owner, the method for one id whose entries it has.
    """

    def __init__(
        self,
        method: Method,
        cached: Cached,
        plan: Callable[[Table], Plan],
        table: Callable[[Any], Table],
        call: Callable[[Any], Callable[..., Any]],
        me: Callable[[Any], object],
        bind: Callable[..., tuple[Any, ...]],
        everywhere: Any = None,
        owned: bool = True,
        ids: Callable[[Table], Ids] | None = None,
        item: Callable[[type], Handle] | None = None,
    ) -> None:
        self.method = method
        self.cached = cached
        self.plan = plan
        self.table = table
        self.call = call
        self.me = me
        self.bind = bind
        self.everywhere = everywhere
        self.owned = owned
        self.ids = ids
        self.item = item


class Access:
    """How the generated code gets at what it needs, as expressions over its first argument.

    ``$`` stands for the prefix of our own names. ``first`` says whether there is a first argument
    (an object) that is no part of the call; ``table_on_miss`` finds the table where ``table`` may
    not find one yet, ``plan`` the plan where the cache, and with it the ttl, differs by object;
    ``slot`` says that the table is in a slot of the object, where the C extension can find it.
    """

    def __init__(
        self,
        table: str,
        call: str,
        me: str,
        first: bool = True,
        table_on_miss: str = "",
        plan: str = "$plan",
        slot: bool = False,
    ) -> None:
        self.table = table
        self.call = call
        self.me = me
        self.first = first
        self.table_on_miss = table_on_miss
        self.plan = plan
        self.slot = slot


_POSITIONAL: Final = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)
_PLAIN: Final = ("function", "coroutine")
_VARIADIC: Final = (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD)
_MOST: Final = 32


def planned(
    method: Method,
    cached: Cached,
    ttl: float | None,
    far: Far | None = None,
    item: Plan | None = None,
) -> Plan:
    """Return what the flow needs to know of a cached method.

    :param far: how its calls are answered, if the cache is outside of this process.
    :param item: the plan of the method for one id that shares the entries: they carry its tags.
    """
    method.check(cached)
    text = Text(method.params)
    o = text.own
    invoke: Callable[[Any, tuple[Any, ...]], Any] | None = None
    if any(p.kind not in _POSITIONAL for p in method.params) or method.kind not in _PLAIN:
        invoke = _read_whole(
            method.kind,
            made(
                f"def invoke({o}call, {o}v):\n"
                f"    return {o}call({text.pass_on(lambda i, name: f'{o}v[{i}]')})",
                "invoke",
                {},
            ),
        )
    label = method.label
    names = tuple(text.names)
    if item is not None:
        tags = item.tags
    else:
        tags = _tagger(label, method, cached, text) if cached.tags else None
    keeping = Keeping(label, cached, ttl, tagged=tags is not None)
    encode = _encoder(method, cached, text)
    if far is None:
        return Plan(label, encode, invoke, keeping, names, tags, function=method.raw)
    parts = _parts(method, cached, text)
    steady = cached.key is None
    return Plan(label, encode, invoke, keeping, names, tags, far, parts, method.raw, steady)


def _parts(
    method: Method, cached: Cached, text: Text
) -> Callable[[tuple[Any, ...]], tuple[Any, ...]]:
    """Return what gives the parts of a key, not encoded."""
    o = text.own
    given: dict[str, object] = {}
    if cached.key is not None:
        given[f"{o}key"] = cached.key
        body = f"return {o}key({text.pass_on(lambda i, name: name)}), "
    else:
        body = f"return {text.tuple([text.names[i] for i in method.key_positions(cached)])}"
    unpack = f"    {text.tuple()} = {o}v\n" if text.names else ""
    parts: Callable[[tuple[Any, ...]], tuple[Any, ...]] = made(
        f"def parts({o}v):\n{unpack}    {body}", "parts", given
    )
    return parts


def _tagger(label: str, method: Method, cached: Cached, text: Text) -> Tagger:
    """Return what gives the tags of a call: by its arguments, or by its result too."""
    tags = cached.tags
    if not callable(tags):
        templates, names = tags, text.names
        return Tagger(
            lambda values, *result: tuple(
                [
                    template.format_map(dict(zip(names, values, strict=True)))
                    for template in templates
                ]
            ),
            by_result=False,
        )
    o = text.own
    ask = made(
        f"def ask({o}v, {o}result):\n"
        f"    return {o}tags({o}result, {text.pass_on(lambda i, name: f'{o}v[{i}]')})",
        "ask",
        {f"{o}tags": tags},
    )
    return Tagger(lambda values, *result: tags_of(ask(values, *result), label), by_result=True)


def ids_of(
    method: Method, cached: Cached, plan: Plan, item: tuple[Method, Cached, Plan] | None = None
) -> Ids | None:
    """Return how calls of a method for many ids come apart; `None` for a method that is not one.

    :param item: the method for one id that shares the entries.
    :raises ConfigurationError: if its parameters do not fit.
    """
    if cached.each is None:
        return None
    # Asked for only here: few programs have methods for many ids.
    from pussycache.engine.ids import Ids

    at = method.positions[cached.each]
    if item is None:
        sources = tuple([None if i == at else i for i in range(len(method.params))])
        return Ids(at, sources, plan, plain=len(sources) == 1 and cached.key is None)
    one, policy, its_plan = item
    others = [name for name in method.positions if name != cached.each]
    own = [name for name in one.positions if name not in others]
    if (
        len(own) != 1
        or len(one.positions) != len(method.positions)
        or policy.each is not None
        or any(said.key is not None or said.ignore or said.materialize for said in (policy, cached))
        or any(p.kind in _VARIADIC for p in (*one.params, *method.params))
    ):
        raise ConfigurationError(
            f"item of {method.name!r} names {one.name!r}, whose entries it cannot share; both must "
            "be cached, without key=, ignore= or materialize=, and have the same parameters but "
            f"for one id in the place of {cached.each!r}"
        )
    if policy.idle_ttl != cached.idle_ttl:
        raise ConfigurationError(
            f"item of {method.name!r} names {one.name!r}, which has another idle_ttl, and either's "
            "hits are uses of the same results; give both the same"
        )
    places = method.positions
    sources = tuple([None if n in own else places[n] for n in one.positions])
    names = its_plan.names
    own_plan = Plan(
        *(plan.label, its_plan.encode, plan.invoke, plan.keeping, names, plan.tags),
        *(plan.far, its_plan.parts, its_plan.function, its_plan.steady),
    )
    return Ids(at, sources, own_plan, plain=len(sources) == 1)


def _read_whole(kind: str, lazy: Callable[[Any, tuple[Any, ...]], Any]) -> Any:
    """Let a generator function be called and read to its end, in one."""

    def invoke(call: Any, values: tuple[Any, ...]) -> Items:
        return Items(lazy(call, values))

    async def invoke_async(call: Any, values: tuple[Any, ...]) -> AsyncItems:
        return AsyncItems([item async for item in lazy(call, values)])

    return {"generator": invoke, "asyncgen": invoke_async}.get(kind, lazy)


def _encoder(method: Method, cached: Cached, text: Text) -> Callable[[Any, object], Any]:
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
    encoder: Callable[[Any, object], Any] = made(source, "encode", given)
    return encoder


def _raw_key(text: Text, names: Sequence[str]) -> str:
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

_IN_PYTHON_IDLE: Final = """\
    try:
        {o}e = {table}.entries[{key}]
        {o}n = now()
        if {o}e.expires > {o}n:
            {o}e.used = {o}n
            {o}e.hits += 1
            return {value}
    except Exception:
        pass
"""

_IN_PYTHON_WATCHED: Final = """\
    try:
        {o}e = {table}
        if {o}e.watch():
            {o}e = {o}e.entries[{key}]
            if {o}e.expires > {now}:
                {o}e.hits += 1
                return {value}
    except Exception:
        pass
"""

_LOOKS: Final = {AT_ONCE: _IN_PYTHON, WATCHED: _IN_PYTHON_WATCHED, NOWHERE: ""}

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
    method: Method,
    cached: Cached,
    plan: Plan,
    access: Access,
    given: Mapping[str, object],
    ids: Callable[[Table], Ids] | None = None,
) -> FunctionType:
    """Return the function that stands for a cached method.

    :param given: the objects that the expressions of ``access`` name, by name without the prefix.
    :param ids: says how calls come apart, where they are for many ids.
    """
    text = Text(method.params)
    o = text.own
    asynchronous = method.kind in ("coroutine", "asyncgen")
    keeping = plan.keeping
    names = [text.names[i] for i in method.key_positions(cached)]
    known_key = "None"
    if cached.key is None and not text.variadic & set(names):
        key = _raw_key(text, names)
        plain = " and ".join(f"type({name}) in {o}atoms" for name in names)
        # Where more is to be looked at than the clock, the flow looks at it.
        if not (asynchronous or keeping.asks or plan.far is not None):
            known_key = f"{key} if {plain} else None" if plain else key
    else:
        key = f"{o}plan.encode({text.tuple()}, {access.me.replace('$', o)})"
    compiled = (
        Hit is not None
        and access.slot
        and ids is None
        and (plan.looks == AT_ONCE or (plan.looks == WATCHED and not asynchronous))
        and cached.key is None
        and keeping.hand is None
        and method.kind in _PLAIN
        and len(text.names) <= _MOST
        and all(p.kind == Parameter.POSITIONAL_OR_KEYWORD for p in method.params)
    )
    # What is kept elsewhere, too, may be kept for less long than this declaration says.
    timed = keeping.timed or plan.far is not None
    # A compiled hit calls the function only where it has none itself: it need not look again.
    look = "" if compiled else _IN_PYTHON_IDLE if keeping.idle else _IN_PYTHON
    if plan.far is not None:
        look, known_key = _LOOKS[plan.looks], "None"
    if ids is not None:
        look, known_key = "", "None"
    template = _REPLAY if method.kind == "asyncgen" else _CALL.replace("{hit}", look)
    source = template.format(
        o=o,
        define="async def" if asynchronous else "def",
        wait="await " if asynchronous else "",
        params=text.list(access.first),
        key=key,
        known_key=known_key,
        now="now()" if timed else "floor",
        value=f"{o}e.value" if keeping.hand is None else f"{o}hand({o}e.value)",
        values=text.tuple(),
        table=access.table.replace("$", o),
        table_again=(access.table_on_miss or access.table).replace("$", o),
        plan=access.plan.replace("$", o),
        call=access.call.replace("$", o),
        me=access.me.replace("$", o),
    )
    objects: dict[str, object] = {
        "run": _run(plan, asynchronous),
        "atoms": ATOMS,
        "plan": plan,
        "hand": keeping.hand or fresh,
        **given,
    }
    if ids is not None:
        run_batch: Any = tasks.run_batch if asynchronous else drivers.run_batch
        objects["run"] = functools.partial(run_batch, _gathering(ids))
    closed = {o + name: value for name, value in objects.items()}
    function = named(made(source, "method", closed | text.defaults), method, access.first)
    return _compiled(function, method, cached, plan, timed) if compiled else function


def _run(plan: Plan, asynchronous: bool) -> Callable[..., Any]:
    if plan.far is not None:
        return tasks.run_far if asynchronous else drivers.run_far
    return tasks.run if asynchronous else drivers.run


def _gathering(ids: Callable[[Table], Ids]) -> Callable[..., Any]:
    # Asked for only here: few programs have methods for many ids.
    from pussycache.engine.batches import gather

    def flow(plan: Plan, table: Table, values: tuple[Any, ...], me: object) -> Any:
        start = gather if plan.far is None else plan.far.gather
        return start(plan, ids(table), table, values, me)

    return flow


# By which `inspect` knows what is like a function, and whether it is one that has to be awaited.
_OF_A_FUNCTION: Final = ("__code__", "__defaults__", "__kwdefaults__")


def _compiled(
    function: FunctionType, method: Method, cached: Cached, plan: Plan, timed: bool
) -> Any:
    keeping = plan.keeping
    hit = Hit(
        function,
        table_type=Table,
        entry_type=Tended if keeping.idle else Entry,
        names=tuple([p.name for p in method.params]),
        key_positions=tuple(method.key_positions(cached)),
        defaults=tuple([p.default for p in method.params if p.default is not Parameter.empty]),
        timed=timed,
        asynchronous=method.kind == "coroutine",
        **({"idle": True} if keeping.idle else {}),
        **({"watched": True} if plan.looks == WATCHED else {}),
    )
    functools.update_wrapper(hit, function).__wrapped__ = function.__wrapped__  # type: ignore[attr-defined]
    for name in _OF_A_FUNCTION:
        setattr(hit, name, getattr(function, name))
    return hit


def at_home(function: Any, owner: type, slot: str, plan: Plan, target: str | None) -> None:
    """Tell a compiled hit, if there is one, the class whose instances keep the table in a slot.

    :param target: the slot with the object whose method is called, where it is called as it is:
        then the extension runs the plainest misses, too.
    """
    if Hit is None or type(function) is not Hit:
        return
    function.bind_owner(owner, slot)
    keeping = plan.keeping
    plain = keeping.plain and plan.invoke is None and plan.far is None
    if target is not None and plain and not function.__code__.co_flags & LAZY:
        function.bind_miss(
            target=target,
            name=function.__name__,
            plan=plan,
            lasting=keeping.lasting,
            landed=landed,
            abandoned=ABANDONED,
            loading=LOADING,
            flight_type=Flight,
            failure_type=Failure,
        )


_NIL: Final = Coded("not given")


def forwarder(name: str, raw: Any, target: str) -> FunctionType | None:
    """Return a function that passes a plain method's calls on to the target, as they were made.

    `None` if the method is not of a kind for which this is exact and worth it. The attribute is
    looked up at each call: a method that is replaced on the target is seen at once.
    """
    if type(raw) is not FunctionType or hasattr(raw, "__wrapped__"):
        return None
    try:
        params = list(parameters(raw))[1:]
    except (TypeError, ValueError):
        return None
    optional = [p.name for p in params if p.default is not Parameter.empty]
    if len(optional) > 2 or any(p.kind != Parameter.POSITIONAL_OR_KEYWORD for p in params):
        return None
    text = Text(params)
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
    function = made(
        f"def method({text.list(first=True)}):\n{body}",
        "method",
        {f"{o}nil": _NIL} | dict.fromkeys(text.defaults, _NIL),
        {f"{o}name": name},
    )
    return named(function, Method(name, raw, "function", tuple(params), ""), first=True)
