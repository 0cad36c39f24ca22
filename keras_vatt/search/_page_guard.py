"""Access to the search page: only its own user, only from the page itself.

Each server has a random token, the first part of the path of every address. No cookie
is used: browsers send cookies of 127.0.0.1 to every port of it, so to servers of other
users of the machine. The token leaves the page neither in a `Referer` header nor in a
request to another site, since the headers below forbid both.
"""

import hmac

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self'; media-src 'self' blob:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(self)",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    # Neither results nor media are written to the cache of the browser.
    "Cache-Control": "no-store",
}
_UNKNOWN = (
    "This address is not the one of the search page. Open the address that "
    "`keras-vatt search --serve` printed, with all of its characters.\n"
)
_FOREIGN = "Requests that another site makes are refused.\n"


class SecurityHeaders:
    """Adds the headers that keep a browser from contacting any other server.

    Args:
        app: ASGI application.
    """

    def __init__(self, app):
        self._app = app

    async def __call__(self, scope, receive, send):
        async def send_with_headers(event):
            if event["type"] == "http.response.start":
                MutableHeaders(scope=event).update(_HEADERS)
            await send(event)

        await self._app(scope, receive, send_with_headers)


class Guard:
    """Refuses, with status 403, requests without the token or of another origin.

    Args:
        app: ASGI application, whose addresses are relative to `/<token>`.
        token: string of ASCII.
    """

    def __init__(self, app, token):
        self._app = app
        self._token = token

    async def __call__(self, scope, receive, send):
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        refusal = self._find_refusal(scope)
        if refusal is not None:
            await PlainTextResponse(refusal, 403)(scope, receive, send)
            return
        await self._app(scope | {"root_path": f"/{self._token}"}, receive, send)

    def _find_refusal(self, scope):
        token, _, rest = scope["path"].removeprefix("/").partition("/")
        # The comparison takes constant time, so its duration reveals nothing.
        if not hmac.compare_digest(_bytes(token), _bytes(self._token)):
            return _UNKNOWN
        if scope["type"] != "http" or not _is_own(Headers(scope=scope), rest):
            return _FOREIGN
        return None


def _bytes(text):
    return text.encode("utf-8", "surrogatepass")


def _is_own(headers, path):
    """Returns whether the page itself, or the user who opens it, sends a request."""
    origin = headers.get("origin")
    if origin is not None and origin != f"http://{headers.get('host')}":
        return False
    # Another port of 127.0.0.1 is "same-site", and may be another user's server.
    if headers.get("sec-fetch-site", "none") in ("same-origin", "none"):
        return True
    # A link to the page, as in a terminal that is a web page, may be followed: the
    # site that has the link can't read what opens.
    return path == "" and headers.get("sec-fetch-dest") == "document"
