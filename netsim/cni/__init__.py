"""Pod networks, one file per kind, behind `netsim.fabric.fabric.Cni`."""
