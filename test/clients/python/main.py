"""The main job through the official Python client (mcp), over every transport and in both eras. Prints one line for each check."""

import asyncio
import base64
import json
import os
import re
import struct

from mcp import Client, MCPError, StdioServerParameters
from mcp.client.sse import sse_client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared._httpx_utils import create_mcp_http_client

BINARY, URL, TOKEN = (os.environ[k] for k in ("E2E_BINARY", "E2E_URL", "E2E_TOKEN"))
SLOW = {"prompt": "a city of glass", "width": 2048, "height": 2048, "steps": 100, "count": 4}  # some seconds of drawing
NEEDED = ("generate", "upscale", "status", "cancel", "get_image", "list_models")
PATIENCE = 120  # seconds; the machine may be busy


def transport(kind, bearer, statuses=None):
    """A transport of that kind; over HTTP it adds the status of each answer to statuses."""

    async def note(response):
        if statuses is not None:
            statuses.append(response.status_code)

    def http_client(headers=None, timeout=None, auth=None):
        client = create_mcp_http_client(headers=headers, timeout=timeout, auth=auth)
        client.event_hooks["response"].append(note)
        return client

    headers = {"Authorization": f"Bearer {bearer}"} if bearer else {}
    if kind == "stdio":
        return StdioServerParameters(command=BINARY, args=["serve"], env=dict(os.environ))
    if kind == "http":
        return streamable_http_client(URL + "/mcp", http_client=http_client(headers))
    return sse_client(URL + "/sse", headers=headers, httpx_client_factory=http_client)


class Checks:
    """Runs named checks and prints how each went."""

    def __init__(self, where):
        self.where = where

    async def __call__(self, name, check):
        try:
            got = await asyncio.wait_for(check(), PATIENCE)
        except Exception as e:  # whatever it is, it is what the line says
            print(f"FAIL  {self.where}: {name}: {' '.join(repr(e).split())}", flush=True)
            return None
        print(f"ok    {self.where}: {name}", flush=True)
        return got


def expect(got, want, what=""):
    if got != want:
        raise AssertionError(f"{what} got {got!r}, want {want!r}".strip())


async def until(holds):
    """Waits until something holds; [Checks] says for how long."""
    while not holds():
        await asyncio.sleep(0.05)


def text(result):
    return next(c.text for c in result.content if c.type == "text")


def picture_of(result):
    """The link to the full picture; the preview beside it must fit a chat."""
    expect(result.is_error, False, text(result))
    preview = next(c for c in result.content if c.type == "image")
    if not 1000 < len(preview.data) <= 100_000:
        raise AssertionError(f"preview of {len(preview.data)} characters")
    return next(c for c in result.content if c.type == "resource_link")


async def png(client, uri):
    """Bytes, and width and height, of the picture there."""
    (content,) = (await client.read_resource(uri)).contents
    expect(content.mime_type, "image/png")
    data = base64.b64decode(content.blob)
    expect(data[:4], b"\x89PNG")
    return len(data), struct.unpack(">II", data[16:24])


class MainJob:
    def __init__(self, client, check, version):
        self.client, self.check, self.version = client, check, version

    async def run(self):
        await self.check("initialize", self.initialize)
        await self.check("tools/list", self.tools)
        self.made = await self.check("generate with progress", self.generate)
        await self.check("resources/read", self.read)
        await self.check("upscale", self.upscale)
        await self.check("status", self.status)
        await self.check("cancel of a running job", self.cancel)
        await self.check("leaving a call ends its job", self.leave)
        await self.check("bad argument", lambda: self.refused("generate", {"prompt": 5, "sise": 3}, "INVALID_PARAMETER", "sise"))
        near = {"prompt": "x", "model": "z_image_turbo.safetensors"}
        await self.check("unknown model", lambda: self.refused("generate", near, "MODEL_NOT_ALLOWED", "z_image_turbo_bf16"))
        await self.check("unknown job", lambda: self.refused("cancel", {"job_id": "a" * 26}, "JOB_NOT_FOUND", "status"))
        await self.check("unknown tool", lambda: self.protocol_error(self.client.call_tool("paint", {})))
        nowhere = f"comfygate://images/{'a' * 26}"
        await self.check("unknown picture", lambda: self.protocol_error(self.client.read_resource(nowhere)))

    async def initialize(self):
        expect(self.client.protocol_version, self.version)
        expect(self.client.server_info.name, "comfygate")

    async def tools(self):
        names = [t.name for t in (await self.client.list_tools()).tools]
        expect([name for name in NEEDED if name not in names], [], "missing tools:")
        expect(len(names), len(set(names)), "tools of one name:")

    async def generate(self):
        seen = []

        async def progress(done, total, message):
            seen.append((done, total))

        args = {"prompt": "a lighthouse at dusk", "width": 512, "height": 512}
        link = picture_of(await self.client.call_tool("generate", args, progress_callback=progress))
        await until(lambda: seen and seen[-1] == (100, 100))  # this client's callbacks may run after the call has returned
        done = [d for d, _ in seen]
        if len(done) < 2 or done != sorted(set(done)):
            raise AssertionError(f"progress {done}")
        return link

    async def read(self):
        expect(await png(self.client, self.made.uri), (self.made.size, (512, 512)))

    async def upscale(self):
        image = str(self.made.uri).rsplit("/", 1)[-1]
        link = picture_of(await self.client.call_tool("upscale", {"image": image, "factor": 2}))
        expect(link.title, "Full picture, 1024×1024 PNG")

    async def job(self, job_id=None, wait=0):
        args = {"job_id": job_id, "wait_seconds": wait} if job_id else {}
        return json.loads(text(await self.client.call_tool("status", args)))

    async def status(self):
        everything = await self.job()
        expect(everything["status"], "healthy")
        expect(everything["server"]["backend"], "embedded")
        uris = [p["uri"] for j in everything["jobs"] for p in j.get("pictures", [])]
        expect(str(self.made.uri) in uris, True, "the picture among the recent jobs:")

    async def cancel(self):
        started = await self.client.call_tool("generate", {**SLOW, "wait_seconds": 0})
        job = re.search(r"Job: (\w+)", text(started)).group(1)
        while not (await self.job(job)).get("step"):
            await asyncio.sleep(0.05)
        expect((await self.client.call_tool("cancel", {"job_id": job})).structured_content["state"], "cancelled")
        expect((await self.job(job))["state"], "cancelled")

    async def leave(self):
        running = asyncio.Event()

        async def progress(done, total, message):
            if (message or "").startswith("step"):
                running.set()

        call = asyncio.create_task(self.client.call_tool("generate", SLOW, progress_callback=progress))
        await running.wait()
        call.cancel()
        await asyncio.wait([call])
        newest = (await self.job())["jobs"][0]
        expect((await self.job(newest["job_id"], 30))["state"], "cancelled")

    async def refused(self, name, args, code, hint):
        result = await self.client.call_tool(name, args)
        expect(result.is_error, True)
        expect(json.loads(text(result))["code"], code)
        expect(hint in text(result), True, f"{hint} in {text(result)}:")

    async def protocol_error(self, call):
        try:
            await call
        except MCPError as e:
            expect(e.error.code in (-32602, -32002), True, str(e.error))
            return
        raise AssertionError("no error")


async def large(kind, mode):
    """A large picture is read whole, or refused. It has a connection of its own, because over SSE this client ends it at an event of 1 MiB."""
    async with Client(transport(kind, TOKEN), mode=mode) as client:
        link = picture_of(await client.call_tool("generate", {"prompt": "a harbour", "width": 1024, "height": 1024}))
        expect(link.size > 1 << 20, True, f"{link.size} bytes:")
        try:
            expect((await png(client, link.uri))[0], link.size)
        except MCPError as e:
            expect(str((e.error.data or {}).get("code")).startswith("IMAGE_"), True, str(e.error))
        await client.call_tool("status", {})


async def stranger(kind, bearer):
    statuses = []
    try:
        async with Client(transport(kind, bearer, statuses), mode="legacy"):
            raise AssertionError("was let in")
    except* AssertionError:
        raise
    except* Exception:  # this client keeps the status to itself
        pass
    expect(statuses, [401])


async def main():
    for kind in ("stdio", "http", "sse"):
        for mode in ("legacy", "auto"):
            check = Checks(f"python {mode} {kind}")
            try:
                async with Client(transport(kind, TOKEN), mode=mode) as client:
                    await MainJob(client, check, "2026-07-28" if mode == "auto" else "2025-11-25").run()
                print(f"ok    {check.where}: goodbye", flush=True)
            except Exception as e:
                print(f"FAIL  {check.where}: connection: {' '.join(repr(e).split())}", flush=True)
            await check("a picture of 1.5 MB", lambda kind=kind, mode=mode: large(kind, mode))
        if kind != "stdio":
            check = Checks(f"python {kind}")
            await check("no token is refused", lambda kind=kind: stranger(kind, ""))
            await check("a wrong token is refused", lambda kind=kind: stranger(kind, "wrong"))


asyncio.run(main())
