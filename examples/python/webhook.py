"""An application that hears what becomes of its rooms' members, with Python's standard library alone.

    INTERPLAY_WEBHOOK_SECRET=whsec_… python3 webhook.py PORT [--events N]

Checks each request's signature and prints its events; ends after N of them when that is asked.
"""

import argparse
import base64
import hashlib
import hmac
import json
import os
import time
from http.server import BaseHTTPRequestHandler, HTTPServer

# A request that is older, or from a clock that is further away, is refused: somebody may send it a second time.
TOLERANCE = 300


def is_genuine(secret, headers, body):
    """Whether a request was made by who knows the secret, and just now (standardwebhooks.com)."""
    identifier, timestamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not timestamp.isdigit() or abs(time.time() - int(timestamp)) > TOLERANCE:
        return False
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signed = f"{identifier}.{timestamp}.".encode() + body
    expected = "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    given = headers.get("webhook-signature", "").split()
    return any(hmac.compare_digest(expected, signature) for signature in given)


class Application(HTTPServer):
    def __init__(self, port, secret):
        super().__init__(("127.0.0.1", port), Request)
        self.secret = secret
        # An event may come again, with the same id, when the answer was lost. Keep them where you keep your data.
        self.seen = set()


class Request(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        if not is_genuine(self.server.secret, self.headers, body):
            return self.answer(401)
        for event in json.loads(body)["events"]:
            if event["id"] not in self.server.seen:
                self.server.seen.add(event["id"])
                print(event["member"], event["type"], event["room"], flush=True)
        self.answer(204)

    def answer(self, status):
        self.send_response(status)
        self.end_headers()

    def log_message(self, *_):
        pass


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("port", type=int)
    arguments.add_argument("--events", type=int)
    given = arguments.parse_args()
    application = Application(given.port, os.environ["INTERPLAY_WEBHOOK_SECRET"])
    print(f"listening at http://127.0.0.1:{application.server_port}/", flush=True)
    while given.events is None or len(application.seen) < given.events:
        application.handle_request()


if __name__ == "__main__":
    main()
