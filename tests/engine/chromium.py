"""Chromium for tests: a page opened, scripted and watched over the DevTools protocol."""

import asyncio
import contextlib
import itertools
import json
import re
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest

__all__ = ["IN_CHROMIUM", "Page", "open_page", "visit_page"]

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome") or shutil.which("chrome")
IN_CHROMIUM = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium on this machine"),
]
"""Marks of tests that open a page."""
_CHOOSE = """(() => {{
  const field = document.querySelector('.filters').elements[{name}];
  field.value = {value};
  field.dispatchEvent(new Event('input', {{bubbles: true}}));
}})()"""
_QUIET = """--headless=new --no-sandbox --disable-gpu --disable-quic --no-first-run
    --disable-background-networking --disable-component-update --disable-sync --disable-extensions
    --disable-dev-shm-usage --no-proxy-server --remote-debugging-port=0""".split()


class Page:
    """One tab. `requests` holds the addresses that it asked for, `complaints` what it logged."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.requests: list[str] = []
        self.complaints: list[str] = []
        self._socket = socket
        self._numbers = itertools.count(1)

    async def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Ask the browser for something and wait for its answer, noting events on the way."""
        number = next(self._numbers)
        await self._socket.send_json({"id": number, "method": method, "params": parameters})
        while True:
            message = json.loads(await self._socket.receive_str(timeout=300))
            self._note(message)
            if message.get("id") == number:
                return message["result"]

    async def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression in the page."""
        answer = await self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    async def until(self, condition: str) -> None:
        """Wait until a JavaScript condition holds: a page does some things after it was asked."""
        async with asyncio.timeout(120):
            while not await self.evaluate(condition):
                await asyncio.sleep(0.05)

    async def choose(self, **values: str) -> None:
        """Set filters of the page by the names of their fields."""
        for name, value in values.items():
            await self.evaluate(_CHOOSE.format(name=json.dumps(name), value=json.dumps(value)))

    async def press(self, key: str) -> None:
        """A key, typed."""
        text = {"text": key} if len(key) == 1 else {}
        await self.call("Input.dispatchKeyEvent", type="keyDown", key=key, **text)
        await self.call("Input.dispatchKeyEvent", type="keyUp", key=key)

    async def load(self, path: Path) -> None:
        """Go to a file and wait until it is there."""
        await self.call("Page.navigate", url=path.resolve().as_uri())
        await self.until("document.readyState === 'complete'")

    def _note(self, message: dict[str, Any]) -> None:
        match message.get("method"):
            case "Network.requestWillBeSent":
                self.requests.append(message["params"]["request"]["url"])
            case "Runtime.exceptionThrown" | "Log.entryAdded":
                self.complaints.append(json.dumps(message["params"]))


@contextlib.asynccontextmanager
async def open_page(profile: Path) -> AsyncIterator[Page]:
    """A fresh browser with one tab; `profile` is an empty directory of its own."""
    assert CHROMIUM
    browser = await asyncio.create_subprocess_exec(
        CHROMIUM,
        *_QUIET,
        f"--user-data-dir={profile}",
        "about:blank",
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        port = await _port(profile / "DevToolsActivePort")
        async with aiohttp.ClientSession() as session:
            async with session.get(f"http://127.0.0.1:{port}/json/list") as answer:
                tabs = [tab for tab in await answer.json() if tab["type"] == "page"]
            address = tabs[0]["webSocketDebuggerUrl"]
            async with session.ws_connect(address, max_msg_size=0) as socket:
                page = Page(socket)
                for domain in ("Page", "Network", "Runtime", "Log"):
                    await page.call(f"{domain}.enable")
                yield page
    finally:
        browser.kill()
        await browser.wait()


async def _port(path: Path) -> int:
    async with asyncio.timeout(120):
        while not (path.exists() and path.read_text(encoding="utf-8").strip()):
            await asyncio.sleep(0.1)
    return int(path.read_text(encoding="utf-8").split()[0])


def visit_page(path: Path, profile: Path, check: Callable[[Page], Awaitable[None]]) -> None:
    """Run `check` against the loaded page, which must ask for nothing but itself and not complain."""

    async def visiting() -> None:
        async with open_page(profile) as page:
            await page.load(path)
            await check(page)
            sent = [url for url in page.requests if not url.startswith("data:")]
            asked = {re.sub("#.*", "", url) for url in sent}
            assert asked == {path.resolve().as_uri()}
            assert page.complaints == []

    asyncio.run(visiting())
