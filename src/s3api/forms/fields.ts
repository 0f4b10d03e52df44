/**
 * What the fields of a POST form mean: the key, the headers that a PutObject of the same object would have, and what the
 * browser is told. Source: "POST Object", Amazon S3 API Reference.
 */
import { LIMITS } from '../../base/limits.ts';
import { readTagging } from '../documents.ts';
import { S3Error } from '../errors.ts';
import type { FormField } from './form.ts';

export type Values = ReadonlyMap<string, string>;
export type FormHeaders = Readonly<Record<string, string>>;

/** They speak of the form and not of the object. */
const OF_THE_FORM: ReadonlySet<string> = new Set([
  'x-amz-algorithm',
  'x-amz-credential',
  'x-amz-date',
  'x-amz-signature',
  'x-amz-security-token',
  'x-amz-tagging',
  'x-amz-acl',
]);
const SYSTEM: ReadonlySet<string> = new Set([
  'cache-control',
  'content-disposition',
  'content-encoding',
  'content-language',
  'content-md5',
  'content-type',
  'expires',
]);
const HEADER_NAME = /^[!#$%&'*+.^_`|~0-9a-z-]+$/;
/** Where the name of the file is to stand. */
const FILENAME = /\$\{filename\}/g;

/** Values by lower-case names; `${filename}` stands for the file's name wherever it is. */
export function formValues(fields: ReadonlyMap<string, FormField>, filename: string): Map<string, string> {
  const values = new Map<string, string>();
  for (const [name, { value }] of fields) {
    const literal = name === 'policy' || name.endsWith('signature');
    values.set(name, literal ? value : value.replaceAll(FILENAME, () => filename));
  }
  return values;
}

/** @throws {S3Error} InvalidArgument, KeyTooLongError */
export function formKey(values: Values): string {
  const key = values.get('key');
  if (key === undefined || key === '')
    throw new S3Error('InvalidArgument', {
      message:
        "Bucket POST must contain a field named 'key'.  If it is specified, please check the order of the fields.",
      fields: { ArgumentName: 'key', ArgumentValue: '' },
    });
  const bytes = Buffer.byteLength(key);
  if (bytes > LIMITS.keyBytesMax)
    throw new S3Error('KeyTooLongError', {
      fields: { Size: String(bytes), MaxSizeAllowed: String(LIMITS.keyBytesMax) },
    });
  if (key.includes('\0') || key.includes('\ufffd'))
    throw new S3Error('InvalidArgument', { fields: { ArgumentName: 'key' } });
  return key;
}

/**
 * The fields as the headers of a PutObject; what S3 does not know is left out. Text is UTF-8, as latin1 text the way
 * node gives headers. @throws {S3Error} MalformedXML (tagging), InvalidArgument
 */
export function formHeaders(values: Values): FormHeaders {
  const headers: Record<string, string> = {};
  const set = (name: string, value: string): void => {
    headers[name] = Buffer.from(value).toString('latin1');
  };
  for (const [name, value] of values) {
    const kept = SYSTEM.has(name) || (name.startsWith('x-amz-') && HEADER_NAME.test(name));
    if (kept && !OF_THE_FORM.has(name)) set(name, value);
  }
  const acl = values.get('acl') ?? values.get('x-amz-acl');
  if (acl !== undefined) set('x-amz-acl', acl);
  const tagging = values.get('tagging');
  if (tagging !== undefined && tagging !== '') {
    const pairs = readTagging(tagging).map((pair) => pair.map(encodeURIComponent).join('='));
    set('x-amz-tagging', pairs.join('&'));
  }
  return headers;
}

export interface Stored {
  readonly location: string;
  readonly bucket: string;
  readonly key: string;
  /** With quotes. */
  readonly etag: string;
}

/** Where the browser is sent after the upload; null: nowhere. What is no URL is as if it was not there, as S3 has it. */
export function redirectOf(values: Values, stored: Stored): string | null {
  const text = values.get('success_action_redirect') ?? values.get('redirect') ?? '';
  if (!URL.canParse(text)) return null;
  const url = new URL(text);
  if (url.protocol !== 'http:' && url.protocol !== 'https:') return null;
  const { bucket, key, etag } = stored;
  const told = Object.entries({ bucket, key, etag }).map(([name, v]) => `${name}=${encodeURIComponent(v)}`);
  url.search = `${url.search === '' ? '?' : `${url.search}&`}${told.join('&')}`;
  return url.href;
}

/** 204 but for what S3 knows. */
export function statusOf(values: Values): 200 | 201 | 204 {
  const text = values.get('success_action_status');
  return text === '200' ? 200 : text === '201' ? 201 : 204;
}

/** As the client may ask for it: by the host it used. */
export function locationOf(o: {
  readonly scheme: string;
  readonly host: string;
  readonly bucket: string;
  readonly key: string;
}): string {
  const { bucket, host } = o;
  const base = `${o.scheme}://${host}/`;
  const isVirtual = host.toLowerCase().startsWith(`${bucket}.`);
  return `${base}${isVirtual ? '' : `${encodeURIComponent(bucket)}/`}${encodeURIComponent(o.key)}`;
}
