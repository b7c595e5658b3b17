"""An aiohttp application on a free loopback port."""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

from aiohttp import web

__all__ = ["on_loopback"]


@asynccontextmanager
async def on_loopback(routes: Iterable[web.RouteDef]) -> AsyncIterator[str]:
    """Serves the routes; yields the base URL of an OpenAI-like API, `/v1` included."""
    app = web.Application()
    app.add_routes(routes)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
    finally:
        await runner.cleanup()
