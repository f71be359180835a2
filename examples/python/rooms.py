"""A client of Interplay's rooms, written from docs/protocol.md with Python's standard library alone.

    python3 rooms.py SERVER API_KEY

Joins a room, is dropped without a close frame, misses 20 messages, comes back, and checks that it gets exactly
those 20, in order, and then live ones.
"""

import base64
import json
import os
import socket
import struct
import sys
import urllib.request


class WebSocket:
    """As much of RFC 6455 as a client needs."""

    def __init__(self, server, path):
        host, port = server.rsplit(":", 1)
        self.socket = socket.create_connection((host, int(port)), timeout=20)
        key = base64.b64encode(os.urandom(16)).decode()
        self.socket.sendall(
            f"GET {path} HTTP/1.1\r\nHost: {server}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        self.stream = self.socket.makefile("rb")
        status = self.stream.readline()
        if b" 101 " not in status:
            raise ConnectionError(status.decode().strip())
        while self.stream.readline().strip():
            pass

    def send(self, opcode, payload):
        mask = os.urandom(4)
        size = len(payload)
        length = bytes([0x80 | size]) if size < 126 else b"\xfe" + struct.pack(">H", size)
        masked = bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload))
        self.socket.sendall(bytes([0x80 | opcode]) + length + mask + masked)

    def receive(self):
        """The next message: text, bytes, or None when the server has closed."""
        while True:
            first, second = self.stream.read(2)
            size = second & 0x7F
            if size == 126:
                (size,) = struct.unpack(">H", self.stream.read(2))
            elif size == 127:
                (size,) = struct.unpack(">Q", self.stream.read(8))
            payload = self.stream.read(size)
            opcode = first & 0x0F
            if opcode == 1:
                return payload.decode()
            if opcode == 2:
                return payload
            if opcode == 8:
                print("closed:", struct.unpack(">H", payload[:2])[0], payload[2:].decode())
                return None
            if opcode == 9:
                self.send(10, payload)

    def vanish(self):
        """Ends the connection as a lost network does: no close frame, no goodbye."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.stream.close()
        self.socket.close()


class Room:
    """One member of a room."""

    def __init__(self, server, room, token):
        self.server, self.room, self.token = server, room, token
        self.sender = os.urandom(8).hex()
        self.counter = 0
        self.epoch = self.last = self.connection = None
        self.returned = None

    def connect(self):
        self.socket = WebSocket(self.server, f"/ws/rooms/{self.room}")
        join = {"type": "join", "protocol": 1, "token": self.token, "sender": self.sender}
        if self.epoch is not None:
            join["resume"] = {"after": {"epoch": self.epoch, "sequence": self.last}}
            join["after"] = self.connection
        self.say(join)
        self.returned = None
        while (frame := self.hear())["type"] != "joined":
            if frame["type"] == "reconnection-detected":
                self.returned = frame
        self.epoch, self.connection = frame["epoch"], frame["connection"]
        self.last = frame["position"]

    def say(self, frame):
        self.socket.send(1, json.dumps(frame).encode())

    def send(self, data):
        self.counter += 1
        self.say({"type": "send", "n": self.counter, "data": data})
        while (frame := self.hear())["type"] != "sent" or frame["n"] != self.counter:
            pass
        return frame["sequence"]

    def hear(self):
        frame = self.socket.receive()
        if frame is None:
            raise ConnectionError("the server has closed the room")
        return json.loads(frame)

    def message(self):
        """The next message; each names the one before it, so that nothing can be missing."""
        while (frame := self.hear())["type"] != "message":
            pass
        assert frame["prev"] == self.last, f"{frame['sequence']} follows {frame['prev']}, not {self.last}"
        self.last = frame["sequence"]
        self.say({"type": "ack", "sequence": self.last})
        return frame["data"]


def main(server, key):
    room = f"python-{os.urandom(4).hex()}"

    def token(member):
        request = urllib.request.Request(
            f"http://{server}/api/v1/tokens",
            json.dumps({"room": room, "member": member}).encode(),
            {"Authorization": f"Bearer {key}", "Content-Type": "application/json"},
        )
        return json.load(urllib.request.urlopen(request))["token"]

    ann, bob = Room(server, room, token("ann")), Room(server, room, token("bob"))
    ann.connect()
    bob.connect()
    ann.send("before")
    assert bob.message() == "before"
    bob.socket.vanish()
    for number in range(20):
        ann.send(number)
    bob.connect()
    assert bob.returned["missed_message_count"] == 20 and bob.returned["gap"] is None, bob.returned
    missed = [bob.message() for _ in range(20)]
    assert missed == list(range(20)), missed
    ann.send("live")
    assert bob.message() == "live"
    print("missed 20 messages, got exactly those 20, in order, then live ones")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
