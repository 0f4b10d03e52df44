/**
 * A node's port in the hands of strangers and liars: an empty 403 and a closed connection whatever they ask for; no id
 * names a path; lengths, replays and edited bodies are refused.
 */
import assert from 'node:assert/strict';
import { readdir } from 'node:fs/promises';
import { request } from 'node:http';
import { connect } from 'node:net';
import { describe, it } from 'node:test';
import { systemClock } from '../../../src/base/clock.ts';
import { type BlobId, type MemberId, newBlobId } from '../../../src/base/ids.ts';
import { digest } from '../../../src/nodes/digest-tree.ts';
import { intentToHeader } from '../../../src/nodes/entry-codec.ts';
import { NodeError } from '../../../src/nodes/protocol.ts';
import {
  AUTH_HEADER,
  BODY_DIGEST_HEADER,
  clusterKey,
  INTENT_HEADER,
  newNonce,
  signRequest,
  trailerMac,
} from '../../../src/nodes/request-auth.ts';
import {
  clientTo,
  HOST,
  intentOf,
  MEMBER,
  nodeAndClient,
  randomBlob,
  readBlob,
  SECRET,
  writeBlob,
} from './fixture.ts';

const isUnauthorized = (error: unknown): boolean =>
  error instanceof NodeError && error.kind === 'unauthorized';

interface Answer {
  readonly status: number;
  readonly headers: string;
  readonly body: string;
}

/** A request by hand; Host and the connection header aside, nothing is added. */
function ask(
  port: number,
  options: { method?: string; path?: string; headers?: Record<string, string>; body?: Buffer },
): Promise<Answer> {
  const { method = 'GET', path = '/', headers = {}, body } = options;
  return new Promise((resolve, reject) => {
    const req = request({ host: HOST, port, method, path, headers, agent: false }, (res) => {
      const parts: Buffer[] = [];
      res.on('data', (part: Buffer) => parts.push(part));
      res.on('error', reject);
      res.on('end', () =>
        resolve({
          status: res.statusCode ?? 0,
          headers: res.rawHeaders.join(' ').toLowerCase(),
          body: Buffer.concat(parts).toString(),
        }),
      );
    });
    req.on('error', reject);
    req.end(body);
  });
}

/** Headers of a member's request, for what the client would never send. */
function signed(
  method: string,
  target: string,
  more: { body?: Buffer; intent?: string; nonce?: string } = {},
) {
  const { body, intent = '', nonce = newNonce() } = more;
  const contentLength = body?.length ?? 0;
  const bodyDigest = method === 'POST' && body ? digest(body).toString('hex') : '';
  const facts = { member: MEMBER, method, target, contentLength, epoch: '', intent, bodyDigest };
  return {
    [AUTH_HEADER]: signRequest(clusterKey(SECRET), Date.now(), nonce, facts),
    ...(intent ? { [INTENT_HEADER]: intent } : {}),
    ...(bodyDigest ? { [BODY_DIGEST_HEADER]: bodyDigest } : {}),
    ...(body ? { 'content-length': String(contentLength) } : {}),
  };
}

/** What the node says to raw bytes, until it closes. */
function raw(port: number, bytes: string): Promise<string> {
  return new Promise((resolve) => {
    let heard = '';
    const socket = connect(port, HOST, () => socket.write(bytes, 'latin1'));
    socket.on('data', (piece: Buffer) => {
      heard += piece.toString('latin1');
    });
    socket.on('error', () => {});
    socket.on('close', () => resolve(heard));
  });
}

describe('a stranger', () => {
  it('gets the same empty 403 and a closed connection, whatever they ask for', async () => {
    await using running = await nodeAndClient();
    const blob = randomBlob(10);
    await writeBlob(running.client, blob);
    const asked = [
      { path: '/' },
      { path: '/v1/status' },
      { path: `/v1/blobs/${blob.id}?first=0&last=0` },
      { path: `/v1/blobs/${newBlobId()}?first=0&last=0` },
      { path: '/v1/blobs/../../identity.json' },
      { method: 'POST', path: '/v1/delete', body: Buffer.from(JSON.stringify({ ids: [blob.id] })) },
      ...['condition', 'pull', 'drop', 'check', 'damage/forget', 'scrub', 'search'].map((name) => ({
        method: 'POST',
        path: `/v1/${name}`,
        body: Buffer.from(JSON.stringify({ ids: [blob.id], state: 'fenced', epoch: 9, start: true })),
      })),
      { path: '/v1/digests' },
      { path: '/v1/damage?max=5' },
      { path: `/v1/blobs/${blob.id}?first=0&last=0&purpose=replication` },
      { method: 'PUT', path: `/v1/blobs/${blob.id}?size=5`, body: Buffer.alloc(101) },
      { method: 'OPTIONS', path: '*' },
      { headers: { [AUTH_HEADER]: 'v1.1.AAAAAAAAAAAAAAAA.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA' } },
    ];
    for (const one of asked) {
      const answer = await ask(running.node.port, one);
      assert.deepEqual(answer, { status: 403, headers: 'content-length 0 connection close', body: '' });
    }
    assert.ok(await running.client.stat(blob.id));
    assert.equal((await running.client.status()).requests, 1, 'strangers are not counted');
  });

  it('hears nothing when they do not even speak HTTP', async () => {
    await using running = await nodeAndClient();
    assert.equal(await raw(running.node.port, 'hello\r\n\r\n'), '');
    assert.equal(await raw(running.node.port, `GET / HTTP/1.1\r\nx: ${'a'.repeat(20_000)}\r\n\r\n`), '');
  });

  it('hears nothing but the 403, whatever they expect', async () => {
    await using running = await nodeAndClient();
    const refusal = 'HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\nconnection: close\r\n\r\n';
    for (const head of ['Expect: 100-continue', 'Expect: miracles', 'Upgrade: h2c\r\nConnection: upgrade']) {
      const heard = await raw(
        running.node.port,
        `PUT / HTTP/1.1\r\nHost: x\r\n${head}\r\nContent-Length: 5\r\n\r\n`,
      );
      assert.equal(heard, refusal, head);
    }
    assert.equal(await raw(running.node.port, 'GET / HTTP/1.1\r\n\r\n'), refusal);
  });

  it('is whoever has another secret, means another member, or lives in another time', async () => {
    await using running = await nodeAndClient();
    const { port } = running.node;
    const blob = randomBlob(10);
    await writeBlob(running.client, blob);
    const skewed = (ms: number) => ({ ...systemClock, now: () => Date.now() + ms });
    for (const more of [
      { secret: Buffer.alloc(32, 8) },
      { member: 'node-b11' as MemberId },
      { clock: skewed(-31_000) },
      { clock: skewed(31_000) },
    ]) {
      const client = clientTo(port, more);
      await assert.rejects(readBlob(client, blob), isUnauthorized);
      await assert.rejects(writeBlob(client, randomBlob(10)), isUnauthorized);
      await assert.rejects(writeBlob(client, randomBlob(1_000_000)), isUnauthorized);
      await assert.rejects(client.delete([blob.id]), isUnauthorized);
      await assert.rejects(client.status(), isUnauthorized);
      await client.close();
    }
    const near = clientTo(port, { clock: skewed(25_000) });
    assert.ok((await readBlob(near, blob)).equals(blob.bytes));
    await near.close();
  });

  it('cannot pass itself off as a node', async () => {
    await using running = await nodeAndClient({ node: { secret: Buffer.alloc(32, 9) } });
    await assert.rejects(running.client.status(), isUnauthorized);
  });
});

describe('a member that misbehaves', () => {
  it('cannot name a path by an id', async () => {
    await using running = await nodeAndClient();
    const before = await readdir(running.folder, { recursive: true });
    const ids = [
      '..',
      '../../../etc/passwd',
      '%2e%2e%2f%2e%2e',
      'A'.repeat(32),
      `${'a'.repeat(31)}/`,
      `${'a'.repeat(32)}/x`,
    ];
    for (const id of [...ids, 'a'.repeat(33), `${'a'.repeat(30)}%00`, '']) {
      const intent = intentToHeader(intentOf());
      const body = Buffer.alloc(32 + 5 + 64);
      const put = `/v1/blobs/${id}?size=5`;
      const answer = await ask(running.node.port, {
        method: 'PUT',
        path: put,
        body,
        headers: signed('PUT', put, { body, intent }),
      });
      assert.equal(answer.status, 400, id);
      const get = `/v1/blobs/${id}?first=0&last=0`;
      const got = await ask(running.node.port, { path: get, headers: signed('GET', get) });
      assert.equal(got.status, 400, id);
      await assert.rejects(
        running.client.delete([id as BlobId]),
        (error: NodeError) => error.kind === 'protocol',
      );
      await assert.rejects(
        running.client.confirm([id as BlobId]),
        (error: NodeError) => error.kind === 'protocol',
      );
    }
    assert.deepEqual((await readdir(running.folder, { recursive: true })).sort(), before.sort());
  });

  it('is refused: wrong lengths, sizes, ranges, intents, methods', async () => {
    await using running = await nodeAndClient();
    const id = newBlobId();
    const intent = intentToHeader(intentOf());
    const body = Buffer.alloc(32 + 5 + 64);
    for (const [target, one] of [
      [`/v1/blobs/${id}?size=6`, intent],
      [`/v1/blobs/${id}?size=0`, intent],
      [`/v1/blobs/${id}?size=-5`, intent],
      [`/v1/blobs/${id}?size=5e0`, intent],
      [`/v1/blobs/${id}?size=99999999999999`, intent],
      [`/v1/blobs/${id}`, intent],
      [`/v1/blobs/${id}?size=5&ready=1`, intent],
      [`/v1/blobs/${id}?size=5`, ''],
      [`/v1/blobs/${id}?size=5`, 'bm90IGpzb24'],
    ] as const) {
      const headers = signed('PUT', target, { body, intent: one });
      assert.equal(
        (await ask(running.node.port, { method: 'PUT', path: target, body, headers })).status,
        400,
        target,
      );
    }
    await writeBlob(running.client, { ...randomBlob(5), id });
    for (const range of ['first=0&last=1', 'first=1&last=0', 'first=1&last=1']) {
      const target = `/v1/blobs/${id}?${range}`;
      assert.equal(
        (await ask(running.node.port, { path: target, headers: signed('GET', target) })).status,
        422,
      );
    }
    for (const target of [
      `/v1/blobs/${id}?first=a&last=0`,
      `/v1/blobs/${id}`,
      '/v1/nothing',
      '/v1/inventory?max=1001',
      '/v1/inventory?max=1&prefix=abc',
      '/v1/inventory?max=1&prefix=..',
      '/v1/inventory?max=1&scope=all',
      '/v1/digests?prefix=abcd',
      '/v1/digests?prefix=zz',
      '/v1/damage',
      '/v1/damage?max=1001',
      `/v1/blobs/${id}?first=0&last=0&purpose=curiosity`,
    ]) {
      assert.equal(
        (await ask(running.node.port, { path: target, headers: signed('GET', target) })).status,
        400,
      );
    }
    const target = `/v1/blobs/${id}`;
    assert.equal(
      (await ask(running.node.port, { method: 'DELETE', path: target, headers: signed('DELETE', target) }))
        .status,
      400,
    );
  });

  it('is refused: conditions, copies and commands that make no sense, without any effect', async () => {
    await using running = await nodeAndClient();
    const sources = [{ member: 'node-b11', address: '127.0.0.1', port: 7100 }];
    const blob = {
      id: newBlobId(),
      size: 5,
      root: 'a'.repeat(64),
      state: 'pending',
      intent: intentOf(),
    };
    for (const [path, value] of [
      ['condition', { state: 'failed-over', epoch: 3 }],
      ['condition', { state: 'fenced', epoch: 0 }],
      ['condition', { state: 'fenced', epoch: '7' }],
      ['condition', { state: 'fenced', epoch: 1.5 }],
      ['pull', { sources, blobs: [{ ...blob, id: '../../x' }] }],
      ['pull', { sources, blobs: [{ ...blob, size: 0 }] }],
      ['pull', { sources, blobs: [{ ...blob, root: 'aa' }] }],
      ['pull', { sources, blobs: [{ ...blob, intent: {} }] }],
      ['pull', { sources: [{ ...sources[0], port: 0 }], blobs: [blob] }],
      ['pull', { sources: [{ ...sources[0], address: 'file:///etc/passwd' }], blobs: [blob] }],
      ['pull', { sources: [{ ...sources[0], member: 'a b' }], blobs: [blob] }],
      ['pull', { sources, blobs: [blob], bytesPerSecondMax: -1 }],
      ['drop', { ids: ['..'] }],
      ['check', { ids: 'all' }],
      ['damage/forget', { ids: [7] }],
      ['scrub', { bytesPerSecondMax: 'fast' }],
      ['scrub', []],
    ] as const) {
      const body = Buffer.from(JSON.stringify(value));
      const target = `/v1/${path}`;
      const headers = signed('POST', target, { body });
      const answer = await ask(running.node.port, { method: 'POST', path: target, headers, body });
      assert.equal(answer.status, 400, `${path} ${JSON.stringify(value)}`);
    }
    const { state, epoch, blobs } = await running.client.status();
    assert.deepEqual([state, epoch, blobs], ['serving', 1, 0]);
  });

  it('cannot have a chunk, a root or a trailer accepted that does not verify', async () => {
    await using running = await nodeAndClient();
    const bytes = Buffer.from('five!');
    const chunkDigest = digest(bytes);
    const root = digest(digest(chunkDigest));
    const id = newBlobId();
    const target = `/v1/blobs/${id}?size=5`;
    const put = async (parts: (nonce: string) => Buffer[]): Promise<number> => {
      const nonce = newNonce();
      const body = Buffer.concat(parts(nonce));
      const headers = signed('PUT', target, { body, intent: intentToHeader(intentOf()), nonce });
      return (await ask(running.node.port, { method: 'PUT', path: target, body, headers })).status;
    };
    const key = clusterKey(SECRET);
    const other = digest(Buffer.from('other'));
    assert.equal(await put((nonce) => [other, bytes, trailerMac(key, nonce, root), root]), 422);
    assert.equal(await put((nonce) => [chunkDigest, bytes, trailerMac(key, nonce, other), other]), 422);
    assert.equal(await put(() => [chunkDigest, bytes, other, root]), 403);
    assert.equal(await put(() => [chunkDigest, bytes, trailerMac(key, 'another nonce', root), root]), 403);
    assert.equal(await running.client.stat(id), null);
    assert.equal(await put((nonce) => [chunkDigest, bytes, trailerMac(key, nonce, root), root]), 201);
  });

  it('cannot have another body executed than the one it signed', async () => {
    await using running = await nodeAndClient();
    const blob = randomBlob(10);
    await writeBlob(running.client, blob);
    const body = Buffer.from(JSON.stringify({ ids: [newBlobId()] }));
    const evil = Buffer.from(JSON.stringify({ ids: [blob.id] }));
    const headers = signed('POST', '/v1/delete', { body });
    const answer = await ask(running.node.port, { method: 'POST', path: '/v1/delete', headers, body: evil });
    assert.equal(answer.status, 403);
    assert.ok(await running.client.stat(blob.id));
  });
});
