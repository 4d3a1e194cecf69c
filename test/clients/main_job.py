"""The main job with the official Python client: list, generate with progress, upscale, read the resource, errors.

Usage: main_job.py stdio BINARY | http URL | sse URL
"""

import asyncio
import json
import os
import sys

import httpx2 as httpx  # what the client itself speaks
from mcp import ClientSession, MCPError, StdioServerParameters, stdio_client
from mcp.client.sse import sse_client
from mcp.client.streamable_http import streamable_http_client


def text(result):
    return next(c.text for c in result.content if c.type == "text")


async def job(kind, streams):
    async with ClientSession(streams[0], streams[1]) as session:
        await session.initialize()
        names = [t.name for t in (await session.list_tools()).tools]
        for name in ("generate", "upscale", "status", "cancel", "get_image", "list_models"):
            assert name in names, name

        steps = []

        async def progress(done, total, message):
            steps.append(done)

        made = await session.call_tool("generate", {"prompt": "a red fox in snow", "width": 512, "height": 512}, progress_callback=progress)
        assert not made.is_error, made
        assert steps and steps == sorted(set(steps)), steps
        assert any(c.type == "image" for c in made.content)
        link = next(c for c in made.content if c.type == "resource_link")
        picture = (await session.read_resource(str(link.uri))).contents[0]
        assert picture.blob.startswith("iVBOR")

        larger = await session.call_tool("upscale", {"image": str(link.uri).rsplit("/", 1)[1], "factor": 2})
        assert not larger.is_error, larger

        bad = await session.call_tool("generate", {"promt": "x", "width": 63})
        fault = json.loads(text(bad))
        assert bad.is_error and fault["code"] == "INVALID_PARAMETER" and "did you mean prompt" in fault["message"], fault
        for wrong in (session.call_tool("no_such_tool", {}), session.read_resource("comfygate://images/" + "a" * 26)):
            try:
                await wrong
                raise AssertionError("no error")
            except MCPError:
                pass
        assert not (await session.call_tool("status", {})).is_error
        print(f"python {kind}: ok, {len(steps)} steps")


async def main(kind, target):
    headers = {"Authorization": "Bearer " + os.environ["CLIENT_TOKEN"]}
    if kind == "stdio":
        with open(os.devnull, "w") as quiet:
            server = StdioServerParameters(command=target, args=["serve", "--backend=embedded"], env=dict(os.environ))
            async with stdio_client(server, errlog=quiet) as streams:
                await job(kind, streams)
    elif kind == "http":
        async with httpx.AsyncClient(headers=headers, timeout=60) as client, streamable_http_client(target, http_client=client) as streams:
            await job(kind, streams)
    else:
        async with sse_client(target, headers=headers) as streams:
            await job(kind, streams)


asyncio.run(main(*sys.argv[1:]))
