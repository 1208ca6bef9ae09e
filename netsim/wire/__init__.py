"""The wire: addresses, packets, DNS messages, the Scapy codec and pcapng. Imports nothing of netsim outside itself."""
