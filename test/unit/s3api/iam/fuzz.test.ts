/** Whatever is signed and sent to the query APIs gets an answer that is AWS's or a clean 4xx (or 501), never a fault of ours. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import fc from 'fast-check';
import { encodeQuery } from '../../../../src/identity/sign.ts';
import { QUERY_ACTIONS } from '../../../../src/s3api/iam/table.ts';
import { type SignedFront, startSignedFront } from '../../../model/signed-front.ts';

const KEYS = [...new Set(QUERY_ACTIONS.flatMap((action) => action.parameters))];
const MEMBERS = ['Tags.member.1.Key', 'Tags.member.1.Value', 'TagKeys.member.1', 'Tags.member.0'];
const value = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 40 }),
  fc.constantFrom('', 'ann', '/', '/a/', '0', '-1', '1e3', '__proto__', 'AA', '\0', 'Active', '*'),
  fc.constantFrom('arn:aws:iam::alice:role/r', 'arn:aws:iam::::role//', 'arn:aws:iam::alice:role/x/../r'),
  fc.constantFrom(
    '{}',
    '[]',
    '{"Statement":[{}]}',
    '{"Version":"2012-10-17","Statement":{"Effect":"Allow"}}',
  ),
  fc.json({ maxDepth: 4 }),
);
const parameters = fc.dictionary(fc.constantFrom(...KEYS, ...MEMBERS), value, { maxKeys: 6 });

describe('requests of every kind', () => {
  let front: SignedFront;
  before(async () => {
    front = await startSignedFront();
    await front.query(front.keys.alice, 'CreateUser', { UserName: 'ann' });
  });
  after(() => front.close());

  it('of known actions are answered', async () => {
    const action = fc.constantFrom(...QUERY_ACTIONS.map(({ name }) => name));
    await fc.assert(
      fc.asyncProperty(action, parameters, async (name, given) => {
        const answer = await front.query(front.keys.alice, name, given);
        assert.ok(answer.status < 500 || answer.status === 501, answer.text);
        assert.match(answer.text, /<RequestId>[0-9a-f-]{36}<\/RequestId>/);
      }),
      { numRuns: 100 },
    );
  });

  it('of bytes are answered', async () => {
    const body = fc.oneof(
      fc.uint8Array({ maxLength: 200 }),
      parameters.map((given) => Buffer.from(`Action=%GG&${encodeQuery(given)}&%`)),
    );
    await fc.assert(
      fc.asyncProperty(body, async (bytes) => {
        const headers = { 'content-type': 'application/x-www-form-urlencoded' };
        const { status } = await fetch(front.url, { method: 'POST', headers, body: new Uint8Array(bytes) });
        assert.ok(status >= 400 && (status < 500 || status === 501));
      }),
      { numRuns: 40 },
    );
  });
});
