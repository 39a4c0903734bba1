"""Every error the gateway raises by name.

GatewayError
├── ConfigError          an operator's configuration is wrong: file, key, value, what is wanted
├── ResourceMissing      a file that the package should carry is not there
├── BadRequest           a visitor's or operator's request cannot be accepted (carries the status)
├── QueryError           a report's question has faults (carries all of them)
├── JournalFull          the disk has no room for an event: answer 503, try later
├── LedgerBroken         the chain of consent records does not verify
├── HeadsBroken          the signed heads of that chain do not verify
├── BackupBroken         a backup is not whole, or not as it was made (carries all faults)
├── DatabaseUnusable     ledger and outbox cannot be opened, or their schema not brought up to date
├── ExportBroken         another tool's export cannot be read: file, line, column
├── StoreError           the event store cannot answer
├── DestinationError     a delivery cannot be built (permanent: the event is set aside)
├── LookFailed           a website cannot be looked at from outside
│   └── BrowserMissing   there is no browser to look with
└── KeeperUnreachable    no keeper answers on the local socket
"""


class GatewayError(Exception):
    """Base of all errors raised by the gateway itself."""


class ConfigError(GatewayError):
    """Configuration that must not start: says where, what stands there, and what is wanted."""

    def __init__(self, file: str, key: str, value: object, wanted: str) -> None:
        self.file, self.key, self.value, self.wanted = file, key, value, wanted
        shown = "" if value is None else f" = {value!r}"
        super().__init__(f"{file}: {key}{shown}: {wanted}")


class NotSent(GatewayError):
    """A mail or notice that its receiver did not take; `lasting`: it will not take it later either."""

    def __init__(self, why: str, *, lasting: bool) -> None:
        self.lasting = lasting
        super().__init__(f"it was not sent: {why}")


class ResourceMissing(GatewayError):
    """A template, script or data file of the package is missing."""


class BadRequest(GatewayError):
    """A request we refuse. `status` is the HTTP status, `reason` a word for the counters."""

    def __init__(self, status: int, reason: str, message: str = "") -> None:
        self.status, self.reason = status, reason
        super().__init__(message or reason)


class QueryError(GatewayError):
    """A report query with faults; `faults` holds one sentence for each, and none twice."""

    def __init__(self, faults: list[str]) -> None:
        self.faults = list(dict.fromkeys(faults))
        super().__init__("; ".join(self.faults))


class JournalFull(GatewayError):
    """The journal could not be written; nothing of the batch was acknowledged."""


class JournalDamaged(GatewayError):
    """A journal file goes on with what nobody can read. What stands before it is whole."""


class LedgerBroken(GatewayError):
    """A ledger entry does not follow from the one before it. `sequence` is the first bad entry."""

    def __init__(self, sequence: int, why: str) -> None:
        self.sequence = sequence
        super().__init__(f"ledger entry {sequence}: {why}")


class HeadsBroken(GatewayError):
    """A line of the heads file is not what we wrote and signed. `line` counts from 1."""

    def __init__(self, line: int, why: str) -> None:
        self.line = line
        super().__init__(f"ledger heads, line {line}: {why}")


class BackupBroken(GatewayError):
    """A backup that is not what was made; `faults` holds one sentence for each."""

    def __init__(self, faults: list[str]) -> None:
        self.faults = faults
        super().__init__("; ".join(faults))


class DatabaseUnusable(GatewayError):
    """The database of ledger, outbox and operators is away, is none, or has a schema that cannot be brought up to date."""


class ExportBroken(GatewayError):
    """Another tool's export that cannot be read. `line` counts from 1, 0: the whole; `column` is empty for a whole line."""

    def __init__(self, file: str, line: int, column: str, why: str) -> None:
        self.file, self.line, self.column = file, line, column
        where = [file, *([f"line {line}"] if line else []), *([f"column {column}"] if column else [])]
        super().__init__(f"{', '.join(where)}: {why}")


class StoreError(GatewayError):
    """The event store is down, locked or damaged."""


class DestinationError(GatewayError):
    """An event cannot be turned into a request for a destination."""


class KeeperUnreachable(GatewayError):
    """No keeper answers on the data folder's socket."""


class LookFailed(GatewayError):
    """A website, or the browser to look at it with, cannot be opened."""


class BrowserMissing(LookFailed):
    """There is no browser on this machine, none that starts, or nothing to drive it with."""
