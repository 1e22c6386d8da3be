"""A class of one's own, decorated: a repository over SQLite, and an async service on top of it.

Prints:

    SELECT user 1
    ada ada
    SELECT user 1
    grace
    SELECT count
    2 users
    SELECT user 2
    ['bob', 'bob', 'bob']
    get_user: 3 hits, 3 misses
"""

import asyncio
import sqlite3

from pussycache import Forget, MemoryCache, cached, info, invalidates

cache = MemoryCache(ttl=300, max_entries=10_000)


class UserRepository:
    def __init__(self, db):
        self.db = db

    @cached(ttl=60, cache=cache)
    def get_user(self, user_id):
        print("SELECT user", user_id)
        return self.db.execute("SELECT name FROM users WHERE id = ?", (user_id,)).fetchone()[0]

    @property
    @cached(cache=cache)
    def count(self):
        print("SELECT count")
        return self.db.execute("SELECT count(*) FROM users").fetchone()[0]

    @invalidates(Forget("get_user", "user_id"))
    def rename_user(self, user_id, name):
        self.db.execute("UPDATE users SET name = ? WHERE id = ?", (name, user_id))

    @invalidates("count", Forget("get_user", user_id=lambda call: call.result))
    def add_user(self, name):
        return self.db.execute("INSERT INTO users (name) VALUES (?)", (name,)).lastrowid


class Greeter:
    def __init__(self, users):
        self.users = users

    @cached(ttl=1)
    async def greeting(self, user_id):
        await asyncio.sleep(0.01)
        return self.users.get_user(user_id)


async def greet(greeter, user_id):
    # Three tasks, one load.
    print(await asyncio.gather(*[greeter.greeting(user_id) for _ in range(3)]))


def main():
    db = sqlite3.connect(":memory:")
    db.execute("CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT)")
    users = UserRepository(db)
    users.add_user("ada")
    users.add_user("bob")

    print(users.get_user(1), users.get_user(user_id=1))
    users.rename_user(1, "grace")
    print(users.get_user(1))
    print(users.count, "users")

    asyncio.run(greet(Greeter(users), 2))
    users.get_user(1)
    users.get_user(2)

    figures = info(users.get_user)
    print(f"get_user: {figures.hits} hits, {figures.misses} misses")
    db.close()


if __name__ == "__main__":
    main()
