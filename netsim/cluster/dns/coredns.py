"""CoreDNS as the application in its pod: Corefile, watches, port 53, health and readiness.

Made by whoever plays the containers (`app_for`), for images called coredns. A Corefile that CoreDNS would refuse ends
the process with exit code 1 at once, which the kubelet turns into CrashLoopBackOff.

Life: start -> read the Corefile -> list from the API (one request away) -> answer on port 53 -> SIGTERM -> not ready,
but answering for `lameduck` -> exit. Source: CoreDNS plugin/kubernetes/kubernetes.go (InitKubeCache), plugin/health,
plugin/ready. Simplified: the reload plugin does nothing; a node that is cut off keeps its last view (`disconnect`).
"""

from typing import Final

EXIT_CONFIG: Final = 1
