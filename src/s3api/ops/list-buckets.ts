/** ListBuckets: the buckets of the account that asks, by name. */
import { invalidArgument, makeToken, optional, readToken } from '../list-parameters.ts';
import type { OperationContext, OperationResult, OperationRow } from '../operation.ts';
import { loadOwners, ownerXml } from '../owners.ts';
import { tag, wrap, xmlDate, xmlDocument } from '../xml.ts';

export const listBuckets: OperationRow = {
  name: 'ListBuckets',
  method: 'GET',
  target: 'service',
  permission: 's3:ListAllMyBuckets',
  body: 'none',
  status: 'supported',
  run,
};

const BUCKETS_MAX = 10_000;
const TOKEN_KIND = 'buckets';

async function run({ query, services, principal }: OperationContext): Promise<OperationResult> {
  if (principal.kind !== 'account') throw new Error('ListBuckets needs an account');
  const owner = principal.account.id;
  const prefix = query.get('prefix') ?? '';
  const region = query.get('bucket-region');
  const paginated = ['max-buckets', 'prefix', 'continuation-token', 'bucket-region'].some((name) =>
    query.has(name),
  );
  const max = readMaxBuckets(query);
  const after = readToken(TOKEN_KIND, query.get('continuation-token') ?? '');
  // A store has one region: every bucket is in it, or none is in the one that was asked for.
  const { buckets, truncated } =
    region !== undefined && region !== '' && region !== services.region
      ? { buckets: [], truncated: false }
      : await services.catalog.listBuckets({ owner, prefix, after, max });
  const owners = await loadOwners(services.catalog, [owner]);
  const rows = buckets.map((bucket) =>
    wrap(
      'Bucket',
      tag('Name', bucket.name) +
        tag('CreationDate', xmlDate(bucket.createdAt)) +
        tag('BucketRegion', paginated ? bucket.region : undefined),
    ),
  );
  const last = buckets.at(-1);
  const inner = [
    ownerXml('Owner', owner, owners),
    wrap('Buckets', rows.join('')),
    tag('ContinuationToken', truncated && last ? makeToken(TOKEN_KIND, last.name) : undefined),
    tag('Prefix', optional(prefix)),
  ];
  return { status: 200, body: xmlDocument('ListAllMyBucketsResult', inner.join('')) };
}

function readMaxBuckets(query: OperationContext['query']): number {
  const text = query.get('max-buckets') ?? '';
  if (text === '') return BUCKETS_MAX;
  const count = /^\d{1,6}$/.test(text) ? Number(text) : 0;
  if (count < 1 || count > BUCKETS_MAX)
    throw invalidArgument(
      'max-buckets',
      text,
      `Argument max-buckets must be an integer between 1 and ${BUCKETS_MAX}`,
    );
  return count;
}
