/** ListMultipartUploads: uploads under way, by key and then by time of initiation. */
import type { UploadId } from '../../base/ids.ts';
import type { ListPage, Upload } from '../../ddm/catalog.ts';
import { itemsOf, optional, prefixesOf, prefixXml, readCount, readEncoding } from '../list-parameters.ts';
import type { OperationContext, OperationResult, OperationRow } from '../operation.ts';
import { loadOwners, ownerXml, withOwners } from '../owners.ts';
import { tag, wrap, xmlDate, xmlDocument } from '../xml.ts';

export const listMultipartUploads: OperationRow = {
  name: 'ListMultipartUploads',
  method: 'GET',
  target: 'bucket',
  query: { uploads: true },
  permission: 's3:ListBucketMultipartUploads',
  body: 'none',
  status: 'supported',
  run,
};

const EMPTY: ListPage<Upload> = { entries: [], truncated: false };

async function run({ query, services, bucket }: OperationContext): Promise<OperationResult> {
  const encoding = readEncoding(query);
  const { encode } = encoding;
  const maxKeys = readCount(query, 'max-uploads');
  const prefix = query.get('prefix') ?? '';
  const delimiter = query.get('delimiter') ?? '';
  const keyMarker = query.get('key-marker') ?? '';
  // AWS ignores an upload id marker that comes without a key marker.
  const uploadIdMarker = keyMarker === '' ? '' : (query.get('upload-id-marker') ?? '');
  const page =
    maxKeys === 0
      ? EMPTY
      : await services.catalog.listUploads({
          bucketId: bucket!.id,
          prefix,
          delimiter,
          keyMarker,
          maxKeys,
          ...(uploadIdMarker !== '' && { uploadIdMarker: uploadIdMarker as UploadId }),
        });
  const uploads = withOwners(bucket!, itemsOf(page.entries));
  const owners = await loadOwners(
    services.catalog,
    uploads.map((upload) => upload.owner),
  );
  const last = page.entries.at(-1);
  const nextKey = last && (last.kind === 'item' ? last.item.key : last.prefix);
  const inner = [
    tag('Bucket', bucket!.name),
    tag('KeyMarker', encode(keyMarker)),
    tag('UploadIdMarker', uploadIdMarker),
    tag('NextKeyMarker', nextKey && encode(nextKey)),
    tag('NextUploadIdMarker', last?.kind === 'item' ? last.item.uploadId : undefined),
    tag('Prefix', encode(prefix)),
    tag('Delimiter', optional(encode(delimiter))),
    tag('EncodingType', encoding.type),
    tag('MaxUploads', maxKeys),
    tag('IsTruncated', page.truncated),
    ...uploads.map((upload) => uploadXml(upload, encode, owners)),
    ...prefixesOf(page.entries).map((common) => prefixXml(common, encoding)),
  ];
  return { status: 200, body: xmlDocument('ListMultipartUploadsResult', inner.join('')) };
}

function uploadXml(
  upload: Upload,
  encode: (text: string) => string,
  owners: Parameters<typeof ownerXml>[2],
): string {
  return wrap(
    'Upload',
    tag('Key', encode(upload.key)) +
      tag('UploadId', upload.uploadId) +
      ownerXml('Initiator', upload.owner, owners) +
      ownerXml('Owner', upload.owner, owners) +
      tag('StorageClass', upload.attributes.storageClass) +
      tag('Initiated', xmlDate(upload.initiated)) +
      tag('ChecksumAlgorithm', upload.checksumAlgorithm) +
      tag('ChecksumType', upload.checksumType),
  );
}
