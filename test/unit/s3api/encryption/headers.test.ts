/** What requests may say about encryption, and AWS's words for what they may not. */
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { describe, it } from 'node:test';
import {
  customerKeyOf,
  type Headers,
  takesEncryptionHeader,
  wishOf,
} from '../../../../src/s3api/encryption/headers.ts';
import { keyOfRequest, sealUnder } from '../../../../src/s3api/encryption/object-encryption.ts';
import { S3Error } from '../../../../src/s3api/errors.ts';

const SSE = 'x-amz-server-side-encryption';
const key = randomBytes(32);
const md5 = (bytes: Buffer) => createHash('md5').update(bytes).digest('base64');
const CUSTOMER = {
  [`${SSE}-customer-algorithm`]: 'AES256',
  [`${SSE}-customer-key`]: key.toString('base64'),
  [`${SSE}-customer-key-md5`]: md5(key),
};
const without = (headers: Headers, ...names: string[]): Headers =>
  Object.fromEntries(Object.entries(headers).filter(([name]) => !names.some((end) => name.endsWith(end))));
const refused = (work: () => unknown, code: string, message: RegExp) =>
  assert.throws(work, (error) => {
    assert.ok(error instanceof S3Error, String(error));
    assert.equal(error.code, code);
    assert.match(error.message, message);
    return true;
  });

describe("a client's key", () => {
  it('is taken whole, for the object and for the source of a copy', () => {
    assert.equal(customerKeyOf({}), null);
    assert.ok(customerKeyOf(CUSTOMER)?.key.equals(key));
    assert.equal(customerKeyOf(CUSTOMER, 'copy-source'), null);
    const source = Object.fromEntries(
      Object.entries(CUSTOMER).map(([name, value]) => [name.replace('x-amz-', 'x-amz-copy-source-'), value]),
    );
    assert.ok(customerKeyOf(source, 'copy-source')?.key.equals(key));
  });

  it('is refused where a part of it is missing or wrong', () => {
    const wrong: [Headers, string, RegExp][] = [
      [without(CUSTOMER, '-algorithm'), 'InvalidArgument', /valid encryption algorithm/],
      [without(CUSTOMER, '-key'), 'InvalidArgument', /appropriate secret key/],
      [without(CUSTOMER, '-md5'), 'InvalidArgument', /client calculated MD5/],
      [{ ...CUSTOMER, [`${SSE}-customer-algorithm`]: 'AES128' }, 'InvalidEncryptionAlgorithmError', /AES256/],
      [
        { ...CUSTOMER, [`${SSE}-customer-key-md5`]: md5(Buffer.from('x')) },
        'InvalidArgument',
        /did not match/,
      ],
      [{ ...CUSTOMER, [`${SSE}-customer-key-md5`]: 'x' }, 'InvalidArgument', /did not match/],
    ];
    for (const text of ['c2hvcnQ=', '', '*'.repeat(44), `${key.toString('base64')}\n`])
      wrong.push([
        { ...CUSTOMER, [`${SSE}-customer-key`]: text },
        'InvalidArgument',
        /secret key was invalid/,
      ]);
    for (const [headers, code, message] of wrong) refused(() => customerKeyOf(headers), code, message);
  });

  it('over plain HTTP from elsewhere is refused, unless the operator allows it', () => {
    const ctx = (ip: string, secure: boolean, plainHttp = false) =>
      ({
        headers: CUSTOMER,
        bucket: { settings: {} },
        ...{ bucketName: 'b', key: 'k', origin: { ip, secure }, services: { encryption: { plainHttp } } },
      }) as unknown as Parameters<typeof sealUnder>[0];
    for (const allowed of [
      ctx('127.0.0.1', false),
      ctx('::1', false),
      ctx('10.1.1.1', true),
      ctx('10.1.1.1', false, true),
    ])
      assert.equal(sealUnder(allowed)?.algorithm, 'SSE-C');
    refused(() => sealUnder(ctx('10.1.1.1', false)), 'InvalidRequest', /secure connection/);
    refused(() => keyOfRequest(ctx('10.1.1.1', false), undefined), 'InvalidRequest', /secure connection/);
  });
});

describe('what a write asks for', () => {
  const kms = { [SSE]: 'aws:kms', [`${SSE}-aws-kms-key-id`]: 'id' };
  const json = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64');

  it('is one way of encryption', () => {
    assert.equal(wishOf({}), null);
    assert.deepEqual(wishOf({ [SSE]: 'AES256' }), { algorithm: 'AES256' });
    assert.equal(wishOf(CUSTOMER)?.algorithm, 'SSE-C');
    assert.deepEqual(
      wishOf({ ...kms, [`${SSE}-bucket-key-enabled`]: 'true', [`${SSE}-context`]: json({ a: 'b' }) }),
      {
        ...{ algorithm: 'aws:kms', keyId: 'id', bucketKey: true },
        context: { a: 'b' },
      },
    );
  });

  it('is refused where it asks for two, for what is not known, or for half', () => {
    const wrong: [Headers, RegExp][] = [
      [{ ...CUSTOMER, [SSE]: 'AES256' }, /incompatible/],
      [{ ...CUSTOMER, ...kms }, /incompatible/],
      [{ ...kms, [SSE]: 'AES256' }, /requires HTTP header/],
      [without(kms, 'encryption'), /requires HTTP header/],
      [{ [SSE]: 'aes:kms' }, /method specified is not supported/],
      [{ [SSE]: 'AES192' }, /method specified is not supported/],
      [{ ...kms, [`${SSE}-bucket-key-enabled`]: 'maybe' }, /true or false/],
    ];
    for (const context of ['{}', json([]), json({ a: 1 }), json({ a: '\0' }), json('a'), '!!!!'])
      wrong.push([{ ...kms, [`${SSE}-context`]: context }, /Base64-encoded UTF-8 JSON/]);
    for (const [headers, message] of wrong) refused(() => wishOf(headers), 'InvalidArgument', message);
    refused(() => wishOf({ [SSE]: 'aws:kms:dsse' }), 'NotImplemented', /aws:kms:dsse/);
  });
});

describe('headers about encryption', () => {
  it('stand where AWS takes them; on reads they are an error, elsewhere not implemented', () => {
    for (const operation of [
      'PutObject',
      'CopyObject',
      'CreateMultipartUpload',
      'UploadPart',
      'CompleteMultipartUpload',
    ])
      assert.ok(takesEncryptionHeader(operation, SSE));
    for (const operation of ['GetObject', 'HeadObject', 'UploadPartCopy', 'GetObjectAttributes'])
      assert.ok(takesEncryptionHeader(operation, `${SSE}-customer-key`));
    assert.ok(takesEncryptionHeader('CopyObject', 'x-amz-copy-source-server-side-encryption-customer-key'));
    refused(
      () => takesEncryptionHeader('GetObject', SSE),
      'InvalidArgument',
      /not supported for this operation/,
    );
    for (const [operation, name] of [
      ['DeleteObject', SSE],
      ['PutObject', `${SSE}-future`],
      ['PutObject', 'x-amz-copy-source-server-side-encryption-customer-key'],
      ['PutObjectTagging', `${SSE}-customer-key`],
    ] as const)
      assert.equal(takesEncryptionHeader(operation, name), false, `${operation} ${name}`);
  });
});
