/** Which actions each operation asks about: all of them are S3's, and these are the ones that AWS documents. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  BUCKET_ACTIONS,
  OBJECT_ACTIONS,
  SERVICE_ACTIONS,
} from '../../../../src/identity/policy/s3-actions.ts';
import { actionsOf } from '../../../../src/s3api/access/actions.ts';
import { OPERATIONS } from '../../../../src/s3api/table.ts';

const row = (name: string) => OPERATIONS.find((operation) => operation.name === name)!;
const ask = (
  name: string,
  headers: Record<string, string> = {},
  query: Record<string, string> = {},
): string =>
  actionsOf(row(name), headers, new Map(Object.entries(query)), 'me')
    .map((action) => action.replace('s3:', ''))
    .join(' ');

describe('the actions of operations', () => {
  it('are actions of S3 (in any case) about what the operation is about', () => {
    for (const operation of OPERATIONS) {
      if (
        !operation.permission.startsWith('s3:') ||
        operation.status === 'unsupported' ||
        operation.method === 'OPTIONS'
      )
        continue;
      const lists =
        operation.target === 'object'
          ? OBJECT_ACTIONS
          : operation.target === 'service'
            ? SERVICE_ACTIONS
            : BUCKET_ACTIONS;
      const named = [...lists, ...(operation.asksItself ? OBJECT_ACTIONS : [])].map((name) =>
        name.toLowerCase(),
      );
      for (const versionId of [undefined, 'v1'])
        for (const action of actionsOf(
          operation,
          {},
          new Map(versionId ? [['versionId', versionId]] : []),
          'me',
        ))
          assert.ok(named.includes(action.slice(3).toLowerCase()), `${operation.name} asks about ${action}`);
    }
  });

  const v = { versionId: 'v1' };
  const cases: [string, Record<string, string>, Record<string, string>, string][] = [
    ['GetObject', {}, {}, 'GetObject'],
    ['GetObject', {}, v, 'GetObjectVersion'],
    ['HeadObject', {}, v, 'GetObjectVersion'],
    ['HeadBucket', {}, {}, 'ListBucket'],
    ['GetObjectAttributes', {}, {}, 'GetObjectAttributes GetObject'],
    ['GetObjectAttributes', {}, v, 'GetObjectVersionAttributes GetObjectVersion'],
    ['GetObjectAcl', {}, v, 'GetObjectVersionAcl'],
    ['PutObjectTagging', {}, v, 'PutObjectVersionTagging'],
    ['DeleteObjectTagging', {}, v, 'DeleteObjectVersionTagging'],
    ['DeleteObject', {}, {}, 'DeleteObject'],
    ['DeleteObject', {}, v, 'DeleteObjectVersion'],
    ['DeleteObject', { 'if-match': '"x"' }, {}, 'DeleteObject GetObject'],
    ['PutObject', {}, {}, 'PutObject'],
    ['PutObject', { 'x-amz-tagging': 'a=b' }, {}, 'PutObject PutObjectTagging'],
    ['PutObject', { 'x-amz-acl': 'private' }, {}, 'PutObject'],
    ['PutObject', { 'x-amz-acl': 'bucket-owner-full-control' }, {}, 'PutObject'],
    ['PutObject', { 'x-amz-acl': 'public-read' }, {}, 'PutObject PutObjectAcl'],
    ['PutObject', { 'x-amz-grant-full-control': 'id="me"' }, {}, 'PutObject'],
    ['PutObject', { 'x-amz-grant-full-control': 'id=me, id=you' }, {}, 'PutObject PutObjectAcl'],
    ['PutObject', { 'x-amz-grant-read': 'uri=http://x' }, {}, 'PutObject PutObjectAcl'],
    ['PutObject', { 'if-match': '"x"' }, {}, 'PutObject GetObject'],
    ['PutObject', { 'if-none-match': '*' }, {}, 'PutObject'],
    ['CopyObject', { 'x-amz-tagging': 'a=b' }, {}, 'PutObject PutObjectTagging'],
    ['CreateMultipartUpload', {}, {}, 'PutObject'],
    ['UploadPart', {}, {}, 'PutObject'],
    ['UploadPartCopy', {}, {}, 'PutObject'],
    ['CompleteMultipartUpload', {}, {}, 'PutObject'],
    ['AbortMultipartUpload', {}, {}, 'AbortMultipartUpload'],
    ['ListParts', {}, {}, 'ListMultipartUploadParts'],
    ['ListMultipartUploads', {}, {}, 'ListBucketMultipartUploads'],
    ['ListObjectVersions', {}, {}, 'ListBucketVersions'],
    ['ListObjects', {}, {}, 'ListBucket'],
    ['ListObjectsV2', {}, {}, 'ListBucket'],
    ['ListBuckets', {}, {}, 'ListAllMyBuckets'],
    ['CreateBucket', {}, {}, 'CreateBucket'],
    ['CreateBucket', { 'x-amz-acl': 'public-read' }, {}, 'CreateBucket PutBucketAcl'],
    [
      'CreateBucket',
      { 'x-amz-object-ownership': 'ObjectWriter' },
      {},
      'CreateBucket PutBucketOwnershipControls',
    ],
    [
      'CreateBucket',
      { 'x-amz-bucket-object-lock-enabled': 'true' },
      {},
      'CreateBucket PutBucketObjectLockConfiguration PutBucketVersioning',
    ],
    ['GetBucketEncryption', {}, {}, 'GetEncryptionConfiguration'],
    ['PutBucketEncryption', {}, {}, 'PutEncryptionConfiguration'],
    ['DeleteBucketLifecycle', {}, {}, 'PutLifecycleConfiguration'],
    ['GetBucketNotificationConfiguration', {}, {}, 'GetBucketNotification'],
    ['PutBucketCors', {}, {}, 'PutBucketCORS'],
    ['DeletePublicAccessBlock', {}, {}, 'PutBucketPublicAccessBlock'],
    ['GetObjectLockConfiguration', {}, {}, 'GetBucketObjectLockConfiguration'],
  ];
  for (const [name, headers, query, expected] of cases)
    it(`${name} ${JSON.stringify(headers)} ${JSON.stringify(query)} asks about ${expected}`, () =>
      assert.equal(ask(name, headers, query), expected));
});
