"""The corpus of bad input: what callers send by mistake, and what they send on purpose.

Each case is one request to one API, (method, path, headers, body); all must be answered with a
4xx and a sentence.
"""

import base64
import io
import json
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field

from PIL import Image

from tests.serving.tiny import encode, plain

DEPLOYMENT = "brightness"
RAW = "application/octet-stream"
JSON = "application/json"
CURL = "application/x-www-form-urlencoded"
EASYDL = f"/{DEPLOYMENT}/ImageClassification"
INFER = f"/v2/models/{DEPLOYMENT}/infer"
MULTIPART = "multipart/form-data; boundary=x"


@dataclass(frozen=True)
class Case:
    """One request."""

    name: str
    path: str
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)
    method: str = "POST"


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def make_png(width: int, height: int, scanlines: bytes, colour: int = 2) -> bytes:
    """A PNG of any stated size, around any bytes."""
    header = struct.pack(">IIBBBBB", width, height, 8, colour, 0, 0, 0)
    parts = _chunk(b"IHDR", header) + _chunk(b"IDAT", zlib.compress(scanlines, 9))
    return b"\x89PNG\r\n\x1a\n" + parts + _chunk(b"IEND", b"")


def _fill_text_bomb() -> bytes:
    """A small PNG whose compressed text grows to 64 MB."""
    text = b"Comment\0\0" + zlib.compress(bytes(64 * 2**20), 9)
    whole = plain(1)
    return whole[:33] + _chunk(b"zTXt", text) + whole[33:]


def make_pictures() -> dict[str, bytes]:
    """Bytes that are no picture that can be used."""
    png, jpeg = plain(9), encode(Image.new("RGB", (64, 64), (9, 99, 199)), "JPEG")
    noise = Image.effect_noise((200, 200), 90)
    progressive = encode(noise.convert("RGB"), "JPEG", progressive=True)
    gif, webp = encode(noise, "GIF"), encode(noise.convert("RGB"), "WEBP")
    tiff = encode(noise, "TIFF", compression="tiff_lzw")
    return {
        "one byte": b"\0",
        "text": "not a picture, 不是图片".encode(),
        "html": b"<html><body>404</body></html>",
        "svg": b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>',
        "pdf": b"%PDF-1.7\n" + bytes(100),
        "zip": b"PK\x03\x04" + bytes(100),
        "postscript": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(%pipe%id) (w) file\n",
        "pickle": b"\x80\x04cos\nsystem\n(S'true'\ntR.",
        "bits of jpeg": jpeg[:20],
        "jpeg header": jpeg[:200],
        "jpeg magic only": b"\xff\xd8\xff",
        "jpeg without end": b"\xff\xd8\xff\xe0" + bytes(5000),
        "truncated png": png[:-30],
        "truncated gif": gif[:40],
        "truncated webp": webp[: len(webp) // 2],
        "truncated tiff": tiff[: len(tiff) // 2],
        "progressive cut in its header": progressive[:300],
        "png of no width": make_png(0, 9, b"\0" * 9),
        "png bomb in its header": make_png(2**31 - 1, 2**31 - 1, b""),
        "png bomb in width": make_png(64_000_001, 1, b""),
        "png bomb": make_png(30_000, 30_000, bytes(10**6)),
        "png with too few lines": make_png(500, 500, b"\0" * 100),
        "png that is wrong": png[:45] + b"garbage!" * 8 + png[60:],
        "text bomb": _fill_text_bomb(),
        "tiff of loops": b"II*\0\x08\0\0\0" + b"\xff\xff" + bytes(12 * 50) + b"\x08\0\0\0",
        "bmp of minus one": b"BM" + struct.pack("<IIIIii6I", 1000, 0, 54, 40, -1, -1, *([1] * 6)),
        "floats": encode(Image.new("F", (20, 20), 0.5), "TIFF"),
    }


def make_form(files: list[tuple[str, bytes]], name: str = "file") -> bytes:
    """A multipart body with the boundary x; names are put in as they are."""
    body = io.BytesIO()
    for file, data in files:
        head = f'--x\r\nContent-Disposition: form-data; name="{name}"; filename="{file}"\r\n\r\n'
        body.write(head.encode("utf-8", "surrogatepass") + data + b"\r\n")
    body.write(b"--x--\r\n")
    return body.getvalue()


BAD_JSON: dict[str, bytes] = {
    "nothing": b"",
    "blank": b"   ",
    "null": b"null",
    "number": b"1",
    "string": b'"image"',
    "empty object": b"{}",
    "open": b'{"image": "',
    "two objects": b"{}{}",
    "trailing comma": b'{"image": "AAAA",}',
    "no utf-8": b'{"image": "\xff\xfe"}',
    "utf-16": '{"image": "AAAA"}'.encode("utf-16"),
    "surrogate": b'{"image": "\\ud800"}',
    "zero byte": b'{"image": "AA\\u0000AA"}',
    "image a list": b'{"image": ["AAAA"]}',
    "image null": b'{"image": null}',
    "image true": b'{"image": true}',
    "image an address": b'{"image": "http://169.254.169.254/latest/meta-data"}',
    "image a file": b'{"image": "file:///etc/passwd"}',
    "image empty": b'{"image": ""}',
    "bad base64": b'{"image": "%%%%"}',
    "half base64": b'{"image": "AAAAA"}',
    "data uri": b'{"image": "data:image/png;base64,AAAA"}',
    "base64 of text": b'{"image": "bm90IGEgcGljdHVyZQ=="}',
    "deep": b"[" * 100_000,
    "deep object": b'{"image":' * 50_000,
    "deep and closed": b"[" * 5000 + b"]" * 5000,
    "huge number": b'{"image": ' + b"9" * 100_000 + b"}",
    "nan": b'{"image": NaN}',
    "many keys": json.dumps({f"key {n}": n for n in range(20_000)}).encode(),
}
BAD_FORMS: dict[str, bytes] = {
    "nothing": b"",
    "garbage": b"garbage",
    "no end": make_form([("a.png", plain(1))])[:-20],
    "no name": b'--x\r\nContent-Disposition: form-data; filename="a"\r\n\r\nAAAA\r\n--x--\r\n',
    "no disposition": b"--x\r\nContent-Type: image/png\r\n\r\nAAAA\r\n--x--\r\n",
    "no header": b"--x\r\n\r\nAAAA\r\n--x--\r\n",
    "header without end": b"--x\r\nContent-Disposition: " + b"a" * 100_000,
    "10,000 files": make_form([(f"{n}.png", b"x") for n in range(10_000)]),
    "10,000 fields": b"".join(
        b'--x\r\nContent-Disposition: form-data; name="%d"\r\n\r\n1\r\n' % n for n in range(10_000)
    )
    + b"--x--\r\n",
    "empty file": make_form([("a.png", b"")]),
    "long field": b'--x\r\nContent-Disposition: form-data; name="f"\r\n\r\n'
    + b"a" * 2**21
    + b"\r\n--x--\r\n",
    **{
        f"file named {name[:12]!r}": make_form([(name, b"x")])
        for name in (
            "../../../../etc/passwd",
            "..\\..\\windows\\system.ini",
            "/etc/shadow",
            "C:\\boot.ini",
            "a\0.png",
            "a\r\nX-Injected: 1",
            "%00",
            "$(id)",
            "\ud800",
            "n" * 100_000,
        )
    },
}
BAD_PATHS = (
    "/v1/predict/../../etc/passwd",
    "/%2e%2e/%2e%2e/etc/passwd",
    "//etc/passwd",
    "/..%2fImageClassification",
    "/%00/ImageClassification",
    "/other/ImageClassification",
    "/v2/models/..%2f..%2fetc/infer",
    f"/v2/models/{DEPLOYMENT}/versions/-1/infer",
    f"/v2/models/{DEPLOYMENT}/versions/99999999999999999999/infer",
    "/v2/models//infer",
    "/" + "a" * 5000,
    "/v1/%F0%28%8C%28",
)


def _list_json(path: str) -> Iterator[Case]:
    for name, body in BAD_JSON.items():
        yield Case(f"json, {name}", path, body, {"Content-Type": JSON})


def list_cases() -> list[Case]:
    """Every case, each picture and each JSON once for every API that takes it."""
    cases = []
    for name, data in make_pictures().items():
        encoded = json.dumps({"image": base64.b64encode(data).decode()}).encode()
        size = {"binary_data_size": len(data) + 4}
        tensor = {"name": "image", "shape": [1], "datatype": "BYTES", "parameters": size}
        head = json.dumps({"inputs": [tensor]}).encode()
        form = make_form([("a", data)])
        length = {"Inference-Header-Content-Length": str(len(head))}
        cases += [
            Case(f"{name}, raw", "/v1/predict", data, {"Content-Type": RAW}),
            Case(f"{name}, as jpeg", "/v1/predict", data, {"Content-Type": "image/jpeg"}),
            Case(f"{name}, form", "/v1/predict", form, {"Content-Type": MULTIPART}),
            Case(f"{name}, json", "/v1/predict", encoded, {"Content-Type": JSON}),
            Case(f"{name}, list", "/v1/predict", b"[" + encoded + b"]", {"Content-Type": JSON}),
            Case(f"{name}, EasyDL", EASYDL, encoded, {"Content-Type": JSON}),
            Case(f"{name}, EasyEdge", "/", data, {"Content-Type": RAW}),
            Case(f"{name}, tensor", INFER, head + struct.pack("<I", len(data)) + data, length),
        ]
    for path in ("/v1/predict", EASYDL, "/", INFER):
        cases += list(_list_json(path))
        cases += [
            Case("a text", path, b"x", {"Content-Type": "text/plain"}),
            Case("no type at all", path, b"x", {"Content-Type": "/"}),
            Case("a form, urlencoded", path, b"image=AAAA", {"Content-Type": CURL}),
            Case("gzip", path, b"\x1f\x8b" + bytes(50), {"Content-Encoding": "gzip"}),
            Case("huge", path, bytes(21 * 2**20), {"Content-Type": JSON}),
            Case("DELETE", path, b"", method="DELETE"),
            Case("PUT", path, b"x", method="PUT"),
        ]
    for name, body in BAD_FORMS.items():
        cases.append(Case(f"form, {name}", "/v1/predict", body, {"Content-Type": MULTIPART}))
    for boundary in ("", "; boundary=", "; boundary=" + "b" * 5000):
        kind = {"Content-Type": f"multipart/form-data{boundary}"}
        cases.append(Case(f"form{boundary[:14]}", "/v1/predict", b"x", kind))
    raw = {"Content-Type": RAW}
    cases += [Case("a strange path", path, plain(1), raw) for path in BAD_PATHS]
    for path in ("/v1/predict?top=0", "/v1/predict?top=%00", "/?threshold=2", "/?threshold=%FF"):
        cases.append(Case(f"query {path}", path, plain(1), {"Content-Type": RAW}))
    return cases
