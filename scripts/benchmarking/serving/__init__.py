"""The load benchmark of the server: black boxes over HTTP on loopback, ours and its peers by turns.

Two cores are shared by a server and whoever asks it, so both ways of asking are light: ``wrk`` for a closed loop, and
for an open one a generator that sends prepared bytes (``open_loop``).

The peer infinity runs in an environment of its own, since its pins are older than ours. This one was tried::

    python3 -m venv infinity
    infinity/bin/pip install torch==2.13.0 "infinity-emb[server,torch]==0.0.77" click==8.1.8

It brings transformers 4.57.6 and sentence-transformers 3.4.1. Without that older click its command line does not start.
"""
