/**
 * What makes a set of object tags valid. Source: "Categorizing your storage using tags", S3 User Guide: at most 10 tags,
 * keys of 1–128 and values of 0–256 characters, unique keys, letters, digits, spaces and + - = . _ : / @.
 */
import { LIMITS } from '../base/limits.ts';
import { S3Error } from './errors.ts';

const KEY_CHARS_MAX = 128;
const VALUE_CHARS_MAX = 256;
const CHARACTERS = /^[\p{L}\p{Z}\p{N}_.:/=+\-@]*$/u;

/** @throws {S3Error} InvalidTag, BadRequest (too many) */
export function validTags(pairs: Iterable<readonly [string, string]>): Readonly<Record<string, string>> {
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
  if (tags.size > LIMITS.tagsPerObjectMax)
    throw new S3Error('BadRequest', {
      message: `Object tags cannot be greater than ${LIMITS.tagsPerObjectMax}`,
    });
  return Object.fromEntries(tags);
}

const invalidTag = (message: string, key: string): S3Error =>
  new S3Error('InvalidTag', { message, fields: { TagKey: key.slice(0, 2 * KEY_CHARS_MAX) } });
