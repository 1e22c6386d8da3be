"""One server: what is asked of it by threads, tasks and forked children, and what comes back."""

import asyncio
import gc
import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from redis.exceptions import ResponseError
from servers import Certificates, RunningServer, eventually

from pussycache import ConfigurationError
from pussycache.cache.wire import Address, Script, Server, Unreachable, link
from pussycache.cache.wire.handshake import Greeting

ECHO = [b"\x00\xff\r\n$5\r\n", b"", b"*1\r\n", "snow ☃".encode(), bytes(range(256)) * 1000]
MANY = 50


@pytest.fixture
def server(running: RunningServer) -> Iterator[Server]:
    server = Server(Address.parse(running.url))
    yield server
    server.close()


@pytest.fixture(params=["threads", "tasks"])
def how(request: pytest.FixtureRequest) -> str:
    """Whether `ask` or `aask` is meant."""
    return request.param


def ask(how: str, server: Server, *args: Any, **options: Any) -> Any:
    if how == "threads":
        return server.ask(*args, **options)
    return asyncio.run(server.aask(*args, **options))


def ask_one(how: str, server: Server, *args: Any, **options: Any) -> Any:
    if how == "threads":
        return server.ask_one(*args, **options)
    return asyncio.run(server.aask_one(*args, **options))


def connections(running: RunningServer) -> int:
    with running.client() as client:
        return sum(other["name"] == "pussycache" for other in client.client_list())


def test_one_command(how: str, server: Server) -> None:
    """A command comes back as its reply: bytes, an integer, None or a list."""
    assert ask_one(how, server, b"k", b"SET", b"k", b"v")[0] == b"OK"
    assert ask_one(how, server, b"k", b"GET", b"k")[0] == b"v"
    assert ask_one(how, server, b"k", b"GET", b"other")[0] is None
    assert ask_one(how, server, b"k", b"INCRBY", b"n", 7)[0] == 7
    assert ask_one(how, server, b"k", b"MGET", b"k", b"other")[0] == [b"v", None]


def test_several_commands(how: str, server: Server) -> None:
    """Several commands come back in their order; one that failed stands there as an exception."""
    replies, _ = ask(
        how,
        server,
        b"k",
        [(b"SET", b"k", b"v"), (b"INCR", b"k"), (b"GET", b"k"), (b"NOSUCH",), (b"PING",)],
    )
    assert replies[0] == b"OK"
    assert isinstance(replies[1], ResponseError)
    assert str(replies[1]) == "ERR value is not an integer or out of range"
    assert replies[2] == b"v"
    assert isinstance(replies[3], ResponseError)
    assert replies[4] == b"PONG"


def test_one_failed(how: str, server: Server) -> None:
    """A single command that failed raises, and the connection goes on serving."""
    ask_one(how, server, b"k", b"SET", b"k", b"v")
    with pytest.raises(ResponseError, match="not an integer"):
        ask_one(how, server, b"k", b"INCR", b"k")
    assert ask_one(how, server, b"k", b"GET", b"k")[0] == b"v"


def test_any_bytes(how: str, server: Server) -> None:
    """Keys and values are bytes of any kind and size, and come back as they went."""
    replies, _ = ask(how, server, None, [(b"ECHO", text) for text in ECHO])
    assert replies == ECHO
    large = os.urandom(3_000_000)
    ask_one(how, server, b"k", b"SET", b"\x00\r\n", large)
    assert ask_one(how, server, b"k", b"GET", b"\x00\r\n")[0] == large


def test_facts(how: str, server: Server, running: RunningServer) -> None:
    """With each reply comes what the connection knows: version, role, replication id, policy."""
    _, facts = ask_one(how, server, None, b"PING")
    info = running.do("INFO")
    assert facts.valkey == (running.engine == "valkey")
    assert facts.version == info["valkey_version" if facts.valkey else "redis_version"]
    assert facts.replication_id == info["master_replid"].encode()
    assert (facts.role, facts.eviction, facts.maxmemory) == ("master", "noeviction", 0)


def test_script(how: str, server: Server, running: RunningServer) -> None:
    """A script that the server does not have is sent whole, and its reply is in its place."""
    script = Script("return {KEYS[1], ARGV[1], ARGV[2]}")
    for _ in range(2):
        running.do("SCRIPT", "FLUSH")
        for _ in range(2):
            replies, _ = ask(
                how, server, b"k", [(b"PING",), script.call([b"k"], b"a", 2), (b"ECHO", b"x")]
            )
            assert replies == [b"PONG", [b"k", b"a", b"2"], b"x"]
    running.do("SCRIPT", "FLUSH")
    assert ask_one(how, server, b"k", *script.call([b"k"], b"a", b"b"))[0] == [b"k", b"a", b"b"]


def test_foreign_script(how: str, server: Server) -> None:
    """A script whose source nobody here knows is an error in its place."""
    replies, _ = ask(how, server, None, [(b"EVALSHA", b"0" * 40, 0), (b"PING",)])
    assert str(replies[0]).startswith("NOSCRIPT")
    assert replies[1] == b"PONG"


def test_unix_socket_and_database(how: str, running: RunningServer) -> None:
    """A unix socket serves as well, and the database is the one that the URL names."""
    server = Server(Address.parse(running.unix_url + "?db=3"))
    ask_one(how, server, b"k", b"SET", b"k", b"three")
    server.close()
    assert running.do("GET", "k") is None
    with running.client(db=3) as client:
        assert client.get("k") == b"three"


def test_acl_user(how: str, running: RunningServer) -> None:
    """A user with few rights works: what it may not ask for is not known, and is no error."""
    running.do("ACL", "SETUSER", "small", "on", ">pass:word", "~*", "+get", "+set")
    url = running.url.replace("://", "://small:pass%3Aword@")
    server = Server(Address.parse(url))
    assert ask_one(how, server, b"k", b"SET", b"k", b"v")[0] == b"OK"
    _, facts = ask_one(how, server, b"k", b"GET", b"k")
    assert facts.replication_id is None
    assert facts.eviction is None
    assert facts.role == "master"
    replies, _ = ask(how, server, b"k", [(b"FLUSHALL",)])
    assert str(replies[0]).startswith("NOPERM")
    server.close()


def test_wrong_password(how: str, running: RunningServer) -> None:
    """Who is not accepted is told so, by the argument to change."""
    server = Server(Address.parse(running.url.replace("://", "://nobody:x@")))
    for _ in range(2):
        with pytest.raises(ConfigurationError, match=r"^url: the server refuses user 'nobody'"):
            ask_one(how, server, None, b"PING")
    server.close()


def test_password_changed_meanwhile(how: str, running: RunningServer) -> None:
    """A server that no longer accepts us is an outage, not a mistake: reads go on without it."""
    running.do("ACL", "SETUSER", "moody", "on", ">one", "~*", "+@all")
    server = Server(Address.parse(running.url.replace("://", "://moody:one@")))
    ask_one(how, server, None, b"PING")
    running.do("ACL", "SETUSER", "moody", "resetpass", ">two")
    running.do("CLIENT", "KILL", "USER", "moody")
    with pytest.raises(Unreachable, match="denied"):
        ask_one(how, server, None, b"PING", repeatable=True)
    server.close()


def test_no_such_database(how: str, running: RunningServer) -> None:
    """A database that the server does not have is refused by name."""
    server = Server(Address.parse(f"redis://127.0.0.1:{running.port}/999"))
    with pytest.raises(ConfigurationError, match=r"^url names database 999"):
        ask_one(how, server, None, b"PING")
    server.close()


def test_tls(how: str, tls_server: RunningServer, certificates: Certificates) -> None:
    """Over TLS all is the same, and the server's certificate is checked."""
    url = f"rediss://localhost:{tls_server.tls_port}/0"
    trusting = Server(Address.parse(f"{url}?ssl_ca_certs={certificates.authority}"))
    large = os.urandom(1_000_000)
    assert ask_one(how, trusting, b"k", b"SET", b"k", large)[0] == b"OK"
    replies, facts = ask(how, trusting, b"k", [(b"GET", b"k"), (b"PING",)])
    assert replies == [large, b"PONG"]
    assert facts.replication_id is not None
    trusting.close()
    careful = Server(Address.parse(url))
    with pytest.raises(ConfigurationError, match=r"^url: the certificate of .*[?]ssl_ca_certs"):
        ask_one(how, careful, b"k", b"GET", b"k")
    careful.close()
    careless = Server(Address.parse(f"{url}?ssl_cert_reqs=none"))
    assert ask_one(how, careless, b"k", b"GET", b"k")[0] == large
    careless.close()


def test_wrong_host_name(how: str, tls_server: RunningServer, certificates: Certificates) -> None:
    """A certificate for another name is not accepted, unless the URL says that it may be."""
    url = f"rediss://127.0.0.2:{tls_server.tls_port}/0?ssl_ca_certs={certificates.authority}"
    tls_server.do("CONFIG", "SET", "bind", "127.0.0.1 127.0.0.2")
    server = Server(Address.parse(url))
    with pytest.raises(ConfigurationError, match=r"^url: the certificate"):
        ask_one(how, server, None, b"PING")
    server.close()
    server = Server(Address.parse(url + "&ssl_check_hostname=false"))
    assert ask_one(how, server, None, b"PING")[0] == b"PONG"
    server.close()


def test_many_threads(running: RunningServer) -> None:
    """Many threads share few connections, and each gets its own replies."""
    server = Server(Address.parse(running.url), max_connections=3)
    start = threading.Barrier(16)

    def work(me: int) -> int:
        start.wait(60)
        for i in range(100):
            text = f"{me}:{i}".encode()
            assert server.ask_one(None, b"ECHO", text)[0] == text
            assert server.ask(None, [(b"ECHO", text), (b"PING",)])[0] == [text, b"PONG"]
        return connections(running)

    with ThreadPoolExecutor(16) as threads:
        assert max(threads.map(work, range(16))) <= 3
    server.close()


def test_many_tasks(server: Server, running: RunningServer) -> None:
    """Many tasks share one connection, and each gets its own replies."""

    async def work(me: int) -> None:
        for i in range(50):
            text = f"{me}:{i}".encode()
            assert (await server.aask_one(None, b"ECHO", text))[0] == text
            replies, _ = await server.aask(None, [(b"ECHO", text), (b"PING",)])
            assert replies == [text, b"PONG"]

    async def main() -> int:
        await asyncio.gather(*map(work, range(MANY)))
        count = await asyncio.to_thread(connections, running)
        await server.aclose()
        return count

    assert asyncio.run(main(), debug=True) == 1


def test_cancelled_caller(server: Server, running: RunningServer) -> None:
    """A caller that is cancelled leaves the replies of the others in their places."""

    async def main() -> None:
        await server.aask_one(None, b"PING")
        with running.paused():
            tasks = [
                asyncio.ensure_future(server.aask(None, [(b"ECHO", str(i)), (b"PING",)]))
                for i in range(9)
            ]
            while not all(task.get_coro().cr_await is not None for task in tasks):  # type: ignore[union-attr]
                await asyncio.sleep(0)
            for task in tasks[::3]:
                task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        for i, result in enumerate(results):
            if i % 3 == 0:
                assert isinstance(result, asyncio.CancelledError)
            else:
                assert isinstance(result, tuple)
                assert result[0] == [str(i).encode(), b"PONG"]
        await server.aclose()

    asyncio.run(main())


def test_cancelled_first_caller(server: Server, running: RunningServer) -> None:
    """The caller for whom the connection is made may be cancelled: the others get it."""

    async def main() -> None:
        with running.paused():
            first, second = (
                asyncio.ensure_future(server.aask_one(None, b"ECHO", b"x")) for _ in range(2)
            )
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            first.cancel()
        assert (await second)[0] == b"x"
        assert first.cancelled()
        await server.aclose()

    asyncio.run(main())


@pytest.mark.parametrize("closes", [True, False], ids=["closed", "left open"])
def test_loop_after_loop(server: Server, running: RunningServer, closes: bool) -> None:
    """Each event loop has a connection of its own, which ends with it, closed or not."""

    async def main() -> None:
        assert (await server.aask_one(None, b"PING"))[0] == b"PONG"
        if closes:
            await server.aclose()

    if closes:
        asyncio.run(main())
    else:
        for _ in range(3):
            asyncio.run(main())
    gc.collect()
    eventually(lambda: connections(running) == 0, "a server without connections")
    assert server._find(None)._streams.of == {}  # type: ignore[union-attr]


def test_close(running: RunningServer) -> None:
    """Closing ends all connections and threads; what is asked afterwards is told so."""
    before = set(threading.enumerate())
    server = Server(Address.parse(running.url))
    server.ask_one(None, b"PING")
    waking = server.waking(b"channel", lambda _: None)
    waking.start()
    assert connections(running) == 2
    waking.close()
    server.close()
    eventually(lambda: connections(running) == 0, "a server without connections")
    assert set(threading.enumerate()) <= before
    for how in ("threads", "tasks"):
        with pytest.raises(Unreachable, match="shut"):
            ask_one(how, server, None, b"PING")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks do not exist here")
def test_fork(server: Server) -> None:
    """A forked child opens connections of its own and leaves the parent's alone."""
    mine = server.ask_one(None, b"CLIENT", b"ID")[0]
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            theirs = [server.ask_one(None, b"CLIENT", b"ID")[0] for _ in range(2)]
            theirs.append(asyncio.run(server.aask_one(None, b"CLIENT", b"ID"))[0])
            os.write(write, repr(theirs).encode())
        finally:
            os._exit(0)
    os.close(write)
    with os.fdopen(read) as pipe:
        first, second, third = eval(pipe.read())
    os.waitpid(child, 0)
    assert first == second != mine
    assert third not in (first, mine)
    assert server.ask_one(None, b"CLIENT", b"ID")[0] == mine


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks do not exist here")
def test_fork_inside_a_loop(server: Server) -> None:
    """A child that is forked inside an event loop disturbs nothing of the parent's."""

    async def main() -> None:
        mine = (await server.aask_one(None, b"CLIENT", b"ID"))[0]
        child = os.fork()
        if child == 0:
            os._exit(0 if not server._find(None)._streams.of else 1)  # type: ignore[union-attr]
        assert os.waitpid(child, 0)[1] == 0
        assert (await server.aask_one(None, b"CLIENT", b"ID"))[0] == mine
        await server.aclose()

    asyncio.run(main())


def test_a_link_that_is_collected_says_nothing(
    running: RunningServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A connection that was dropped in a cycle is closed, and no socket warns of that."""
    address = Address.parse(running.url)
    gc.collect()
    gc.disable()
    try:
        # Older than what has it: the collector comes to it first.
        dialled = [link.dial(address.places[0], None, 20)]
        with monkeypatch.context() as patched:
            patched.setattr(link, "dial", lambda *given: dialled.pop())
            greeting = Greeting(address.credentials, address.db, address.client_name)
            cycle: list[object] = [link.Link(address.places[0], None, greeting, 20)]
        cycle.append(cycle)
        del cycle
    finally:
        gc.enable()
    gc.collect()
    eventually(lambda: connections(running) == 0, "a server without connections")
