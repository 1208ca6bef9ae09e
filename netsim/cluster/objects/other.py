"""Every other kind (storage, RBAC, HorizontalPodAutoscaler, custom resources...): kept, never acted on.

Called by: `registry.parse_object`. Such objects are reported once per kind as "accepted, no effect on packets".
"""

from pydantic import ConfigDict

from netsim.cluster.objects.meta import ApiObject


class OtherObject(ApiObject):
    """An object of a kind that netsim does not model; its fields are not checked."""

    model_config = ConfigDict(frozen=True, extra="allow")
