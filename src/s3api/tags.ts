/**
 * What makes a set of tags valid, and how a set is shown. Source: "Categorizing your storage using tags" and "Using cost
 * allocation S3 bucket tags", S3 User Guide: at most 10 tags for an object and 50 for a bucket, keys of 1–128 and values
 * of 0–256 characters, unique keys, letters, digits, spaces and + - = . _ : / @.
 */
import { LIMITS } from '../base/limits.ts';
import { S3Error } from './errors.ts';
import { tag, wrap, xmlDocument } from './xml.ts';

export type Tags = Readonly<Record<string, string>>;

const COUNTS = {
  object: { max: LIMITS.tagsPerObjectMax, excess: 'Object tags cannot be greater than' },
  bucket: { max: LIMITS.tagsPerBucketMax, excess: 'Bucket tag count cannot be greater than' },
} as const;
const KEY_CHARS_MAX = 128;
const VALUE_CHARS_MAX = 256;
const CHARACTERS = /^[\p{L}\p{Z}\p{N}_.:/=+\-@]*$/u;

/** @throws {S3Error} InvalidTag, BadRequest (too many) */
export function validTags(
  pairs: Iterable<readonly [string, string]>,
  of: keyof typeof COUNTS = 'object',
): Tags {
  const tags = new Map<string, string>();
  for (const [key, value] of pairs) {
    if (key === '' || [...key].length > KEY_CHARS_MAX || !CHARACTERS.test(key))
      throw invalidTag('The TagKey you have provided is invalid', key);
    if ([...value].length > VALUE_CHARS_MAX || !CHARACTERS.test(value))
      throw invalidTag('The TagValue you have provided is invalid', key);
    if (key.startsWith('aws:')) throw invalidTag('System tags cannot be added/updated by requester', key);
    if (tags.has(key)) throw invalidTag('Cannot provide multiple Tags with the same key', key);
    tags.set(key, value);
  }
  const { max, excess } = COUNTS[of];
  if (tags.size > max) throw new S3Error('BadRequest', { message: `${excess} ${max}` });
  return Object.fromEntries(tags);
}

/** In the order of keys: the catalog keeps no other. */
export function taggingXml(tags: Tags): string {
  const shown = Object.entries(tags)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, value]) => wrap('Tag', tag('Key', key) + tag('Value', value)));
  return xmlDocument('Tagging', wrap('TagSet', shown.join('')));
}

/** The tags of an x-amz-tagging header as conditions see them: what is wrong with it is said elsewhere. */
export const tagsOfHeader = (header: string | undefined): Tags =>
  header === undefined ? {} : Object.fromEntries(new URLSearchParams(header));

const invalidTag = (message: string, key: string): S3Error =>
  new S3Error('InvalidTag', { message, fields: { TagKey: key.slice(0, 2 * KEY_CHARS_MAX) } });
