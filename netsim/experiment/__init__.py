"""YAML to a run and its results.

Reading: `loader` (files to a checked topology or experiment), `loader_*` (documents and manifests), `yaml_*`
(bytes to data with positions), `spec_*` (the models and their messages), `rules_*` (what the models cannot
see: names, clashes, references), `errors`. Nothing in these imports a simulation; they can be used alone, as
`netsim validate` does.
"""
