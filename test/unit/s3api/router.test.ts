/** The operation table and its router: no ties, no fall-through, and every command of the AWS SDK finds its own row. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { S3Error } from '../../../src/s3api/errors.ts';
import type { OperationRow, Target } from '../../../src/s3api/operation.ts';
import { createRouter, findTies, SUBRESOURCES } from '../../../src/s3api/router.ts';
import { OPERATIONS } from '../../../src/s3api/table.ts';
import { parseQuery } from '../../../src/s3api/target.ts';
import { sdkRequests } from './sdk-requests.ts';

const router = createRouter(OPERATIONS);
const METHODS = ['GET', 'HEAD', 'PUT', 'POST', 'DELETE', 'OPTIONS'] as const;
const TARGETS: readonly Target[] = ['service', 'bucket', 'object'];

const lead = (method: string, target: Target, query = '', headers: Record<string, string> = {}) => {
  try {
    return router.match({ method, target, query: parseQuery(query), headers }).name;
  } catch (error) {
    if (error instanceof S3Error) return error.code;
    throw error;
  }
};
const row = (over: Partial<OperationRow>): OperationRow => ({
  name: 'A',
  method: 'GET',
  target: 'bucket',
  permission: 's3:A',
  body: 'none',
  status: 'unsupported',
  ...over,
});

describe('the operation table', () => {
  it('has no two rows that tie for a request', () => assert.deepEqual(findTies(OPERATIONS), []));

  it('would notice a tie at start-up', () => {
    const tied = [row({ query: { acl: true } }), row({ name: 'B', query: { acl: true } })];
    assert.throws(() => createRouter(tied), /A and B tie/);
    const headers = [row({ headers: ['x-a'] }), row({ name: 'B', headers: ['x-b'] })];
    assert.throws(() => createRouter(headers), /tie/);
    const values = [row({ query: { t: '1' } }), row({ name: 'B', query: { t: '2' } })];
    assert.doesNotThrow(() => createRouter(values));
    assert.throws(() => createRouter([row({}), row({ query: { acl: true } })]), /stands twice/);
    assert.throws(() => createRouter([row({ status: 'supported' })]), /run does not fit/);
  });

  it('names only subresources that the router knows', () => {
    const parameters = new Set(['list-type', 'x-id', 'id']);
    for (const { name, query } of OPERATIONS)
      for (const key of Object.keys(query ?? {}))
        assert.ok(SUBRESOURCES.has(key) || parameters.has(key), `${name}: ${key}`);
  });

  it('leads every request that a row describes to that row', () => {
    for (const { name, method, target, query, headers } of OPERATIONS) {
      const pairs = Object.entries(query ?? {}).map(
        ([key, value]) => `${key}=${value === true ? 'v' : value}`,
      );
      const sent = Object.fromEntries((headers ?? []).map((header) => [header, 'v']));
      assert.equal(lead(method, target, pairs.join('&'), sent), name);
    }
  });
});

describe('the router', () => {
  it('never lets a subresource fall through to an operation without it', () => {
    const plain = new Set(
      OPERATIONS.filter((o) => Object.keys(o.query ?? {}).length === 0).map((o) => o.name),
    );
    // A preflight is about the request that follows, whatever that asks for.
    for (const method of METHODS.filter((name) => name !== 'OPTIONS'))
      for (const target of TARGETS)
        for (const key of SUBRESOURCES) {
          if (key === 'partNumber' && (method === 'GET' || method === 'HEAD')) continue;
          const name = lead(method, target, key);
          assert.ok(!plain.has(name), `${method} ${target} ?${key} leads to ${name}`);
        }
  });

  it('refuses two subresources at once, in any order', () => {
    assert.equal(lead('GET', 'bucket', 'acl&policy'), 'InvalidArgument');
    assert.equal(lead('PUT', 'object', 'tagging&acl'), 'InvalidArgument');
    assert.equal(lead('PUT', 'object', 'uploadId=u&acl&partNumber=1'), 'InvalidArgument');
  });

  it('ignores what is no subresource, as AWS does', () => {
    assert.equal(lead('PUT', 'object', 'foo'), 'PutObject');
    assert.equal(lead('GET', 'object', 'versionId=1&partNumber=2&response-content-type=a'), 'GetObject');
    assert.equal(lead('GET', 'bucket', 'list-type=1&prefix=acl'), 'ListObjects');
    assert.equal(lead('GET', 'bucket', 'list-type=2&prefix=a'), 'ListObjectsV2');
  });

  it('tells a copy by its header, of objects and of parts', () => {
    const copy = { 'x-amz-copy-source': 'b/k' };
    assert.equal(lead('PUT', 'object', '', copy), 'CopyObject');
    assert.equal(lead('PUT', 'object', 'partNumber=1&uploadId=u', copy), 'UploadPartCopy');
    assert.equal(lead('PUT', 'object', 'partNumber=1&uploadId=u'), 'UploadPart');
  });

  it('never stores an object for half an upload part', () => {
    assert.equal(lead('PUT', 'object', 'partNumber=1'), 'InvalidArgument');
    assert.equal(lead('PUT', 'object', 'uploadId=u'), 'MethodNotAllowed');
  });

  it('answers 405 for methods that a target does not have', () => {
    assert.equal(lead('POST', 'object'), 'MethodNotAllowed');
    assert.equal(lead('PATCH', 'object'), 'MethodNotAllowed');
    assert.equal(lead('DELETE', 'service'), 'MethodNotAllowed');
    assert.equal(lead('DELETE', 'bucket', 'acl'), 'MethodNotAllowed');
  });
});

describe('the AWS SDK', () => {
  it('has a row for each of its commands, and its request leads there', async () => {
    const requests = await sdkRequests();
    assert.ok(requests.length > 100);
    // An address of its own, or a name of its own for the same request.
    const elsewhere: Record<string, string> = { ListDirectoryBuckets: 'CreateSession' };
    for (const { command, method, target, query, headers } of requests) {
      assert.ok(
        OPERATIONS.some((o) => o.name === command),
        `no row for ${command}`,
      );
      assert.equal(
        lead(method, target, query, headers),
        elsewhere[command] ?? command,
        `${method} ?${query}`,
      );
    }
  });
});
