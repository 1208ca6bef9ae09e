"""What crossing a node costs in simulated time, from published measurements.

- An established packet pays for the namespace crossing, 1.7 us (Cilium's TCP_RR charts of 2021: 27.8 against 20.9 us
  for four crossings; timing facts, cost.veth_netns_crossing).
- The first packet of a flow also pays for conntrack and the nat rules: about 10 us plus its position among the rules
  (Kubernetes blog, 2025-02-28, charts; timing README section 3). In nftables mode it visits some fifteen rules however
  many Services there are, and takes the 12 us of these charts (V30, cost.nftables_first_packet; p50, the only one
  modelled).
"""

from netsim.kernel.netns import Cost
from netsim.kernel.xtables_cost import traversal_ns

CROSSING_NS = 1_700
FIRST_PACKET_NS = 10_000


class LinuxCost(Cost):
    """The model above."""

    __slots__ = ()

    def forward_ns(self, new: bool, visited: int) -> int:
        """Nanoseconds between a packet's arrival and the start of its transmission."""
        return CROSSING_NS + (FIRST_PACKET_NS + traversal_ns(visited) if new else 0)
