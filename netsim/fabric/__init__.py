"""The hardware: links, veth pairs, the underlay switch and router, nodes and pod sandboxes, and hosts for applications."""
