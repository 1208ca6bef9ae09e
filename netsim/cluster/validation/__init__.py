"""What the API server refuses, in its own words. Pure functions from an object to `FieldError`s.

Called by the API server's admission (objects made in a notebook: `InvalidError`) and by the loader's rules (manifests:
`file:line:col`), so that both say the same. Sources: Kubernetes 1.34, pkg/apis/{core,discovery,networking}/validation
and apimachinery/pkg/{util,api}/validation; each file names its own.
"""
