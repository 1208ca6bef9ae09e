"""Commands that people type in a pod: nslookup, dig, curl, ping... with the tools' own output, over real traffic.

`shell.py` reads a command line and runs it; `call.py` is what one command is given; the commands themselves stand in
`names.py` and `dig.py` (DNS), `fetch.py` (HTTP), `reach.py` (ping, nc), `local.py` (files, environment, filters).
"""
