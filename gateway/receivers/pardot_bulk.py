"""Account Engagement's Bulk Actions API, as far as it deletes prospects in the recycle bin for good: a form of two parts.

https://developer.salesforce.com/docs/marketing/pardot/guide/bulk-actions-v5.html
"""

from email.parser import BytesParser

import msgspec

from gateway.receivers.incoming import Incoming

BULK = "/api/v5/bulk-actions"
FOR_GOOD = "Permanently Delete"


def read_bulk(request: Incoming) -> list[int] | None:
    """The prospects to be deleted for good; None for a request that is not one for that, or not of that form."""
    head = f"Content-Type: {request.headers.get('content-type', '')}\r\n\r\n".encode()
    message = BytesParser().parsebytes(head + request.body)
    if message.get_content_type() != "multipart/form-data" or not message.is_multipart():
        return None
    parts = {
        str(part.get_param("name", header="content-disposition")): part.get_payload(decode=True)
        for part in message.walk()
    }
    what, listed = parts.get("input"), parts.get("file")
    if not isinstance(what, bytes) or not isinstance(listed, bytes):
        return None
    try:
        first, *ids = listed.decode().split()
        numbers, told = [int(one) for one in ids], msgspec.json.decode(what, type=dict[str, str])
    except (ValueError, msgspec.MsgspecError):
        return None
    wanted = {"object": "Prospect", "action": FOR_GOOD, "status": "Ready"}
    return numbers if told == wanted and first == "id" and numbers else None
