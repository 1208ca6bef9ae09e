"""kubectl against a simulated cluster: arguments, printers, describers and verbs, each in files of their own.

Called by `Cluster.kubectl` and by the terminal (`netsim.experiment.terminal`). What it prints is what kubectl prints;
sources: k8s.io/kubectl/pkg (verbs, describe) and kubernetes/pkg/printers/internalversion/printers.go, Kubernetes 1.34.

=================  ====================================================================================
file               what
=================  ====================================================================================
`arguments`        flags and words of a command line
`context`          where a command writes, reads, and how it lets time pass
`resources`        kinds and their names (`po`, `svc`, `deployments.apps`)
`tabwriter`        Go's text/tabwriter, which aligns every table of kubectl
`human`            ages and times as Kubernetes writes them
`columns_*`        columns of `get`, by kind
`document`         objects as `-o yaml|json` shows them
`jsonpath`         the simple part of kubectl's JSONPath
`output`           `-o`, over all of these
`events`           Events, made from the simulator's own records
`describe_*`       `describe`, by kind
`verbs_*`          the verbs
`command`          the table of verbs: the entry point
=================  ====================================================================================

Simplified: a request takes no time by itself; what waits (delete, drain, rollout status, wait, exec, `-w`) lets time
pass. Times are counted from 1970, when the simulation began.
"""
