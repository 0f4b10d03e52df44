/** Rows to values and values to documents: the only place that knows both the columns and the catalog's types. */
import type { AccountId, BlobId, BucketId, MemberId, PairId, UploadId } from '../base/ids.ts';
import type {
  AccessKey,
  Account,
  Acl,
  BlobRef,
  Bucket,
  ChecksumAlgorithm,
  ChecksumType,
  DefaultRetention,
  Durability,
  Entity,
  ListedVersion,
  ManifestPart,
  ObjectAttributes,
  ObjectEncryption,
  ObjectVersion,
  PutVersion,
  Upload,
  UploadPart,
  VersionContent,
} from './catalog.ts';
import type { Row } from './link.ts';

const text = (value: unknown) => String(value);
const optional = <K extends string, T>(name: K, value: T | null | undefined) =>
  (value === null || value === undefined ? {} : { [name]: value }) as { readonly [P in K]?: T };

export function accountOf(row: Row): Account {
  return {
    id: text(row.id) as AccountId,
    displayName: text(row.display_name),
    ...optional('email', row.email as string | null),
    ...optional('tenant', row.tenant as string | null),
    isRoot: row.is_root === true,
  };
}

export function accessKeyOf(row: Row): AccessKey {
  return {
    accessKeyId: text(row.access_key_id),
    account: accountOf(row),
    status: row.status === 'active' ? 'active' : 'inactive',
    sealedSecret: row.sealed_secret as Buffer,
    createdAt: row.created_at as Date,
    ...(row.user_entity ? { user: entityOf(row.user_entity as Row, row) } : {}),
  };
}

/** Of a row of root.entity (also as a document), and one with its account. */
export function entityOf(row: Row, account: Row): Entity {
  return {
    kind: row.kind as Entity['kind'],
    id: text(row.id),
    account: accountOf(account),
    name: text(row.name),
    path: text(row.path),
    createdAt: new Date(row.created_at as string | Date),
    policies: row.policies as Entity['policies'],
    tags: row.tags as Entity['tags'],
    ...optional('trust', row.trust as string | null),
    ...optional('description', row.description as string | null),
    ...optional('sessionSeconds', row.session_seconds as number | null),
  };
}

export function bucketOf(row: Row, directory: PairId): Bucket {
  const { defaultRetention, durability, ...settings } = row.settings as Record<string, unknown>;
  return {
    id: Number(row.id) as BucketId,
    name: text(row.name),
    owner: text(row.owner) as AccountId,
    createdAt: row.created_at as Date,
    region: text(row.region),
    directory,
    versioning: row.versioning as Bucket['versioning'],
    objectLock: row.object_lock === true,
    ...optional('durability', durability as Durability | undefined),
    ...optional('defaultRetention', defaultRetention as DefaultRetention | undefined),
    settings,
  };
}

export const blobIdOf = (uuid: unknown): BlobId => text(uuid).replaceAll('-', '') as BlobId;

/** Of the columns blob_id, blob_pair, blob_size, blob_root, blob_off_map (holders, each with the member it stands for). */
export function blobOf(row: Row): BlobRef | null {
  if (row.blob_id === null) return null;
  const offMap = row.blob_off_map as [MemberId, MemberId | null][] | null;
  const absent = offMap?.flatMap(([, home]) => home ?? []) ?? [];
  return {
    id: blobIdOf(row.blob_id),
    size: Number(row.blob_size),
    root: row.blob_root as Buffer,
    pair: text(row.blob_pair) as PairId,
    ...(offMap && offMap.length > 0 && { offMap: offMap.map(([member]) => member) }),
    ...(absent.length > 0 && { absent }),
  };
}

function contentOf(row: Row): VersionContent {
  const blob = blobOf(row);
  if (blob) return { kind: 'blob', blob };
  if (row.manifest_id === null) return { kind: 'empty' };
  return { kind: 'manifest', manifestId: Number(row.manifest_id), partCount: Number(row.part_count) };
}

export function listedOf(row: Row): ListedVersion {
  return {
    bucketId: Number(row.bucket_id) as BucketId,
    key: text(row.key),
    versionId: text(row.version_id),
    isLatest: row.is_latest === true,
    isDeleteMarker: row.is_delete_marker === true,
    lastModified: row.last_modified as Date,
    owner: text(row.owner) as AccountId,
    size: Number(row.size),
    etag: text(row.etag),
    ...(row.checksum_algorithm !== null && {
      checksum: {
        algorithm: row.checksum_algorithm as ChecksumAlgorithm,
        type: row.checksum_type as ChecksumType,
        value: text(row.checksum_value),
      },
    }),
    storageClass: text(row.storage_class),
  };
}

export function versionOf(row: Row): ObjectVersion {
  return {
    ...listedOf(row),
    content: contentOf(row),
    system: row.system_metadata as ObjectVersion['system'],
    user: row.user_metadata as ObjectVersion['user'],
    tags: row.tags as ObjectVersion['tags'],
    ...(row.retention_mode !== null && {
      retention: {
        mode: row.retention_mode as 'GOVERNANCE' | 'COMPLIANCE',
        until: row.retention_until as Date,
      },
    }),
    ...optional('legalHold', row.legal_hold as boolean | null),
    ...optional('acl', row.acl as Acl | null),
    ...optional('encryption', row.encryption as ObjectEncryption | null),
  };
}

export function uploadOf(row: Row): Upload {
  const { retention, ...attributes } = row.attributes as Omit<ObjectAttributes, 'retention'> & {
    retention?: { mode: 'GOVERNANCE' | 'COMPLIANCE'; until: string };
  };
  return {
    uploadId: text(row.upload_id) as UploadId,
    bucketId: Number(row.bucket_id) as BucketId,
    key: text(row.key),
    initiated: row.initiated as Date,
    owner: text(row.owner) as AccountId,
    attributes: {
      ...attributes,
      ...(retention && { retention: { mode: retention.mode, until: new Date(retention.until) } }),
    },
    ...optional('checksumAlgorithm', row.checksum_algorithm as ChecksumAlgorithm | null),
    ...optional('checksumType', row.checksum_type as ChecksumType | null),
  };
}

export function uploadPartOf(row: Row): UploadPart {
  return {
    partNumber: Number(row.part_number),
    size: Number(row.size),
    etag: text(row.etag),
    lastModified: row.last_modified as Date,
    ...optional('checksum', row.checksum as string | null),
    blob: blobOf(row),
  };
}

export function manifestPartOf(row: Row): ManifestPart {
  return {
    partNumber: Number(row.part_number),
    offset: Number(row.offset),
    size: Number(row.size),
    etag: text(row.etag),
    ...optional('checksum', row.checksum as string | null),
    blob: blobOf(row),
  };
}

// ---------------------------------------------------------------------------------------------- documents

/** Dates become ISO text in JSON, which Postgres reads back as timestamptz. */
export const attributesDocument = (a: ObjectAttributes) => ({
  system: a.system,
  user: a.user,
  tags: a.tags,
  storageClass: a.storageClass,
  retention: a.retention,
  legalHold: a.legalHold,
  acl: a.acl,
  encryption: a.encryption,
});

const blobDocument = (blob: BlobRef) => ({
  id: blob.id,
  pair: blob.pair,
  size: blob.size,
  root: blob.root.toString('hex'),
  ...some('offMap', blob.offMap),
  ...some('absent', blob.absent),
});

/** Absent where empty: the commit looks for what it need not do. */
const some = (name: string, members: readonly MemberId[] | undefined) =>
  members && members.length > 0 ? { [name]: members } : {};

type Content =
  | PutVersion['content']
  | { readonly kind: 'share'; readonly content: { readonly kind: 'blob'; readonly blob: BlobRef } };

/** The content of a put, in the words of antipode.commit_batch. */
export function contentDocument(content: Content): Readonly<Record<string, unknown>> {
  if (content.kind === 'empty') return { content: 'empty' };
  if (content.kind === 'blob')
    return {
      ...{ content: 'blob', blob: blobDocument(content.blob), intentAt: Math.floor(content.intentAt) },
      ...{ epoch: content.epoch, ...some('lagging', content.lagging) },
    };
  const shared = content.content;
  if (shared.kind === 'blob') return { content: 'share-blob', blob: blobDocument(shared.blob) };
  if (shared.kind === 'manifest')
    return { content: 'share-manifest', manifest: shared.manifestId, partCount: shared.partCount };
  return { content: 'empty' };
}

// -------------------------------------------------------------------------------------------- version ids

const VERSION_ID = /^[0-9a-f]{32}$/;

/** The place in commit order that a version id names: its first 16 hex digits; -1 when it is none of ours. */
export function seqOfVersionId(versionId: string): number {
  const seq = VERSION_ID.test(versionId) ? Number.parseInt(versionId.slice(0, 16), 16) : -1;
  return Number.isSafeInteger(seq) ? seq : -1;
}

/** Postgres cannot store U+0000, and text that is not well-formed would come back as another one. */
export const isStorable = (value: string): boolean => value.isWellFormed() && !value.includes('\0');

/** What somebody said (a reason, an error), in so far as it can be kept. */
export const storable = (message: string): string => message.replaceAll('\0', '').toWellFormed();
