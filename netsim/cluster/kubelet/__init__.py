"""The kubelet: runs the pods that are bound to its node, probes them, and reports.

`kubelet` holds the node's parts together; `worker` is one pod's life, `container` one container's, `probes` its
probes, `pleg` when the kubelet notices what the runtime knows, `status` what it reports and when, `heartbeat` the
node's lease and status, `backoff` CrashLoopBackOff, `envvars` the Services' environment variables.
"""
