"""The kubelet: `kubelet` watches the node's pods and notices dead containers (PLEG), `pod_worker` takes one pod through its life,
`container` is one container of it, `probes` the probe workers, `status` what is reported, `lease` the node's heartbeat, `envvars` the
environment of Services.

Sources: pkg/kubelet of Kubernetes 1.34, as collected in the timing facts (F:probe.*, F:kubelet.*, F:pod.*).
"""
