"""The `dns` section of a Cluster, and the zones of name servers outside.

Called by: `spec_cluster` (the fields), `cluster.py` (reading). Records are lines of a master file (RFC 1035 section
5), `www.example.com 300 A 93.184.215.14`: names are absolute with or without a final dot, class and TTL may be left
out.
"""

from typing import Annotated, Any, Final, Literal

from pydantic import BeforeValidator, Field, StrictBool, WithJsonSchema

from netsim.engine import MS
from netsim.experiment.spec_fields import Duration, Percent, SpecModel
from netsim.workload.resolver_cache import cache_policy

# A model: a public resolver that has the name in its cache, one trip over the Internet away. DNSPerf's raw figures for
# public resolvers lie around 10 to 20 ms.
UPSTREAM_DELAY_NS: Final = 10 * MS


def _record(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("must be a line such as www.example.com 300 A 93.184.215.14")
    from netsim.cluster.dns.zonefile import parse_lines

    if not parse_lines([value]):
        raise ValueError(f'"{value}" is no record: write a line such as www.example.com 300 A 93.184.215.14')
    return value


RecordLine = Annotated[
    str,
    BeforeValidator(_record),
    WithJsonSchema({"type": "string", "examples": ["www.example.com 300 A 93.184.215.14"]}),
]
RecordLines = Annotated[tuple[RecordLine, ...], Field(max_length=10_000)]


def _cache(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("must be none, ttl, jvm, forever or a duration such as 30s")
    cache_policy(value)
    return value


DnsCache = Annotated[
    str,
    BeforeValidator(_cache),
    WithJsonSchema({"type": "string", "examples": ["none", "ttl", "jvm", "forever", "30s"]}),
]


class Upstream(SpecModel):
    """The name server beyond the router that the nodes' resolv.conf names: a resolver for the names outside.

    `names` come on top of the default ones (`netsim.cluster.dns.outside`). A query is answered after `delay`, or never
    with probability `loss`.
    """

    names: RecordLines = ()
    delay_ns: Duration = Field(UPSTREAM_DELAY_NS, alias="delay")
    loss: Percent = 0.0


class Dns(SpecModel):
    """The cluster's DNS servers.

    CoreDNS reads the ConfigMap `coredns` in `kube-system`, kube-dns the ConfigMap `kube-dns`, if there is one.
    `nodeLocal` puts NodeLocal DNSCache on every node and its address into the pods' resolv.conf.
    """

    provider: Literal["coredns", "kube-dns"] = "coredns"
    replicas: Annotated[int, Field(strict=True, ge=0, le=100)] = 2
    nodeLocal: StrictBool = False
    upstream: Upstream = Upstream()

    @property
    def pods(self) -> int:
        """`replicas`, or when it is not given 2 of CoreDNS and 1 of kube-dns (kubeadm's numbers)."""
        given = self.provider == "coredns" or "replicas" in self.model_fields_set
        return self.replicas if given else 1

    @property
    def deployment(self) -> str:
        """The name of the Deployment."""
        return "coredns" if self.provider == "coredns" else "kube-dns"
