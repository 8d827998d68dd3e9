#!/usr/bin/env bash
# warcio 1.8.1 (capture_http): a page behind 103 Early Hints (RFC 8297), which browsers and Wget read, is recorded as a response
# record of the hints alone. The final response is read by nobody and is in no record; no warning. Behind 100 Continue the same
# page is recorded whole. The cause is Python's http.client, which skips 100 and no other interim response (RFC 9110, 15.2).
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv env
env/bin/pip install --quiet warcio==1.8.1 requests==2.34.2

cat > record.py <<'PY'
import socketserver, threading
from warcio.capture_http import capture_http
import requests
from warcio.archiveiterator import ArchiveIterator

PAGE = b"<p>The harbour was quiet."
FINAL = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s" % (len(PAGE), PAGE)
INTERIM = {b"/100": b"HTTP/1.1 100 Continue\r\n\r\n", b"/103": b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n"}

class Handler(socketserver.StreamRequestHandler):
    def handle(self):
        path = self.rfile.readline().split()[1]
        while self.rfile.readline().strip():
            pass
        self.wfile.write(INTERIM[path] + FINAL)

server = socketserver.TCPServer(("127.0.0.1", 0), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
with capture_http("x.warc.gz"):
    for path in ("/100", "/103"):
        requests.get(f"http://127.0.0.1:{server.server_address[1]}{path}", timeout=20)
with open("x.warc.gz", "rb") as file:
    for record in ArchiveIterator(file, no_record_parse=True):
        if record.rec_type == "response":
            block = record.raw_stream.read()
            print(block.split(b"\r\n")[0].decode(), "| page recorded:", PAGE in block)
PY
found=$(env/bin/python record.py)
echo "$found"
[ "$found" = "HTTP/1.1 100 Continue | page recorded: True
HTTP/1.1 103 Early Hints | page recorded: False" ]
