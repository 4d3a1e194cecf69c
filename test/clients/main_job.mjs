// The main job with the official TypeScript client: list, generate with progress, cancel, upscale, read the resource, errors.
// Usage: node main_job.mjs stdio BINARY | http URL | sse URL
import assert from "node:assert/strict";
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import { SSEClientTransport } from "@modelcontextprotocol/sdk/client/sse.js";

const [kind, target] = process.argv.slice(2);
const headers = { Authorization: `Bearer ${process.env.CLIENT_TOKEN}` };
const transport = {
  stdio: () => new StdioClientTransport({ command: target, args: ["serve", "--backend=embedded"], env: { ...process.env }, stderr: "ignore" }),
  http: () => new StreamableHTTPClientTransport(new URL(target), { requestInit: { headers } }),
  sse: () =>
    new SSEClientTransport(new URL(target), {
      requestInit: { headers },
      eventSourceInit: { fetch: (url, init) => fetch(url, { ...init, headers: { ...init.headers, ...headers } }) },
    }),
}[kind]();

const client = new Client({ name: "test-ts", version: "1" });
await client.connect(transport);
assert.ok(client.getInstructions());
assert.equal(client.getServerVersion().name, "comfygate");

const { tools } = await client.listTools();
const names = tools.map((t) => t.name);
for (const name of ["generate", "upscale", "status", "cancel", "get_image", "list_models"]) assert.ok(names.includes(name), name);

const steps = [];
const made = await client.callTool({ name: "generate", arguments: { prompt: "a red fox in snow", width: 512, height: 512 } }, undefined, {
  onprogress: (p) => steps.push(p.progress),
});
assert.ok(!made.isError, JSON.stringify(made.content));
assert.ok(steps.length > 0 && steps.every((n, i) => i === 0 || n > steps[i - 1]), `steps ${steps}`);
assert.ok(made.content.some((c) => c.type === "image"));
const link = made.content.find((c) => c.type === "resource_link");
const resource = await client.readResource({ uri: link.uri });
assert.ok(resource.contents[0].blob.startsWith("iVBOR"));

const image = link.uri.split("/").pop();
const larger = await client.callTool({ name: "upscale", arguments: { image, factor: 2 } });
assert.ok(!larger.isError, JSON.stringify(larger.content));

const bad = await client.callTool({ name: "generate", arguments: { promt: "x", width: 63 } });
const fault = JSON.parse(bad.content[0].text);
assert.ok(bad.isError && fault.code === "INVALID_PARAMETER" && fault.message.includes("did you mean prompt"), JSON.stringify(fault));
await assert.rejects(client.callTool({ name: "no_such_tool", arguments: {} }), { code: -32602 });
await assert.rejects(client.readResource({ uri: "comfygate://images/" + "a".repeat(26) }), /no such picture/);

const stop = new AbortController();
const slow = client.callTool({ name: "generate", arguments: { prompt: "slow", steps: 12, count: 4, width: 2048, height: 2048 } }, undefined, {
  signal: stop.signal,
  onprogress: () => stop.abort("enough"),
});
await assert.rejects(slow);

const jobs = await client.callTool({ name: "status", arguments: {} });
assert.ok(!jobs.isError);
await client.close();
console.log(`typescript ${kind}: ok, ${steps.length} steps`);
