/** Requests that SDKs cannot send, against a running store: each gets a clear refusal and changes nothing. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import supertest from 'supertest';
import { type Store, startStore } from '../harness/store.ts';
import { createRawS3, type RawRequest, type RawS3 } from './raw-s3.ts';

const BUCKET = '/raw-bucket';
let store: Store;
let s3: RawS3;
before(async () => {
  store = await startStore();
  s3 = createRawS3(store.endpoint, store.credentials, store.region);
  assert.equal((await s3.send({ method: 'PUT', path: BUCKET })).status, 200);
});
after(() => store?.stop());

const put = async (key: string, body: string) => {
  assert.equal((await s3.send({ method: 'PUT', path: `${BUCKET}/${key}`, body })).status, 200);
};
const get = (key: string) => s3.send({ method: 'GET', path: `${BUCKET}/${key}` });
const refused = async (r: RawRequest, status: number, code: string) => {
  const answer = await s3.send(r);
  assert.deepEqual([answer.status, answer.code], [status, code], answer.text);
  assert.ok(answer.headers['x-amz-request-id']);
  return answer;
};

describe('signatures', () => {
  const target = { method: 'PUT', path: `${BUCKET}/signed`, body: 'x' };

  it('that do not hold are refused, each for its own reason', async () => {
    const { accessKeyId } = store.credentials;
    const wrong = { accessKeyId, secretAccessKey: 'not-the-secret' };
    const unknown = { accessKeyId: 'AKIDOESNOTEXIST00000', secretAccessKey: 'whatever-it-is' };
    await refused({ ...target, credentials: wrong }, 403, 'SignatureDoesNotMatch');
    await refused({ ...target, credentials: unknown }, 403, 'InvalidAccessKeyId');
    await refused({ ...target, credentials: null }, 403, 'AccessDenied');
    await refused({ ...target, nowMs: Date.now() - 16 * 60_000 }, 403, 'RequestTimeTooSkewed');
    await refused(
      { ...target, tamper: { authorization: 'AWS4-HMAC-SHA256 nonsense' } },
      400,
      'AuthorizationHeaderMalformed',
    );
    await refused({ ...target, tamper: { 'x-amz-date': undefined } }, 403, 'AccessDenied');
    assert.equal((await get('signed')).status, 404);
  });

  it('cover method, path, query and headers', async () => {
    const headers = { 'x-amz-meta-a': '1' };
    await refused({ ...target, headers, tamper: { 'x-amz-meta-a': '2' } }, 403, 'SignatureDoesNotMatch');
    const head = s3.headOf({ method: 'GET', path: `${BUCKET}/signed` });
    for (const other of [
      head.replace('GET', 'DELETE'),
      head.replace('/signed', '/other'),
      head.replace(' HTTP/1.1', '?versionId=null HTTP/1.1'),
    ]) {
      assert.match(await s3.sendBytes(other), /^HTTP\/1.1 403 /);
    }
  });

  it('never show the secret or what was expected', async () => {
    const { accessKeyId, secretAccessKey } = store.credentials;
    const answer = await s3.send({
      ...target,
      credentials: { accessKeyId, secretAccessKey: 'not-the-secret' },
    });
    assert.ok(!answer.text.includes(secretAccessKey));
    assert.ok(!store.stderr().includes(secretAccessKey));
  });
});

describe('bodies', () => {
  it('that are not what the signature says are refused and not kept', async () => {
    const other = '0'.repeat(64);
    const target = { method: 'PUT', path: `${BUCKET}/body`, body: 'hello' };
    await refused({ ...target, payloadHash: other }, 400, 'XAmzContentSHA256Mismatch');
    await refused({ ...target, headers: { 'content-md5': 'AAAAAAAAAAAAAAAAAAAAAA==' } }, 400, 'BadDigest');
    await refused({ ...target, headers: { 'content-md5': 'short' } }, 400, 'InvalidDigest');
    await refused({ ...target, headers: { 'x-amz-checksum-crc32': 'AAAAAA==' } }, 400, 'BadDigest');
    assert.equal((await get('body')).status, 404);
  });

  it('need a length', async () => {
    const headers = { 'transfer-encoding': 'chunked' };
    const head = s3.headOf({
      method: 'PUT',
      path: `${BUCKET}/unsized`,
      payloadHash: 'UNSIGNED-PAYLOAD',
      headers,
    });
    const answer = await s3.sendBytes(`${head}5\r\nhello\r\n0\r\n\r\n`);
    assert.match(answer, /^HTTP\/1.1 501 /);
    assert.match(answer, /<Header>Transfer-Encoding<\/Header>/);
  });

  it('that end early leave nothing', async () => {
    const headers = { 'content-length': '1000000' };
    const head = s3.headOf({
      method: 'PUT',
      path: `${BUCKET}/cut`,
      payloadHash: 'UNSIGNED-PAYLOAD',
      headers,
    });
    await s3.sendBytes(head + 'x'.repeat(300_000), { end: true });
    assert.equal((await get('cut')).status, 404);
  });

  it('in aws-chunked form must be what they declare', async () => {
    const chunked = (length: number, body: string) => ({
      method: 'PUT',
      path: `${BUCKET}/chunked`,
      payloadHash: 'STREAMING-UNSIGNED-PAYLOAD-TRAILER',
      headers: {
        'content-encoding': 'aws-chunked',
        'x-amz-decoded-content-length': String(length),
        'x-amz-trailer': 'x-amz-checksum-crc32',
      },
      body,
    });
    await refused(
      chunked(9, '5\r\nhello\r\n0\r\nx-amz-checksum-crc32:NhCmhg==\r\n\r\n'),
      400,
      'IncompleteBody',
    );
    await refused(chunked(5, '5\r\nhello\r\n0\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n'), 400, 'BadDigest');
    const rubbish = await s3.send(chunked(5, 'zz\r\nhello\r\n0\r\n\r\n'));
    assert.equal(rubbish.status, 400);
    assert.equal((await get('chunked')).status, 404);
    const good = await s3.send(chunked(5, '5\r\nhello\r\n0\r\nx-amz-checksum-crc32:NhCmhg==\r\n\r\n'));
    assert.equal(good.status, 200, good.text);
    assert.equal((await get('chunked')).text, 'hello');
  });

  it('are not asked for when the request is refused', async () => {
    const headers = { 'content-length': '5', expect: '100-continue' };
    const wrong = { accessKeyId: store.credentials.accessKeyId, secretAccessKey: 'not-the-secret' };
    const target = { method: 'PUT', path: `${BUCKET}/expect`, payloadHash: 'UNSIGNED-PAYLOAD', headers };
    assert.match(await s3.sendBytes(s3.headOf({ ...target, credentials: wrong })), /^HTTP\/1.1 403 /);
  });
});

describe('paths', () => {
  it('are keys, whatever they look like', async () => {
    for (const key of [
      '..',
      '../..',
      'a/../b',
      './x',
      'a//b',
      '/lead',
      'x/',
      '%2e%2e%2f',
      '%252e',
      'a%5Cb',
      '%C3%BC',
    ]) {
      await put(key, `content of ${key}`);
      assert.equal((await get(key)).text, `content of ${key}`, key);
    }
    const listing = await s3.send({ method: 'GET', path: BUCKET, query: 'list-type=2&encoding-type=url' });
    assert.match(listing.text, /<Key>a\/..\/b<\/Key>/);
    assert.equal((await s3.send({ method: 'GET', path: `${BUCKET}/../raw-bucket/x/` })).status, 404);
  });

  it('that no key can be are refused', async () => {
    assert.equal((await s3.send({ method: 'PUT', path: `${BUCKET}/%FF%FE`, body: 'x' })).status, 400);
    await refused(
      { method: 'PUT', path: `${BUCKET}/${'k'.repeat(1025)}`, body: 'x' },
      400,
      'KeyTooLongError',
    );
    await put('k'.repeat(1024), 'long');
  });

  it('that name no valid bucket are refused or not found', async () => {
    for (const name of ['AB', 'a', '..', 'has_underscore..x', '192.168.0.1', 'x'.repeat(64)]) {
      const answer = await s3.send({ method: 'PUT', path: `/${name}` });
      assert.ok([400, 403, 404].includes(answer.status), `${name}: ${answer.status}`);
    }
  });
});

describe('subresources', () => {
  const OBJECT = [
    'acl',
    'legal-hold',
    'retention',
    'restore',
    'torrent',
    'select&select-type=2',
    'encryption',
    'renameObject',
  ];

  it('of an object never overwrite it, nor remove it, nor show its bytes as theirs', async () => {
    await put('kept', 'the bytes');
    const path = `${BUCKET}/kept`;
    for (const query of OBJECT) {
      for (const method of ['PUT', 'POST', 'DELETE']) {
        const answer = await s3.send({ method, path, query, body: method === 'DELETE' ? '' : '<x/>' });
        assert.ok(answer.status >= 400, `${method} ?${query}: ${answer.status}`);
        assert.notEqual(answer.status, 500, `${method} ?${query}`);
      }
      const read = await s3.send({ method: 'GET', path, query });
      assert.notEqual(read.text, 'the bytes', `GET ?${query}`);
      assert.equal((await get('kept')).text, 'the bytes', query);
    }
  });

  it('of a bucket never list it, nor make or remove one', async () => {
    const names = [
      'accelerate',
      'analytics',
      'encryption',
      'intelligent-tiering',
      'inventory',
      'lifecycle',
      'logging',
      'metrics',
      'notification',
      'object-lock',
      'ownershipControls',
      'policy',
      'policyStatus',
      'publicAccessBlock',
      'replication',
      'requestPayment',
      'session',
      'tagging',
      'website',
    ];
    // Some of what is deleted here counts from then on.
    const bucket = '/settings-bucket';
    assert.equal((await s3.send({ method: 'PUT', path: bucket })).status, 200);
    for (const query of names) {
      const read = await s3.send({ method: 'GET', path: bucket, query });
      assert.ok(!read.text.includes('ListBucketResult'), `GET ?${query}`);
      assert.notEqual(read.status, 500, `GET ?${query}`);
      const write = await s3.send({ method: 'PUT', path: '/never-made', query, body: '<x/>' });
      assert.ok(write.status >= 400 && write.status !== 500, `PUT ?${query}: ${write.status}`);
      const removal = await s3.send({ method: 'DELETE', path: bucket, query });
      assert.ok([204, 404, 501, 405].includes(removal.status), `DELETE ?${query}: ${removal.status}`);
    }
    assert.equal((await s3.send({ method: 'HEAD', path: '/never-made' })).status, 404);
    assert.equal((await s3.send({ method: 'HEAD', path: bucket })).status, 200);
  });
});

describe('headers that would change the meaning', () => {
  const target = { method: 'PUT', path: `${BUCKET}/meaning`, body: 'x' };

  it('are refused with 501 when they cannot be honoured, and nothing is kept', async () => {
    const unsupported: Record<string, string>[] = [
      { 'x-amz-server-side-encryption': 'aws:kms' },
      { 'x-amz-server-side-encryption-customer-algorithm': 'AES256' },
      { 'x-amz-acl': 'public-read' },
      { 'x-amz-grant-read': 'id=someone' },
      { 'x-amz-website-redirect-location': 'not a path', 'x-amz-acl': 'public-read-write' },
    ];
    for (const headers of unsupported) {
      const answer = await s3.send({ ...target, headers });
      assert.ok(
        [400, 501].includes(answer.status),
        `${JSON.stringify(headers)}: ${answer.status} ${answer.code}`,
      );
    }
    assert.equal((await get('meaning')).status, 404);
  });

  it('are accepted when they name the default', async () => {
    const defaults: Record<string, string>[] = [
      { 'x-amz-acl': 'private' },
      { 'x-amz-acl': 'bucket-owner-full-control' },
      { 'x-amz-storage-class': 'STANDARD' },
    ];
    for (const headers of defaults) {
      const answer = await s3.send({ ...target, headers });
      assert.equal(answer.status, 200, answer.text);
    }
  });
});

describe('documents', () => {
  it('with entities, or that are no XML, are refused', async () => {
    const bomb = '<!DOCTYPE a [<!ENTITY b "bbbb">]><Delete><Object><Key>&b;</Key></Object></Delete>';
    for (const body of [
      bomb,
      '<Delete><Object>',
      'not xml',
      '<Delete/>',
      '<Other><Object><Key>k</Key></Object></Other>',
    ]) {
      const headers = { 'content-md5': createHash('md5').update(body).digest('base64') };
      await refused({ method: 'POST', path: BUCKET, query: 'delete', body, headers }, 400, 'MalformedXML');
    }
  });
});

describe('the port', () => {
  it('answers health checks and refuses what is no S3 operation', async () => {
    const agent = supertest(store.endpoint);
    await agent.get('/-/live').expect(200);
    await agent.get('/-/ready').expect(200);
    const anonymous = await agent.get('/').buffer(true).expect(403);
    assert.match(String(anonymous.text), /<Code>AccessDenied<\/Code>/);
    const form = await agent
      .post(`/${BUCKET.replaceAll('/', '')}`)
      .field('key', 'k')
      .attach('file', Buffer.from('x'), 'x');
    assert.equal(form.status, 403, 'a form without a policy, to a bucket that is not open');
    for (const method of ['PATCH', 'PROPFIND', 'TRACE']) {
      const answer = await s3.send({ method, path: `${BUCKET}/x` });
      assert.ok([400, 405, 501].includes(answer.status), `${method}: ${answer.status}`);
    }
    const head = await s3.send({ method: 'HEAD', path: `${BUCKET}/nothing-here` });
    assert.deepEqual([head.status, head.body.length], [404, 0]);
  });

  it('survives rubbish', async () => {
    for (const rubbish of [
      '\r\n\r\n\r\n',
      'GET\r\n\r\n',
      '\x16\x03\x01\x02\x00\x01',
      `GET / HTTP/1.1\r\nx: ${'y'.repeat(100_000)}\r\n\r\n`,
    ]) {
      await s3.sendBytes(rubbish, { end: true }).catch(() => '');
    }
    await supertest(store.endpoint).get('/-/live').expect(200);
  });
});

describe('the admin port', () => {
  it('shows figures and health to anybody and everything else to nobody unknown', async () => {
    const agent = supertest(store.adminEndpoint);
    await agent.get('/-/ready').expect(200);
    const metrics = await agent.get('/metrics').expect(200);
    assert.match(metrics.text, /antipode_pairs_degraded 0\n/);
    assert.match(metrics.text, /antipode_s3_requests_total\{operation="PutObject",status="200"\}/);
    const answer = await agent.get('/admin/v1/users').expect(403);
    assert.equal(answer.body.code, 'Unauthorized');
  });
});
