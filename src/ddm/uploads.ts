/** Multipart uploads. Each commit stands alone: parts are large, so there is little to combine. */
import { randomBytes } from 'node:crypto';
import type { BucketId, UploadId } from '../base/ids.ts';
import { done, refused, UNKNOWN } from './accounts.ts';
import type { Catalog, CommitRefusal, CompleteRefusal, Upload } from './catalog.ts';
import { type Directories, GONE, placeOf } from './directories.ts';
import type { Directory } from './directory.ts';
import type { Row } from './link.ts';
import { attributesDocument, contentDocument, isStorable, uploadOf, uploadPartOf } from './mapping.ts';
import { conditionDocument, listPage, operationJson, readAtBucket } from './objects.ts';
import type { CatalogOptions } from './options.ts';
import { type Amounts, type Shares, withRoom } from './shares.ts';
import { type Statement, statement } from './statements.ts';

const CREATE_UPLOAD = statement('create-upload');
const FIND_UPLOAD = statement('find-upload');
const PUT_PART = statement('put-part');
const FIND_PART_WRITE = statement('find-part-write');
const LIST_PARTS = statement('list-parts');
const COMPLETE_UPLOAD = statement('complete-upload');
const ABORT_UPLOAD = statement('abort-upload');
const LIST_UPLOADS = statement('list-uploads');

export type Uploads = Pick<
  Catalog,
  'createUpload' | 'findUpload' | 'putPart' | 'listParts' | 'completeUpload' | 'abortUpload' | 'listUploads'
>;

/** Ids of one key sort by time, roughly: 12 hex digits of the time, 20 random ones. */
const newUploadId = (nowMs: number) =>
  (Math.floor(nowMs).toString(16).padStart(12, '0') + randomBytes(10).toString('hex')) as UploadId;

export function openUploads(
  directories: Directories,
  o: CatalogOptions,
  forget: (id: BucketId) => void,
  shares: Shares,
): Uploads {
  const answerOf = (rows: readonly Row[]) => rows[0]?.answer as Row;
  /** One statement where the bucket is. `known`: what became of it where its outcome is unknown. */
  const writeAt = async (
    bucketId: BucketId,
    s: Statement,
    values: readonly unknown[],
    needed: Amounts,
    known: (directory: Directory) => Promise<Row | null> = async () => null,
  ): Promise<Row | 'unknown'> => {
    const row = await directories.atBucket<Row | 'unknown'>(bucketId, async (directory) => {
      const said = await withRoom(directories, shares, bucketId, directory, needed, async () => {
        const answer = await directory.write(s, values);
        return (answer === 'unknown' ? await known(directory) : answerOf(answer.rows)) ?? 'unknown';
      });
      return said !== 'unknown' && said.reason === 'bucket-gone' ? GONE : said;
    });
    if (row !== GONE) return row;
    forget(bucketId);
    return { reason: 'bucket-gone' };
  };

  return {
    async createUpload({ writeId: _, ...upload }) {
      const uploadId = newUploadId(o.clock.now());
      const json = operationJson({
        uploadId,
        bucket: upload.bucketId,
        key: upload.key,
        owner: upload.owner,
        attributes: attributesDocument(upload.attributes),
        checksumAlgorithm: upload.checksumAlgorithm,
        checksumType: upload.checksumType,
      });
      const row = await writeAt(upload.bucketId, CREATE_UPLOAD, [json], { bytes: 0, objects: 0 });
      // Nobody else knows the id: an upload that was made after all is an empty one that its owner can abort.
      if (row === 'unknown') return UNKNOWN;
      if (row.reason !== undefined) return refused('bucket-gone');
      const value: Upload = { ...upload, uploadId, initiated: new Date(Number(row.initiatedMs)) };
      return done(value);
    },

    async findUpload(bucketId, key, uploadId) {
      if (!isStorable(key) || !isStorable(uploadId)) return null;
      const at = { directories, bucketId, forget };
      const [row] = await readAtBucket(at, (d) => d.read(FIND_UPLOAD, [uploadId, bucketId, key]));
      return row ? uploadOf(row) : null;
    },

    async putPart(part) {
      const { bucketId, uploadId, partNumber, writeId, size, etag, checksum } = part;
      const content = contentDocument(
        part.content.kind === 'share'
          ? { kind: 'share', content: { kind: 'blob', blob: part.content.blob } }
          : part.content,
      );
      const json = operationJson({
        ...{ bucket: bucketId, uploadId, partNumber, writeId, size, etag, checksum },
        ...content,
      });
      const row = await writeAt(
        bucketId,
        PUT_PART,
        [json, o.intentMs],
        { bytes: size, objects: 0 },
        (directory) =>
          directory.resolveBy(FIND_PART_WRITE, [uploadId, partNumber, writeId], (rows) =>
            rows[0] ? { lastModifiedMs: (rows[0].last_modified as Date).getTime() } : null,
          ),
      );
      if (row === 'unknown') return UNKNOWN;
      if (row.reason === undefined) return done({ lastModified: new Date(Number(row.lastModifiedMs)) });
      return refused(row.reason as CommitRefusal | 'no-such-upload');
    },

    async listParts(bucketId, uploadId, { after, max }) {
      if (!isStorable(uploadId)) return { parts: [], truncated: false };
      const at = { directories, bucketId, forget };
      const rows = await readAtBucket(at, (d) => d.read(LIST_PARTS, [uploadId, bucketId, after, max + 1]));
      return { parts: rows.slice(0, max).map(uploadPartOf), truncated: rows.length > max };
    },

    async completeUpload(c) {
      const { bucketId, key, uploadId, writeId, size, etag, checksum } = c;
      const parts = c.parts.map(({ partNumber, etag }) => ({ partNumber, etag }));
      const condition = conditionDocument(c.condition);
      const json = operationJson({
        ...{ bucket: bucketId, key, uploadId, writeId, parts, size, etag, checksum, condition },
        cause: c.cause,
      });
      const row = await writeAt(
        bucketId,
        COMPLETE_UPLOAD,
        [json, o.intentMs],
        { bytes: 0, objects: 1 },
        async (directory) => (await directory.resolve([writeId])).get(writeId) ?? null,
      );
      if (row === 'unknown') return UNKNOWN;
      if (row.reason === undefined)
        return done({
          versionId: String(row.versionId),
          lastModified: new Date(Number(row.lastModifiedMs)),
          etag: String(row.etag ?? etag),
        });
      return refused(row.reason as CompleteRefusal);
    },

    async abortUpload(bucketId, key, uploadId) {
      if (!isStorable(key) || !isStorable(uploadId)) return refused('no-such-upload');
      const aborted = await directories.atBucket(bucketId, async (directory) => {
        const answer = await directory.write(ABORT_UPLOAD, [bucketId, key, uploadId]);
        if (answer === 'unknown') return answer;
        if (answer.rows[0]?.answer === true) return true;
        return directories.isAlone || (await placeOf(directory, bucketId)) === 'here' ? false : GONE;
      });
      if (aborted === 'unknown') return UNKNOWN;
      return aborted === true ? done(null) : refused('no-such-upload');
    },

    listUploads: (query) =>
      listPage<Upload>({
        ...{ directories, bucketId: query.bucketId, query, after: query.keyMarker, forget },
        ...{ more: [query.uploadIdMarker ?? null], statement: LIST_UPLOADS, itemOf: uploadOf },
      }),
  };
}
