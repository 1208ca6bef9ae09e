"""hostPort: the plug-in's chains as iptables-save prints them, and where packets go by them on each pod network."""

from collections.abc import Callable

import pytest
from netlab import Bench, Lab, flow, inbox, tcp, udp
from scapy.layers.inet import IP
from scapy.layers.sctp import SCTP, SCTPChunkInit

from netsim.cni import portmap
from netsim.cni.bridge import BridgeCni
from netsim.cni.flat import FlatCni
from netsim.cni.portmap import PodNetwork, PortMapping, chain_name
from netsim.cni.vxlan import VxlanCni
from netsim.engine import MS, S
from netsim.fabric.fabric import Cni
from netsim.fabric.host import Host
from netsim.wire.addr import Prefix, ip
from netsim.wire.codec import from_scapy

CHAIN = chain_name("flat", "p1-5")
NETWORKS = {"flat": FlatCni, "vxlan": VxlanCni, "bridge": BridgeCni}
WEB = PortMapping(8080, 80, "tcp")
DNS = PortMapping(5353, 53, "udp")


class Mapped:
    """A lab with the pod p1-5 behind ports of node n1; its own servers answer."""

    def __init__(self, *mappings: PortMapping, cni: Callable[[], Cni] = FlatCni) -> None:
        self.lab = Lab(nodes=2, cni=cni())
        self.pod = self.lab.pod(1, 5)
        self.lab.pod(1, 6)
        self.lab.pod(2, 7)
        self.lab.outside()
        on_link = (
            self.pod.node.pod_cidr if self.lab.fabric.cni.pods_on_link else Prefix.host(self.pod.address)
        )
        network = PodNetwork(self.lab.fabric.cni.name, "p1-5", self.pod.address, on_link)
        portmap.add(self.node, network, mappings, 0)
        inbox(self.pod).echo()
        self.lab.run(MS)

    @property
    def node(self):  # type: ignore[no-untyped-def]
        return self.lab.nodes[0].ns

    def rules(self) -> list[str]:
        return [line for line in self.node.xtables.save(tool=True).splitlines() if "CNI-HOSTPORT" in line
                or "CNI-DN" in line]  # fmt: skip

    def host(self, name: str) -> Host:
        return {**self.lab.fabric.pods, **self.lab.fabric.nodes, **self.lab.fabric.outside}[name]

    def remove(self) -> None:
        portmap.remove(self.node, self.lab.fabric.cni.name, "p1-5")


def test_chain_names() -> None:
    """28 characters at most, as iptables wants it; another name for another network or pod."""
    assert len(CHAIN) == 28
    assert CHAIN.startswith("CNI-DN-")
    assert len({chain_name("flat", "a"), chain_name("vxlan", "a"), chain_name("flat", "b")}) == 3
    # sha512 of "testId" begins so: the name that the plug-in's own tests expect of FormatChainName("test", "Id").
    assert chain_name("test", "Id") == f"CNI-DN-{_sha512('testId')[:21]}"


def _sha512(text: str) -> str:
    import hashlib

    return hashlib.sha512(text.encode()).hexdigest()


def test_the_rules_as_iptables_save_prints_them() -> None:
    mapped = Mapped(WEB, PortMapping(8443, 443, "tcp"), DNS, PortMapping(9, 9, "tcp", ip("172.18.0.2")))
    name = '-m comment --comment "dnat name: \\"flat\\" id: \\"p1-5\\""'
    mappings = (
        (8080, 80, "tcp", ""),
        (8443, 443, "tcp", ""),
        (5353, 53, "udp", ""),
        (9, 9, "tcp", "-d 172.18.0.2/32 "),
    )
    assert [line for line in mapped.rules() if line.startswith("-A")] == [
        "-A PREROUTING -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT",
        "-A OUTPUT -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT",
        '-A POSTROUTING -m comment --comment "CNI portfwd requiring masquerade" -j CNI-HOSTPORT-MASQ',
        *(
            f"-A {CHAIN} {rule}"
            for port, to, proto, where in mappings
            for rule in (
                f"-s 10.244.1.5/32 {where}-p {proto} -m {proto} --dport {port} -j CNI-HOSTPORT-SETMARK",
                f"-s 127.0.0.1/32 {where}-p {proto} -m {proto} --dport {port} -j CNI-HOSTPORT-SETMARK",
                f"{where}-p {proto} -m {proto} --dport {port} -j DNAT --to-destination 10.244.1.5:{to}",
            )
        ),
        f"-A CNI-HOSTPORT-DNAT -p tcp {name} -m multiport --dports 8080,8443,9 -j {CHAIN}",
        f"-A CNI-HOSTPORT-DNAT -p udp {name} -m multiport --dports 5353 -j {CHAIN}",
        "-A CNI-HOSTPORT-MASQ -m mark --mark 0x2000/0x2000 -j MASQUERADE",
        '-A CNI-HOSTPORT-SETMARK -m comment --comment "CNI portfwd masquerade mark" '
        "-j MARK --set-xmark 0x2000/0x2000",
    ]


def test_what_it_wrote_can_be_read_again() -> None:
    mapped = Mapped(WEB, DNS)
    text = mapped.node.xtables.save(tool=True)
    fresh = Bench()
    fresh.rules(text)
    assert fresh.ns.xtables is not None
    assert fresh.ns.xtables.save(tool=True) == text


def test_more_than_15_ports_need_another_rule() -> None:
    mapped = Mapped(*(PortMapping(8000 + n, 80, "tcp") for n in range(17)))
    entries = [line for line in mapped.rules() if line.startswith("-A CNI-HOSTPORT-DNAT")]
    assert [line.count(",") for line in entries] == [14, 1]


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize(
    ("source", "address", "target", "seen_as"),
    [
        ("laptop", "203.0.113.10", "172.18.0.2", None),
        ("n2", "172.18.0.3", "172.18.0.2", None),
        ("n1", "172.18.0.2", "172.18.0.2", None),
        ("n1", "127.0.0.1", "127.0.0.1", "the node"),
        ("p1-6", "10.244.1.6", "172.18.0.2", {"flat": None, "vxlan": "the node", "bridge": "the node"}),
        ("p1-5", "10.244.1.5", "172.18.0.2", "the node"),
        ("p2-7", "10.244.2.7", "172.18.0.2", "its node"),  # a node's address is outside the pod network
    ],
)
def test_from_everywhere(network: str, source: str, address: str, target: str, seen_as: object) -> None:
    """The pod sees the client itself, except where its answer would not come back that way."""
    mapped = Mapped(DNS, cni=NETWORKS[network])
    if isinstance(seen_as, dict):
        seen_as = seen_as[network]
    client = mapped.host(source)
    mapped.lab.send(client, udp(address, 4000, target, 5353))
    mapped.lab.run(S)
    seen = inbox(mapped.pod).flows[0]
    assert (seen.dst, seen.dport) == (mapped.pod.address, 53)
    if seen_as is None:
        assert seen.src == ip(address)
    elif seen_as == "the node":
        assert seen.src in mapped.node.addresses
    else:
        assert seen.src == mapped.lab.nodes[1].address
    answer = flow(target, 5353, address, 4000)
    assert answer in inbox(client).flows
    mapped.lab.check_books()


def test_only_ports_of_the_given_protocol_and_address_are_mapped() -> None:
    mapped = Mapped(PortMapping(53, 53, "udp", ip("172.18.0.2")))
    laptop = mapped.host("laptop")
    mapped.lab.send(laptop, udp("203.0.113.10", 4000, "172.18.0.2", 54))
    mapped.lab.send(laptop, tcp("203.0.113.10", 4000, "172.18.0.2", 53, "S"))
    mapped.lab.send(mapped.host("n1"), udp("127.0.0.1", 4000, "127.0.0.1", 53))
    mapped.lab.run(S)
    assert inbox(mapped.pod).flows == []
    mapped.lab.send(laptop, udp("203.0.113.10", 4001, "172.18.0.2", 53))
    mapped.lab.run(S)
    assert len(inbox(mapped.pod).flows) == 1


def test_sctp() -> None:
    mapped = Mapped(PortMapping(3868, 3868, "sctp"))
    arrived: list[bytes] = []
    link = mapped.lab.fabric.cables["p1-5:eth0"].back
    link.taps.append(lambda _link, packet, _at: arrived.append(packet.to_bytes()))
    link.rewire()
    init = (
        IP(src="203.0.113.10", dst="172.18.0.2", id=0, flags="DF")
        / SCTP(sport=9, dport=3868)
        / SCTPChunkInit(init_tag=7)
    )
    mapped.lab.send(mapped.host("laptop"), from_scapy(init))
    mapped.lab.run(S)
    (frame,) = arrived
    found = IP(frame[14:])
    assert (found.dst, found[SCTP].dport) == ("10.244.1.5", 3868)
    checksum = found[SCTP].chksum
    del found[SCTP].chksum
    assert IP(bytes(found))[SCTP].chksum == checksum


def test_withdrawn_with_the_pod() -> None:
    mapped = Mapped(WEB, DNS)
    mapped.remove()
    assert [line for line in mapped.rules() if "CNI-DN" in line] == []
    assert any(line.startswith(":CNI-HOSTPORT-DNAT") for line in mapped.rules())
    mapped.remove()  # CNI DEL may come twice
    mapped.lab.send(mapped.host("laptop"), udp("203.0.113.10", 4000, "172.18.0.2", 5353))
    mapped.lab.run(S)
    assert inbox(mapped.pod).flows == []


def test_udp_clients_that_were_there_before_are_mapped_too() -> None:
    """Their conntrack entry, made while the port was the node's own, is deleted."""
    mapped = Mapped()
    for _ in range(2):
        mapped.lab.send(mapped.host("laptop"), udp("203.0.113.10", 4000, "172.18.0.2", 5353))
        mapped.lab.run(MS)
    assert len(inbox(mapped.lab.nodes[0]).got) == 2
    network = PodNetwork("flat", "p1-5", mapped.pod.address, Prefix.host(mapped.pod.address))
    portmap.add(mapped.node, network, [DNS], mapped.lab.engine.now)
    mapped.lab.send(mapped.host("laptop"), udp("203.0.113.10", 4000, "172.18.0.2", 5353))
    mapped.lab.run(S)
    assert len(inbox(mapped.pod).flows) == 1
