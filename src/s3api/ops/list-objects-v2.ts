/** ListObjectsV2. A continuation token wins over start-after; owners are given when fetch-owner asks for them. */
import type { ListedVersion, ListPage } from '../../ddm/catalog.ts';
import {
  itemsOf,
  lastName,
  makeToken,
  objectXml,
  optional,
  prefixesOf,
  prefixXml,
  readCount,
  readEncoding,
  readToken,
} from '../list-parameters.ts';
import type { OperationContext, OperationResult, OperationRow } from '../operation.ts';
import { loadOwners, ownerXml, withOwners } from '../owners.ts';
import { tag, wrap, xmlDocument } from '../xml.ts';

export const listObjectsV2: OperationRow = {
  name: 'ListObjectsV2',
  method: 'GET',
  target: 'bucket',
  query: { 'list-type': '2' },
  permission: 's3:ListBucket',
  body: 'none',
  status: 'supported',
  run,
};

const TOKEN_KIND = 'objects';
const EMPTY: ListPage<ListedVersion> = { entries: [], truncated: false };

async function run({ query, services, bucket }: OperationContext): Promise<OperationResult> {
  const encoding = readEncoding(query);
  const { encode } = encoding;
  const maxKeys = readCount(query, 'max-keys');
  const prefix = query.get('prefix') ?? '';
  const delimiter = query.get('delimiter') ?? '';
  const token = query.get('continuation-token');
  const startAfter = query.get('start-after');
  const after = (token && readToken(TOKEN_KIND, token)) || startAfter || '';
  const page =
    maxKeys === 0
      ? EMPTY
      : await services.catalog.listObjects({ bucketId: bucket!.id, prefix, delimiter, after, maxKeys });
  const objects = withOwners(bucket!, itemsOf(page.entries));
  const fetchOwner = query.get('fetch-owner')?.toLowerCase() === 'true';
  const owners = await loadOwners(services.catalog, fetchOwner ? objects.map((object) => object.owner) : []);
  const inner = [
    tag('Name', bucket!.name),
    tag('Prefix', encode(prefix)),
    tag('StartAfter', startAfter && encode(startAfter)),
    tag('ContinuationToken', token),
    tag('NextContinuationToken', page.truncated ? makeToken(TOKEN_KIND, lastName(page.entries)) : undefined),
    tag('KeyCount', page.entries.length),
    tag('MaxKeys', maxKeys),
    tag('Delimiter', optional(encode(delimiter))),
    tag('EncodingType', encoding.type),
    tag('IsTruncated', page.truncated),
    ...objects.map((object) =>
      wrap(
        'Contents',
        tag('Key', encode(object.key)) +
          objectXml(object) +
          (fetchOwner ? ownerXml('Owner', object.owner, owners) : ''),
      ),
    ),
    ...prefixesOf(page.entries).map((common) => prefixXml(common, encoding)),
  ];
  return { status: 200, body: xmlDocument('ListBucketResult', inner.join('')) };
}
