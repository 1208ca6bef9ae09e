"""Cluster DNS: CoreDNS as a chain of plugins, kube-dns, the kubelet's resolv.conf and the objects of the add-on.

One file per plugin (`kubernetes`, `cache`, `loadbalance`, `forward`, `hosts`, `zonefile`, `autopath`, `k8s_external`);
`chain` says what a plugin is, `corefile` and `build` make a chain from a Corefile, `world` is the view of the API that
the kubernetes plugin answers from, `server` puts a chain behind port 53, `coredns` is the application in the pod.
"""
