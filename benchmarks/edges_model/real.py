"""Shifts on real Traefiks that read real etcd, all on this machine: what the model is held against."""

import asyncio
import base64
import itertools
import signal
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx

from kickoff.release.model import Colour
from kickoff.release.route import Route, render
from kickoff.release.routers import open_router
from kickoff.release.routers.traefik_etcd import APPLY_SECONDS, FIRST_SECONDS, EtcdRouter
from kickoff.release.routers.traefik_keys import to_keys
from kickoff.release.stores.etcd import Store
from kickoff.release.stores.lease import Owner
from tests.edges import edges
from tests.etcd import Cluster, cluster
from tests.servers import running


def shifts(count: int, number: int, paused: int = 0) -> list[float]:
    """Shift users ``number`` times on ``count`` Traefiks; return the seconds from each write until its end.

    Some are ``paused`` after the first shift: they take connections and answer nothing.
    """
    taken = []
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="kickoff-edges-")))
        (folder / "etcd").mkdir()
        etcd = stack.enter_context(cluster(folder / "etcd", 3))
        servers = {colour: (stack.enter_context(_server()),) for colour in Colour}
        root = etcd.named_in(folder / "shop" / "staging", [])
        started = stack.enter_context(edges(root, count))
        store = Store(root, patience=5)
        stack.callback(store.close)
        router = open_router(root, [edge.api for edge in started])
        assert isinstance(router, EtcdRouter)
        transaction = stack.enter_context(
            store.transact(store.acquire(Owner("ada@host", "run", 0, 0.0), 3600))
        )
        for step in range(number + 1):
            blue = (95, 75, 50, 0, 100)[step % 5]
            weights = {one: share for one, share in zip(Colour, (blue, 100 - blue), strict=True) if share}
            wanted = render(Route(servers, weights, None, False, dict.fromkeys(Colour, "/live")))
            transaction.replace(router.tree, to_keys(wanted))
            written = time.monotonic()
            router.edges.await_shown(wanted, APPLY_SECONDS if step else FIRST_SECONDS)
            taken.append(time.monotonic() - written)
            for edge in started[count - paused :]:
                assert edge.process is not None
                edge.process.send_signal(signal.SIGSTOP)
            time.sleep(0.3)
    return taken[1:]  # the first one waits for the edges to find the tree at all


@contextmanager
def _server() -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    with running(ThreadingHTTPServer(("127.0.0.1", 0), Handler)) as found:
        yield f"http://127.0.0.1:{found.server_address[1]}"


def fan_out(count: int, number: int) -> list[float]:
    """Return the seconds until the last of ``count`` watchers heard of each of ``number`` transactions.

    All of them are read by this one process, whose own work is most of it: etcd itself is faster. Less than
    nothing means that all had heard of it before the writer had its answer.
    """
    with tempfile.TemporaryDirectory(prefix="kickoff-watch-") as folder, cluster(Path(folder), 3) as etcd:
        return asyncio.run(_watched(etcd, count, number))


async def _watched(etcd: Cluster, count: int, number: int) -> list[float]:
    heard: asyncio.Queue[float] = asyncio.Queue()
    key = base64.b64encode(b"kickoff-watch").decode()

    async def watch(client: httpx.AsyncClient, endpoint: str) -> None:
        request = {"create_request": {"key": key}}
        async with client.stream("POST", f"{endpoint}/v3/watch", json=request, timeout=60) as answer:
            async for _ in answer.aiter_lines():  # the first one says that it watches
                heard.put_nowait(time.monotonic())

    async with httpx.AsyncClient(trust_env=False, limits=httpx.Limits()) as client:
        endpoints = itertools.cycle(etcd.endpoints)
        tasks = [
            asyncio.create_task(watch(client, endpoint)) for endpoint in itertools.islice(endpoints, count)
        ]
        [await heard.get() for _ in tasks]
        taken = []
        for step in range(number):
            value = base64.b64encode(str(step).encode()).decode()
            await client.post(f"{etcd.endpoints[0]}/v3/kv/put", json={"key": key, "value": value})
            written = time.monotonic()
            taken.append(max([await heard.get() for _ in tasks]) - written)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return taken
