/** The port: limits, shedding, health, TLS, and how it closes. */
import assert from 'node:assert/strict';
import { copyFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { connect } from 'node:tls';
import supertest from 'supertest';
import type { OperationRow } from '../../../src/s3api/operation.ts';
import type { S3ServerOptions } from '../../../src/s3api/server.ts';
import { type S3Front, startS3Front } from '../../model/s3-front.ts';
import { rawClient } from './raw-client.ts';

async function withFront(options: Partial<S3ServerOptions>, test: (front: S3Front) => Promise<void>) {
  const front = await startS3Front(options);
  try {
    await test(front);
  } finally {
    await front.close();
  }
}

/** `GET /` that waits until it is told to answer. */
function gatedOperation() {
  let release = () => {};
  const gate = new Promise<void>((resolve) => {
    release = resolve;
  });
  const started: (() => void)[] = [];
  const running = new Promise<void>((resolve) => started.push(resolve));
  const row: OperationRow = {
    name: 'Gated',
    method: 'GET',
    target: 'service',
    permission: 's3:ListAllMyBuckets',
    body: 'none',
    status: 'supported',
    run: async () => {
      started[0]!();
      await gate;
      return { status: 200, body: '<Done/>' };
    },
  };
  return { row, release: () => release(), running };
}

describe('what node refuses', () => {
  it('is answered with an S3 error', () =>
    withFront({ limits: { headersMs: 300 } }, async (front) => {
      const cases = [
        [`GET / HTTP/1.1\r\nHost: h\r\nx: ${'y'.repeat(20_000)}\r\n\r\n`, 'RequestHeaderSectionTooLarge'],
        ['GARBAGE\r\n\r\n', 'BadRequest'],
        ['PUT /b/k HTTP/1.1\r\nHost: h\r\nContent-Length: -1\r\n\r\n', 'BadRequest'],
        [
          'PUT /b/k HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n',
          'BadRequest',
        ],
        ['GET / HTTP/1.1\r\nHost: h\r\n', 'RequestTimeout'],
      ] as const;
      for (const [request, code] of cases) {
        const client = await rawClient(front.port);
        client.send(request);
        const answer = await client.closed();
        assert.match(answer, /^HTTP\/1\.1 400 /, code);
        assert.match(answer, new RegExp(`<Code>${code}</Code>`));
      }
    }));
});

describe('too much at once', () => {
  it('is shed with SlowDown before anything else is looked at', async () => {
    const gated = gatedOperation();
    await withFront({ limits: { requestsMax: 1 }, operations: [gated.row] }, async (front) => {
      const first = front.request('GET', '/');
      await gated.running;
      const second = await front.request('GET', '/', { account: null });
      assert.equal(second.headers.get('connection'), 'keep-alive');
      assert.equal(second.status, 503);
      assert.match(second.text, /<Code>SlowDown<\/Code>/);
      assert.equal(second.headers.get('retry-after'), '1');
      gated.release();
      assert.equal((await first).status, 200);
      assert.equal((await front.request('GET', '/')).status, 200);
    });
  });

  it('from one client is shed where a rate is set', () =>
    withFront({ limits: { requestsPerSecondMax: 3 } }, async (front) => {
      const statuses = new Set<number>();
      for (let i = 0; i < 8; i++) statuses.add((await front.request('GET', '/')).status);
      assert.deepEqual([...statuses].sort(), [200, 503]);
    }));
});

describe('health', () => {
  it('answers without a signature, where the Host is not a bucket', () =>
    withFront({ ready: async () => false }, async (front) => {
      await supertest(front.url).get('/-/live').expect(200, 'live\n');
      await supertest(front.url).get('/-/ready').expect(503);
      await supertest(front.url).put('/-/live').expect(400);
      await supertest(front.url)
        .get('/-/live')
        .set('Host', 'bkt.localhost')
        .expect(404, /NoSuchBucket/);
      await front.request('PUT', '/bkt');
      const inBucket = supertest(front.url).get('/-/live').set('Host', 'bkt.localhost');
      await inBucket
        .set('x-test-account', 'alice')
        .expect(404, /<Code>NoSuchKey<\/Code>.*<Key>-\/live<\/Key>/);
    }));

  it('is ready unless something says otherwise', () =>
    withFront({}, async (front) => {
      await supertest(front.url).get('/-/ready').expect(200, 'ready\n');
    }));
});

describe('addresses', () => {
  it('of virtual-host style and absolute form lead to the bucket', () =>
    withFront({ domains: ['S3.Example.Org'] }, async (front) => {
      await supertest(front.url)
        .put('/')
        .set('Host', 'vhost.s3.example.org')
        .set('x-test-account', 'alice')
        .expect(200);
      const client = await rawClient(front.port);
      client.send(
        'GET http://vhost.localhost/?location HTTP/1.1\r\nHost: vhost.localhost\r\nx-test-account: alice\r\n\r\n',
      );
      await client.until(/^HTTP\/1\.1 200 OK[\s\S]*LocationConstraint/);
      client.close();
    }));

  it('with odd characters reach the operation as they are', () =>
    withFront({}, async (front) => {
      await front.request('PUT', '/odd');
      const client = await rawClient(front.port);
      const head = 'Host: h\r\nx-test-account: alice\r\nContent-Length: 0\r\n\r\n';
      client.send(`PUT /odd//a/../b%2F+%25 HTTP/1.1\r\n${head}`);
      await client.until(/^HTTP\/1\.1 200 OK/);
      client.close();
      const { text } = await front.request('GET', '/odd');
      assert.match(text, /<Key>\/a\/\.\.\/b\/\+%<\/Key>/);
    }));
});

describe('TLS', () => {
  const fixture = (name: string) => new URL(`../../fixtures/tls/${name}`, import.meta.url);
  const subject = (port: number) =>
    new Promise<string>((resolve, reject) => {
      const socket = connect({ port, host: '127.0.0.1', rejectUnauthorized: false }, () => {
        resolve(String(socket.getPeerCertificate().subject.CN));
        socket.destroy();
      });
      socket.on('error', reject);
    });

  it('serves from certificate files, takes changed ones and keeps the old where the new are broken', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'antipode-tls-'));
    const tls = { certFile: join(folder, 'crt'), keyFile: join(folder, 'key') };
    const install = (certificate: string, key: string) => {
      copyFileSync(fixture(`${certificate}.crt`), tls.certFile);
      copyFileSync(fixture(`${key}.key`), tls.keyFile);
    };
    install('one', 'one');
    try {
      await withFront({ tls }, async (front) => {
        assert.equal(await subject(front.port), 'antipode-test-one');
        install('two', 'two');
        front.reloadTls();
        assert.equal(await subject(front.port), 'antipode-test-two');
        install('one', 'two');
        front.reloadTls();
        assert.equal(await subject(front.port), 'antipode-test-two');
        assert.match(front.logged(), /certificate not read/);
      });
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});

describe('closing', () => {
  it('lets requests under way end, and does not wait for idle connections', async () => {
    const gated = gatedOperation();
    const front = await startS3Front({ operations: [gated.row] });
    const idle = await rawClient(front.port);
    const answer = front.request('GET', '/');
    await gated.running;
    const closing = front.close();
    gated.release();
    assert.equal((await answer).status, 200);
    await closing;
    await idle.closed();
    await assert.rejects(front.request('GET', '/'));
  });

  it('cuts off what does not end in time', async () => {
    const gated = gatedOperation();
    const front = await startS3Front({ operations: [gated.row], limits: { drainMs: 100 } });
    const answer = assert.rejects(front.request('GET', '/'));
    await gated.running;
    await front.close();
    gated.release();
    await answer;
  });
});
