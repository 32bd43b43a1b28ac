"""A small RTSP server (RFC 2326) over TCP of one clip, for the tests of streams."""

import contextlib
import socket
import socketserver
import struct
import threading

import av


@contextlib.contextmanager
def rtsp_server(clip, user=None):
    """Serve a clip of H.264 (.ts), as fast as it goes, to each who comes; yields the address.

    Args:
        clip: File.
        user: `"name:password"` that is asked for, or `None`.
    """

    class Client(socketserver.StreamRequestHandler):
        def handle(self):
            while True:
                request = self._read()
                if not request:
                    return
                method, url, _ = request[0].split(" ", 2)
                fields = dict(line.split(": ", 1) for line in request[1:] if ": " in line)
                answer = getattr(self, f"on_{method.lower()}", lambda *args: {})(url, fields)
                self._answer(fields["CSeq"], *answer if isinstance(answer, tuple) else (answer,))
                if method == "PLAY":
                    self._play()
                    return

        def _read(self):
            lines = []
            while line := self.rfile.readline().decode().strip():
                lines.append(line)
            return lines

        def _answer(self, number, fields, body="", status="200 OK"):
            fields = {"CSeq": number, "Content-Length": len(body)} | fields
            head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
            self.wfile.write(f"RTSP/1.0 {status}\r\n{head}\r\n{body}".encode())

        def on_options(self, url, fields):
            return {"Public": "DESCRIBE, SETUP, PLAY, TEARDOWN"}

        def on_describe(self, url, fields):
            if user is not None and "Authorization" not in fields:
                return {"WWW-Authenticate": 'Basic realm="camera"'}, "", "401 Unauthorized"
            text = (
                "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=clip\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
                "m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n"
                "a=fmtp:96 packetization-mode=1\r\na=control:streamid=0\r\n"
            )
            return {"Content-Type": "application/sdp", "Content-Base": f"{url}/"}, text

        def on_setup(self, url, fields):
            return {"Transport": fields["Transport"], "Session": "1"}

        def on_play(self, url, fields):
            return {"Session": "1"}

        def _play(self):
            # FFmpeg makes the RTP packets; here they come by UDP and go out between TCP's.
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as packets:
                packets.bind(("127.0.0.1", 0))
                packets.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
                port = packets.getsockname()[1]
                with (
                    av.open(str(clip)) as source,
                    av.open(
                        f"rtp://127.0.0.1:{port}?rtcpport={port + 1}", "w", format="rtp"
                    ) as out,
                ):
                    stream = out.add_stream_from_template(source.streams.video[0])
                    for packet in source.demux(video=0):
                        if packet.dts is not None:
                            packet.stream = stream
                            out.mux(packet)
                            self._relay(packets)
                self._relay(packets)

        def _relay(self, packets):
            packets.settimeout(0.02)
            with contextlib.suppress(TimeoutError):
                while True:
                    data = packets.recv(65536)
                    if data[1] & 0x7F == 96:
                        self.wfile.write(b"$\0" + struct.pack(">H", len(data)) + data)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Client) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"rtsp://{f'{user}@' if user else ''}127.0.0.1:{server.server_address[1]}/clip"
        server.shutdown()
