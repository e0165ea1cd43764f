"""What EasyDL's and EasyEdge's APIs have in common: numbers, for errors and for requests."""

import zlib

from serving.request_errors import RequestError

# As in EasyDL's list of error codes; codes that it has not are invalid arguments.
INTERNAL = 336000
INVALID_ARGUMENT = 336001
_CODES = {
    "internal": INTERNAL,
    "no_server": INTERNAL,
    "busy": 18,
    "unauthorized": 110,
    "bad_json": 336002,
    "bad_base64": 336003,
    "too_large": 336004,
    "bad_image": 336005,
    "empty": 336006,
}


def number_error(error: RequestError) -> int:
    """EasyDL's number for an error."""
    return _CODES.get(error.code, INVALID_ARGUMENT)


def number_log(request_id: str) -> int:
    """A log_id is a number: the same one for the same request id."""
    return zlib.crc32(request_id.encode())
