"""CoreDNS as the application in its pod: Corefile, watches, port 53, health and readiness.

Made by whoever plays the containers (`app_for`), for images called coredns. A Corefile that CoreDNS would refuse ends
the process with exit code 1 at once, which the kubelet turns into CrashLoopBackOff.

Life: start -> read the Corefile -> list from the API (one request away) -> answer on port 53 -> SIGTERM -> not ready,
but answering for `lameduck` -> exit. Source: CoreDNS plugin/kubernetes/kubernetes.go (InitKubeCache), plugin/health,
plugin/ready. Simplified: the reload plugin does nothing; a node that is cut off keeps its last view (`disconnect`).
"""

from collections.abc import Mapping
from typing import Any, Final

from netsim.cluster.apiserver import ApiServer
from netsim.cluster.dns.build import Configuration, Surroundings, build
from netsim.cluster.dns.corefile import CorefileError
from netsim.cluster.dns.exchange import HostExchanger
from netsim.cluster.dns.resolvconf import ResolvConf
from netsim.cluster.dns.server import DnsServer
from netsim.cluster.dns.world import World
from netsim.cluster.objects import ApiObject, EndpointSlice, Namespace, OtherObject, Pod, Service
from netsim.cluster.timing import Timing
from netsim.cluster.watch import Watch, WatchEvent
from netsim.fabric.host import Host
from netsim.fabric.http import HttpReply, HttpRequest, serve_http
from netsim.wire.addr import ip_text
from netsim.wire.dns_codec import DnsCodec

EXIT_CONFIG: Final = 1
