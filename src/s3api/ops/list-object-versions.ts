/** ListObjectVersions: versions and delete markers in the order of keys, the newest first under each key. */
import type { ListedVersion, ListPage } from '../../ddm/catalog.ts';
import {
  invalidArgument,
  itemsOf,
  objectXml,
  optional,
  prefixesOf,
  prefixXml,
  readCount,
  readEncoding,
} from '../list-parameters.ts';
import type { OperationContext, OperationResult, OperationRow } from '../operation.ts';
import { loadOwners, ownerXml, withOwners } from '../owners.ts';
import { tag, wrap, xmlDate, xmlDocument } from '../xml.ts';

export const listObjectVersions: OperationRow = {
  name: 'ListObjectVersions',
  method: 'GET',
  target: 'bucket',
  query: { versions: true },
  permission: 's3:ListBucketVersions',
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
  const keyMarker = query.get('key-marker') ?? '';
  const versionIdMarker = readVersionIdMarker(query, keyMarker);
  const page =
    maxKeys === 0
      ? EMPTY
      : await services.catalog.listVersions({
          bucketId: bucket!.id,
          prefix,
          delimiter,
          keyMarker,
          maxKeys,
          ...(versionIdMarker !== undefined && { versionIdMarker }),
        });
  const versions = withOwners(bucket!, itemsOf(page.entries));
  const owners = await loadOwners(
    services.catalog,
    versions.map((version) => version.owner),
  );
  const last = page.truncated ? page.entries.at(-1) : undefined;
  const nextKey = last && (last.kind === 'item' ? last.item.key : last.prefix);
  const inner = [
    tag('Name', bucket!.name),
    tag('Prefix', encode(prefix)),
    tag('KeyMarker', encode(keyMarker)),
    tag('VersionIdMarker', versionIdMarker ?? ''),
    tag('NextKeyMarker', nextKey && encode(nextKey)),
    tag('NextVersionIdMarker', last?.kind === 'item' ? last.item.versionId : undefined),
    tag('MaxKeys', maxKeys),
    tag('Delimiter', optional(encode(delimiter))),
    tag('EncodingType', encoding.type),
    tag('IsTruncated', page.truncated),
    ...versions.map((version) => {
      const owner = ownerXml('Owner', version.owner, owners);
      const head = tag('Key', encode(version.key)) + tag('VersionId', version.versionId);
      const latest = tag('IsLatest', version.isLatest);
      return version.isDeleteMarker
        ? wrap('DeleteMarker', head + latest + tag('LastModified', xmlDate(version.lastModified)) + owner)
        : wrap('Version', head + latest + objectXml(version) + owner);
    }),
    ...prefixesOf(page.entries).map((common) => prefixXml(common, encoding)),
  ];
  return { status: 200, body: xmlDocument('ListVersionsResult', inner.join('')) };
}

function readVersionIdMarker(query: OperationContext['query'], keyMarker: string): string | undefined {
  const marker = query.get('version-id-marker');
  if (marker === undefined) return undefined;
  if (keyMarker === '') {
    if (marker === '') return undefined;
    throw invalidArgument(
      'version-id-marker',
      marker,
      'A version-id marker cannot be specified without a key marker.',
    );
  }
  if (marker === '')
    throw invalidArgument('version-id-marker', marker, 'A version-id marker cannot be empty.');
  return marker;
}
