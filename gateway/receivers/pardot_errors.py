"""Account Engagement's errors: the code in the body says what is wrong, the status little."""

from gateway.receivers.incoming import Answer, answer_json

MESSAGES = {
    4: "Invalid prospect ID",
    9: "Invalid email address",
    24: "One or more required fields are missing",
    38: "Invalid value",
    49: "Your account cannot use this feature",
    62: "The resource is being changed by another request",
    66: "You have exceeded your concurrent access limit",
    92: "Invalid request",
    109: "Invalid parameter",
    116: "The action cannot be performed at this time",
    122: "Daily API rate limit met",
    132: "The object is not of the wanted type",
    181: "Business Unit ID is not valid",
    184: "access_token is invalid, unknown, or malformed",
    217: "The visitor is not identified or has no address",
}
STATUSES = {184: 401, 4: 404, 62: 409, 116: 503}


def answer_error(code: int) -> Answer:
    """The answer with this error; statuses are as varied as the real ones, and never 429."""
    message = MESSAGES.get(code, "Error")
    return answer_json(STATUSES.get(code, 400), {"code": code, "message": message}, f"{code} {message}", fault=True)
