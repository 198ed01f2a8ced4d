"""What a service answers while another one leads."""

from __future__ import annotations

from typing import Final

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse

__all__ = ["create_standby_app"]

_RETRY_AFTER_S: Final = 1
_METHODS: Final = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]


def create_standby_app() -> FastAPI:
    """Return an application that is alive, and refuses everything else for now."""
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)

    @app.api_route("/{path:path}", methods=_METHODS)
    def answer(path: str, request: Request) -> Response:
        if path == "api/v1/system/health":
            return JSONResponse({"status": "ok"})
        problem = {
            "type": "about:blank",
            "title": "Standing by",
            "status": 503,
            "code": "standby",
            "detail": "another engine leads on the store of this one; ask that one",
            "instance": request.url.path,
        }
        return JSONResponse(
            problem,
            status_code=503,
            media_type="application/problem+json",
            headers={"Retry-After": str(_RETRY_AFTER_S)},
        )

    return app
