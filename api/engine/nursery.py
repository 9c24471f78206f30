"""A process that has imported everything a worker needs, and forks one in milliseconds when asked to.

It has one thread, no model and no CUDA context, so that forking it is safe; a worker that dies is replaced without
seconds of importing torch.
"""

import gc
import os
import signal
import socket
import sys

from api.engine import process


def run(orders: socket.socket) -> None:
    """Fork a worker for every connection that is sent, answering with its process id, until ``orders`` is closed."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the system reaps workers; the server sees their connection end
    gc.freeze()  # what is shared stays shared: the collector would write into every page of it
    while True:
        data, descriptors, _, _ = socket.recv_fds(orders, 1, 1)
        if not data:
            return
        child = os.fork()
        if child == 0:
            orders.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            process.run(socket.socket(fileno=descriptors[0]))
        os.close(descriptors[0])
        orders.sendall(child.to_bytes(8, "little"))


if __name__ == "__main__":
    run(socket.socket(fileno=int(sys.argv[1])))
