/** Clients that take their time, send less than they said, or in pieces; and what authentication makes of any text. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import fc from 'fast-check';
import { authenticate } from '../../../src/identity/authenticate.ts';
import { AuthError } from '../../../src/identity/errors.ts';
import { CAMPAIGNS } from '../../fuzz/campaigns.ts';
import { NASTY, requestBytes } from '../../fuzz/requests.ts';
import { type FuzzTarget, startTarget } from '../../fuzz/target.ts';
import { deps } from '../identity/requests.ts';
import { rawClient } from '../s3api/raw-client.ts';

const encodeSafely = (text: string): string => encodeURIComponent(text.toWellFormed());

describe('clients that stall', () => {
  let target: FuzzTarget;
  before(async () => {
    target = await startTarget({ headersMs: 400, idleMs: 900, keepAliveMs: 2_000 }, 300);
  });
  after(() => target?.close());

  const put = requestBytes({ method: 'PUT', path: '/fuzz/slow', headers: [['Content-Length', '1000000']] });
  const chunks = requestBytes({
    method: 'PUT',
    path: '/fuzz?tagging',
    headers: [['Transfer-Encoding', 'chunked']],
    body: '',
  });
  const starts: Readonly<Record<string, string>> = {
    'before their headers': '',
    'in the request line': 'GET /fuzz',
    'in their headers': 'GET /fuzz HTTP/1.1\r\nHost: localhost\r\nx-a: ',
    'before their body': put,
    'in their body': `${put}${'x'.repeat(300_000)}`,
    'in a body in chunks': `${chunks}5\r\nhel`,
    'in an XML body': `${requestBytes({ method: 'PUT', path: '/fuzz?tagging', headers: [['Content-Length', '500']] })}<Tagging>`,
    'in a form': `${requestBytes({
      method: 'POST',
      path: '/fuzz',
      headers: [
        ['Content-Length', '500'],
        ['Content-Type', 'multipart/form-data; boundary=b'],
      ],
    })}--b\r\n`,
  };

  it('are let go, all at once, and hold up nobody', async () => {
    const clients = await Promise.all(
      Object.entries(starts).map(async ([name, bytes]) => {
        const client = await rawClient(target.front.port);
        client.send(bytes);
        return { name, client };
      }),
    );
    for (const { name, client } of clients) {
      const said = await client.closed();
      assert.match(said, /^$|^HTTP\/1\.1 4\d\d /, name);
      client.close();
    }
    await target.rest();
  });

  it('byte by byte are let go as well', async () => {
    const client = await rawClient(target.front.port);
    const closed = client.closed();
    let isClosed = false;
    closed.then(() => {
      isClosed = true;
    });
    for (const character of 'GET /fuzz HTTP/1.1\r\nHost: localhost\r\nx-slow: and it goes on and on and on and on') {
      if (isClosed) break;
      client.send(character);
      await sleep(25);
    }
    assert.match(await closed, /^$|<Code>RequestTimeout</);
  });

  it('and those that go away in mid-body, leave nothing', async () => {
    for (const [name, bytes] of Object.entries(starts)) {
      const client = await rawClient(target.front.port);
      client.send(bytes);
      await sleep(5);
      client.close();
      assert.ok(name);
    }
    await target.rest();
    assert.equal((await target.front.request('GET', '/fuzz/slow')).status, 404);
  });
});

describe('requests in pieces', () => {
  let target: FuzzTarget;
  before(async () => {
    target = await startTarget();
  });
  after(() => target?.close());

  it('are answered as when they come at once', async () => {
    const { cases } = CAMPAIGNS.find(({ name }) => name === 'documents')!;
    const splits = fc.array(fc.nat(2_000), { minLength: 1, maxLength: 4 });
    const property = fc.asyncProperty(cases, splits, async (c, at) => {
      const whole = await target.exchange(c);
      const pieces = await target.exchange(c, at);
      const statuses = (e: typeof whole) => e.answers.map(({ status }) => status);
      // What was written by the first is there for the second.
      const same = (status: number) => (status === 204 || status === 404 || status === 409 ? 200 : status);
      assert.deepEqual(statuses(pieces).map(same), statuses(whole).map(same));
    });
    await fc.assert(property, { seed: 3, numRuns: 25 });
    await target.rest();
  });
});

describe('authentication', () => {
  const text = fc.oneof(fc.constantFrom(...NASTY), fc.string({ unit: 'binary', maxLength: 30 }));
  const credential = fc.constantFrom(
    'AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request',
    'AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3',
    'x/20130524/us-east-1/s3/aws4_request',
    '////',
  );
  const list = fc.oneof(fc.constantFrom('host;x-amz-date', 'host', '', ';;', '__proto__', 'HOST'), text);
  const header = fc
    .tuple(fc.constantFrom('AWS4-HMAC-SHA256 ', 'AWS ', '', 'Bearer '), credential, list, text)
    .map(
      ([type, id, signed, signature]) =>
        `${type}Credential=${id}, SignedHeaders=${signed}, Signature=${signature}`,
    );
  const names = [
    'X-Amz-Algorithm',
    'X-Amz-Credential',
    'X-Amz-Date',
    'X-Amz-Expires',
    'X-Amz-SignedHeaders',
    'X-Amz-Signature',
    'X-Amz-Security-Token',
    'Signature',
    'AWSAccessKeyId',
    'Expires',
  ];
  const query = fc.array(fc.tuple(fc.constantFrom(...names), fc.oneof(text.map(encodeSafely), credential)), {
    maxLength: 8,
  });

  it('believes no text that is made up, and refuses each in words of S3', async () => {
    const request = fc.record({
      authorization: fc.option(fc.oneof(header, text)),
      query,
      date: fc.oneof(fc.constant('20130524T000000Z'), text),
      hash: fc.oneof(fc.constant('UNSIGNED-PAYLOAD'), text),
      path: text,
    });
    const property = fc.asyncProperty(request, async (r) => {
      const rawQuery = r.query.map(([name, value]) => `${name}=${value}`).join('&');
      const headers: Record<string, readonly string[]> = {
        host: ['h'],
        'x-amz-date': [r.date],
        'x-amz-content-sha256': [r.hash],
      };
      if (r.authorization !== null) headers.authorization = [r.authorization];
      try {
        const { principal } = await authenticate(
          { method: 'GET', rawPath: `/${r.path}`, rawQuery, headers },
          deps,
        );
        assert.equal(principal.kind, 'anonymous');
      } catch (error) {
        assert.ok(error instanceof AuthError, String(error));
        if ('explain' in error) assert.ok((error.explain as () => unknown)());
      }
    });
    await fc.assert(property, { seed: 4, numRuns: 1_500 });
  });
});
