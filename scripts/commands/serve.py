"""`solon serve`: the guard in front of a model, as an OpenAI-compatible server."""

from typing import TYPE_CHECKING

from scripts.commands import options as o
from scripts.commands.permission_options import AllowPythonChecks

if TYPE_CHECKING:
    import socket

    from engine.guard.server import Desk
    from engine.guard.settings import ServeConfig

__all__ = ["serve"]

_GRACE = 10
"""Seconds that answers in flight are given once the server is told to end."""
_KEPT_ALIVE = 75
"""Seconds for which an idle connection is kept: longer than clients keep theirs, so that none sends a
request on one that is being closed."""


@o.configured("engine.guard.settings:ServeConfig", {"roles.policy": ("--model", "-m")})
def serve(config: "ServeConfig", allow_python_checks: AllowPythonChecks = False) -> None:
    """Serve a model to OpenAI's clients, each answer held to the constitution before it leaves.

    `solon guard` stops it, resets it and verifies its log.
    """
    import asyncio

    from constitution.problems import InputError, Problem, Stopped
    from scripts.commands.terminal import fastest_loop

    try:
        with asyncio.Runner(loop_factory=fastest_loop()) as runner:
            runner.run(_serve(config))
    except Stopped as stopped:
        raise InputError(Problem("the model", str(stopped))) from stopped


async def _serve(config: "ServeConfig") -> None:
    from engine.guard.opening import opened_desk
    from scripts.commands.terminal import error_console

    console = error_console()
    listening = _listening(config.server.host, config.server.port)
    with listening, console.status("starting the models") as status:
        async with opened_desk(config) as desk:
            status.stop()
            host, port, *_ = listening.getsockname()
            host = f"[{host}]" if ":" in host else host
            console.print(f"guarding {desk.name} at http://{host}:{port}/v1")
            await _answer(desk, listening)


def _listening(host: str, port: int) -> "socket.socket":
    """Raises InputError where something else listens there already."""
    import socket

    from constitution.problems import InputError, Problem

    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        what = f"{host}:{port} cannot be listened on ({error.strerror or error})"
        raise InputError(Problem("--port", what, "name another with --port, or 0")) from error


async def _answer(desk: "Desk", listening: "socket.socket") -> None:
    """Until a signal; a second one does not wait for answers in flight."""
    import asyncio
    import signal

    import uvicorn

    from engine.guard.server import application

    config = uvicorn.Config(
        application(desk), lifespan="off", log_level="warning", access_log=False,
        timeout_graceful_shutdown=_GRACE,
        timeout_keep_alive=_KEPT_ALIVE,
    )  # fmt: skip
    server = uvicorn.Server(config)

    def stop() -> None:
        server.force_exit = server.should_exit
        server.should_exit = True

    serving = asyncio.ensure_future(server.serve(sockets=[listening]))
    await asyncio.sleep(0)  # it has put its own handlers in place, which end the process
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop)
    await serving
