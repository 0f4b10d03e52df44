/** Multipart uploads. Each commit stands alone: parts are large, so there is little to combine. */
import { randomBytes } from 'node:crypto';
import type { BucketId, UploadId } from '../base/ids.ts';
import { done, refused, UNKNOWN } from './accounts.ts';
import type { Catalog, CommitRefusal, CompleteRefusal, Upload } from './catalog.ts';
import type { Directories } from './directories.ts';
import type { Row } from './link.ts';
import { attributesDocument, contentDocument, isStorable, uploadOf, uploadPartOf } from './mapping.ts';
import { assureBucket, conditionDocument, listPage, operationJson } from './objects.ts';
import type { CatalogOptions } from './options.ts';
import { statement } from './statements.ts';

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
): Uploads {
  const answerOf = (rows: readonly Row[]) => rows[0]?.answer as Row;
  const gone = (bucketId: BucketId, row: Row) => {
    if (row.reason === 'bucket-gone') forget(bucketId);
  };

  return {
    async createUpload({ writeId: _, ...upload }) {
      const directory = await directories.ofBucket(upload.bucketId);
      if (!directory) return refused('bucket-gone');
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
      const answer = await directory.write(CREATE_UPLOAD, [json]);
      // Nobody else knows the id: an upload that was made after all is an empty one that its owner can abort.
      if (answer === 'unknown') return UNKNOWN;
      const row = answerOf(answer.rows);
      if (row.reason !== undefined) {
        gone(upload.bucketId, row);
        return refused('bucket-gone');
      }
      const value: Upload = { ...upload, uploadId, initiated: new Date(Number(row.initiatedMs)) };
      return done(value);
    },

    async findUpload(bucketId, key, uploadId) {
      if (!isStorable(key) || !isStorable(uploadId)) return null;
      const directory = await directories.ofBucket(bucketId);
      const [row] = directory ? await directory.read(FIND_UPLOAD, [uploadId, bucketId, key]) : [];
      if (row) return uploadOf(row);
      await assureBucket(directory, bucketId, forget);
      return null;
    },

    async putPart(part) {
      const { bucketId, uploadId, partNumber, writeId, size, etag, checksum } = part;
      const directory = await directories.ofBucket(bucketId);
      if (!directory) return refused('bucket-gone');
      const content = contentDocument(
        part.content.kind === 'share'
          ? { kind: 'share', content: { kind: 'blob', blob: part.content.blob } }
          : part.content,
      );
      const json = operationJson({
        ...{ bucket: bucketId, uploadId, partNumber, writeId, size, etag, checksum },
        ...content,
      });
      const answer = await directory.write(PUT_PART, [json, o.intentMs]);
      if (answer === 'unknown') {
        const lastModified = await directory.resolveBy(
          FIND_PART_WRITE,
          [uploadId, partNumber, writeId],
          (rows) => (rows[0] ? (rows[0].last_modified as Date) : null),
        );
        return lastModified ? done({ lastModified }) : UNKNOWN;
      }
      const row = answerOf(answer.rows);
      if (row.reason === undefined) return done({ lastModified: new Date(Number(row.lastModifiedMs)) });
      gone(bucketId, row);
      return refused(row.reason as CommitRefusal | 'no-such-upload');
    },

    async listParts(bucketId, uploadId, { after, max }) {
      const directory = await directories.ofBucket(bucketId);
      if (!directory || !isStorable(uploadId)) return { parts: [], truncated: false };
      const rows = await directory.read(LIST_PARTS, [uploadId, bucketId, after, max + 1]);
      return { parts: rows.slice(0, max).map(uploadPartOf), truncated: rows.length > max };
    },

    async completeUpload(c) {
      const { bucketId, key, uploadId, writeId, size, etag, checksum } = c;
      const directory = await directories.ofBucket(bucketId);
      if (!directory) return refused('bucket-gone');
      const parts = c.parts.map(({ partNumber, etag }) => ({ partNumber, etag }));
      const condition = conditionDocument(c.condition);
      const json = operationJson({
        ...{ bucket: bucketId, key, uploadId, writeId, parts, size, etag, checksum, condition },
      });
      const answer = await directory.write(COMPLETE_UPLOAD, [json, o.intentMs]);
      const row =
        answer === 'unknown' ? (await directory.resolve([writeId])).get(writeId) : answerOf(answer.rows);
      if (!row) return UNKNOWN;
      if (row.reason === undefined)
        return done({
          versionId: String(row.versionId),
          lastModified: new Date(Number(row.lastModifiedMs)),
          etag: String(row.etag ?? etag),
        });
      gone(bucketId, row);
      return refused(row.reason as CompleteRefusal);
    },

    async abortUpload(bucketId, key, uploadId) {
      const directory = await directories.ofBucket(bucketId);
      if (!directory || !isStorable(key) || !isStorable(uploadId)) return refused('no-such-upload');
      const answer = await directory.write(ABORT_UPLOAD, [bucketId, key, uploadId]);
      if (answer === 'unknown') return UNKNOWN;
      return answer.rows[0]?.answer === true ? done(null) : refused('no-such-upload');
    },

    listUploads: (query) =>
      listPage<Upload>({
        ...{ directories, bucketId: query.bucketId, query, after: query.keyMarker, forget },
        ...{ more: [query.uploadIdMarker ?? null], statement: LIST_UPLOADS, itemOf: uploadOf },
      }),
  };
}
