"""ipvsadm's output: goldens in the tool's own format."""

from dataclasses import replace

from netlab import Bench, Clock, tcp, udp

from netsim.engine import S
from netsim.kernel.ipvs import IpvsSysctl
from netsim.kernel.ipvs_hooks import enable_ipvs
from netsim.kernel.ipvs_service import HASH_PORT, DestKey, ServiceKey, VirtualServer
from netsim.kernel.ipvs_text import _large, connections, listing, save, stats
from netsim.wire.addr import ip
from netsim.wire.packet import SCTP, TCP, UDP

# Blanks at the ends of lines are the tool's.
LISTING = """\
IP Virtual Server version 1.2.1 (size=4096)
Prot LocalAddress:Port Scheduler Flags
  -> RemoteAddress:Port           Forward Weight ActiveConn InActConn
TCP  10.96.0.20:80 rr persistent 10800
  -> 10.2.0.7:8080                Masq    1      1          0         
  -> 10.2.0.8:8080                Masq    0      0          0         
TCP  [2001:db8::1]:443 mh (mh-port)
UDP  10.96.0.10:53 rr
  -> 10.2.0.7:53                  Masq    1      0          1         
SCTP  10.96.0.30:3868 wlc
"""  # noqa: W291
STATS = """\
IP Virtual Server version 1.2.1 (size=4096)
Prot LocalAddress:Port               Conns   InPkts  OutPkts  InBytes OutBytes
  -> RemoteAddress:Port
TCP  10.96.0.20:80                       1        1        1       40       40
  -> 10.2.0.7:8080                       1        1        1       40       40
  -> 10.2.0.8:8080                       0        0        0        0        0
TCP  [2001:db8::1]:443                   0        0        0        0        0
UDP  10.96.0.10:53                       1        1        0       32        0
  -> 10.2.0.7:53                         1        1        0       32        0
SCTP  10.96.0.30:3868                    0        0        0        0        0
"""
CONNECTIONS = """\
IPVS connection entries
pro expire state       source             virtual            destination
TCP 00:58  SYN_RECV    10.1.0.5:4000      10.96.0.20:80      10.2.0.7:8080   
UDP 04:58  UDP         10.1.0.5:4001      10.96.0.10:53      10.2.0.7:53     
TCP 179:58 NONE        10.1.0.5:0         10.96.0.20:80      10.2.0.7:8080   
"""  # noqa: W291
SAVED = """\
-A -t 10.96.0.20:80 -s rr -p 10800
-a -t 10.96.0.20:80 -r 10.2.0.7:8080 -m -w 1
-a -t 10.96.0.20:80 -r 10.2.0.8:8080 -m -w 0
-A -t [2001:db8::1]:443 -s mh -b mh-port
-A -u 10.96.0.10:53 -s rr
-a -u 10.96.0.10:53 -r 10.2.0.7:53 -m -w 1
-A --sctp-service 10.96.0.30:3868 -s wlc
"""


def test_goldens() -> None:
    bench = Bench()
    ipvs = enable_ipvs(bench.ns)
    ipvs.sysctl = replace(IpvsSysctl(), conntrack=True)
    web, dns = ServiceKey(TCP, ip("10.96.0.20"), 80), ServiceKey(UDP, ip("10.96.0.10"), 53)
    for server in (
        VirtualServer(dns),
        VirtualServer(web, "rr", 10800),
        VirtualServer(ServiceKey(SCTP, ip("10.96.0.30"), 3868), "wlc"),
        VirtualServer(ServiceKey(TCP, ip("2001:db8::1"), 443), "mh", flags=HASH_PORT),
    ):
        ipvs.add_service(server)
        bench.ns.add_address(server.key.address, bench.left.device)
    ipvs.add_dest(web, DestKey(ip("10.2.0.8"), 8080), 0)
    ipvs.add_dest(web, DestKey(ip("10.2.0.7"), 8080))
    ipvs.add_dest(dns, DestKey(ip("10.2.0.7"), 53))
    bench.left.arrive(tcp("10.1.0.5", 4000, "10.96.0.20", 80, "S"))
    bench.right.arrive(tcp("10.2.0.7", 8080, "10.1.0.5", 4000, "S."))
    bench.left.arrive(udp("10.1.0.5", 4001, "10.96.0.10", 53))
    assert isinstance(bench.clock, Clock)
    assert listing(ipvs) == LISTING
    assert stats(ipvs) == STATS
    assert connections(ipvs, S + 1) == CONNECTIONS
    assert save(ipvs) == SAVED


def test_large_numbers_are_nine_wide() -> None:
    numbers = [0, 99_999_999, 100_000_000, 999_999_999, 1_234_567_890, 123_456_789_012, 123_456_789_012_345]
    texts = [_large(number) for number in numbers]
    assert texts == [
        "        0", " 99999999", "  100000K", "  999999K", "    1234M", "     123G", "     123T",
    ]  # fmt: skip
