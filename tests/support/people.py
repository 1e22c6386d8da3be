"""A slow object for tests of what one sees: users, wrapped so that they remember."""

from typing import Any

import pussycache


class Users:
    """A slow object, as a user's would be."""

    def __init__(self) -> None:
        self.names = {1: "ada", 2: "bob"}

    def get_user(self, user_id: Any) -> Any:
        return self.names.get(user_id)

    def list_users(self) -> list[str]:
        return list(self.names.values())

    def rename_user(self, user_id: Any, name: str) -> None:
        self.names[user_id] = name


def wrapped(cache: Any = None, users: Any = None) -> Any:
    """Users that remember."""
    return pussycache.wrap(
        Users() if users is None else users,
        cache,
        cached_methods=["get_user", "list_users"],
        invalidate_methods={"rename_user": [pussycache.Forget("get_user", "user_id")]},
    )
