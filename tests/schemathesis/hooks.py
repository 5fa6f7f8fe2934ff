"""What no JSON Schema can say: good requests by the document that docket refuses all the same."""

import re

import schemathesis
from schemathesis.openapi.checks import RejectedPositiveData

UNSAID = [
    # Texts are measured in bytes of UTF-8, and JSON Schema counts characters.
    ("bad-request", "must be 1 to (255|1024) bytes long, not"),
    # To JSON Schema every number with a point and nothing behind it is a whole one, however large.
    ("bad-request", "from 2\\^53 on only digits tell which whole number is meant$"),
    # A cursor carries a proof by docket's own key.
    ("bad-request", "^cursor is not one of this list"),
    # Of two parameters OpenAPI cannot say that they exclude each other.
    ("bad-request", "^buyer cannot be asked for together with store"),
    # A life cycle is text in a language of its own.
    ("bad-lifecycle", ""),
    # An idempotency key is good for one request, and another one has used it.
    ("key-reused", ""),
]


@schemathesis.hook
def filter_failure(context, failure, case, response):
    """Whether a failure is one."""
    if not isinstance(failure, RejectedPositiveData):
        return True
    problem = response.json()
    kind, detail = problem["type"].removeprefix("/problems/"), problem["detail"]
    return not any(kind == of and re.search(text, detail) for of, text in UNSAID)
