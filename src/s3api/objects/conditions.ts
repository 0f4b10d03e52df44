/**
 * Conditional requests, as decisions over headers and a row. No I/O.
 * Reads: RFC 9110 section 13.2.2 as S3 applies it: If-Match decides over If-Unmodified-Since and If-None-Match over
 * If-Modified-Since ("GetObject" and "CopyObject", Amazon S3 API Reference). Dates count whole seconds; a date that
 * cannot be read is as good as absent.
 */
import type { ObjectVersion, WriteCondition } from '../../ddm/catalog.ts';
import { S3Error } from '../errors.ts';

type Headers = Readonly<Record<string, string | undefined>>;

export interface ReadConditions {
  readonly ifMatch?: string;
  readonly ifNoneMatch?: string;
  readonly ifModifiedSince?: string;
  readonly ifUnmodifiedSince?: string;
}

export function readConditions(headers: Headers): ReadConditions {
  return {
    ifMatch: headers['if-match'],
    ifNoneMatch: headers['if-none-match'],
    ifModifiedSince: headers['if-modified-since'],
    ifUnmodifiedSince: headers['if-unmodified-since'],
  };
}

export function copySourceConditions(headers: Headers): ReadConditions {
  return {
    ifMatch: headers['x-amz-copy-source-if-match'],
    ifNoneMatch: headers['x-amz-copy-source-if-none-match'],
    ifModifiedSince: headers['x-amz-copy-source-if-modified-since'],
    ifUnmodifiedSince: headers['x-amz-copy-source-if-unmodified-since'],
  };
}

export interface Validators {
  /** Without quotes. */
  readonly etag: string;
  readonly lastModified: Date;
}

/** The ETag inside of `"…"`, `W/"…"` or bare text; clients of S3 send all three. */
export function unquoteETag(text: string): string {
  return /^(?:W\/)?"(.*)"$/s.exec(text.trim())?.[1] ?? text.trim();
}

function listHas(list: string, etag: string): boolean {
  return list.split(',').some((item) => item.trim() === '*' || unquoteETag(item) === etag);
}

/** The whole seconds of an HTTP date; null when it cannot be read. */
export function parseHttpDate(text: string | undefined): number | null {
  if (text === undefined) return null;
  const ms = Date.parse(text);
  return Number.isNaN(ms) ? null : Math.floor(ms / 1000);
}

const secondsOf = (date: Date): number => Math.floor(date.getTime() / 1000);

export type ReadDecision = 'proceed' | 'not-modified' | 'precondition-failed';

export function decideRead(conditions: ReadConditions, object: Validators): ReadDecision {
  const { ifMatch, ifNoneMatch } = conditions;
  const modified = secondsOf(object.lastModified);
  if (ifMatch !== undefined) {
    if (!listHas(ifMatch, object.etag)) return 'precondition-failed';
  } else {
    const since = parseHttpDate(conditions.ifUnmodifiedSince);
    if (since !== null && modified > since) return 'precondition-failed';
  }
  if (ifNoneMatch !== undefined) {
    if (listHas(ifNoneMatch, object.etag)) return 'not-modified';
  } else {
    const since = parseHttpDate(conditions.ifModifiedSince);
    if (since !== null && modified <= since) return 'not-modified';
  }
  return 'proceed';
}

/** If-Range: the range counts only while the object is still the one that the client knows. */
export function rangeStillHolds(ifRange: string | undefined, object: Validators): boolean {
  if (ifRange === undefined) return true;
  const date = /^\s*(?:W\/)?"|^[0-9a-f]{32}/i.test(ifRange) ? null : parseHttpDate(ifRange);
  if (date !== null) return secondsOf(object.lastModified) === date;
  // RFC 9110 section 13.1.5: a weak validator never matches.
  return !ifRange.trim().startsWith('W/') && unquoteETag(ifRange) === object.etag;
}

/** Throws what S3 answers to a copy whose conditions on the source do not hold. */
export function requireCopySource(conditions: ReadConditions, object: Validators): void {
  if (decideRead(conditions, object) !== 'proceed') throw new S3Error('PreconditionFailed');
}

/**
 * The condition of a PUT, copy or Complete on its own key. One ETag or `*`; what S3 does not evaluate on writes
 * gets 501 rather than silence.
 */
export function writeCondition(headers: Headers): WriteCondition | undefined {
  for (const name of ['if-modified-since', 'if-unmodified-since'])
    if (headers[name] !== undefined) throw notImplemented(name);
  const ifMatch = oneETag('if-match', headers['if-match']);
  const ifNoneMatch = oneETag('if-none-match', headers['if-none-match']);
  if (ifMatch === undefined && ifNoneMatch === undefined) return undefined;
  return {
    ...(ifMatch === undefined ? {} : { ifMatch }),
    ...(ifNoneMatch === undefined ? {} : { ifNoneMatch }),
  };
}

function oneETag(name: string, value: string | undefined): string | undefined {
  if (value === undefined) return undefined;
  if (value.includes(',')) throw notImplemented(name);
  return unquoteETag(value);
}

const notImplemented = (header: string) => new S3Error('NotImplemented', { fields: { Header: header } });

/** The condition of a DELETE; `x-amz-if-match-last-modified-time` and `-size` as "DeleteObject" names them. */
export function deleteCondition(headers: Headers): WriteCondition | undefined {
  const ifMatch = oneETag('if-match', headers['if-match']);
  const modified = headers['x-amz-if-match-last-modified-time'];
  const size = headers['x-amz-if-match-size'];
  if (ifMatch === undefined && modified === undefined && size === undefined) return undefined;
  const seconds = parseHttpDate(modified);
  if (modified !== undefined && seconds === null)
    throw invalid('x-amz-if-match-last-modified-time', modified);
  if (size !== undefined && !/^\d{1,16}$/.test(size)) throw invalid('x-amz-if-match-size', size);
  return {
    ...(ifMatch === undefined ? {} : { ifMatch }),
    ...(seconds === null ? {} : { ifMatchLastModified: new Date(seconds * 1000) }),
    ...(size === undefined ? {} : { ifMatchSize: Number(size) }),
  };
}

const invalid = (name: string, value: string) =>
  new S3Error('InvalidArgument', { fields: { ArgumentName: name, ArgumentValue: value } });

/**
 * Whether a write is refused already by the row of this moment, so that a body need not be read first.
 * The commit decides again under the key's lock.
 */
export function refuseEarly(condition: WriteCondition | undefined, latest: ObjectVersion | null): void {
  if (condition === undefined) return;
  const current = latest === null || latest.isDeleteMarker ? null : latest;
  const { ifMatch, ifNoneMatch } = condition;
  if (ifMatch !== undefined) {
    if (current === null) throw new S3Error('NoSuchKey');
    if (ifMatch !== '*' && ifMatch !== current.etag)
      throw new S3Error('PreconditionFailed', { fields: { Condition: 'If-Match' } });
  }
  if (ifNoneMatch !== undefined && current !== null)
    if (ifNoneMatch === '*' || ifNoneMatch === current.etag)
      throw new S3Error('PreconditionFailed', { fields: { Condition: 'If-None-Match' } });
}
