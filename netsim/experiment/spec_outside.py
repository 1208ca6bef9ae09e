"""What is outside the cluster: hosts that ask and serve, static routes of the router, cloud load balancers.

Called by: `spec_cluster`. Words of cloud providers' controllers and of the API (`loadBalancerClass`).
"""

import ipaddress
from itertools import count
from typing import Annotated, Literal, NamedTuple

from pydantic import Field, StrictBool

from netsim.experiment.spec_dns import RecordLines
from netsim.experiment.spec_fields import (
    Addresses,
    Duration,
    Ipv4,
    Ipv4Subnet,
    Name,
    PositiveDuration,
    SpecModel,
    Subnets,
)

Path = tuple[str | int, ...]
Threshold = Annotated[int, Field(strict=True, ge=1, le=100)]


class Serve(SpecModel):
    """A server on an outside host. `http` answers requests, `echo` sends back what it gets (UDP: always)."""

    port: Annotated[int, Field(strict=True, ge=1, le=65535)]
    protocol: Literal["TCP", "UDP"] = "TCP"
    app: Literal["http", "echo"] | None = None
    service_ns: Duration = Field(0, alias="serviceTime")

    @property
    def is_http(self) -> bool:
        """Whether it speaks HTTP."""
        return self.protocol == "TCP" and self.app != "echo"


class External(SpecModel):
    """A host outside the cluster, reached through the router; or `behind` another one, which then translates: hosts
    behind it share its address, as in an office or a mobile network.

    With a `zone` it is a name server for these records; with SOA records among them, only for the zones that those
    begin. A `resolver` answers as the upstream name server does."""

    name: Name
    address: Addresses
    behind: Name = ""
    serves: tuple[Serve, ...] = ()
    zone: RecordLines = ()
    resolver: StrictBool = False

    @property
    def addresses(self) -> tuple[str, ...]:
        """One per family at most."""
        return tuple(self.address.split(","))


class StaticRoute(SpecModel):
    """A route of the router: packets from outside to these addresses go to a node (for externalIPs, for example)."""

    to: Subnets
    via: Name


class BalancerHealthCheck(SpecModel):
    """How nodes are checked; what is left out is the preset's. `clusterTarget`: what is asked about Services with
    externalTrafficPolicy Cluster, kube-proxy's /healthz or the node port."""

    interval_ns: PositiveDuration | None = Field(None, alias="interval")
    timeout_ns: PositiveDuration | None = Field(None, alias="timeout")
    healthyThreshold: Threshold | None = None
    unhealthyThreshold: Threshold | None = None
    clusterTarget: Literal["healthz", "nodePort"] | None = None


class LoadBalancer(SpecModel):
    """A cloud's load balancer for Services of type LoadBalancer. `addresses` are those it may hand out, `address` is
    its own, in the nodeSubnet (from the end of it, unless given)."""

    addresses: Ipv4Subnet
    preset: Literal["gce", "clb", "nlb", "azure"] = "gce"
    name: Name = ""
    address: Ipv4 | None = None
    mode: Literal["passthrough", "proxy"] | None = None
    healthCheck: BalancerHealthCheck = BalancerHealthCheck()
    idle_ns: PositiveDuration | None = Field(None, alias="idleTimeout")
    failOpen: StrictBool | None = None


class ClassBalancer(LoadBalancer):
    """A further load balancer, for the Services whose `loadBalancerClass` names it."""

    class_name: Annotated[str, Field(alias="class", pattern=r"^[A-Za-z0-9]([-A-Za-z0-9_./]*[A-Za-z0-9])?$")]


class BalancerEntry(NamedTuple):
    """One load balancer after naming; `path` is where it stands in `spec`."""

    name: str
    class_name: str
    address: str
    spec: LoadBalancer
    path: Path


class OutsideSpec(SpecModel):
    """The part of a Cluster's `spec` that is outside it."""

    external: tuple[External, ...] = ()
    routes: tuple[StaticRoute, ...] = ()
    loadBalancer: LoadBalancer | None = None
    loadBalancerClasses: tuple[ClassBalancer, ...] = ()

    def balancers(self, node_subnet: str) -> tuple[BalancerEntry, ...]:
        """The load balancers, the one for Services without a class first. Unnamed ones are called `load-balancer`,
        `load-balancer-2` and so on; addresses that are not given are the last ones of the node subnet."""
        given: list[tuple[str, Path, LoadBalancer]] = []
        if self.loadBalancer is not None:
            given.append(("", ("loadBalancer",), self.loadBalancer))
        for index, entry in enumerate(self.loadBalancerClasses):
            given.append((entry.class_name, ("loadBalancerClasses", index), entry))
        subnet = ipaddress.ip_network(node_subnet)
        taken = {entry.address for _, _, entry in given}
        last = range(subnet.num_addresses - 2, 1, -1)
        free = (str(subnet[index]) for index in last if str(subnet[index]) not in taken)
        names = (f"load-balancer-{number}" if number > 1 else "load-balancer" for number in count(1))
        return tuple(
            BalancerEntry(entry.name or next(names), class_name, entry.address or next(free, ""), entry, path)
            for class_name, path, entry in given
        )
