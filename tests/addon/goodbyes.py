"""Goodbyes in the middle of a large message: `python goodbyes.py add-on|backend ROUNDS`.

One end sends something large, and milliseconds later both leave at the same moment.  libzmq 4.3.5 ends the whole
process where a socket gives up between two parts of a message (zeromq/libzmq#3442): at once where it does not linger,
and on a busy machine also with a linger of 50 ms.
"""

import sys
import threading
import time

import numpy as np
import zmq

from backend.service.server import router
from blender_addon.net.client import Client
from shared import VERSION
from shared.codec import encode
from shared.messages import PROTOCOL_VERSION, Generate, SceneMesh, Splats, Welcome, new_job_id

COUNT = 1_000_000  # vertices, or splats
PAUSES = (0.001, 0.003, 0.006)  # seconds from the first byte to the goodbyes
WELCOME = Welcome(protocol=PROTOCOL_VERSION, version=VERSION, objectives=(), qualities=(), devices=())
MESH = SceneMesh(
    vertices=np.zeros((COUNT, 3), np.float32),
    faces=np.zeros((COUNT, 3), np.int32),
    colours=np.zeros((COUNT, 4), np.uint8),
)
SPLATS = Splats(
    job=new_job_id(),
    step=1,
    final=False,
    to_scene=((1.0, 0.0, 0.0, 0.0), (0.0, 1.0, 0.0, 0.0), (0.0, 0.0, 1.0, 0.0), (0.0, 0.0, 0.0, 1.0)),
    means=np.zeros((COUNT, 3), np.float32),
    quats=np.ones((COUNT, 4), np.float32),
    scales=np.ones((COUNT, 3), np.float32),
    opacities=np.ones(COUNT, np.float32),
    sh=np.zeros((COUNT, 1, 3), np.float32),
)


def goodbye(sender, pause):
    """The add-on's real client and the backend's real socket; once."""
    context = zmq.Context()
    socket = router(context)
    client = Client(f"127.0.0.1:{socket.bind_to_random_port('tcp://127.0.0.1')}")
    client.start()
    name, _ = socket.recv_multipart()
    socket.send_multipart([name, *encode(WELCOME)])
    while client.status.state != "ready":
        time.sleep(0.001)
    if sender == "add-on":
        client.send(Generate(job=new_job_id(), fields={}, mesh=MESH))
    else:
        socket.send_multipart([name, *encode(SPLATS)], copy=False)
    time.sleep(pause)
    leaver = threading.Thread(target=lambda: (socket.close(), context.term()))
    leaver.start()
    client.stop()
    leaver.join()


if __name__ == "__main__":
    for number in range(int(sys.argv[2])):
        goodbye(sys.argv[1], PAUSES[number % len(PAUSES)])
        print(number + 1, flush=True)
