/**
 * Every operation of the S3 API that this release does not do, as a row: 501 NotImplemented, for those who may use the
 * bucket. When one is built, its line moves to a file of its own. Source: "Amazon S3 API operations", Amazon S3 API Reference.
 */
import type { OperationRow, Target } from '../operation.ts';

type Line = readonly [name: string, method: OperationRow['method'], query: string, permission?: string];

/** `query` names the keys, separated by blanks; `key=value` demands the value, `@name` a header. */
function rows(target: Target, lines: readonly Line[]): OperationRow[] {
  return lines.map(([name, method, query, permission]) => {
    const words = query.split(' ').filter((word) => word !== '');
    const headers = words.filter((word) => word.startsWith('@')).map((word) => word.slice(1));
    const keys = words
      .filter((word) => !word.startsWith('@'))
      .map((word): [string, string | true] => {
        const [key = '', value] = word.split('=');
        return [key, value ?? true];
      });
    return {
      name,
      method,
      target,
      query: Object.fromEntries(keys),
      headers,
      permission: permission ?? `s3:${name}`,
      body: 'none',
      status: 'unsupported',
    };
  });
}

const SERVICE: readonly Line[] = [
  ['ListDirectoryBuckets', 'GET', 'x-id=ListDirectoryBuckets', 's3express:ListAllMyDirectoryBuckets'],
];

const BUCKET: readonly Line[] = [
  ['WriteGetObjectResponse', 'POST', '@x-amz-request-route', 's3-object-lambda:WriteGetObjectResponse'],
  ['CreateSession', 'GET', 'session', 's3express:CreateSession'],
  ['PutBucketAnalyticsConfiguration', 'PUT', 'analytics', 's3:PutAnalyticsConfiguration'],
  [
    'PutBucketIntelligentTieringConfiguration',
    'PUT',
    'intelligent-tiering',
    's3:PutIntelligentTieringConfiguration',
  ],
  ['PutBucketInventoryConfiguration', 'PUT', 'inventory', 's3:PutInventoryConfiguration'],
  [
    'GetBucketMetadataConfiguration',
    'GET',
    'metadataConfiguration',
    's3:GetBucketMetadataTableConfiguration',
  ],
  [
    'CreateBucketMetadataConfiguration',
    'POST',
    'metadataConfiguration',
    's3:CreateBucketMetadataTableConfiguration',
  ],
  [
    'DeleteBucketMetadataConfiguration',
    'DELETE',
    'metadataConfiguration',
    's3:DeleteBucketMetadataTableConfiguration',
  ],
  ['GetBucketMetadataTableConfiguration', 'GET', 'metadataTable'],
  ['CreateBucketMetadataTableConfiguration', 'POST', 'metadataTable'],
  ['DeleteBucketMetadataTableConfiguration', 'DELETE', 'metadataTable'],
  ['UpdateBucketMetadataAnnotationTableConfiguration', 'PUT', 'metadataAnnotationTable'],
  ['UpdateBucketMetadataInventoryTableConfiguration', 'PUT', 'metadataInventoryTable'],
  ['UpdateBucketMetadataJournalTableConfiguration', 'PUT', 'metadataJournalTable'],
  ['PutBucketMetricsConfiguration', 'PUT', 'metrics', 's3:PutMetricsConfiguration'],
  ['PutBucketReplication', 'PUT', 'replication', 's3:PutReplicationConfiguration'],
];

const OBJECT: readonly Line[] = [
  ['ListObjectAnnotations', 'GET', 'annotation'],
  ['GetObjectAnnotation', 'GET', 'annotation x-id=GetObjectAnnotation'],
  ['PutObjectAnnotation', 'PUT', 'annotation'],
  ['DeleteObjectAnnotation', 'DELETE', 'annotation'],
  ['AppendObject', 'POST', 'append', 's3:PutObject'],
  ['UpdateObjectEncryption', 'PUT', 'encryption'],
  ['RenameObject', 'PUT', 'renameObject', 's3:PutObject'],
  ['RestoreObject', 'POST', 'restore'],
  ['SelectObjectContent', 'POST', 'select', 's3:GetObject'],
  ['GetObjectTorrent', 'GET', 'torrent'],
];

export const UNSUPPORTED: readonly OperationRow[] = [
  ...rows('service', SERVICE),
  ...rows('bucket', BUCKET),
  ...rows('object', OBJECT),
];
