/**
 * Settings of buckets that only have their default here: what names the default is taken, as clients and Terraform set it again
 * and again, and whatever would change something is 501. Deleting what cannot be set gives what AWS answers when it is not set.
 * Source: the request syntax and errors of each operation, Amazon S3 API Reference.
 */
import { S3Error } from '../errors.ts';
import { notImplemented } from '../meaning.ts';
import type { OperationContext, OperationRow } from '../operation.ts';
import { settle } from '../outcomes.ts';
import { tag, xmlDocument } from '../xml.ts';
import { childText, malformedXml, parseDocument } from '../xml-reader.ts';

const bucketRow = (
  name: string,
  method: OperationRow['method'],
  subresource: string,
  permission: string,
  run: NonNullable<OperationRow['run']>,
): OperationRow => ({
  ...{ name, method, target: 'bucket', query: { [subresource]: true }, permission, run },
  ...{ body: method === 'PUT' ? 'xml' : 'none', status: 'not-set' },
});

/** The word of a document that has one. @throws {S3Error} MalformedXML; NotImplemented for one that is not the default */
function requireDefault(text: string, root: string, leaf: string, byDefault: string, others: string[]): void {
  const word = childText(parseDocument(text, root, [leaf]), leaf)?.trim();
  if (word === byDefault) return;
  if (word === undefined || !others.includes(word)) throw malformedXml();
  throw notImplemented(`${leaf} ${word}`);
}

const putRequestPayment = bucketRow(
  'PutBucketRequestPayment',
  'PUT',
  'requestPayment',
  's3:PutBucketRequestPayment',
  async ({ text }) => {
    requireDefault(text, 'RequestPaymentConfiguration', 'Payer', 'BucketOwner', ['Requester']);
    return { status: 200 };
  },
);

/** The bucket's setting that remembers that it has been suspended: then it is shown, which it is not before. */
const ACCELERATE = 'accelerate';

const getAccelerate = bucketRow(
  'GetBucketAccelerateConfiguration',
  'GET',
  'accelerate',
  's3:GetAccelerateConfiguration',
  async ({ bucket }) => {
    const isSet = bucket!.settings[ACCELERATE] !== undefined;
    return {
      status: 200,
      body: xmlDocument('AccelerateConfiguration', isSet ? tag('Status', 'Suspended') : ''),
    };
  },
);

const putAccelerate = bucketRow(
  'PutBucketAccelerateConfiguration',
  'PUT',
  'accelerate',
  's3:PutAccelerateConfiguration',
  async (ctx: OperationContext) => {
    requireDefault(ctx.text, 'AccelerateConfiguration', 'Status', 'Suspended', ['Enabled']);
    const { catalog } = ctx.services;
    const outcome = await catalog.setBucketSetting(ctx.bucket!.id, ACCELERATE, { status: 'Suspended' });
    settle(outcome, () => new S3Error('NoSuchBucket', { fields: { BucketName: ctx.bucketName } }));
    return { status: 200 };
  },
);

const putLogging = bucketRow(
  'PutBucketLogging',
  'PUT',
  'logging',
  's3:PutBucketLogging',
  async ({ text }) => {
    const { children } = parseDocument(text, 'BucketLoggingStatus', ['LoggingEnabled']);
    if (children.length > 0) throw notImplemented('LoggingEnabled');
    return { status: 200 };
  },
);

const getAbac = bucketRow('GetBucketAbac', 'GET', 'abac', 's3:GetBucketABAC', async () => ({
  status: 200,
  body: xmlDocument('AbacStatus', tag('Status', 'Disabled')),
}));

const putAbac = bucketRow('PutBucketAbac', 'PUT', 'abac', 's3:PutBucketABAC', async ({ text }) => {
  requireDefault(text, 'AbacStatus', 'Status', 'Disabled', ['Enabled']);
  return { status: 200 };
});

const deleteReplication = bucketRow(
  'DeleteBucketReplication',
  'DELETE',
  'replication',
  's3:PutReplicationConfiguration',
  async () => ({ status: 204 }),
);

const deleteNone = (name: string, subresource: string, permission: string): OperationRow =>
  bucketRow(name, 'DELETE', subresource, permission, async ({ bucketName }) => {
    throw new S3Error('NoSuchConfiguration', { fields: { BucketName: bucketName } });
  });

export const DEFAULTS: readonly OperationRow[] = [
  putRequestPayment,
  getAccelerate,
  putAccelerate,
  putLogging,
  getAbac,
  putAbac,
  deleteReplication,
  deleteNone('DeleteBucketAnalyticsConfiguration', 'analytics', 's3:PutAnalyticsConfiguration'),
  deleteNone(
    'DeleteBucketIntelligentTieringConfiguration',
    'intelligent-tiering',
    's3:PutIntelligentTieringConfiguration',
  ),
  deleteNone('DeleteBucketInventoryConfiguration', 'inventory', 's3:PutInventoryConfiguration'),
  deleteNone('DeleteBucketMetricsConfiguration', 'metrics', 's3:PutMetricsConfiguration'),
];
