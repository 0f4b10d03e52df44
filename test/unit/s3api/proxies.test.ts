/** The S3 port behind proxies, and what its log says of signatures. */
import assert from 'node:assert/strict';
import { request } from 'node:http';
import { after, before, describe, it } from 'node:test';
import { systemClock } from '../../../src/base/clock.ts';
import { signRequest } from '../../../src/identity/sign.ts';
import { createRequestReaders } from '../../../src/s3api/body/readers.ts';
import { type S3Front, startS3Front } from '../../model/s3-front.ts';
import { credentials, exampleKey } from '../identity/fixtures.ts';

const PROXIES = { trustedProxies: ['127.0.0.1'], publicHosts: ['https://s3.test', 's3.test:8080'] };

/** As fetch, which does not let its caller choose the Host. */
function send(
  port: number,
  o: { method?: string; path: string; headers: Record<string, string>; body?: string },
) {
  return new Promise<{ status: number; text: string }>((resolve, reject) => {
    const req = request({ host: '127.0.0.1', port, method: 'GET', ...o }, (res) => {
      let text = '';
      res.setEncoding('utf8').on('data', (chunk) => {
        text += chunk;
      });
      res.on('end', () => resolve({ status: res.statusCode!, text }));
    });
    req.on('error', reject);
    req.end(o.body);
  });
}

describe('behind a trusted proxy', () => {
  let front: S3Front;
  before(async () => {
    front = await startS3Front({ proxies: PROXIES });
    await front.request('PUT', '/bucket');
  });
  after(() => front.close());

  const forwarded = (host: string) => ({
    'x-test-account': 'alice',
    host: 'gateway:9000',
    'x-forwarded-for': '203.0.113.9',
    'x-forwarded-proto': 'https',
    'x-forwarded-host': host,
  });

  it('an object is named by its public address', async () => {
    const headers = forwarded('bucket.s3.test');
    const { port } = front;
    const begun = await send(port, { method: 'POST', path: '/a%20b?uploads', headers });
    const uploadId = /<UploadId>([^<]+)/.exec(begun.text)![1];
    const query = `?partNumber=1&uploadId=${uploadId}`;
    assert.equal(
      (await send(port, { method: 'PUT', path: `/a%20b${query}`, headers, body: 'x' })).status,
      200,
    );
    const part = '<Part><PartNumber>1</PartNumber><ETag>9dd4e461268c8034f5c8564e155c67a6</ETag></Part>';
    const done = await send(port, {
      ...{ method: 'POST', path: `/a%20b?uploadId=${uploadId}`, headers },
      body: `<CompleteMultipartUpload>${part}</CompleteMultipartUpload>`,
    });
    assert.match(done.text, /<Location>https:\/\/bucket\.s3\.test\/a%20b<\/Location>/);
    const read = await send(port, { path: '/bucket/a%20b', headers: forwarded('s3.test') });
    assert.deepEqual([read.status, read.text], [200, 'x']);
  });

  it('the log names the client', async () => {
    await send(front.port, { path: '/bucket/logged', headers: forwarded('s3.test') });
    const line = front
      .logged()
      .split('\n')
      .find((text) => text.includes('"key":"logged"'));
    assert.equal(JSON.parse(line!).remote, '203.0.113.9');
  });

  it('health is where the public Host is no bucket', async () => {
    assert.equal((await send(front.port, { path: '/-/live', headers: forwarded('s3.test') })).text, 'live\n');
    const inBucket = await send(front.port, { path: '/-/live', headers: forwarded('bucket.s3.test') });
    assert.match(inBucket.text, /NoSuchKey/);
  });
});

describe('signatures', () => {
  let front: S3Front;
  const deps = {
    findAccessKey: async (id: string) => (id === exampleKey.accessKeyId ? exampleKey : null),
    openSecret: () => credentials.secretAccessKey,
    clock: systemClock,
    region: 'us-east-1',
    service: 's3' as const,
  };
  before(async () => {
    front = await startS3Front({ readers: createRequestReaders(deps), proxies: PROXIES });
  });
  after(() => front.close());

  const signed = (host: string, secretAccessKey = credentials.secretAccessKey) =>
    signRequest({
      ...{ method: 'GET', path: '/', headers: { host }, region: 'us-east-1', service: 's3' },
      credentials: { ...credentials, secretAccessKey },
      nowMs: Date.now(),
    }).headers;

  it('hold over the public host, with its port or without', async () => {
    for (const host of ['s3.test', 's3.test:8080', 's3.test:443']) {
      const headers = { ...signed(host), host: 'gateway:9000' };
      assert.equal((await send(front.port, { path: '/', headers })).status, 200, host);
    }
  });

  it('that do not hold are explained in the log, without secrets', async () => {
    const headers = { ...signed('elsewhere.test:9000'), host: 'elsewhere.test' };
    assert.match((await send(front.port, { path: '/', headers })).text, /SignatureDoesNotMatch/);
    const line = front
      .logged()
      .split('\n')
      .find((text) => text.includes('a signature does not match'));
    const { signature } = JSON.parse(line!);
    assert.deepEqual([signature.line, signature.signed], ['host', 'elsewhere.test:9000']);
    await send(front.port, { path: '/', headers: signed('s3.test', 'another secret') });
    assert.match(front.logged(), /no known change explains it/);
    assert.ok(!front.logged().includes(credentials.secretAccessKey));
  });

  it('of version 2 are refused in the words of AWS', async () => {
    const old = 'AWS AKIAIOSFODNN7EXAMPLE:frJIUN8DYpKDtOLCwo//yllqDzg=';
    const host = 's3.test';
    const query = '?AWSAccessKeyId=AKIAIOSFODNN7EXAMPLE&Signature=x%3D&Expires=1141889120';
    const requests: { path: string; headers: Record<string, string> }[] = [
      { path: '/', headers: { host, authorization: old } },
      { path: `/${query}`, headers: { host } },
      { path: `/bucket/key${query}`, headers: { host } },
    ];
    for (const r of requests) {
      const { status, text } = await send(front.port, r);
      assert.equal(status, 400);
      assert.match(
        text,
        /<Code>InvalidRequest<\/Code><Message>The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256.<\/Message>/,
      );
    }
  });
});
