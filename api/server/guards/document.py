"""What the guards may answer and take, in the OpenAPI document: the same for every route."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, Final

from fastapi import FastAPI

from api.server.guards.repetition import KEY_PATTERN, MAX_KEY
from api.server.problems import Problem, responses

__all__ = ["GuardedApi"]

_EVERY: Final = (
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    HTTPStatus.TOO_MANY_REQUESTS,
)
_REFERENCE: Final = "#/components/schemas/{model}"

_KEY: Final = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "Of the sender's choice, e.g. a random UUID: a request that is sent again with "
    "the same key is not carried out again, but gets the same answer, for a day",
    "schema": {"type": "string", "minLength": 1, "maxLength": MAX_KEY, "pattern": KEY_PATTERN},
}


class GuardedApi(FastAPI):
    """An application whose document also describes its guards."""

    def openapi(self) -> dict[str, Any]:
        """Return the document; made once."""
        if not self.openapi_schema:
            _describe(super().openapi())
        return super().openapi()


def _describe(document: dict[str, Any]) -> None:
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    problem = Problem.model_json_schema(ref_template=_REFERENCE)
    schemas.update(problem.pop("$defs"))
    schemas["Problem"] = problem
    every = {str(status): answer for status, answer in responses(*_EVERY).items()}
    again = {str(status): answer for status, answer in responses(HTTPStatus.CONFLICT).items()}
    for path in document["paths"].values():
        for method, operation in path.items():
            answers = operation["responses"]
            documented = {**every, **again} if method == "post" else every
            operation["responses"] = dict(sorted({**documented, **answers}.items()))
            operation["responses"]["429"] = {
                **answers.get("429", every["429"]),
                "headers": {
                    "Retry-After": {"description": "In seconds", "schema": {"type": "integer"}}
                },
            }
            for parameter in operation.get("parameters", []):
                _say_without_null(parameter["schema"])
            if method == "post":
                operation.setdefault("parameters", []).append(_KEY)


def _say_without_null(schema: dict[str, Any]) -> None:
    """Take null away: neither a query nor a header can say it, they can only be left out."""
    kinds = [kind for kind in schema.get("anyOf", []) if kind != {"type": "null"}]
    if len(kinds) == 1:
        del schema["anyOf"]
        schema.update(kinds[0])
