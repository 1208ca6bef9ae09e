"""The control plane: API objects and server, controllers, scheduler, kubelet, kube-proxy, cluster DNS.

It never sees a packet.
"""
