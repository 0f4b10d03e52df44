// What boto3 really sends is understood and verified, and our signatures are botocore's.
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { after, before, test } from 'node:test';
import { encodePath, encodeQuery, signRequest } from '../../../src/identity/sign.ts';
import { parseIsoBasic } from '../../../src/identity/sigv4/dates.ts';
import { credentials } from '../../unit/identity/fixtures.ts';
import { type CaptureServer, startCaptureServer } from './capture-server.ts';

const folder = import.meta.dirname;
const hasBoto3 = spawnSync('python3', ['-c', 'import boto3']).status === 0;
const skip = hasBoto3 ? false : 'python3 with boto3 is not installed';

let server: CaptureServer;
before(async () => {
  server = await startCaptureServer();
});
after(() => server.close());

function python(script: string, args: string[], input = ''): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn('python3', [`${folder}/${script}`, ...args], { timeout: 60_000 });
    let out = '';
    let errors = '';
    child.stdout.on('data', (text) => {
      out += text;
    });
    child.stderr.on('data', (text) => {
      errors += text;
    });
    child.on('error', reject);
    child.on('close', (code) => (code === 0 ? resolve(out) : reject(new Error(`exit ${code}: ${errors}`))));
    child.stdin.end(input);
  });
}

test('boto3: puts, parts, lists, gets, presigned URLs', { skip }, async () => {
  const { accessKeyId, secretAccessKey } = credentials;
  const out = await python('boto3-client.py', [
    `http://127.0.0.1:${server.port}`,
    accessKeyId,
    secretAccessKey,
  ]);
  const names = out.trim().split('\n');
  assert.deepEqual(server.refused, []);
  assert.equal(server.captured.length, names.length);
  const body = createHash('md5')
    .update(Buffer.from(Array.from({ length: 256_000 }, (_, i) => i & 255)))
    .digest('hex');
  const byName = new Map(names.map((name, i) => [name, server.captured[i]!]));
  for (const [name, captured] of byName) {
    assert.equal(captured.authenticated.principal.kind, 'account', name);
    if (captured.method === 'PUT') assert.equal(captured.md5, body, name);
  }
  assert.equal(byName.get('put')?.declaredChecksum, 'CRC32');
  assert.equal(byName.get('put-SHA256')?.declaredChecksum, 'SHA256');
  assert.equal(byName.get('put-signed')?.authenticated.payload.kind, 'sha256');
  assert.equal(byName.get('put-plain')?.declaredChecksum, null);
  assert.ok(byName.get('put-date')?.headers.date);
  assert.equal(byName.get('put-date')?.headers['x-amz-date'], undefined);
  assert.ok(byName.get('presigned-put')?.authenticated.presigned);
});

test('our signatures are the ones botocore makes', { skip }, async () => {
  const keys = ['plain', 'a b+c', "odd/(1)!*'~_-.&=?#%€", '//x/../y/./', 'ключ', '\u{1f600}', '%2F', 'a%20b'];
  const cases = keys.map((key, i) => ({
    method: ['GET', 'PUT', 'DELETE'][i % 3]!,
    path: `/bucket/${encodePath(key)}`,
    query: encodeQuery({ prefix: key, 'list-type': '2', a: '', 'a-b': ' +~*' }),
    headers: { host: 'h.example:9000', 'x-amz-meta-a': `  v  ${i}   w `, 'content-type': 'text/plain' },
    body: i % 2 ? `body ${i}` : '',
  }));
  const input = cases.map(({ method, path, query, headers, body }) => ({
    method,
    url: `http://h.example:9000${path}?${query}`,
    headers,
    body,
  }));
  const args = [credentials.accessKeyId, credentials.secretAccessKey];
  const theirs = JSON.parse(await python('botocore-sign.py', args, JSON.stringify(input))) as Record<
    string,
    string
  >[];
  for (const [i, each] of cases.entries()) {
    const ours = signRequest({
      ...each,
      payload: Buffer.from(each.body),
      credentials,
      region: 'eu-west-1',
      service: 's3',
      nowMs: parseIsoBasic(theirs[i]!['X-Amz-Date']!)!,
    });
    assert.equal(ours.headers.authorization, theirs[i]!.Authorization, each.path);
  }
});
