/**
 * Reads of bucket settings that this release cannot set: each gives what AWS answers when nothing has been set.
 * Source: the error and response sections of each operation, Amazon S3 API Reference.
 */
import { S3Error, type S3ErrorCode } from '../errors.ts';
import type { OperationRow } from '../operation.ts';
import { tag, xmlDocument } from '../xml.ts';

/** The row answers with this document. */
function empty(name: string, subresource: string, permission: string, document: string): OperationRow {
  return {
    name,
    method: 'GET',
    target: 'bucket',
    query: { [subresource]: true },
    permission,
    body: 'none',
    status: 'not-set',
    run: async () => ({ status: 200, body: document }),
  };
}

/** The row answers with this error. */
function missing(name: string, subresource: string, permission: string, code: S3ErrorCode): OperationRow {
  return {
    ...empty(name, subresource, permission, ''),
    run: async ({ bucketName }) => {
      throw new S3Error(code, { fields: { BucketName: bucketName } });
    },
  };
}

/** Lists of configurations of which there is none. */
const noneListed = (name: string, subresource: string, permission: string, root: string): OperationRow =>
  empty(name, subresource, permission, xmlDocument(root, tag('IsTruncated', false)));

/** One configuration by its id; there is none. */
const noneNamed = (name: string, subresource: string, permission: string): OperationRow => ({
  ...missing(name, subresource, permission, 'NoSuchConfiguration'),
  query: { [subresource]: true, id: true },
});

export const NOT_SET: readonly OperationRow[] = [
  missing(
    'GetBucketReplication',
    'replication',
    's3:GetReplicationConfiguration',
    'ReplicationConfigurationNotFoundError',
  ),
  empty(
    'GetBucketRequestPayment',
    'requestPayment',
    's3:GetBucketRequestPayment',
    xmlDocument('RequestPaymentConfiguration', tag('Payer', 'BucketOwner')),
  ),
  empty('GetBucketLogging', 'logging', 's3:GetBucketLogging', xmlDocument('BucketLoggingStatus', '')),
  noneListed(
    'ListBucketAnalyticsConfigurations',
    'analytics',
    's3:GetAnalyticsConfiguration',
    'ListBucketAnalyticsConfigurationResult',
  ),
  noneListed(
    'ListBucketIntelligentTieringConfigurations',
    'intelligent-tiering',
    's3:GetIntelligentTieringConfiguration',
    'ListBucketIntelligentTieringConfigurationsResult',
  ),
  noneListed(
    'ListBucketInventoryConfigurations',
    'inventory',
    's3:GetInventoryConfiguration',
    'ListInventoryConfigurationsResult',
  ),
  noneListed(
    'ListBucketMetricsConfigurations',
    'metrics',
    's3:GetMetricsConfiguration',
    'ListMetricsConfigurationsResult',
  ),
  noneNamed('GetBucketAnalyticsConfiguration', 'analytics', 's3:GetAnalyticsConfiguration'),
  noneNamed(
    'GetBucketIntelligentTieringConfiguration',
    'intelligent-tiering',
    's3:GetIntelligentTieringConfiguration',
  ),
  noneNamed('GetBucketInventoryConfiguration', 'inventory', 's3:GetInventoryConfiguration'),
  noneNamed('GetBucketMetricsConfiguration', 'metrics', 's3:GetMetricsConfiguration'),
];
