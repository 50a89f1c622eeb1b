"""``kvitto verify``: is the signature of a callback right, and if not, why not: in words, by exit code.

Reads a raw HTTP request from standard input, or, with ``--header``, its body alone. Both signatures are checked where
they are there: that of Standard Webhooks, and Sinch's own. Next: ``kvitto.callbacks.signing``.
"""

import hmac
import json
import re
import sys
from collections.abc import Mapping
from typing import Annotated, Final, NamedTuple

import typer

from kvitto.callbacks.signing import Finding
from kvitto.callbacks.signing import verify as verify_standard
from kvitto.cli.common import CLOCK, Exit, JsonOption, print_json, say
from kvitto.core.errors import BadInput
from kvitto.core.secrets import secret_problem
from kvitto.dialects.sinch.callbacks import signature as sinch_signature

__all__ = ["Finding", "Judgement", "judge", "read_request", "verify"]

_FIELD: Final = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*(.*)")
_SINCH: Final = "x-sinch-webhook-signature"
READ_BYTES: Final = 16 * 1024 * 1024


class Judgement(NamedTuple):
    """What one kind of signature came to, in words. ``hints``: what may be the matter."""

    kind: str
    genuine: bool
    words: str
    hints: tuple[str, ...] = ()


def verify(
    secret: Annotated[
        list[str],
        typer.Option("--secret", metavar="WHSEC", envvar="KVITTO_SECRET", help="whsec_...; twice during a rotation."),
    ],
    header: Annotated[
        list[str] | None,
        typer.Option("--header", metavar="'NAME: VALUE'", help="Then standard input is the body alone."),
    ] = None,
    tolerance: Annotated[
        float, typer.Option("--tolerance", metavar="S", min=0, help="How far the clocks may be apart.")
    ] = 300.0,
    as_json: JsonOption = False,
) -> None:
    """Check a callback's signature: pipe the request in, headers and body as they came."""
    octets = sys.stdin.buffer.read(READ_BYTES)
    headers, body = (_read_fields(header), octets) if header else read_request(octets)
    judgements = judge(headers, body, secret, CLOCK.now(), tolerance)
    if as_json:
        print_json([one._asdict() for one in judgements])
    else:
        for one in judgements:
            say(f"{one.kind}: {one.words}")
            for hint in one.hints:
                say(f"  {hint}")
    if not all(one.genuine for one in judgements):
        raise typer.Exit(Exit.REFUSED)


def _read_fields(lines: list[str]) -> dict[str, str]:
    found = {line: _FIELD.fullmatch(line.strip()) for line in lines}
    for line, field in found.items():
        if field is None:
            raise BadInput("--header", f"{line[:40]!r}: wanted 'Name: value'")
    return {field[1].lower(): field[2].strip() for field in found.values() if field is not None}


def read_request(octets: bytes) -> tuple[dict[str, str], bytes]:
    """Cut a raw request into its fields, names in lower case, and its body. Raises: BadInput."""
    head, _, body = octets.partition(b"\r\n\r\n")
    if len(head) == len(octets) or (b"\n\n" in octets and octets.index(b"\n\n") < len(head)):
        head, gap, body = octets.partition(b"\n\n")
        if not gap:
            raise BadInput("standard input", "wanted header lines, an empty line, and the body")
    fields = [_FIELD.fullmatch(line.strip("\r")) for line in head.decode("latin-1").split("\n")]
    headers = {field[1].lower(): field[2].strip() for field in fields if field is not None}
    if not headers:
        raise BadInput("standard input", "there is no header line")
    if headers.get("transfer-encoding", "").lower() == "chunked":
        return headers, _unchunked(body)
    length = headers.get("content-length", "")
    if length.isascii() and length.isdigit() and int(length) < len(body):
        body = body[: int(length)]  # what an editor or a shell has put behind it
    return headers, body


def _unchunked(body: bytes) -> bytes:
    pieces = []
    while body:
        size, _, rest = body.partition(b"\r\n")
        try:
            length = int(size.partition(b";")[0], 16)
        except ValueError:
            raise BadInput("standard input", "the chunked body is broken") from None
        if length == 0:
            break
        pieces.append(rest[:length])
        body = rest[length + 2 :]
    return b"".join(pieces)


# --- judging ----------------------------------------------------------------------------------------------------------


def judge(headers: Mapping[str, str], body: bytes, secrets: list[str], now: int, tolerance_s: float) -> list[Judgement]:
    """Judge every signature that is there; ``headers`` with names in lower case, ``now`` in ms UTC."""
    judged = [_standard(headers, body, secrets, now, tolerance_s)]
    if any(name.startswith(_SINCH) for name in headers):
        judged.append(_sinch(headers, body, secrets, now, tolerance_s))
    return judged


def _standard(headers: Mapping[str, str], body: bytes, secrets: list[str], now: int, tolerance_s: float) -> Judgement:
    verdict = verify_standard(headers, body, secrets, now, tolerance_s)
    hints: list[str] = []
    if verdict.finding is Finding.FORGED:
        hints += _secret_hints(secrets)
        for words, other in _other_bodies(headers, body):
            if verify_standard(headers, other, secrets, now, tolerance_s).finding is not Finding.FORGED:
                hints.append(words)
    return Judgement("Standard Webhooks", verdict.is_genuine, str(verdict), tuple(hints))


def _sinch(headers: Mapping[str, str], body: bytes, secrets: list[str], now: int, tolerance_s: float) -> Judgement:
    kind = "Sinch"
    for name in (_SINCH, f"{_SINCH}-nonce", f"{_SINCH}-timestamp"):
        if not headers.get(name):
            return Judgement(kind, False, f"not signed: a header is missing ({name})")
    nonce, timestamp = headers[f"{_SINCH}-nonce"], headers[f"{_SINCH}-timestamp"]
    if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= 15):
        return Judgement(kind, False, f"refused: {_SINCH}-timestamp is no number of seconds")

    def fits(one: bytes) -> bool:
        given = headers[_SINCH].encode("utf-8", "replace")
        return any(
            hmac.compare_digest(sinch_signature(one, secret, nonce, timestamp).encode(), given) for secret in secrets
        )

    if not fits(body):
        hints = [words for words, other in _other_bodies(headers, body) if fits(other)]
        return Judgement(kind, False, Finding.FORGED.value, (*_secret_hints(secrets), *hints))
    ahead_s = int(timestamp) - now / 1000
    if abs(ahead_s) > tolerance_s:
        detail = f"by {abs(ahead_s):.0f} s, more than {tolerance_s:g} s"
        return Judgement(kind, False, f"{(Finding.TOO_NEW if ahead_s > 0 else Finding.TOO_OLD).value} ({detail})")
    return Judgement(kind, True, Finding.GENUINE.value)


def _secret_hints(secrets: list[str]) -> list[str]:
    problems = [secret_problem(secret) for secret in secrets]
    return [f"secret {number}: {problem}" for number, problem in enumerate(problems, 1) if problem is not None]


def _other_bodies(headers: Mapping[str, str], body: bytes) -> list[tuple[str, bytes]]:
    """Bodies that this one may have been, each with what must have happened to it."""
    stripped = body.rstrip(b"\r\n")
    others = []
    if stripped != body:
        others.append(("the body has a line break at its end that was not signed", stripped))
    try:
        parsed = json.loads(body)
        compact = json.dumps(parsed, separators=(",", ":"), ensure_ascii=False).encode()
        others.append(("the body was parsed and written again: check the octets as they came", compact))
    except ValueError:
        pass
    return others
