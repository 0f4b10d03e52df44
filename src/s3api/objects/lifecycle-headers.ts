/**
 * What a bucket's lifecycle rules say about an object or upload, in headers. Source: x-amz-expiration of PutObject and
 * HeadObject, x-amz-abort-date of CreateMultipartUpload, Amazon S3 API Reference.
 */
import type { Bucket, Upload } from '../../ddm/catalog.ts';
import { type Announced, abortOf, expirationOf } from '../../lifecycle/due.ts';
import { lifecycleOf } from '../../lifecycle/rules.ts';
import { urlEncode } from '../xml.ts';
import type { ResponseHeaders } from './response-headers.ts';

interface Described {
  readonly key: string;
  readonly size: number;
  readonly tags: Readonly<Record<string, string>>;
  readonly lastModified: Date;
}

/** x-amz-expiration of an object that is the latest version; nothing where no rule ends it. */
export function expirationHeader(bucket: Bucket, object: Described): ResponseHeaders {
  const configuration = lifecycleOf(bucket.settings);
  if (configuration === null) return {};
  const lastModified = object.lastModified.getTime();
  const said = expirationOf(configuration.rules, { ...object, lastModified });
  const date = dateOf(said);
  if (said === null || date === null) return {};
  return { 'x-amz-expiration': `expiry-date="${date}", rule-id="${urlEncode(said.ruleId)}"` };
}

/** x-amz-abort-date and x-amz-abort-rule-id of an upload that is not completed. */
export function abortHeaders(
  bucket: Bucket,
  { key, initiated }: Pick<Upload, 'key' | 'initiated'>,
): ResponseHeaders {
  const configuration = lifecycleOf(bucket.settings);
  if (configuration === null) return {};
  const said = abortOf(configuration.rules, { key, initiated: initiated.getTime() });
  const date = dateOf(said);
  if (said === null || date === null) return {};
  return { 'x-amz-abort-date': date, 'x-amz-abort-rule-id': urlEncode(said.ruleId) };
}

/** null also for a day that no date can say. */
function dateOf(said: Announced | null): string | null {
  const date = new Date(said?.at ?? Number.NaN);
  return Number.isNaN(date.getTime()) ? null : date.toUTCString();
}
