"""Tags: what forgetting one makes wrong, wherever it is and whenever it began."""

import asyncio
import os

import pytest

import pussycache
from pussycache import (
    Cached,
    ConfigurationError,
    Forget,
    ForgetTag,
    MemoryCache,
    aforget_tag,
    cached,
    forget_tag,
    invalidates,
)
from pussycache.engine import tags as engine_tags
from pussycache.testing import FakeClock


class Posts:
    """Each load returns its number and an author."""

    def __init__(self):
        self.loads = 0
        self.author = "ada"
        self.act = lambda: None

    def post(self, post_id):
        self.loads += 1
        result = (self.loads, self.author)
        self.act()
        if isinstance(self.author, Exception):
            raise self.author
        return result

    def page(self, number, *, size=10):
        self.loads += 1
        return self.loads, number, size

    async def apost(self, post_id):
        self.loads += 1
        number = self.loads
        held = self.act()
        if held is not None:
            await held
        return number, self.author

    def rename(self, author, fail=False):
        if fail:
            raise OSError("no route")

    def edit(self, post_id):
        pass


def by_author(result, post_id):
    return [f"author:{result[1]}"]


BOTH = pytest.mark.parametrize("tags", [["author:ada"], by_author], ids=["template", "result"])


def wrapped(tags=("post:{post_id}",), cache=None, **said):
    policy = Cached(tags=tags, **said)
    return pussycache.wrap(
        Posts(),
        cache,
        cached_methods={
            "post": policy,
            "apost": policy,
            "page": Cached(tags=["all", "size:{size}"]),
        },
        invalidate_methods={
            "rename": [ForgetTag("author:{author}")],
            "edit": [ForgetTag("post:{post_id}")],
        },
    )


def forget(proxy, tag="author:ada"):
    forget_tag(pussycache.cache_of(proxy), tag)


def test_a_tag_is_forgotten_in_all_methods_and_objects_of_a_cache():
    """Entries with the tag are gone, whatever object and method they are of; others stay."""
    cache = MemoryCache()
    one, other = wrapped(["all"], cache), wrapped(["all", "x"], cache)
    elsewhere = wrapped(["all"])
    proxies = (one, other, elsewhere)
    assert [proxy.post(1)[0] for proxy in proxies] == [1, 1, 1]
    assert [proxy.page(1, size=5)[0] for proxy in proxies] == [2, 2, 2]
    forget_tag(cache, "x")
    assert [proxy.post(1)[0] for proxy in proxies] == [1, 3, 1]
    forget_tag(cache, "all")
    assert [proxy.post(1)[0] for proxy in proxies] == [3, 4, 1]
    assert [proxy.page(1, size=5)[0] for proxy in proxies] == [4, 5, 2]


def test_templates_name_the_arguments_and_their_defaults():
    """Each parameter can be in a tag, also by keyword and by default."""
    proxy = wrapped()
    assert [proxy.post(1)[0], proxy.post(post_id=2)[0], proxy.page(1)[0]] == [1, 2, 3]
    forget(proxy, "post:2")
    forget(proxy, "size:10")
    assert [proxy.post(1)[0], proxy.post(2)[0], proxy.page(1)[0]] == [1, 4, 5]


def test_tags_that_are_known_after_the_load():
    """A callable is given the result and the arguments, and says which tags it has."""
    seen = []

    def tags(result, post_id):
        seen.append((result, post_id))
        return {f"author:{result[1]}"}

    proxy = wrapped(tags)
    proxy.post(1)
    proxy.author = "bob"
    proxy.post(2)
    assert seen == [((1, "ada"), 1), ((2, "bob"), 2)]
    forget(proxy)
    assert (proxy.post(2)[0], proxy.post(1)[0]) == (2, 3)


def test_what_has_been_forgotten_is_seen_everywhere():
    """`peek`, `explain`, `forget` and `info` agree that it is gone."""
    proxy = wrapped(["author:ada"])
    proxy.post(1)
    assert pussycache.explain(proxy.post, 1).reason == "hit"
    forget(proxy)
    said = pussycache.explain(proxy.post, 1)
    assert (said.hit, said.reason) == (False, "invalidated")
    assert "forget_tag(tag='author:ada')" in said.by
    assert pussycache.peek(proxy.post, 1) is pussycache.MISSING
    assert pussycache.info(proxy.post).entries == 0
    assert pussycache.forget(proxy.post, 1) is False


@BOTH
def test_a_tag_forgotten_while_the_load_runs(tags, gate, spawn):
    """The load answers its caller, and is neither stored nor joined by a later call."""
    proxy = wrapped(tags)
    proxy.act = gate.hold
    early = spawn(proxy.post, 1)
    gate.reached()
    forget(proxy)
    proxy.act = lambda: None
    assert proxy.post(1)[0] == 2
    gate.open()
    assert early.result()[0] == 1
    assert proxy.post(1)[0] == 2


@BOTH
def test_a_write_of_a_tag_while_the_load_runs(tags, gate, spawn):
    """The same holds for an invalidating method with `ForgetTag`."""
    proxy = wrapped(tags)
    proxy.act = gate.hold
    early = spawn(proxy.post, 1)
    gate.reached()
    proxy.rename("ada")
    proxy.act = lambda: None
    assert proxy.post(1)[0] == 2
    gate.open()
    assert early.result()[0] == 1
    assert proxy.post(1)[0] == 2


@BOTH
def test_tasks_that_a_tag_overtakes(tags, run):
    """For coroutine methods it is the same."""
    proxy = wrapped(tags)

    async def main():
        entered, opened = asyncio.Event(), asyncio.Event()

        async def hold():
            entered.set()
            await opened.wait()

        proxy.act = hold
        early = asyncio.create_task(proxy.apost(1))
        await entered.wait()
        await aforget_tag(pussycache.cache_of(proxy), "author:ada")
        proxy.act = lambda: None
        assert (await proxy.apost(1))[0] == 2
        opened.set()
        assert (await early)[0] == 1
        assert (await proxy.apost(1))[0] == 2

    run(main)


@BOTH
def test_while_a_writer_of_the_tag_is_at_work(tags):
    """From its start to its end nothing with the tag is served, stored or shared."""
    proxy = wrapped(tags)
    proxy.post(1)
    with pussycache.writing(proxy.rename, "ada"):
        assert [proxy.post(1)[0], proxy.post(1)[0]] == [2, 3]
        # Of two writers, one that ends lifts not the other's fence.
        with pussycache.writing(proxy.rename, "ada"):
            pass
        assert proxy.post(1)[0] == 4
        assert pussycache.put(proxy.post, ("given", "ada"), 1) is False
    assert [proxy.post(1)[0], proxy.post(1)[0]] == [5, 5]


@BOTH
def test_a_load_that_begins_in_a_write_and_ends_after_it(tags, gate, spawn):
    """What began before the write had ended is not stored, however late it ends."""
    proxy = wrapped(tags)
    with pussycache.writing(proxy.rename, "ada"):
        proxy.act = gate.hold
        early = spawn(proxy.post, 1)
        gate.reached()
        proxy.act = lambda: None
    assert proxy.post(1)[0] == 2
    pussycache.forget(proxy.post, 1)
    gate.open()
    assert early.result()[0] == 1
    assert proxy.post(1)[0] == 3


@BOTH
def test_a_load_that_begins_in_a_write_and_ends_alone_after_it(tags, gate, spawn):
    """Also where nobody has asked in between, it is not stored."""
    proxy = wrapped(tags)
    with pussycache.writing(proxy.rename, "ada"):
        proxy.act = gate.hold
        early = spawn(proxy.post, 1)
        gate.reached()
        proxy.act = lambda: None
    gate.open()
    assert early.result()[0] == 1
    assert proxy.post(1)[0] == 2


def test_a_writer_of_another_tag_is_in_nobodys_way():
    """Tags that a write does not name are served, stored and shared meanwhile."""
    proxy = wrapped(["author:ada"])
    proxy.post(1)
    with pussycache.writing(proxy.rename, "bob"):
        assert [proxy.post(1)[0], proxy.post(2)[0], proxy.post(2)[0]] == [1, 2, 2]
    assert proxy.post(2)[0] == 2


def test_a_write_that_raises_is_a_write():
    """What failed may have taken effect: its tag is forgotten."""
    proxy = wrapped(["author:ada"])
    proxy.post(1)
    with pytest.raises(OSError, match="no route"):
        proxy.rename("ada", fail=True)
    assert proxy.post(1)[0] == 2


def test_a_write_whose_tag_is_not_known_forgets_all_tags():
    """Where a template cannot be filled, nothing with a tag is trusted any more."""
    proxy = wrapped(["author:ada"])
    proxy.post(1)
    with pussycache.writing(proxy.rename):
        assert [proxy.post(1)[0], proxy.post(1)[0]] == [2, 3]
    assert [proxy.post(1)[0], proxy.post(1)[0]] == [4, 4]


@BOTH
def test_no_old_value_of_a_forgotten_tag(tags):
    """stale_for and stale_if_error serve nothing whose tag was forgotten."""
    with FakeClock() as clock:
        proxy = wrapped(tags, ttl=10, stale_for=100, stale_if_error=100)
        proxy.post(1)
        clock.advance(10)
        forget(proxy)
        assert proxy.post(1)[0] == 2
        clock.advance(120)

        def fail():
            forget(proxy)
            raise OSError("no route")

        proxy.act = fail
        with pytest.raises(OSError, match="no route"):
            proxy.post(1)


@BOTH
def test_a_tag_forgotten_during_a_background_refresh(tags, gate, until):
    """A refresh that began before is not stored."""
    with FakeClock() as clock:
        proxy = wrapped(tags, ttl=10, stale_for=100)
        proxy.post(1)
        clock.advance(10)
        proxy.act = gate.hold
        assert proxy.post(1)[0] == 1
        gate.reached()
        forget(proxy)
        proxy.act = lambda: None
        assert proxy.post(1)[0] == 3
        gate.open()
        until(lambda: pussycache.info(proxy.post).refreshes == 1, "nothing was refreshed")
        assert proxy.post(1)[0] == 3


@BOTH
def test_remembered_exceptions_are_forgotten_with_a_tag(tags):
    """Where only a result would tell the tags, any tag forgets them."""
    proxy = wrapped(tags, errors={KeyError: 100})
    proxy.author = KeyError("nobody")
    for _ in range(2):
        with pytest.raises(KeyError):
            proxy.post(1)
    assert proxy.loads == 1
    forget(proxy)
    proxy.author = "ada"
    assert proxy.post(1)[0] == 2


def test_what_is_put_carries_tags():
    """`put` stores with the tags that a load would have."""
    proxy = wrapped(by_author)
    assert pussycache.put(proxy.post, (9, "ada"), 1)
    assert proxy.post(1)[0] == 9
    forget(proxy)
    assert proxy.post(1)[0] == 1


def test_many_tags_are_forgotten_in_bounded_memory(monkeypatch):
    """Of more tags than are kept the oldest count as forgotten: never too little goes."""
    monkeypatch.setattr(engine_tags, "_MOST", 10)
    proxy = wrapped()
    proxy.post(1)
    proxy.post(2)
    for number in range(3, 12):
        forget(proxy, f"post:{number}")
    assert (proxy.post(1)[0], proxy.post(2)[0]) == (1, 2)
    forget(proxy, "post:1")
    for number in range(100, 109):
        forget(proxy, f"post:{number}")
    assert (proxy.post(1)[0], proxy.post(2)[0]) == (3, 2)
    for number in range(200, 211):
        forget(proxy, f"post:{number}")
    assert (proxy.post(1)[0], proxy.post(2)[0]) == (4, 5)
    assert len(pussycache.cache_of(proxy).tags._forgotten) == 10


def test_forgetting_a_tag_costs_the_same_for_many_entries(monkeypatch):
    """No entry is touched when its tag is forgotten."""
    proxy = wrapped(["all"])
    for number in range(1000):
        proxy.post(number)
    table = proxy.post.__pussycache__.table(proxy)
    before = dict(table.entries)
    forget(proxy, "all")
    assert table.entries == before
    assert pussycache.info(proxy.post).entries == 0


def test_decorated_classes_have_tags():
    """`cached(tags=)` and `invalidates(ForgetTag())` work on instances, each in its cache."""
    cache = MemoryCache()

    class Users:
        loads = 0

        @cached(tags=["user:{user_id}"], cache=cache)
        def get(self, user_id):
            self.loads += 1
            return self.loads

        @invalidates(ForgetTag("user:{user_id}"))
        def rename(self, user_id):
            pass

        @classmethod
        @invalidates(ForgetTag("user:{user_id}"))
        def rename_everywhere(cls, user_id):
            pass

    users, others = Users(), Users()
    assert (users.get(1), users.get(2), others.get(1)) == (1, 2, 1)
    users.rename(1)
    assert (users.get(1), users.get(2), others.get(1)) == (3, 2, 2)
    Users.rename_everywhere(2)
    assert (users.get(1), users.get(2)) == (3, 4)
    forget_tag(cache, "user:1")
    assert users.get(1) == 5


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_forked_child_has_no_writers_of_its_parent():
    """A child that was forked during a write of a tag caches again."""
    proxy = wrapped(["author:ada"])
    proxy.post(1)
    with pussycache.writing(proxy.rename, "ada"):
        child = os.fork()
        if not child:
            good = proxy.post(1)[0] == 2 and proxy.post(1)[0] == 2
            os._exit(0 if good else 1)
    assert os.waitpid(child, 0)[1] == 0


# A declaration that cannot work.


@pytest.mark.parametrize(
    ("tags", "message"),
    [
        ("user:{post_id}", r"write tags=\['user:{post_id}'\]"),
        (7, "tags must be a list of templates or a callable"),
        ([7], "tags must hold templates"),
        (["user:{user_id}"], "names 'user_id', but 'post' has the parameters: post_id"),
        (["user:{}"], "names no parameter"),
        (["user:{"], "cannot be read"),
    ],
    ids=str,
)
def test_bad_tags_are_refused_at_declaration(tags, message):
    """What is no list of templates over the parameters is named, with the remedy."""
    with pytest.raises(ConfigurationError, match=message):
        pussycache.wrap(Posts(), cached_methods={"post": Cached(tags=tags)})


@pytest.mark.parametrize(
    ("template", "message"),
    [
        (7, "ForgetTag takes a tag"),
        ("user:{user_id}", "names 'user_id', but 'edit' has the parameters: post_id"),
        ("user:{0}", "names no parameter"),
    ],
    ids=str,
)
def test_bad_forget_tag_is_refused_at_declaration(template, message):
    """A template over parameters that the write does not have is named, with the remedy."""
    with pytest.raises(ConfigurationError, match=message):
        pussycache.wrap(Posts(), invalidate_methods={"edit": [ForgetTag(template)]})


@pytest.mark.parametrize("given", ["one", 7, [7]], ids=str)
def test_a_callable_that_gives_no_tags_is_an_error_at_the_call(given):
    """The error names the method and what was returned, and nothing is stored."""
    proxy = wrapped(lambda result, post_id: given)
    for loads in (1, 2):
        with pytest.raises(ConfigurationError, match=r"the tags callable of Posts\.post returned"):
            proxy.post(1)
        assert proxy.loads == loads


def test_forget_tag_takes_a_cache_and_a_tag():
    """What is no cache, or no tag, is named, with the remedy."""
    with pytest.raises(ConfigurationError, match="give cache_of"):
        forget_tag(wrapped(), "x")
    with pytest.raises(ConfigurationError, match="a tag, which is a string"):
        forget_tag(MemoryCache(), 7)


def test_a_function_forgets_a_tag_where_it_forgets_something_else(gate, spawn):
    """`ForgetTag` on a function is of the caches of the targets beside it, and of no others."""
    cache, loads, acts = MemoryCache(), [], []

    def load(user_id):
        loads.append(user_id)
        return len(loads)

    profile = cached(cache=cache, tags=["user:{user_id}"])(load)
    friends = cached(cache=cache, tags=["user:{user_id}"])(lambda user_id: load(user_id))
    elsewhere = cached(tags=["user:{user_id}"])(lambda user_id: load(user_id))

    @invalidates(Forget(profile, "user_id"), ForgetTag("user:{user_id}"))
    def rename(user_id):
        for act in acts:
            act()

    assert [one(7) for one in (profile, friends, elsewhere)] == [1, 2, 3]
    assert friends(8) == 4
    rename(7)
    assert [one(7) for one in (profile, friends, elsewhere)] == [5, 6, 3]
    assert friends(8) == 4
    acts.append(gate.hold)
    writing = spawn(rename, 7)
    gate.reached()
    assert [friends(7), friends(7)] == [7, 8]
    gate.open()
    writing.result()
    assert [friends(7), friends(7)] == [9, 9]


def test_a_function_that_does_not_say_where_a_tag_is():
    """`ForgetTag` alone on a function is an error that says what to do instead."""

    @invalidates(ForgetTag("x"))
    def write():
        pass

    with pytest.raises(ConfigurationError, match=r"name beside it .* or call forget_tag"):
        write()

    @invalidates(Forget(cached(lambda: 1)), ForgetTag("user:{user_id}"))
    def write_more():
        pass

    with pytest.raises(ConfigurationError, match="names 'user_id', but 'write_more' has"):
        write_more()


def test_a_template_that_cannot_be_filled_is_an_error_of_the_call_alone(gate, spawn, joined):
    """Whoever makes such a call is told so; nothing is stored, and nobody waits for ever."""
    proxy = pussycache.wrap(
        Posts(),
        cached_methods={"post": Cached(tags=["user:{post_id.owner}"], errors={OSError: 60})},
    )
    proxy.act = gate.hold
    first = spawn(proxy.post, 1)
    gate.reached()
    second = spawn(proxy.post, 1)
    joined(proxy.post, 1)
    gate.open()
    assert (first.raised(), second.raised()) == (AttributeError, AttributeError)

    def fail():
        raise OSError("no route")

    proxy.act = fail
    for _ in range(2):
        with pytest.raises(OSError, match="no route"):
            proxy.post(1)
    assert proxy.loads == 2
    # It may have carried any.
    forget(proxy, "whatever")
    proxy.act = lambda: None
    with pytest.raises(AttributeError):
        proxy.post(1)
    assert not proxy.post.__pussycache__.table(proxy).flights


def test_proxies_that_share_entries_have_the_same_tags():
    """Two proxies of one object with different tags are refused, as with different keys."""
    posts, cache = Posts(), MemoryCache()
    first = pussycache.wrap(posts, cache, cached_methods={"post": Cached(tags=["a"])})
    with pytest.raises(ConfigurationError, match="tags="):
        pussycache.wrap(posts, cache, cached_methods=["post"])
    assert first.post(1)[0] == 1


def test_rules_and_tags_go_together():
    """A method can be forgotten by arguments and by tags."""
    proxy = pussycache.wrap(
        Posts(),
        cached_methods={"post": Cached(tags=["all"])},
        invalidate_methods={"edit": [Forget("post", "post_id"), ForgetTag("x:{post_id}")]},
    )
    assert [proxy.post(1)[0], proxy.post(2)[0]] == [1, 2]
    proxy.edit(1)
    assert [proxy.post(1)[0], proxy.post(2)[0]] == [3, 2]
    forget(proxy, "all")
    assert [proxy.post(1)[0], proxy.post(2)[0]] == [4, 5]
