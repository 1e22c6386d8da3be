"""Tags as they are declared: templates over the arguments of a call, and `ForgetTag`.

Which entries carry a tag, and what forgetting one comes to, is the engine's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from pussycache.declare.records import record
from pussycache.errors import ConfigurationError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["ForgetTag", "TagMatch", "check_template", "declared_tags", "tags_of"]


def _fields(template: str, what: str) -> list[str]:
    """Return the names of the parameters in a template."""
    # Asked for only here: few programs have tags.
    from string import Formatter

    try:
        found = [field for _, field, _, _ in Formatter().parse(template) if field is not None]
    except ValueError as error:
        raise ConfigurationError(
            f"{what} has the template {template!r}, which cannot be read: {error}; write a brace "
            "that is part of the tag as {{ or }}"
        ) from None
    names = [field.replace("[", ".").partition(".")[0] for field in found]
    for name in names:
        if not name.isidentifier():
            raise ConfigurationError(
                f"{what} has the template {template!r}, which names no parameter between its "
                "braces; write {user_id}"
            )
    return names


def check_template(template: str, params: Iterable[str], what: str, method: str) -> None:
    """Refuse a template over parameters that a method does not have."""
    known = list(params)
    for name in _fields(template, what):
        if name not in known:
            raise ConfigurationError(
                f"{what} has the template {template!r}, which names {name!r}, but {method!r} has "
                f"the parameters: {', '.join(known) or 'none at all'}"
            )


def declared_tags(said: object) -> tuple[str, ...] | Callable[..., Any]:
    """Return tags as they were declared: templates, or a callable."""
    if callable(said):
        return said
    if isinstance(said, str) or not isinstance(said, Iterable):
        wanted = f"[{said!r}]" if isinstance(said, str) else "['user:{user_id}']"
        raise ConfigurationError(
            f"tags must be a list of templates or a callable, not {said!r}; write tags={wanted}"
        )
    templates = tuple(said)
    for template in templates:
        if not isinstance(template, str):
            raise ConfigurationError(f"tags must hold templates, which are strings: {template!r}")
        _fields(template, "tags")
    return templates


def tags_of(said: object, method: str) -> tuple[str, ...]:
    """Return the tags that a callable gave for one result, or say what is wrong with them."""
    if isinstance(said, (str, bytes)) or not isinstance(said, Iterable):
        raise ConfigurationError(
            f"the tags callable of {method} returned {said!r}; return a list of strings"
        )
    tags = tuple(said)
    for tag in tags:
        if not isinstance(tag, str):
            raise ConfigurationError(
                f"the tags callable of {method} returned the tag {tag!r}; a tag is a string"
            )
    return tags


@record
class ForgetTag:
    """A rule: forget everything in the cache that carries a tag, of whatever object and method.

    :param template: the tag, with parameters of the write in braces.
    :raises ConfigurationError: for a template that cannot be read, and when wrapping for unknown
        parameters.

    >>> import pussycache
    >>> class Users:
    ...     def __init__(self):
    ...         self.names = {1: "ada", 2: "bob"}
    ...     def get(self, user_id):
    ...         return self.names[user_id]
    ...     def rename(self, user_id, name):
    ...         self.names[user_id] = name
    >>> users = pussycache.wrap(
    ...     Users(),
    ...     cached_methods={"get": pussycache.Cached(tags=["user:{user_id}"])},
    ...     invalidate_methods={"rename": [pussycache.ForgetTag("user:{user_id}")]},
    ... )
    >>> users.get(1), users.get(2)
    ('ada', 'bob')
    >>> users.rename(1, "eve")
    >>> pussycache.peek(users.get, 2), users.get(1)
    ('bob', 'eve')
    """

    template: str

    def __post_init__(self) -> None:
        if not isinstance(self.template, str):
            raise ConfigurationError(
                f"ForgetTag takes a tag such as 'user:{{user_id}}', not {self.template!r}"
            )
        _fields(self.template, "ForgetTag")

    def check(self, writer: str, params: Mapping[str, Any]) -> TagMatch:
        """Return what it comes to for calls of one write, whose parameters are known."""
        check_template(self.template, params, repr(self), writer)
        return TagMatch(self.template)


class TagMatch:
    """A `ForgetTag`, resolved: which tag a call of the write forgets."""

    __slots__ = ("_template",)

    at = (0,)
    names = ()
    deferred = False

    def __init__(self, template: str) -> None:
        self._template = template

    def values(self, call: Any) -> frozenset[tuple[Any, ...]] | None:
        """Return the tag, or `None` for all tags, where its template cannot be filled."""
        try:
            return frozenset([(self._template.format(**call.args),)])
        except Exception:
            return None
