/** How requests end, well or badly: answers to bodies that nobody reads, errors in mid-body, slow results, clients that go. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { CatalogUnavailable } from '../../../src/ddm/catalog.ts';
import { BytesUnavailable, StorageFull } from '../../../src/dosm/dosm.ts';
import { S3Error } from '../../../src/s3api/errors.ts';
import type { OperationContext, OperationResult, OperationRow } from '../../../src/s3api/operation.ts';
import type { FinishedRequest } from '../../../src/s3api/pipeline.ts';
import { OPERATIONS } from '../../../src/s3api/table.ts';
import { XML_DECLARATION } from '../../../src/s3api/xml.ts';
import { type S3Front, startS3Front } from '../../model/s3-front.ts';
import { rawClient } from './raw-client.ts';

/** Operations of the test's own, reached by `GET /?x-id=name`. */
const runs = new Map<string, (ctx: OperationContext) => Promise<OperationResult>>();
const testRow = (name: string): OperationRow => ({
  name,
  method: 'GET',
  target: 'service',
  query: { 'x-id': name },
  permission: 's3:ListAllMyBuckets',
  body: 'none',
  status: 'supported',
  run: (ctx) => runs.get(name)!(ctx),
});
const NAMES = ['fails', 'slow', 'long', 'waits'] as const;
const partly: OperationRow = { ...testRow('partly'), method: 'PUT', body: 'stream' };

let front: S3Front;
const finished: FinishedRequest[] = [];
before(async () => {
  front = await startS3Front({
    operations: [...OPERATIONS, ...NAMES.map(testRow), partly],
    slowBodyMs: 30,
    drainIdleMs: 300,
    onFinished: (request) => finished.push(request),
  });
  await front.request('PUT', '/b-1');
  await front.request('PUT', '/b-1/k', { body: Buffer.alloc(1_000_000, 7) });
});
after(() => front.close());

const HEAD = 'Host: 127.0.0.1\r\nx-test-account: alice\r\n';

describe('errors of the rooms below', () => {
  const cases: [Error, number, string, string | null][] = [
    [new CatalogUnavailable('pg 127.1.0.5 down'), 503, 'ServiceUnavailable', '3'],
    [new BytesUnavailable('node-a11 down'), 503, 'ServiceUnavailable', '3'],
    [new StorageFull('all full'), 507, 'InsufficientStorage', null],
    [new Error('a secret detail'), 500, 'InternalError', null],
    [new S3Error('SlowDown', { headers: { 'retry-after': '1' } }), 503, 'SlowDown', '1'],
  ];
  for (const [error, status, code, retryAfter] of cases)
    it(`${error.name}: ${error.message} is ${status} ${code}`, async () => {
      runs.set('fails', async () => {
        throw error;
      });
      const answer = await front.request('GET', '/?x-id=fails');
      assert.equal(answer.status, status);
      assert.match(answer.text, new RegExp(`<Code>${code}</Code>`));
      assert.equal(answer.headers.get('retry-after'), retryAfter);
      if (error instanceof S3Error) return;
      assert.ok(!answer.text.includes(error.message), 'the client sees no inner detail');
      const requestId = answer.headers.get('x-amz-request-id')!;
      const line = front
        .logged()
        .split('\n')
        .find((l) => l.includes(requestId) && l.includes(error.message));
      assert.ok(line, 'the log has the detail under the request id');
    });

  it('every answer carries its request id, in the header and in the document', async () => {
    const answer = await front.request('GET', '/b-1?policy');
    const id = answer.headers.get('x-amz-request-id');
    assert.match(id!, /^[0-9A-F]{16}$/);
    assert.match(
      answer.text,
      new RegExp(`<Resource>/b-1</Resource><RequestId>${id}</RequestId><HostId>[^<]+</HostId>`),
    );
    assert.ok(answer.headers.get('x-amz-id-2'));
  });
});

describe('a request body', () => {
  it('is asked for with 100 Continue only after its sender has been let in', async () => {
    const put = (account: string) =>
      `PUT /b-1/c HTTP/1.1\r\nHost: h\r\nx-test-account: ${account}\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n`;
    const stranger = await rawClient(front.port);
    stranger.send(put('bob'));
    const refused = await stranger.closed();
    assert.match(refused, /^HTTP\/1\.1 403 /);
    assert.match(refused, /Connection: close/i);
    const owner = await rawClient(front.port);
    owner.send(put('alice'));
    await owner.until(/^HTTP\/1\.1 100 Continue\r\n\r\n$/);
    owner.send('12345');
    await owner.until(/HTTP\/1\.1 200 OK/);
    owner.close();
  });

  it('with an expectation that HTTP does not know is read like any other', async () => {
    const client = await rawClient(front.port);
    client.send(`PUT /b-1/c HTTP/1.1\r\n${HEAD}Content-Length: 1\r\nExpect: something\r\n\r\nx`);
    await client.until(/^HTTP\/1\.1 200 OK/);
    client.close();
  });

  it('is not asked for when a condition has refused it already', async () => {
    const client = await rawClient(front.port);
    const expect = 'Content-Length: 5\r\nIf-None-Match: *\r\nExpect: 100-continue\r\n';
    client.send(`PUT /b-1/k HTTP/1.1\r\n${HEAD}${expect}\r\n`);
    assert.match(await client.closed(), /^HTTP\/1\.1 412 /);
  });

  it('that is long and not wanted does not keep its sender from the answer', async () => {
    const client = await rawClient(front.port);
    const piece = Buffer.alloc(1024 * 1024);
    let broken: Error | null = null;
    client.socket.on('error', (error) => {
      broken = error;
    });
    client.send(`PUT /b-1/k?encryption HTTP/1.1\r\n${HEAD}Content-Length: ${20 * piece.length}\r\n\r\n`);
    // The answer is there at once, but the sender looks for none before it has sent everything, and takes its time.
    await client.until(/<\/Error>$/);
    for (let i = 0; i < 20; i++) {
      await new Promise<void>((resolve) => client.socket.write(piece, () => resolve()));
      await sleep(20);
    }
    const answer = await client.closed();
    assert.equal(broken, null);
    assert.match(answer, /^HTTP\/1\.1 501 /);
    assert.match(answer, /<Code>NotImplemented<\/Code>/);
    assert.match(answer, /Connection: close/i);
  });

  it('that was read in part only does not hold up the next request', async () => {
    runs.set('partly', async (ctx) => {
      for await (const bytes of ctx.body!.stream())
        throw new S3Error('BadDigest', { message: `${bytes.length}` });
      return { status: 200 };
    });
    const client = await rawClient(front.port);
    const size = 900_000;
    client.send(`PUT /?x-id=partly HTTP/1.1\r\n${HEAD}Content-Length: ${size}\r\n\r\n${'a'.repeat(1000)}`);
    await client.until(/BadDigest/);
    client.send('a'.repeat(size - 1000));
    client.send(`GET /b-1?location HTTP/1.1\r\n${HEAD}\r\n`);
    await client.until(/<\/Error>HTTP\/1\.1 200 OK[\s\S]*LocationConstraint/);
    client.close();
  });

  it('that is short and not wanted leaves the connection open', async () => {
    const client = await rawClient(front.port);
    client.send(`PUT /b-1/k?encryption HTTP/1.1\r\n${HEAD}Content-Length: 4\r\n\r\nabcd`);
    await client.until(/<\/Error>$/);
    client.send(`GET /b-1?location HTTP/1.1\r\n${HEAD}\r\n`);
    await client.until(/<\/Error>HTTP\/1\.1 200 OK[\s\S]*LocationConstraint/);
    client.close();
  });

  it('that never comes is not waited for', async () => {
    const client = await rawClient(front.port);
    client.send(`PUT /b-1/k?encryption HTTP/1.1\r\n${HEAD}Content-Length: 5000000\r\n\r\n`);
    assert.match(await client.closed(), /^HTTP\/1\.1 501 /);
  });

  it('in a document must be UTF-8', async () => {
    const answer = await front.request('PUT', '/b-1?versioning', { body: Buffer.from([0x3c, 0xff]) });
    assert.match(answer.text, /<Code>MalformedXML<\/Code>/);
  });
});

describe('a response body', () => {
  it('that breaks off cuts the connection, never ends it cleanly', async () => {
    front.dosm.breakReadsAfter = 300_000;
    try {
      const client = await rawClient(front.port);
      client.send(`GET /b-1/k HTTP/1.1\r\n${HEAD}\r\n`);
      const answer = await client.closed();
      assert.match(answer, /^HTTP\/1\.1 200 OK[\s\S]*Content-Length: 1000000/i);
      const body = answer.slice(answer.indexOf('\r\n\r\n') + 4);
      assert.ok(body.length <= 300_000, `${body.length} bytes`);
      assert.ok(!body.includes('<Error>'));
    } finally {
      front.dosm.breakReadsAfter = Number.POSITIVE_INFINITY;
    }
  });

  it('that fails before its first byte is an error like any other', async () => {
    front.dosm.breakReadsAfter = 0;
    try {
      const answer = await front.request('GET', '/b-1/k');
      assert.equal(answer.status, 503);
      assert.equal(answer.headers.get('retry-after'), '3');
      assert.equal(answer.headers.get('etag'), null);
    } finally {
      front.dosm.breakReadsAfter = Number.POSITIVE_INFINITY;
    }
  });

  it('must be as long as was said', async () => {
    for (const length of [9, 11]) {
      runs.set('long', async () => ({
        status: 200,
        headers: { 'content-length': length },
        body: (async function* () {
          yield Buffer.alloc(10);
        })(),
      }));
      const client = await rawClient(front.port);
      client.send(`GET /?x-id=long HTTP/1.1\r\n${HEAD}\r\n`);
      const answer = await client.closed();
      assert.ok(!answer.endsWith('\0'.repeat(length)), `a whole body of ${length} bytes`);
    }
  });

  it('waits for a client that reads slowly, and ends when it goes', async () => {
    let made = 0;
    let ended = false;
    let aborted = false;
    runs.set('long', async (ctx) => ({
      status: 200,
      headers: { 'content-length': 2 ** 40 },
      body: (async function* () {
        ctx.signal.addEventListener('abort', () => {
          aborted = true;
        });
        try {
          for (;;) {
            made++;
            yield Buffer.alloc(256 * 1024);
          }
        } finally {
          ended = true;
        }
      })(),
    }));
    const client = await rawClient(front.port);
    client.socket.pause();
    client.send(`GET /?x-id=long HTTP/1.1\r\n${HEAD}\r\n`);
    let before = -1;
    while ((made !== before || made === 0) && made < 1000) {
      before = made;
      await sleep(200);
    }
    assert.ok(made * 256 * 1024 < 64 * 1024 * 1024, `${made} chunks piled up`);
    client.close();
    for (let i = 0; i < 1_000 && !(ended && aborted); i++) await sleep(20);
    assert.deepEqual([ended, aborted], [true, true]);
  });

  it('of HEAD is empty, for errors too', async () => {
    const client = await rawClient(front.port);
    client.send(`HEAD /b-1/none HTTP/1.1\r\n${HEAD}\r\nGET /b-1?location HTTP/1.1\r\n${HEAD}\r\n`);
    const answers = await client.until(/LocationConstraint/);
    assert.match(answers, /^HTTP\/1\.1 404 Not Found\r\n[^<]*\r\n\r\nHTTP\/1\.1 200 OK/);
    client.close();
  });
});

describe('a slow result', () => {
  const answer = `${XML_DECLARATION}<Done/>`;
  it('that comes soon has its own status', async () => {
    runs.set('slow', async () => ({ status: 200, slowBody: Promise.resolve(answer) }));
    assert.equal((await front.request('GET', '/?x-id=slow')).text, answer);
    runs.set('slow', async () => ({ status: 200, slowBody: Promise.reject(new S3Error('InvalidPart')) }));
    assert.equal((await front.request('GET', '/?x-id=slow')).status, 400);
  });

  it('that takes long is announced by white space after the XML declaration', async () => {
    runs.set('slow', async () => ({ status: 200, slowBody: sleep(500).then(() => answer) }));
    const { status, text } = await front.request('GET', '/?x-id=slow');
    assert.equal(status, 200);
    assert.match(text, /^<\?xml version="1.0" encoding="UTF-8"\?>\n +<Done\/>$/);
  });

  it('that fails late is an error document under 200', async () => {
    const failing = async () => {
      await sleep(500);
      throw new CatalogUnavailable('late');
    };
    runs.set('slow', async () => ({ status: 200, slowBody: failing() }));
    const { status, text } = await front.request('GET', '/?x-id=slow');
    assert.equal(status, 200);
    assert.match(text, /^<\?xml [^>]*>\n +<Error><Code>ServiceUnavailable<\/Code>.*<\/Error>$/);
  });
});

describe('what is written down', () => {
  it('is one line for each request, without the query', async () => {
    const answer = await front.request('GET', '/b-1/none?X-Amz-Foo=hush&response-content-type=a');
    const id = answer.headers.get('x-amz-request-id')!;
    const lines = front
      .logged()
      .split('\n')
      .filter((line) => line.includes(id));
    assert.equal(lines.length, 1);
    const line = JSON.parse(lines[0]!);
    assert.equal(line.operation, 'GetObject');
    assert.deepEqual([line.bucket, line.key, line.status, line.errorCode], ['b-1', 'none', 404, 'NoSuchKey']);
    assert.equal(line.accessKeyId, 'KEYalice');
    assert.ok(!lines[0]!.includes('hush'));
    const seen = finished.find(({ requestId }) => requestId === id)!;
    assert.deepEqual([seen.operation, seen.status, seen.errorCode], ['GetObject', 404, 'NoSuchKey']);
  });

  it('says 499 for a client that went away', async () => {
    let started: () => void;
    const running = new Promise<void>((resolve) => {
      started = resolve;
    });
    runs.set('waits', (ctx) => {
      started();
      return new Promise((_, reject) =>
        ctx.signal.addEventListener('abort', () => reject(ctx.signal.reason)),
      );
    });
    const client = await rawClient(front.port);
    client.send(`GET /?x-id=waits HTTP/1.1\r\n${HEAD}\r\n`);
    await running;
    client.close();
    for (let i = 0; i < 1_000 && !finished.some((f) => f.operation === 'waits'); i++) await sleep(20);
    assert.equal(finished.find((f) => f.operation === 'waits')?.status, 499);
  });
});
