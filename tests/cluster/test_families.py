"""Which families a Service gets: the cases of upstream's TestCreateInitIPFields, and addresses taken all or none."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netsim.cluster.apiserver import ApiServer
from netsim.cluster.errors import InvalidError
from netsim.cluster.families import FamilyError, cluster_ips, family_of, parse_subnets, service_families
from netsim.cluster.ipam import NodeRanges, PodRange
from netsim.cluster.metaproxy import MetaProxy
from netsim.cluster.objects import Service, ServiceSpec
from netsim.cluster.timing import Timing
from netsim.engine import Engine
from netsim.wire.addr import Prefix

V4, V6, V46, V64 = ("IPv4",), ("IPv6",), ("IPv4", "IPv6"), ("IPv6", "IPv4")
A4, A6, NONE = "10.0.0.1", "2000::1", "None"
SINGLE, PREFER, REQUIRE = "SingleStack", "PreferDualStack", "RequireDualStack"
SUBNETS = {"IPv4": "10.96.0.0/16", "IPv6": "fd00:10:96::/112"}


def spec(**fields: Any) -> ServiceSpec:
    return ServiceSpec.model_validate({"selector": {"a": "b"}, **fields})


@pytest.mark.parametrize(
    ("cluster", "given_", "wanted"),
    [
        (V4, {}, (SINGLE, V4)),
        (V6, {}, (SINGLE, V6)),
        (V46, {}, (SINGLE, V4)),
        (V64, {}, (SINGLE, V6)),
        (V46, {"ipFamilies": V6}, (SINGLE, V6)),
        (V46, {"clusterIP": A6}, (SINGLE, V6)),
        (V46, {"clusterIPs": (A6,)}, (SINGLE, V6)),
        (V4, {"ipFamilyPolicy": PREFER}, (PREFER, V4)),
        (V46, {"ipFamilyPolicy": PREFER}, (PREFER, V46)),
        (V64, {"ipFamilyPolicy": PREFER}, (PREFER, V64)),
        (V46, {"ipFamilyPolicy": PREFER, "ipFamilies": V6}, (PREFER, V64)),
        (V46, {"ipFamilyPolicy": REQUIRE, "clusterIPs": (A6, A4)}, (REQUIRE, V64)),
        (V46, {"ipFamilyPolicy": REQUIRE, "clusterIP": A4}, (REQUIRE, V46)),
        (V46, {"clusterIP": NONE}, (SINGLE, V4)),
        (V46, {"clusterIP": NONE, "ipFamilyPolicy": REQUIRE}, (REQUIRE, V46)),
        (V4, {"clusterIP": NONE, "selector": {}}, (REQUIRE, V46)),
        (V6, {"clusterIP": NONE, "selector": {}}, (REQUIRE, V64)),
        (V46, {"clusterIP": NONE, "selector": {}, "ipFamilyPolicy": SINGLE}, (SINGLE, V4)),
        (V4, {"clusterIP": NONE, "selector": {}, "ipFamilies": V6}, (REQUIRE, V64)),
    ],
)
def test_families(cluster: Any, given_: dict[str, Any], wanted: Any) -> None:
    assert service_families(spec(**given_), cluster) == wanted


@pytest.mark.parametrize(
    ("cluster", "given_", "path"),
    [
        (V4, {"ipFamilyPolicy": REQUIRE}, "spec.ipFamilyPolicy"),
        (V4, {"ipFamilies": V6}, "spec.ipFamilies[0]"),
        (V4, {"ipFamilyPolicy": PREFER, "ipFamilies": V46}, "spec.ipFamilies[1]"),
        (V4, {"clusterIP": A6}, "spec.clusterIPs[0]"),
        (V46, {"ipFamilies": V46}, "spec.ipFamilyPolicy"),
        (V46, {"ipFamilyPolicy": SINGLE, "clusterIPs": (A4, A6)}, "spec.ipFamilyPolicy"),
        (V46, {"clusterIP": A4, "ipFamilies": V6}, "spec.clusterIPs[0]"),
        (V46, {"ipFamilyPolicy": REQUIRE, "clusterIPs": (A4, A6), "ipFamilies": V64}, "spec.clusterIPs[0]"),
        (V46, {"ipFamilyPolicy": REQUIRE, "ipFamilies": ("IPv6", "IPv6")}, "spec.ipFamilies"),
    ],
)
def test_refusals_name_the_field(cluster: Any, given_: dict[str, Any], path: str) -> None:
    with pytest.raises(FamilyError) as refused:
        service_families(spec(**given_), cluster)
    assert str(refused.value).startswith(f"{path}: ")


@given(
    st.sampled_from([V4, V6, V46, V64]),
    st.sampled_from([None, SINGLE, PREFER, REQUIRE]),
    st.sampled_from([(), V4, V6, V46, V64]),
    st.booleans(),
    st.booleans(),
)
def test_what_is_stored_holds_together(
    cluster: Any, policy: Any, families: Any, headless: bool, selector: bool
) -> None:
    wanted = spec(
        ipFamilyPolicy=policy,
        ipFamilies=families,
        clusterIP="None" if headless else "",
        selector={"a": "b"} if selector else {},
    )
    try:
        found = service_families(wanted, cluster)
    except FamilyError:
        return
    assert len(set(found.families)) == len(found.families) > 0
    assert found.families[: len(families)] == families
    assert (found.policy != REQUIRE) or len(found.families) == 2
    assert (found.policy != SINGLE) or len(found.families) == 1
    if not headless or selector:
        assert set(found.families) <= set(cluster)


# ---------------------------------------------------------------- the API server
def server(*families: str) -> ApiServer:
    return ApiServer(Engine(1), Timing.for_version("1.34"), ",".join(SUBNETS[family] for family in families))


def created(api: ApiServer, name: str, **fields: Any) -> Service:
    return api.create(
        Service.model_validate(
            {"metadata": {"name": name}, "spec": {"selector": {"a": "b"}, "ports": [{"port": 80}], **fields}}
        )
    )


def test_one_address_per_family_from_its_own_range() -> None:
    api = server("IPv6", "IPv4")
    made = created(api, "web", ipFamilyPolicy=PREFER).spec
    assert [family_of(address) for address in made.clusterIPs] == ["IPv6", "IPv4"]
    assert made.clusterIP == made.clusterIPs[0]
    for address, subnet in zip(made.clusterIPs, ("fd00:10:96::/112", "10.96.0.0/16"), strict=True):
        assert parse_subnets(subnet)[0].contains(parse_subnets(address)[0].address)


def test_all_addresses_are_taken_or_none() -> None:
    api = server("IPv4", "IPv6")
    created(api, "first", clusterIP="fd00:10:96::5")
    both = {"ipFamilyPolicy": REQUIRE, "clusterIPs": ("10.96.0.5", "fd00:10:96::5")}
    with pytest.raises(InvalidError, match="already allocated"):
        created(api, "second", **both)
    assert created(api, "third", clusterIP="10.96.0.5").spec.clusterIPs == ("10.96.0.5",)


def test_a_deleted_service_gives_both_back() -> None:
    api = server("IPv4", "IPv6")
    both = {"ipFamilyPolicy": REQUIRE, "clusterIPs": ("10.96.0.5", "fd00:10:96::5")}
    created(api, "first", **both)
    api.delete(Service, "default", "first")
    assert cluster_ips(created(api, "second", **both).spec) == ("10.96.0.5", "fd00:10:96::5")


def test_subnets_and_ranges_of_ipv6() -> None:
    assert parse_subnets("10.0.0.0/8, fd00::/64") == (Prefix.parse("10.0.0.0/8"), Prefix.parse("fd00::/64"))
    ranges = NodeRanges("fd00:10:244::/56")
    assert [ranges.allocate() for _ in range(2)] == ["fd00:10:244::/64", "fd00:10:244:1::/64"]
    pods = PodRange("fd00:10:244:1::/64")
    assert [pods.allocate() for _ in range(2)] == ["fd00:10:244:1::2", "fd00:10:244:1::3"]
    pods.release("10.244.1.2")  # of another range: harmless
    pods.release("fd00:10:244:1::2")
    assert pods.allocate() == "fd00:10:244:1::4"


# ---------------------------------------------------------------- kube-proxy of both families
class Proxier:
    """In place of a family's KubeProxy."""

    def __init__(self) -> None:
        self.node, self.running, self.synced, self.idle, self.table = "n1", False, True, True, object()
        self.told: list[str] = []

    def __getattr__(self, name: str) -> Any:
        if name not in ("start", "stop", "disconnect", "reconnect"):
            raise AttributeError(name)
        return lambda: self.told.append(name)


def test_a_metaproxy_is_both_proxiers() -> None:
    primary, secondary = Proxier(), Proxier()
    proxy = MetaProxy(primary, secondary)  # type: ignore[arg-type]
    for name in ("start", "disconnect", "reconnect", "stop"):
        getattr(proxy, name)()
    assert primary.told == secondary.told == ["start", "disconnect", "reconnect", "stop"]
    assert proxy.idle
    assert proxy.synced
    assert proxy.table is primary.table
    assert not proxy.running
    secondary.idle = secondary.synced = False
    assert not proxy.idle
    assert not proxy.synced
