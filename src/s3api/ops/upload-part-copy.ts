/**
 * UploadPartCopy: a part from (a range of) another object. A part that is one whole blob of the same directory shares it,
 * as long as its digests are known already; everything else is streamed.
 */
import { newWriteId } from '../../base/ids.ts';
import type { ChecksumAlgorithm, ManifestPart, PutPart, Upload } from '../../ddm/catalog.ts';
import { encryptionHeaders, partEncryption, type WriteEncryption } from '../encryption/object-encryption.ts';
import { checksumTag } from '../objects/checksums.ts';
import { commitBytes, refusalError, writeBytes } from '../objects/commits.ts';
import {
  bytesOf,
  type OpenedSource,
  openCopySource,
  requireCopySize,
  whileReplaced,
} from '../objects/copying.ts';
import { type ByteRange, parseCopySourceRange } from '../objects/ranges.ts';
import { versionHeaders } from '../objects/response-headers.ts';
import { answerInTime, type XmlAnswer } from '../objects/slow-answer.ts';
import { algorithmOf, partNumberOf, requireUpload } from '../objects/uploads.ts';
import type { OperationContext, OperationResult, OperationRow } from '../operation.ts';
import { settle } from '../outcomes.ts';
import { quoted, tag, xmlDate, xmlDocument } from '../xml.ts';

export const uploadPartCopy: OperationRow = {
  name: 'UploadPartCopy',
  method: 'PUT',
  target: 'object',
  query: { partNumber: true, uploadId: true },
  headers: ['x-amz-copy-source'],
  permission: 's3:PutObject',
  body: 'none',
  status: 'supported',
  run,
};

interface Target {
  readonly upload: Upload;
  readonly partNumber: number;
  /** null for an empty source. */
  readonly range: ByteRange | null;
  readonly encryption: WriteEncryption | null;
}
interface Copied {
  readonly lastModified: Date;
  readonly etag: string;
  readonly checksum: string;
}

async function run(ctx: OperationContext): Promise<OperationResult> {
  const partNumber = partNumberOf(ctx);
  const upload = await requireUpload(ctx);
  const encryption = partEncryption(ctx, upload.attributes.encryption);
  const source = await openCopySource(ctx);
  const targetOf = (opened: OpenedSource): Target => ({
    ...{ upload, partNumber, encryption },
    range: rangeOf(ctx, opened),
  });
  targetOf(source); // what is wrong with it is said before the work begins
  const copying = whileReplaced(ctx, source, (opened) => copy(ctx, opened, targetOf(opened)));
  return answerInTime(ctx.services.clock, copying);
}

/** @throws {S3Error} InvalidArgument, InvalidRange, InvalidRequest */
function rangeOf(ctx: OperationContext, { version: { size } }: OpenedSource): ByteRange | null {
  const header = ctx.headers['x-amz-copy-source-range'];
  const all = size === 0 ? null : { from: 0, to: size - 1 };
  const range = header === undefined ? all : parseCopySourceRange(header, size);
  if (range !== null) requireCopySize(range.to - range.from + 1);
  return range;
}

async function copy(ctx: OperationContext, source: OpenedSource, target: Target): Promise<XmlAnswer> {
  const shared =
    ctx.bucket!.directory === source.bucket.directory ? await shareBlob(ctx, source, target) : null;
  const { lastModified, etag, checksum } = shared ?? (await streamBytes(ctx, source, target));
  return {
    headers: {
      ...encryptionHeaders(target.encryption?.envelope, ctx.headers),
      'x-amz-copy-source-version-id': versionHeaders(source.bucket, source.version.versionId)[
        'x-amz-version-id'
      ],
    },
    body: xmlDocument(
      'CopyPartResult',
      tag('LastModified', xmlDate(lastModified)) +
        tag('ETag', quoted(etag)) +
        checksumTag(target.upload.checksumAlgorithm, checksum),
    ),
  };
}

type WholeBlob = Pick<ManifestPart, 'blob' | 'etag' | 'checksum' | 'size'>;

/** The blob that is exactly the range, with its digests; null when there is none. */
async function wholeBlobOf(
  ctx: OperationContext,
  { version }: OpenedSource,
  range: ByteRange,
): Promise<WholeBlob | null> {
  const { content, checksum } = version;
  if (content.kind === 'empty') return null;
  if (content.kind === 'blob') {
    if (range.from !== 0 || range.to !== version.size - 1) return null;
    const { etag, size } = version;
    return {
      blob: content.blob,
      etag,
      size,
      ...(checksum === undefined ? {} : { checksum: checksum.value }),
    };
  }
  const parts = await ctx.services.catalog.readManifest(version.bucketId, content.manifestId, range);
  const [part, ...others] = parts.filter((candidate) => candidate.size > 0);
  if (part === undefined || others.length > 0) return null;
  return part.offset === range.from && part.size === range.to - range.from + 1 ? part : null;
}

/** null when the bytes have to be streamed. */
async function shareBlob(
  ctx: OperationContext,
  source: OpenedSource,
  { upload, partNumber, range, encryption }: Target,
): Promise<Copied | null> {
  // Parts of an upload have its key, which no other object has.
  if (encryption !== null || source.dataKey !== null) return null;
  if (range === null || source.version.checksum?.algorithm !== algorithmOf(upload)) return null;
  const whole = await wholeBlobOf(ctx, source, range);
  // A copied multipart object of one part has an ETag of its own kind, which is no MD5 of the bytes.
  if (whole === null || whole.blob === null || whole.checksum === undefined) return null;
  if (!/^[0-9a-f]{32}$/.test(whole.etag) || whole.checksum.includes('-')) return null;
  const { etag, size, checksum } = whole;
  const outcome = await ctx.services.catalog.putPart({
    ...partKey(ctx, upload, partNumber),
    ...{ writeId: newWriteId(), size, etag, checksum },
    content: { kind: 'share', blob: whole.blob },
  });
  if (outcome.outcome === 'refused' && outcome.reason === 'blob-dying') return null;
  const done = settle(outcome, (reason) => refusalError(ctx, reason));
  return { lastModified: done.lastModified, etag, checksum };
}

async function streamBytes(ctx: OperationContext, source: OpenedSource, target: Target): Promise<Copied> {
  const { upload, partNumber, range } = target;
  const algorithm: ChecksumAlgorithm = algorithmOf(upload);
  const bytes = bytesOf(ctx, source, range);
  const { uploadId } = upload;
  const written = await writeBytes(ctx, bytes, {
    placement: { kind: 'part', uploadId, partNumber },
    part: { uploadId, partNumber },
    extraChecksums: [algorithm],
    encryption: target.encryption,
  });
  const checksum = written.checksums[algorithm]!;
  const { writeId, etag } = written;
  const part = { ...partKey(ctx, upload, partNumber), writeId, size: bytes.length, etag, checksum };
  const done = await commitBytes(
    ctx,
    written,
    (content) => ctx.services.catalog.putPart({ ...part, content }),
    (reason) => refusalError(ctx, reason),
  );
  return { lastModified: done.lastModified, etag, checksum };
}

const partKey = (
  ctx: OperationContext,
  upload: Upload,
  partNumber: number,
): Pick<PutPart, 'bucketId' | 'uploadId' | 'partNumber'> => ({
  bucketId: ctx.bucket!.id,
  uploadId: upload.uploadId,
  partNumber,
});
