/** GetObjectAttributes: what the catalog knows about an object, in one answer. */
import { LIMITS } from '../../base/limits.ts';
import type { ManifestPart, ObjectVersion } from '../../ddm/catalog.ts';
import { requireKeyOfClient } from '../encryption/object-encryption.ts';
import { S3Error } from '../errors.ts';
import { checksumTag, checksumTags } from '../objects/checksums.ts';
import { requireVersion } from '../objects/reading.ts';
import { versionHeaders } from '../objects/response-headers.ts';
import { countOf } from '../objects/uploads.ts';
import type { OperationContext, OperationResult, OperationRow } from '../operation.ts';
import { tag, wrap, xmlDocument } from '../xml.ts';

const ATTRIBUTES = ['ETag', 'Checksum', 'ObjectParts', 'StorageClass', 'ObjectSize'] as const;
type Attribute = (typeof ATTRIBUTES)[number];

export const getObjectAttributes: OperationRow = {
  name: 'GetObjectAttributes',
  method: 'GET',
  target: 'object',
  query: { attributes: true },
  permission: 's3:GetObjectAttributes',
  body: 'none',
  status: 'supported',
  run,
};

async function run(ctx: OperationContext): Promise<OperationResult> {
  const wanted = wantedAttributes(ctx.headers['x-amz-object-attributes']);
  const version = await requireVersion(ctx);
  requireKeyOfClient(ctx, version.encryption);
  // In the order of the response syntax, whatever the order of the question.
  const inner: string[] = [];
  if (wanted.has('ETag')) inner.push(tag('ETag', version.etag));
  if (wanted.has('Checksum') && version.checksum)
    inner.push(wrap('Checksum', checksumTags(version.checksum)));
  if (wanted.has('ObjectParts')) inner.push(await partsXml(ctx, version));
  if (wanted.has('StorageClass')) inner.push(tag('StorageClass', version.storageClass));
  if (wanted.has('ObjectSize')) inner.push(tag('ObjectSize', version.size));
  return {
    status: 200,
    headers: {
      'last-modified': version.lastModified.toUTCString(),
      ...versionHeaders(ctx.bucket!, version.versionId),
    },
    body: xmlDocument('GetObjectAttributesResponse', inner.join('')),
  };
}

/** @throws {S3Error} InvalidArgument */
function wantedAttributes(header: string | undefined): ReadonlySet<Attribute> {
  const names = (header ?? '').split(',').map((name) => name.trim());
  const named = names.filter((name) => name !== '');
  if (named.length === 0)
    throw new S3Error('InvalidArgument', {
      message:
        'The x-amz-object-attributes header specifying the attributes to be retrieved is either missing or empty',
      fields: { ArgumentName: 'x-amz-object-attributes' },
    });
  return new Set(
    named.map((name) => {
      const known = ATTRIBUTES.find((attribute) => attribute === name);
      if (known !== undefined) return known;
      throw new S3Error('InvalidArgument', {
        message: 'Invalid attribute name specified.',
        fields: { ArgumentName: 'x-amz-object-attributes', ArgumentValue: name },
      });
    }),
  );
}

async function partsXml(ctx: OperationContext, version: ObjectVersion): Promise<string> {
  const { content, checksum } = version;
  const { headers } = ctx;
  const max = countOf('max-parts', headers['x-amz-max-parts'], LIMITS.listKeysMax, LIMITS.listKeysMax);
  const marker = countOf(
    'part-number-marker',
    headers['x-amz-part-number-marker'],
    0,
    Number.MAX_SAFE_INTEGER,
  );
  if (content.kind !== 'manifest') return '';
  const all = await ctx.services.catalog.readManifest(version.bucketId, content.manifestId);
  const after = all.filter((part) => part.partNumber > marker);
  const parts = after.slice(0, max);
  const partXml = (part: ManifestPart) =>
    wrap(
      'Part',
      tag('PartNumber', part.partNumber) +
        tag('Size', part.size) +
        checksumTag(checksum?.algorithm, part.checksum),
    );
  return wrap(
    'ObjectParts',
    tag('PartsCount', content.partCount) +
      tag('PartNumberMarker', marker) +
      tag('NextPartNumberMarker', parts.at(-1)?.partNumber ?? 0) +
      tag('MaxParts', max) +
      tag('IsTruncated', after.length > parts.length) +
      parts.map(partXml).join(''),
  );
}
