"""``python`` for the processes of tests: asks fork_server.py for a fork that does the same, and ends as it does.

``python -IS fork_client.py ADDRESS SELF ARGUMENTS…``: the server's socket, and the executable that jobs shall start in
place of Python. It imports little, since it starts hundreds of times.
"""

import json
import os
import signal
import socket
import sys

address, self, *arguments = sys.argv[1:]
module = arguments[1] if arguments[:1] == ["-m"] else ""
if module not in ("snakemake", "pytest") and not module.startswith("cnnviz."):
    os.execv(sys.executable, [sys.executable, *arguments])

request = {"arguments": arguments, "environment": dict(os.environ), "folder": os.getcwd(), "python": self}
text = json.dumps(request).encode()
server = socket.socket(socket.AF_UNIX)
server.connect(address)
socket.send_fds(server, [b"%8d" % len(text)], [0, 1, 2])
server.sendall(text)
for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, lambda number, _: server.send(bytes([number])))
status = int(server.recv(8, socket.MSG_WAITALL))
if os.WIFSIGNALED(status):
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), os.WTERMSIG(status))
os._exit(os.WEXITSTATUS(status))
