/** docs/iam.md and the table of actions say the same; which requests the query APIs take from S3. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { QUERY_ACTIONS } from '../../../../src/s3api/iam/table.ts';
import { type SignedFront, startSignedFront } from '../../../model/signed-front.ts';

describe('docs/iam.md', () => {
  it('has every action, and no other', () => {
    const text = readFileSync(join(import.meta.dirname, '../../../../docs/iam.md'), 'utf8');
    const table = text.slice(text.indexOf('## Actions'), text.indexOf('A user or role is deleted'));
    const cells = [...table.matchAll(/^\| (`.*?) \|/gm)].map(([, cell]) => cell!);
    const named = cells.flatMap((cell) => [...cell.matchAll(/`(\w+)`/g)].map(([, name]) => name!));
    assert.deepEqual(named.toSorted(), QUERY_ACTIONS.map((action) => action.name).toSorted());
  });
});

describe('the root of the S3 port', () => {
  let front: SignedFront;
  before(async () => {
    front = await startSignedFront();
  });
  after(() => front.close());
  const send = async (method: string, path: string, headers: Record<string, string> = {}, body?: string) => {
    const response = await fetch(front.url + path, { method, headers, ...(body !== undefined && { body }) });
    const text = await response.text();
    return { status: response.status, text, code: /<Code>(\w+)</.exec(text)?.[1] };
  };
  const FORM = { 'content-type': 'application/x-www-form-urlencoded' };

  it('is S3, but for forms and for queries with an action and a version', async () => {
    assert.equal((await send('GET', '/?Action=x')).text.includes('ErrorResponse'), false);
    assert.equal(
      (await send('POST', '/', { 'content-type': 'application/json' }, '{}')).code,
      'MethodNotAllowed',
    );
    assert.equal(
      (await send('GET', '/?Action=ListUsers&Version=2010-05-08')).code,
      'MissingAuthenticationToken',
    );
    assert.equal(
      (await send('GET', '/b?Action=ListUsers&Version=2010-05-08')).text.includes('ErrorResponse'),
      false,
    );
    assert.equal((await send('POST', '/', FORM, '')).code, 'MissingAction');
    assert.equal((await send('POST', '/', FORM, 'Action=ListUsers')).code, 'InvalidAction');
    assert.equal((await send('POST', '/', FORM, 'Action=<x>&Version=1')).code, 'InvalidAction');
  });

  it('is bounded', async () => {
    assert.equal(
      (await send('POST', '/', FORM, `Action=ListUsers&x=${'y'.repeat(600_000)}`)).code,
      'MalformedInput',
    );
    const many = Array.from({ length: 600 }, (_, i) => `p${i}=1`).join('&');
    assert.equal((await send('POST', '/', FORM, many)).code, 'MalformedInput');
  });

  it('believes a body only as it was signed', async () => {
    const { alice } = front.keys;
    const { status } = await front.query(alice, 'ListUsers');
    assert.equal(status, 200);
    const headers = {
      ...FORM,
      authorization:
        'AWS4-HMAC-SHA256 Credential=AKIAALICE/20260101/us-east-1/iam/aws4_request, SignedHeaders=host, Signature=0',
      'x-amz-date': '20260101T000000Z',
    };
    assert.equal(
      (await send('POST', '/', headers, 'Action=ListUsers&Version=2010-05-08')).code,
      'SignatureDoesNotMatch',
    );
  });
});
