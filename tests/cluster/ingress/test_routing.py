"""Which location answers: hosts, paths, rewriting. The tables of the Ingress documentation, and properties."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netsim.cluster.ingress.routing import NOT_FOUND, Location, PathType, RoutingTable, Server, host_name
from netsim.cluster.ingress.settings import LocationSettings


def table(**hosts: list[Location]) -> RoutingTable:
    return RoutingTable({
        name.replace("__", "*.").replace("_", "."): Server.of(name, locations) for name, locations in hosts.items()
    })  # fmt: skip


def path_table(*paths: tuple[PathType, str]) -> RoutingTable:
    return RoutingTable(
        {"h": Server.of("h", [Location(path, kind, f"{kind} {path}") for kind, path in paths])}
    )


# https://kubernetes.io/docs/concepts/services-networking/ingress/#examples
@pytest.mark.parametrize(
    ("paths", "asked", "found"),
    [
        ([("Prefix", "/")], "/any/path", "Prefix /"),
        ([("Exact", "/foo")], "/foo", "Exact /foo"),
        ([("Exact", "/foo")], "/bar", ""),
        ([("Exact", "/foo")], "/foo/", ""),
        ([("Exact", "/foo/")], "/foo", ""),
        ([("Prefix", "/foo")], "/foo", "Prefix /foo"),
        ([("Prefix", "/foo")], "/foo/", "Prefix /foo"),
        ([("Prefix", "/foo/")], "/foo", "Prefix /foo/"),
        ([("Prefix", "/foo/")], "/foo/", "Prefix /foo/"),
        ([("Prefix", "/aaa/bb")], "/aaa/bbb", ""),
        ([("Prefix", "/aaa/bbb")], "/aaa/bbb", "Prefix /aaa/bbb"),
        ([("Prefix", "/aaa/bbb/")], "/aaa/bbb", "Prefix /aaa/bbb/"),
        ([("Prefix", "/aaa/bbb")], "/aaa/bbb/", "Prefix /aaa/bbb"),
        ([("Prefix", "/aaa/bbb")], "/aaa/bbb/ccc", "Prefix /aaa/bbb"),
        ([("Prefix", "/aaa/bbb")], "/aaa/bbbxyz", ""),
        ([("Prefix", "/"), ("Prefix", "/aaa")], "/aaa/ccc", "Prefix /aaa"),
        ([("Prefix", "/"), ("Prefix", "/aaa")], "/ccc", "Prefix /"),
        ([("Prefix", "/aaa")], "/ccc", ""),
        ([("Exact", "/foo"), ("Prefix", "/foo")], "/foo", "Exact /foo"),
        ([("Exact", "/foo"), ("Prefix", "/foo")], "/foo/x", "Prefix /foo"),
        # nginx's own: text prefix, query, escapes, slashes
        ([("ImplementationSpecific", "/foo")], "/foobar", "ImplementationSpecific /foo"),
        ([("ImplementationSpecific", "/foo"), ("Prefix", "/foob")], "/foobar", "ImplementationSpecific /foo"),
        ([("ImplementationSpecific", "/"), ("Exact", "/")], "/?a=/b", "Exact /"),
        ([("Prefix", "/a b")], "/a%20b/c", "Prefix /a b"),
        ([("Prefix", "/a/b")], "//a///b", "Prefix /a/b"),
    ],
)
def test_paths(paths: list[tuple[PathType, str]], asked: str, found: str) -> None:
    routed = path_table(*paths).route("h", asked)
    assert routed.location.upstream == found
    assert routed.target == asked  # passed on as it came


HOSTS = table(
    foo_bar_com=[Location("/", "Prefix", "exact")],
    __foo_com=[Location("/", "Prefix", "wild")],
    a_foo_com=[Location("/a", "Prefix", "a")],
    _=[],
)


@pytest.mark.parametrize(
    ("host", "upstream"),
    [
        ("foo.bar.com", "exact"),
        ("FOO.Bar.com:8080", "exact"),
        ("foo.bar.com.", "exact"),
        ("bar.foo.com", "wild"),
        ("baz.bar.foo.com", ""),  # a wildcard is one label
        ("foo.com", ""),
        ("a.foo.com", ""),  # the exact host wins, though it has no such path
        ("localhost", ""),
        ("", ""),
    ],
)
def test_hosts(host: str, upstream: str) -> None:
    assert HOSTS.route(host, "/x").location.upstream == upstream


def test_unclaimed_hosts_go_to_the_default_server() -> None:
    everything = RoutingTable({"_": Server.of("_", [Location("/", "Prefix", "default")])})
    assert everything.route("whatever.example.com", "/").location.upstream == "default"
    assert RoutingTable().route("whatever.example.com", "/").location is NOT_FOUND


@pytest.mark.parametrize(
    ("path", "rewrite", "asked", "target"),
    [
        ("/something(/|$)(.*)", "/$2", "/something", "/"),
        ("/something(/|$)(.*)", "/$2", "/something/new?x=1", "/new?x=1"),
        ("/something(/|$)(.*)", "/$2", "/SOMETHING/new", "/new"),
        ("/app", "/", "/app/deep", "/"),
        ("/app", "/$1", "/app", "/"),  # no such group
        ("/(", "/x", "/(", "/x"),  # no regular expression: itself
    ],
)
def test_rewriting(path: str, rewrite: str, asked: str, target: str) -> None:
    settings = LocationSettings(rewrite_target=rewrite)
    server = Server.of("h", [Location(path, "ImplementationSpecific", "up", settings=settings)])
    routed = RoutingTable({"h": server}).route("h", asked)
    assert (routed.location.upstream, routed.target) == ("up", target)


def test_one_rewriting_location_makes_the_host_match_by_regular_expressions() -> None:
    plain = Location("/foo/bar/bar", "Prefix", "plain")
    regex = Location(
        "/foo/bar/[A-Z0-9]{3}", "ImplementationSpecific", "regex", settings=LocationSettings(use_regex=True)
    )
    server = RoutingTable({"h": Server.of("h", [plain, regex])})
    assert server.route("h", "/foo/bar/bar").location.upstream == "regex"  # longer as a text
    assert server.route("h", "/FOO/bar/barbar").location.upstream == "regex"


paths = st.lists(st.sampled_from(["a", "b", "ab"]), max_size=4).map(lambda parts: "/" + "/".join(parts))


@given(st.lists(paths, min_size=1, unique=True), paths)
def test_the_longest_prefix_by_elements_wins(given_paths: list[str], asked: str) -> None:
    routed = path_table(*(("Prefix", path) for path in given_paths)).route("h", asked)

    def elements(path: str) -> list[str]:
        return [part for part in path.split("/") if part]

    covering = [p for p in given_paths if elements(asked)[: len(elements(p))] == elements(p)]
    best = max(covering, key=lambda p: len(elements(p)), default="")
    assert routed.location.upstream == (f"Prefix {best}" if best else "")


@pytest.mark.parametrize(
    ("header", "name"), [("A.b:80", "a.b"), ("[::1]:80", "[::1]:80"), ("a.", "a"), ("", "")]
)
def test_host_names(header: str, name: str) -> None:
    assert host_name(header) == name
