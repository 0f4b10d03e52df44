/** ListObjects (version 1). NextMarker is given only with a delimiter; without one the last key is the marker. */
import type { ListedVersion, ListPage } from '../../ddm/catalog.ts';
import {
  itemsOf,
  lastName,
  objectXml,
  optional,
  prefixesOf,
  prefixXml,
  readCount,
  readEncoding,
} from '../list-parameters.ts';
import type { OperationContext, OperationResult, OperationRow } from '../operation.ts';
import { loadOwners, ownerXml, withOwners } from '../owners.ts';
import { tag, wrap, xmlDocument } from '../xml.ts';

export const listObjects: OperationRow = {
  name: 'ListObjects',
  method: 'GET',
  target: 'bucket',
  permission: 's3:ListBucket',
  body: 'none',
  status: 'supported',
  run,
};

const EMPTY: ListPage<ListedVersion> = { entries: [], truncated: false };

async function run({ query, services, bucket }: OperationContext): Promise<OperationResult> {
  const encoding = readEncoding(query);
  const { encode } = encoding;
  const maxKeys = readCount(query, 'max-keys');
  const prefix = query.get('prefix') ?? '';
  const delimiter = query.get('delimiter') ?? '';
  const marker = query.get('marker') ?? '';
  const page =
    maxKeys === 0
      ? EMPTY
      : await services.catalog.listObjects({
          bucketId: bucket!.id,
          prefix,
          delimiter,
          after: marker,
          maxKeys,
        });
  const objects = withOwners(bucket!, itemsOf(page.entries));
  const owners = await loadOwners(
    services.catalog,
    objects.map((object) => object.owner),
  );
  const nextMarker = page.truncated && delimiter !== '' ? encode(lastName(page.entries)) : undefined;
  const inner = [
    tag('Name', bucket!.name),
    // Version 1 shows the prefix as it was sent: boto decodes every other encoded element of this answer, but not this one.
    tag('Prefix', prefix),
    tag('Marker', encode(marker)),
    tag('NextMarker', nextMarker),
    tag('MaxKeys', maxKeys),
    tag('Delimiter', optional(encode(delimiter))),
    tag('EncodingType', encoding.type),
    tag('IsTruncated', page.truncated),
    ...objects.map((object) =>
      wrap(
        'Contents',
        tag('Key', encode(object.key)) + objectXml(object) + ownerXml('Owner', object.owner, owners),
      ),
    ),
    ...prefixesOf(page.entries).map((common) => prefixXml(common, encoding)),
  ];
  return { status: 200, body: xmlDocument('ListBucketResult', inner.join('')) };
}
