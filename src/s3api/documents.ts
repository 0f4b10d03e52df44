/**
 * Typed readers of the XML documents that clients send. Each gives plain values or throws MalformedXML; limits that S3
 * answers with codes of their own (InvalidPartOrder, InvalidTag, …) are the operations' business.
 * Source: the request syntax of each operation, Amazon S3 API Reference.
 */
import { LIMITS } from '../base/limits.ts';
import { CHECKSUM_ALGORITHMS, type ChecksumAlgorithm } from '../ddm/catalog.ts';
import {
  childText,
  integerOf,
  malformedXml,
  onlyChild,
  parseDocument,
  requireChildren,
  type XmlElement,
} from './xml-reader.ts';

export interface CompletePartDocument {
  readonly partNumber: number;
  /** Without quotes. */
  readonly etag: string;
  readonly checksums: Readonly<Partial<Record<ChecksumAlgorithm, string>>>;
}

/** `CompleteMultipartUpload`; at least one part. Order and size are not checked here. */
export function readCompleteMultipartUpload(text: string): readonly CompletePartDocument[] {
  const root = parseDocument(text, 'CompleteMultipartUpload', ['Part']);
  if (root.children.length === 0) throw malformedXml();
  const checksumNames = CHECKSUM_ALGORITHMS.map((algorithm) => `Checksum${algorithm}`);
  return root.children.map((part) => {
    requireChildren(part, ['PartNumber', 'ETag', ...checksumNames]);
    const etag = childText(part, 'ETag');
    if (etag === undefined) throw malformedXml();
    const checksums: Partial<Record<ChecksumAlgorithm, string>> = {};
    for (const algorithm of CHECKSUM_ALGORITHMS) {
      const value = childText(part, `Checksum${algorithm}`);
      if (value !== undefined) checksums[algorithm] = value.trim();
    }
    const partNumber = integerOf(childText(part, 'PartNumber'), 2 ** 31 - 1);
    return { partNumber, etag: unquote(etag.trim()), checksums };
  });
}

export type TagPair = readonly [key: string, value: string];

export interface DeleteEntry {
  readonly key: string;
  readonly versionId?: string;
  /** Without quotes; `*` for any. */
  readonly etag?: string;
  readonly lastModified?: Date;
  readonly size?: number;
}

/** `Delete`, with 1 to 1,000 objects. */
export function readDelete(text: string): { quiet: boolean; objects: readonly DeleteEntry[] } {
  const root = parseDocument(text, 'Delete', ['Quiet', 'Object']);
  const entries = root.children.filter((child) => child.name === 'Object');
  if (entries.length === 0 || entries.length > LIMITS.deleteObjectsMax) throw malformedXml();
  const quiet = childText(root, 'Quiet')?.trim().toLowerCase() ?? 'false';
  if (quiet !== 'true' && quiet !== 'false') throw malformedXml();
  return { quiet: quiet === 'true', objects: entries.map(readDeleteEntry) };
}

function readDeleteEntry(entry: XmlElement): DeleteEntry {
  requireChildren(entry, ['Key', 'VersionId', 'ETag', 'LastModifiedTime', 'Size']);
  const key = childText(entry, 'Key');
  if (key === undefined || key === '') throw malformedXml();
  const versionId = childText(entry, 'VersionId')?.trim();
  const etag = childText(entry, 'ETag')?.trim();
  const time = childText(entry, 'LastModifiedTime')?.trim();
  const lastModified = time === undefined ? undefined : new Date(time);
  if (lastModified && Number.isNaN(lastModified.getTime())) throw malformedXml();
  const size = onlyChild(entry, 'Size') && integerOf(childText(entry, 'Size'), Number.MAX_SAFE_INTEGER);
  return {
    key,
    ...(versionId !== undefined && versionId !== '' && { versionId }),
    ...(etag !== undefined && { etag: unquote(etag) }),
    ...(lastModified && { lastModified }),
    ...(size !== undefined && { size }),
  };
}

/** `CreateBucketConfiguration`; an empty body names nothing. */
export function readCreateBucketConfiguration(text: string): {
  locationConstraint?: string;
  /** Pairs in order, as in {@link readTagging}. */
  tags: readonly TagPair[];
  /** Whether it asks for what only directory buckets have. */
  asksForMore: boolean;
} {
  if (text.trim() === '') return { asksForMore: false, tags: [] };
  const root = parseDocument(text, 'CreateBucketConfiguration', [
    'LocationConstraint',
    'Location',
    'Bucket',
    'Tags',
  ]);
  const locationConstraint = childText(root, 'LocationConstraint')?.trim();
  const asksForMore = root.children.some((child) => child.name === 'Location' || child.name === 'Bucket');
  const set = onlyChild(root, 'Tags');
  const tags = set === undefined ? [] : readTags(set);
  return { ...(locationConstraint !== undefined && { locationConstraint }), asksForMore, tags };
}

/** `VersioningConfiguration`; Status is required in a request, as AWS has it. */
export function readVersioningConfiguration(text: string): {
  status: 'Enabled' | 'Suspended';
  mfaDelete: boolean;
} {
  const root = parseDocument(text, 'VersioningConfiguration', ['Status', 'MfaDelete']);
  const status = childText(root, 'Status')?.trim();
  if (status !== 'Enabled' && status !== 'Suspended') throw malformedXml();
  const mfaDelete = childText(root, 'MfaDelete')?.trim() ?? 'Disabled';
  if (mfaDelete !== 'Enabled' && mfaDelete !== 'Disabled') throw malformedXml();
  return { status, mfaDelete: mfaDelete === 'Enabled' };
}

/** `Tagging`, as pairs in order; what makes a tag valid is decided in tags.ts. */
export function readTagging(text: string): readonly TagPair[] {
  const root = parseDocument(text, 'Tagging', ['TagSet']);
  const set = onlyChild(root, 'TagSet');
  if (!set) throw malformedXml();
  return readTags(set);
}

function readTags(set: XmlElement): readonly TagPair[] {
  requireChildren(set, ['Tag']);
  return set.children.map((entry) => {
    requireChildren(entry, ['Key', 'Value']);
    const key = childText(entry, 'Key');
    const value = childText(entry, 'Value');
    if (key === undefined || value === undefined) throw malformedXml();
    return [key, value] as const;
  });
}

/** Clients send ETags with and without quotes. */
export const unquote = (etag: string): string => etag.replace(/^"(.*)"$/s, '$1');
