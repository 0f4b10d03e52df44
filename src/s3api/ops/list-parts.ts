/** ListParts: the parts of an upload in progress, by number. */
import { LIMITS } from '../../base/limits.ts';
import type { Upload, UploadPart } from '../../ddm/catalog.ts';
import { effectiveOwner } from '../acl/ownership.ts';
import { checksumTag } from '../objects/checksums.ts';
import { abortHeaders } from '../objects/lifecycle-headers.ts';
import { countOf, requireUpload } from '../objects/uploads.ts';
import type { OperationContext, OperationResult, OperationRow } from '../operation.ts';
import { loadOwners, ownerXml } from '../owners.ts';
import { quoted, tag, wrap, xmlDate, xmlDocument } from '../xml.ts';

export const listParts: OperationRow = {
  name: 'ListParts',
  method: 'GET',
  target: 'object',
  query: { uploadId: true },
  permission: 's3:ListMultipartUploadParts',
  body: 'none',
  status: 'supported',
  run,
};

async function run(ctx: OperationContext): Promise<OperationResult> {
  const { catalog } = ctx.services;
  const max = countOf('max-parts', ctx.query.get('max-parts'), LIMITS.listKeysMax, LIMITS.listKeysMax);
  const marker = countOf(
    'part-number-marker',
    ctx.query.get('part-number-marker'),
    0,
    Number.MAX_SAFE_INTEGER,
  );
  const upload = await requireUpload(ctx);
  const page =
    max === 0
      ? { parts: [], truncated: false }
      : await catalog.listParts(ctx.bucket!.id, upload.uploadId, { after: marker, max });
  const owner = effectiveOwner(ctx.bucket!, upload.owner);
  const owners = await loadOwners(catalog, [upload.owner, owner]);
  const inner = [
    tag('Bucket', ctx.bucketName),
    tag('Key', ctx.key),
    tag('UploadId', upload.uploadId),
    tag('PartNumberMarker', marker),
    tag('NextPartNumberMarker', page.parts.at(-1)?.partNumber ?? 0),
    tag('MaxParts', max),
    tag('IsTruncated', page.truncated),
    ...page.parts.map((part) => partXml(upload, part)),
    ownerXml('Initiator', upload.owner, owners),
    ownerXml('Owner', owner, owners),
    tag('StorageClass', upload.attributes.storageClass),
    tag('ChecksumAlgorithm', upload.checksumAlgorithm),
    tag('ChecksumType', upload.checksumType),
  ];
  const headers = abortHeaders(ctx.bucket!, upload);
  return { status: 200, headers, body: xmlDocument('ListPartsResult', inner.join('')) };
}

function partXml(upload: Upload, part: UploadPart): string {
  return wrap(
    'Part',
    tag('PartNumber', part.partNumber) +
      tag('LastModified', xmlDate(part.lastModified)) +
      tag('ETag', quoted(part.etag)) +
      tag('Size', part.size) +
      checksumTag(upload.checksumAlgorithm, part.checksum),
  );
}
