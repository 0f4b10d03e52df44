/**
 * Seals what older master keys have sealed anew under the one that seals now: the secrets of access keys, and the envelopes of
 * objects, in place. Each change holds only while its row is as it was read; it may be broken off and begun again at any time.
 */
import { newWriteId } from '../base/ids.ts';
import type { Bucket, Catalog, ListedVersion } from '../ddm/catalog.ts';
import {
  EnvelopeRefused,
  envelopeOf,
  isStale,
  KeyMissing,
  type Keyring,
  resealEnvelope,
} from '../identity/envelope.ts';
import { isSealedUnder, openSecret, SecretBoxError, sealSecret } from '../identity/secret-box.ts';

const PAGE = 1_000;
const AT_ONCE = 16;

export interface ResealSummary {
  readonly type: 'summary';
  /** The number of the master key that seals. */
  readonly masterKey: number;
  readonly versions: number;
  readonly resealed: number;
  readonly accessKeys: number;
  /** Versions and access keys that are still under older keys. */
  readonly left: number;
  /** Uploads in progress under older keys: they end with their completion or abort. */
  readonly uploads: number;
}
export type ResealLine =
  | { readonly type: 'progress'; readonly bucket: string; readonly versions: number }
  | {
      readonly type: 'exception';
      readonly subject: string;
      readonly reason: string;
    }
  | ResealSummary;

export type Reseal = (signal: AbortSignal) => AsyncGenerator<ResealLine>;

export function createReseal(deps: { readonly catalog: Catalog; readonly keyring: Keyring }): Reseal {
  const { catalog, keyring } = deps;
  return async function* (signal) {
    const count = { versions: 0, resealed: 0, accessKeys: 0, left: 0, uploads: 0 };
    for (const exception of await resealAccessKeys(deps, count)) yield exception;
    for await (const bucket of bucketsOf(catalog)) {
      for await (const versions of versionsOf(catalog, bucket)) {
        signal.throwIfAborted();
        for (let at = 0; at < versions.length; at += AT_ONCE) {
          const some = versions.slice(at, at + AT_ONCE);
          const done = await Promise.all(some.map((version) => resealVersion(deps, bucket, version)));
          for (const outcome of done) {
            if (outcome === 'resealed') count.resealed++;
            if (outcome === 'nothing-to-do' || outcome === 'resealed') continue;
            count.left++;
            yield outcome;
          }
        }
        count.versions += versions.length;
        yield { type: 'progress', bucket: bucket.name, versions: count.versions };
      }
      count.uploads += await staleUploads(deps, bucket);
    }
    yield { type: 'summary', masterKey: keyring.master.id, ...count };
  };
}

type Deps = Parameters<typeof createReseal>[0];
type Exception = Extract<ResealLine, { type: 'exception' }>;

async function resealAccessKeys(
  { catalog, keyring }: Deps,
  count: { accessKeys: number; left: number },
): Promise<Exception[]> {
  const exceptions: Exception[] = [];
  const { master, masters } = keyring;
  for (const account of await catalog.listAccounts())
    for (const { accessKeyId, sealedSecret } of await catalog.listAccessKeys(account.id)) {
      if (isSealedUnder(master, sealedSecret)) continue;
      const subject = `access key ${accessKeyId}`;
      try {
        const secret = openSecret(masters, sealedSecret, accessKeyId);
        const anew = sealSecret(master, secret, accessKeyId);
        const { outcome } = await catalog.resealAccessKey(accessKeyId, sealedSecret, anew);
        // Refused: it is gone, or somebody was quicker.
        if (outcome === 'done') count.accessKeys++;
        if (outcome !== 'unknown') continue;
        exceptions.push({ type: 'exception', subject, reason: 'the outcome is unknown' });
      } catch (error) {
        if (!(error instanceof SecretBoxError)) throw error;
        exceptions.push({ type: 'exception', subject, reason: error.message });
      }
      count.left++;
    }
  return exceptions;
}

async function resealVersion(
  { catalog, keyring }: Deps,
  bucket: Bucket,
  { key, versionId }: ListedVersion,
): Promise<'nothing-to-do' | 'resealed' | Exception> {
  const exception = (reason: string): Exception => ({
    ...{ type: 'exception', reason },
    subject: `${bucket.name}/${key} version ${versionId}`,
  });
  const version = await catalog.findVersion(bucket.id, key, versionId);
  if (version?.encryption === undefined) return 'nothing-to-do';
  try {
    const anew = resealEnvelope(keyring, envelopeOf(version.encryption)!, { bucket: bucket.name, key });
    if (anew === null) return 'nothing-to-do';
    const { outcome } = await catalog.amendVersion({
      ...{ writeId: newWriteId(), bucketId: bucket.id, key, versionId, encryption: anew },
      condition: { ifEncryption: version.encryption },
    });
    // Refused: it is gone, or another one by now, which was sealed under the key that seals now.
    if (outcome === 'unknown') return exception('the outcome is unknown');
    return outcome === 'done' ? 'resealed' : 'nothing-to-do';
  } catch (error) {
    if (error instanceof KeyMissing || error instanceof EnvelopeRefused) return exception(error.message);
    throw error;
  }
}

async function staleUploads({ catalog, keyring }: Deps, bucket: Bucket): Promise<number> {
  let stale = 0;
  let after: { keyMarker: string; uploadIdMarker?: Parameters<Catalog['findUpload']>[2] } = { keyMarker: '' };
  for (;;) {
    const page = await catalog.listUploads({
      bucketId: bucket.id,
      prefix: '',
      delimiter: '',
      maxKeys: PAGE,
      ...after,
    });
    const uploads = page.entries.flatMap((entry) => (entry.kind === 'item' ? [entry.item] : []));
    for (const { attributes } of uploads) {
      const { encryption } = attributes;
      if (encryption !== undefined && isStale(keyring, envelopeOf(encryption)!)) stale++;
    }
    const last = uploads.at(-1);
    if (!page.truncated || last === undefined) return stale;
    after = { keyMarker: last.key, uploadIdMarker: last.uploadId };
  }
}

async function* bucketsOf(catalog: Catalog): AsyncGenerator<Bucket> {
  for (let after = ''; ; ) {
    const page = await catalog.listBuckets({ prefix: '', after, max: PAGE });
    yield* page.buckets;
    const last = page.buckets.at(-1);
    if (!page.truncated || last === undefined) return;
    after = last.name;
  }
}

/** Pages of versions; delete markers have nothing that is sealed. */
async function* versionsOf(catalog: Catalog, bucket: Bucket): AsyncGenerator<readonly ListedVersion[]> {
  let after: { keyMarker: string; versionIdMarker?: string } = { keyMarker: '' };
  for (;;) {
    const page = await catalog.listVersions({
      bucketId: bucket.id,
      prefix: '',
      delimiter: '',
      maxKeys: PAGE,
      ...after,
    });
    const versions = page.entries.flatMap((entry) => (entry.kind === 'item' ? [entry.item] : []));
    yield versions.filter((version) => !version.isDeleteMarker);
    const last = versions.at(-1);
    if (!page.truncated || last === undefined) return;
    after = { keyMarker: last.key, versionIdMarker: last.versionId };
  }
}
