"""Workflows through the official Python client (mcp): find one, check it, run it with an own prompt and an own picture, in two calls.
Prints one line for each check."""

import asyncio
import base64
import json
import os
import struct
import zlib

from mcp import Client, StdioServerParameters
from mcp.client.streamable_http import streamable_http_client
from mcp.shared._httpx_utils import create_mcp_http_client

BINARY, URL, TOKEN = (os.environ[k] for k in ("E2E_BINARY", "E2E_URL", "E2E_TOKEN"))
PATIENCE = 120  # seconds; the machine may be busy


def transport(kind):
    if kind == "stdio":
        return StdioServerParameters(command=BINARY, args=["serve"], env=dict(os.environ))
    client = create_mcp_http_client(headers={"Authorization": f"Bearer {TOKEN}"})
    return streamable_http_client(URL + "/mcp", http_client=client)


def png(width, height):
    """A picture of one's own: a plain blue one."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = (b"\0" + b"\x20\x60\xc0" * width) * height
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def expect(got, want, what=""):
    if got != want:
        raise AssertionError(f"{what} got {got!r}, want {want!r}".strip())


def text(result):
    return next(c.text for c in result.content if c.type == "text")


def links(result):
    expect(result.is_error, False, text(result))
    return [c for c in result.content if c.type == "resource_link"]


async def structured(client, tool, args):
    result = await client.call_tool(tool, args)
    expect(result.is_error, False, text(result))
    expect(json.loads(text(result)), result.structured_content, "text and structured content")
    return result.structured_content


async def by_name(client):
    """Two calls, from nothing to a picture."""
    found = await structured(client, "list_workflows", {"search": "text picture", "kind": "picture", "installed": True})
    one = next(w for w in found["workflows"] if w["name"] == "text_to_picture")
    prompt = next(name for name, kind in one["inputs"].items() if kind == "text")
    made = await client.call_tool("run_workflow", {"workflow": one["name"], "inputs": {prompt: "a red fox in the snow"}, "seed": 7, "wait_seconds": 100})
    expect(len(links(made)), 1, "pictures")
    if not any(c.type == "image" for c in made.content):
        raise AssertionError("no preview")
    if "seed 7" not in text(made):
        raise AssertionError(f"the seed is not told: {text(made)}")


async def with_picture(client):
    """list, upload, check, run: a picture of one's own goes in."""
    found = await structured(client, "list_workflows", {"search": "frame"})
    one = next(w for w in found["workflows"] if w["name"] == "turn_and_frame")
    picture = next(name for name, kind in one["inputs"].items() if kind == "picture")
    sent = await client.call_tool("upload_image", {"data": base64.b64encode(png(96, 64)).decode()})
    expect(sent.is_error, False, text(sent))
    image = next(c.uri for c in sent.content if c.type == "resource_link").removeprefix("comfygate://images/")
    bare = await structured(client, "check_workflow", {"workflow": one["name"]})
    expect(bare["runnable"], False, "without the picture it needs")
    whole = await structured(client, "check_workflow", {"workflow": one["name"], "inputs": {picture: image}})
    expect(whole["faults"], [], "faults")
    expect(whole["runnable"], True, "with it")
    made = await client.call_tool("run_workflow", {"workflow": one["name"], "inputs": {picture: image}, "wait_seconds": 100})
    expect(len(links(made)), 1, "pictures")
    if "128×160" not in text(made):  # turned to 64×96, and 32 on each side
        raise AssertionError(f"the size is another: {text(made)}")


async def words_alone(client):
    made = await client.call_tool("run_workflow", {"workflow": "join_words", "wait_seconds": 100})
    expect(made.is_error, False, text(made))
    if "a fox in the snow, ink drawing" not in text(made):
        raise AssertionError(text(made))


async def own_graph(client):
    graph = {
        "1": {"class_type": "EmptyImage", "inputs": {"width": 64, "height": 64, "batch_size": 1, "color": 255}},
        "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "../../x"}},
    }
    made = await client.call_tool("run_workflow", {"graph": graph, "wait_seconds": 100})
    expect(len(links(made)), 1, "pictures")


async def faults(client):
    graph = {
        "1": {"class_type": "EmptyImage", "inputs": {"width": 0, "height": "tall", "batch_size": 1, "color": 255}},
        "2": {"class_type": "SaveImage", "inputs": {"images": ["9", 0], "filename_prefix": "x"}},
        "3": {"class_type": "SaveImage", "inputs": {"images": ["1", 4], "filename_prefix": "x"}},
    }
    seen = await structured(client, "check_workflow", {"graph": graph})
    named = {(f.get("node"), f.get("input")) for f in seen["faults"]}
    for want in (("1", "width"), ("1", "height"), ("2", "images"), ("3", "images")):
        if want not in named:
            raise AssertionError(f"{want} is not among {named}")
    refused = await client.call_tool("run_workflow", {"graph": graph})
    expect(refused.is_error, True, "a graph with faults")


async def nodes(client):
    found = await structured(client, "describe_nodes", {"search": "KSampler", "limit": 3})
    names = [c["class"] for c in found["classes"]]
    if "KSampler" not in names:
        raise AssertionError(names)


CHECKS = {
    "list and run by name": by_name,
    "a picture of one's own": with_picture,
    "text alone": words_alone,
    "a graph of one's own": own_graph,
    "all faults": faults,
    "describe nodes": nodes,
}


async def main():
    for kind in ("stdio", "http"):
        async with Client(transport(kind)) as client:
            for name, check in CHECKS.items():
                try:
                    await asyncio.wait_for(check(client), PATIENCE)
                except Exception as e:  # whatever it is, it is what the line says
                    print(f"FAIL  python workflows {kind}: {name}: {' '.join(repr(e).split())}", flush=True)
                else:
                    print(f"ok    python workflows {kind}: {name}", flush=True)


asyncio.run(main())
