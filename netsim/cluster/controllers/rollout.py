"""The arithmetic of a Deployment's rollout, as functions.

Called by: `deployment.py`. Sources: pkg/controller/deployment/util/deployment_util.go (ResolveFenceposts,
NewRSNewReplicas), pkg/controller/deployment/rolling.go, pkg/controller/controller_utils.go (ComputeHash),
apimachinery/pkg/util/intstr (GetScaledValueFromIntOrPercent).
"""

from typing import Final

from netsim.cluster.objects import Deployment, PodTemplateSpec

_SAFE_LETTERS: Final = "bcdfghjklmnpqrstvwxz2456789"
_FNV_OFFSET: Final = 2166136261
_FNV_PRIME: Final = 16777619


def template_hash(template: PodTemplateSpec) -> str:
    """The `pod-template-hash` label: FNV-1a of the template, its digits written in letters that make no words.

    Upstream hashes a dump of the Go object, so the letters differ from a real cluster's; their use is the same.
    """
    value = _FNV_OFFSET
    for byte in template.model_dump_json(exclude_defaults=True).encode():
        value = (value ^ byte) * _FNV_PRIME & 0xFFFFFFFF
    return "".join(_SAFE_LETTERS[ord(digit) % len(_SAFE_LETTERS)] for digit in str(value))


def scaled(value: int | str, total: int, *, round_up: bool) -> int:
    """A number, or a percentage of `total` ("25%"). Raises ValueError for other texts."""
    if isinstance(value, int):
        return value
    if not value.endswith("%") or not value[:-1].isdigit():
        raise ValueError(f'"{value}" is neither a number nor a percentage')
    hundredths = int(value[:-1]) * total
    return -(-hundredths // 100) if round_up else hundredths // 100


def limits(deployment: Deployment) -> tuple[int, int]:
    """(max surge, max unavailable) in pods; never both 0, or nothing could move."""
    spec = deployment.spec
    if spec.strategy.type == "Recreate":
        return 0, spec.replicas
    update = spec.strategy.rollingUpdate
    surge = scaled(update.maxSurge if update else "25%", spec.replicas, round_up=True)
    unavailable = scaled(update.maxUnavailable if update else "25%", spec.replicas, round_up=False)
    return (0, 1) if surge == 0 and unavailable == 0 else (surge, min(unavailable, spec.replicas))


def new_size(deployment: Deployment, new_replicas: int, all_replicas: int) -> int:
    """How many replicas the new ReplicaSet should have now, given what all have together."""
    wanted = deployment.spec.replicas
    if deployment.spec.strategy.type == "Recreate" or new_replicas >= wanted:
        return wanted
    surge, _ = limits(deployment)
    room = wanted + surge - all_replicas
    return new_replicas if room <= 0 else min(wanted, new_replicas + room)


def old_sizes(
    deployment: Deployment, old: list[tuple[int, int]], new_replicas: int, new_available: int
) -> list[int]:
    """How many replicas the old ReplicaSets, oldest first, should have now; `old` is (replicas, available) of each.

    First unhealthy pods go, then healthy ones as far as `maxUnavailable` allows.
    """
    _, max_unavailable = limits(deployment)
    total = new_replicas + sum(replicas for replicas, _ in old)
    least = deployment.spec.replicas - max_unavailable
    sizes = [replicas for replicas, _ in old]
    _clean_up(sizes, old, total - least - (new_replicas - new_available))
    available = new_available + sum(min(size, ok) for size, (_, ok) in zip(sizes, old, strict=True))
    spare = max(0, available - least)
    for index, size in enumerate(sizes):
        down = min(size, spare)
        sizes[index] -= down
        spare -= down
    return sizes


def _clean_up(sizes: list[int], old: list[tuple[int, int]], spare: int) -> None:
    for index, (replicas, available) in enumerate(old):
        down = max(0, min(spare, replicas - available))
        sizes[index] -= down
        spare -= down
