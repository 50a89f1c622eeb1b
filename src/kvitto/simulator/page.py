"""``docs/simulator.md``, made from the scenario's model, so that it cannot say anything else than the model does."""

import json
from types import UnionType
from typing import Any, Final, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, MaxLen
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from kvitto.simulator.scenario import SECTIONS, Section, Titled
from kvitto.smpp.spec import MessageState

__all__ = ["document"]

_INTRODUCTION: Final = """\
# The simulator

<!-- Made from the scenario's model by `make docs`; a test compares. Change src/kvitto/simulator/page.py or
scenario.py instead. -->

`kvitto simulate smsc` is an SMSC on its own port: real SMPP 3.4 over TCP or TLS, for transmitters, receivers and
transceivers. It is what Kvitto's own tests are driven by, and you may point any SMPP software at it.

```sh
kvitto simulate smsc --port 2775 --system-id test --password secret \\
    --scenario examples/scenarios/bad-day.toml --seed 7 --record smsc.jsonl
```

| Option | Effect |
| --- | --- |
| `--host H`, `--port N` | where it listens; port 0 takes a free one, which is then printed (`--json`: as JSON) |
| `--system-id ID`, `--password WORD` | who may bind; anybody else gets 0x0F or 0x0E |
| `--max-binds N` | binds at once; one more gets 0x0D |
| `--delay-min-ms MS`, `--delay-max-ms MS` | from a message to its receipt, where the scenario says nothing else |
| `--scenario FILE` | the keys below, as TOML |
| `--rate N` | submits accepted in a second; one more is answered 0x58 (beats `throttle.per_s`) |
| `--seed N` | makes a run repeatable (beats `seed`) |
| `--record FILE` | appends what is seen and sent, one JSON object a line |
| `--tls-cert FILE`, `--tls-key FILE` | TLS from the first octet with this certificate chain and key (PEM) |
| `--tls-client-ca FILE` | ... and only for clients with a certificate of this authority (PEM) |

Without a scenario every message is delivered, except those to the magic numbers (`kvitto simulate numbers`). They work
with a scenario, too, unless it says `magic_numbers = false`. The simulator of `kvitto serve` takes a scenario by the
setting `simulator.scenario`.

**Repeatable.** With a seed all chance is drawn when a message comes, in the order of the messages: the same messages in
the same order meet the same ids, answers, delays and outcomes. What depends on time itself (dates, a throttle's limit,
which of two things due in the same millisecond is first) is as exact as clocks are.

**A query_sm is answered** for the last 100 000 messages by the id of their `submit_sm_resp`: what their receipts have
told by then (ENROUTE before the first), also where the receipts are lost (`lost_share`, magic number 32), so that a
client that asks before it gives up can be tested. An id that was not given to that sender is refused with 0x0C.

**A mistake stops the start** and is told with key, value and reason, all mistakes at once:
`default.outcomes.0.share = 1.5 (file bad.toml): must be less than or equal to 1`.

## The record

Each line has `at` (milliseconds since the epoch, UTC) and `event`:

| Event | Further fields |
| --- | --- |
| `connect`, `close` | `connection` (number, from 1); `connect` also `peer` |
| `pdu` | `connection`, `direction` (`in` or `out`), `command`, `fields` (of the PDU by name, octets and TLVs \
in hex), `raw` (the whole PDU in hex). Passwords are stars in both |
| `half_pdu`, `no_pdu` | octets that never became a PDU; what cannot be one |
| `bind` | `system_id`, `binds`: one more bind stands |
| `submit` | `destination`, `message_id` (as in receipts), `status` of the answer |
| `receipt_sent` | `destination`, `message_id`, `tries` (from 1) |
| `receipt_answered` | `destination`, `message_id`, `status` |

## An example

```toml
seed = 7

[[default.answers]]
share = 0.98
[[default.answers]]                     # one in fifty is throttled at its first try
share = 0.02
status = 0x58
once = true

[[default.outcomes]]
share = 0.9                             # DELIVRD, when nothing is said
[[default.outcomes]]
share = 0.1
receipts = [{ stat = "ENROUTE" }, { stat = "UNDELIV", err = "027", network_error = [3, 27], after_ms = 500 }]

[default.ids]
response = { base = "hex", upper = true }
text = { base = "dec", width = 10 }

[default.receipts]
delay = { kind = "lognormal", median_ms = 800, sigma = 0.8, max_ms = 20_000 }
duplicate_share = 0.05

[[rules]]
prefix = ["46709"]                      # these the SMSC refuses
answers = [{ status = 0x0B }]
```

More stand in `examples/scenarios/`. Below, each table with its keys; every table and every key may be left out, unless
it says "must be given".
"""

_NAMES: Final = {bool: "`true` or `false`", int: "whole number", float: "number", str: "text"}


def document() -> str:
    """The whole page, in Markdown."""
    return _INTRODUCTION + "".join(_section(titled) for titled in SECTIONS)


def _section(titled: Titled) -> str:
    title = titled.title if titled.title[0] != "[" else f"`{titled.title}`"
    lines = [f"\n## {title}\n", f"{_words(titled.model.__doc__)}\n"]
    lines += ["| Key | Type | Default | Effect |", "| --- | --- | --- | --- |"]
    lines += [_row(key, field) for key, field in titled.model.model_fields.items() if not _inherited(titled.model, key)]
    return "\n".join(lines) + "\n"


def _inherited(model: type[Section], key: str) -> bool:
    """Whether the key has been told with the model that this one widens."""
    return any(key in base.model_fields for base in model.__bases__ if issubclass(base, Section))


def _row(key: str, field: FieldInfo) -> str:
    cells = (f"`{key}`", _type(field.annotation, tuple(field.metadata)), _default(field), _words(field.description))
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _words(text: str | None) -> str:
    return " ".join((text or "").split())


def _type(annotation: Any, bounds: tuple[Any, ...] = ()) -> str:
    """A type in a reader's words."""
    if annotation in _NAMES:
        return _NAMES[annotation] + _bounds(bounds)
    if hasattr(annotation, "__metadata__"):
        return _type(annotation.__origin__, annotation.__metadata__)
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return ", ".join(f"`{word}`" for word in arguments)
    if origin in (Union, UnionType):
        inner = [argument for argument in arguments if argument is not type(None)]
        if all(isinstance(argument, type) and issubclass(argument, BaseModel) for argument in inner):
            return "a table" if len(inner) == 1 else "a delay"
        return ", ".join(_type(argument, bounds) for argument in inner)
    if origin is tuple:
        return f"list: {_type(arguments[0])}" if arguments[-1] is Ellipsis else f"list of {len(arguments)} numbers"
    if isinstance(annotation, type) and issubclass(annotation, MessageState):
        return "name of a state"
    return "a table"


def _bounds(metadata: tuple[Any, ...]) -> str:
    words = []
    for bound in (inner for entry in metadata for inner in getattr(entry, "metadata", [entry])):
        match bound:
            case Ge(least):
                words.append(f"from {least}")
            case Gt(least):
                words.append(f"above {least}")
            case Le(most):
                words.append(f"to {most}")
            case MaxLen(most):
                words.append(f"up to {most} characters")
    return f", {' '.join(words)}" if words else ""


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "must be given"
    value = field.default
    if value is None:
        return "unset"
    if isinstance(value, Section) or (isinstance(value, tuple) and value and isinstance(value[0], Section)):
        return "as below"
    return f"`{json.dumps(value)}`"
