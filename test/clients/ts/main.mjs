// The main job through the official TypeScript clients, over every transport: v1 is @modelcontextprotocol/sdk (up to 2025-11-25),
// v2 is @modelcontextprotocol/client, which negotiates 2026-07-28 where the transport has it. Prints one line for each check.
import assert from 'node:assert/strict';
import * as v2 from '@modelcontextprotocol/client';
import * as v2stdio from '@modelcontextprotocol/client/stdio';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { SSEClientTransport } from '@modelcontextprotocol/sdk/client/sse.js';
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { CallToolResultSchema } from '@modelcontextprotocol/sdk/types.js';

const { E2E_BINARY: binary, E2E_URL: url, E2E_TOKEN: token } = process.env;
const info = { name: 'clients-test', version: '1' };
const timeout = 120_000; // the machine may be busy
const needed = ['generate', 'upscale', 'status', 'cancel', 'get_image', 'list_models'];
const slow = { prompt: 'a city of glass', width: 2048, height: 2048, steps: 100, count: 4 }; // some seconds of drawing

const libraries = {
  v1: {
    kinds: { stdio: StdioClientTransport, http: StreamableHTTPClientTransport, sse: SSEClientTransport },
    client: () => new Client(info),
    call: (c, name, args, options) => c.callTool({ name, arguments: args }, CallToolResultSchema, { timeout, ...options }),
  },
  v2: {
    kinds: { stdio: v2stdio.StdioClientTransport, http: v2.StreamableHTTPClientTransport, sse: v2.SSEClientTransport },
    client: () => new v2.Client(info, { versionNegotiation: { mode: 'auto' } }),
    call: (c, name, args, options) => c.callTool({ name, arguments: args }, { timeout, ...options }),
  },
};

function transport(library, kind, bearer = token) {
  const T = libraries[library].kinds[kind];
  if (kind === 'stdio') return new T({ command: binary, args: ['serve'], env: process.env, stderr: 'inherit' });
  const headers = bearer ? { Authorization: `Bearer ${bearer}` } : {};
  return new T(new URL(kind === 'http' ? '/mcp' : '/sse', url), { requestInit: { headers } });
}

// checks returns a function that runs one named check and prints how it went, and gives on what the check gave.
const checks = where => async (name, run) => {
  try {
    const got = await run();
    console.log(`ok    ${where}: ${name}`);
    return got;
  } catch (e) {
    console.log(`FAIL  ${where}: ${name}: ${String(e?.message ?? e).replace(/\s+/g, ' ')}`);
    return undefined;
  }
};

const text = result => result.content.find(c => c.type === 'text').text;
const json = result => JSON.parse(text(result));
const until = async (probe, ms = 30_000) => {
  for (const end = Date.now() + ms; Date.now() < end; await new Promise(r => setTimeout(r, 50))) {
    const got = await probe();
    if (got) return got;
  }
  throw new Error(`nothing after ${ms} ms`);
};

async function mainJob(library, kind) {
  const { client: make, call } = libraries[library];
  const client = make();
  const check = checks(`typescript ${library} ${kind}`);
  const heard = []; // progress as it arrived: both clients forget what comes in one read with the answer, which on a busy machine may be all of it
  const tool = (name, args, options) => call(client, name, args, options);
  const job = async (id, wait = 0) => json(await tool('status', { job_id: id, wait_seconds: wait }));
  const read = async uri => {
    const { contents } = await client.readResource({ uri });
    const png = Buffer.from(contents[0].blob, 'base64');
    assert.equal(contents[0].mimeType, 'image/png');
    assert.equal(png.subarray(1, 4).toString(), 'PNG');
    return { bytes: png.length, size: [png.readUInt32BE(16), png.readUInt32BE(20)] };
  };
  const pictureOf = result => {
    assert.ok(!result.isError, text(result));
    const preview = result.content.find(c => c.type === 'image');
    assert.ok(preview.data.length > 1000 && preview.data.length <= 100_000, `preview of ${preview.data.length} characters`);
    return result.content.find(c => c.type === 'resource_link');
  };

  const connected = await check('initialize', async () => {
    const wire = transport(library, kind);
    await client.connect(wire, { timeout });
    const hear = wire.onmessage;
    wire.onmessage = (message, ...more) => {
      if (message.method === 'notifications/progress') heard.push(message.params);
      hear(message, ...more);
    };
    assert.equal(client.getServerVersion().name, 'comfygate');
    assert.match(client.getInstructions(), /ComfyUI/);
    if (library === 'v2') assert.equal(client.getNegotiatedProtocolVersion(), '2026-07-28');
    return true;
  });
  if (!connected) return;

  await check('tools/list', async () => {
    const { tools } = await client.listTools();
    const names = tools.map(t => t.name);
    assert.deepEqual(needed.filter(name => !names.includes(name)), [], 'missing tools');
    assert.equal(new Set(names).size, names.length, 'tools of one name');
  });

  const made = await check('generate with progress', async () => {
    const link = pictureOf(await tool('generate', { prompt: 'a lighthouse at dusk', width: 512, height: 512 }, { onprogress() {} }));
    const done = heard.map(p => p.progress);
    assert.ok(done.length >= 2 && done.every((p, i) => i === 0 || p > done[i - 1]), `progress ${done}`);
    assert.deepEqual([done.at(-1), heard.at(-1).total], [100, 100]);
    return link;
  });

  await check('resources/read', async () => {
    const { bytes, size } = await read(made.uri);
    assert.deepEqual([bytes, size], [made.size, [512, 512]]);
  });

  await check('upscale', async () => {
    const link = pictureOf(await tool('upscale', { image: made.uri.split('/').at(-1), factor: 2 }));
    assert.match(link.title, /1024×1024/);
    if (kind !== 'sse') assert.deepEqual((await read(link.uri)).size, [1024, 1024]); // over SSE it is too large for an event
  });

  await check('status', async () => {
    const all = json(await tool('status', {}));
    assert.equal(all.status, 'healthy');
    assert.equal(all.server.backend, 'embedded');
    assert.ok(all.jobs.some(j => j.pictures?.some(p => p.uri === made.uri)), 'the picture is in none of the recent jobs');
  });

  await check('cancel of a running job', async () => {
    const [, id] = /Job: (\w+)/.exec(text(await tool('generate', { ...slow, wait_seconds: 0 })));
    await until(async () => (await job(id)).step > 0);
    assert.equal((await tool('cancel', { job_id: id })).structuredContent.state, 'cancelled');
    assert.equal((await job(id)).state, 'cancelled');
  });

  await check('leaving a call ends its job', async () => { // also shows that progress reaches the caller while the call runs
    const abort = new AbortController();
    const left = tool('generate', slow, { signal: abort.signal, onprogress: p => /^step/.test(p.message) && abort.abort('enough') });
    await assert.rejects(left);
    const [{ job_id: id, tool: by }] = json(await tool('status', {})).jobs;
    assert.equal(by, 'generate');
    assert.equal((await job(id, 30)).state, 'cancelled');
  });

  const refused = async (name, args, code, hint) => {
    const result = await tool(name, args);
    assert.equal(result.isError, true);
    assert.equal(json(result).code, code);
    assert.match(text(result), hint);
  };
  await check('bad argument', () => refused('generate', { prompt: 5, sise: 3 }, 'INVALID_PARAMETER', /must be a string.*sise.*known are/));
  await check('unknown model', () => refused('generate', { prompt: 'x', model: 'z_image_turbo.safetensors' }, 'MODEL_NOT_ALLOWED', /z_image_turbo_bf16/));
  await check('unknown job', () => refused('cancel', { job_id: 'a'.repeat(26) }, 'JOB_NOT_FOUND', /status/));
  await check('unknown tool', () => assert.rejects(tool('paint', {}), e => e.code === -32602));
  await check('unknown picture', () =>
    assert.rejects(client.readResource({ uri: `comfygate://images/${'a'.repeat(26)}` }), e => [-32002, -32602].includes(e.code)));
  await check('a picture of 1.5 MB', async () => {
    const link = pictureOf(await tool('generate', { prompt: 'a harbour', width: 1024, height: 1024 }));
    assert.ok(link.size > 1 << 20, `${link.size} bytes`);
    if (kind === 'sse') await assert.rejects(read(link.uri), /bytes/); // an event of more than 1 MiB ends other clients' connections
    else assert.equal((await read(link.uri)).bytes, link.size);
  });
  await check('goodbye', () => client.close());
}

async function strangers(library, kind) {
  for (const [who, bearer] of [['no token', ''], ['a wrong token', 'wrong']]) {
    await checks(`typescript ${library} ${kind}`)(`${who} is refused`, () =>
      assert.rejects(libraries[library].client().connect(transport(library, kind, bearer), { timeout }), e => e.code === 401 || /401|Unauthorized/.test(e)));
  }
}

for (const library of Object.keys(libraries)) {
  for (const kind of ['stdio', 'http', 'sse']) {
    await mainJob(library, kind);
    if (kind !== 'stdio') await strangers(library, kind);
  }
}
process.exit(0); // no stream of a refused client holds the process
