/**
 * The document of a bucket's lifecycle, in both forms that S3 takes (Prefix beside the actions, or Filter): in and out. What
 * makes rules valid beyond their form is in lifecycle-checks.ts. Source: "PutBucketLifecycleConfiguration", Amazon S3 API Reference.
 */
import { createHash } from 'node:crypto';
import type {
  LifecycleConfiguration,
  LifecycleFilter,
  LifecycleRule,
  MinimumSize,
  NoncurrentExpiration,
  NoncurrentTransition,
  RuleTime,
  Transition,
} from '../lifecycle/rules.ts';
import { S3Error } from './errors.ts';
import {
  checkRules,
  requireDays,
  requireDocumentSize,
  requireMidnight,
  requireNewer,
} from './lifecycle-checks.ts';
import { validTags } from './tags.ts';
import { tag, wrap, xmlDocument } from './xml.ts';
import {
  childText,
  leafText,
  malformedXml,
  onlyChild,
  parseDocument,
  requireChildren,
  type XmlElement,
} from './xml-reader.ts';

const INTEGER_MAX = 2_147_483_647;
const SIZE_MAX = Number.MAX_SAFE_INTEGER;
const RULE =
  `ID Prefix Filter Status Expiration Transition NoncurrentVersionExpiration NoncurrentVersionTransition
  AbortIncompleteMultipartUpload`.split(/\s+/);
const FILTER = ['Prefix', 'Tag', 'ObjectSizeGreaterThan', 'ObjectSizeLessThan'];
/** ISO 8601: a date, or a date and a time. */
const DATE = /^\d{4}-\d{2}-\d{2}(?:T\d{2}:\d{2}:\d{2}(?:\.\d{1,9})?(?:Z|[+-]\d{2}:?\d{2})?)?$/;

/** @throws {S3Error} MalformedXML, InvalidArgument, InvalidRequest, InvalidTag, NotImplemented (classes that are not built) */
export function readLifecycle(
  text: string,
  minimumSize: MinimumSize,
  classes: readonly string[],
): LifecycleConfiguration {
  const root = parseDocument(text, 'LifecycleConfiguration', ['Rule']);
  const rules = withIds(root.children.map(ruleOf));
  checkRules(rules, classes);
  const configuration: LifecycleConfiguration = { rules, minimumSize };
  requireDocumentSize(configuration);
  return configuration;
}

/** Rules without an id get one that follows from what they say and where they stand. */
function withIds(rules: readonly LifecycleRule[]): readonly LifecycleRule[] {
  const idOf = (rule: LifecycleRule, i: number) =>
    createHash('sha256')
      .update(JSON.stringify([i, rule]))
      .digest('base64url');
  return rules.map((rule, i) => (rule.id === '' ? { ...rule, id: idOf(rule, i) } : rule));
}

function ruleOf(rule: XmlElement): LifecycleRule {
  requireChildren(rule, RULE);
  const status = childText(rule, 'Status')?.trim();
  if (status !== 'Enabled' && status !== 'Disabled') throw malformedXml();
  const expiration = onlyChild(rule, 'Expiration');
  const noncurrent = onlyChild(rule, 'NoncurrentVersionExpiration');
  const transitions = all(rule, 'Transition').map(transitionOf);
  const noncurrentTransitions = all(rule, 'NoncurrentVersionTransition').map(noncurrentTransitionOf);
  const abort = onlyChild(rule, 'AbortIncompleteMultipartUpload');
  return {
    id: childText(rule, 'ID') ?? '',
    isEnabled: status === 'Enabled',
    ...filterOf(rule),
    ...(expiration && { expiration: expirationOf(expiration) }),
    ...(transitions.length > 0 && { transitions }),
    ...(noncurrent && { noncurrentExpiration: noncurrentExpirationOf(noncurrent) }),
    ...(noncurrentTransitions.length > 0 && { noncurrentTransitions }),
    ...(abort && { abortUploadsDays: abortDaysOf(abort) }),
  };
}

const all = (parent: XmlElement, name: string) => parent.children.filter((child) => child.name === name);

function filterOf(rule: XmlElement): Pick<LifecycleRule, 'form' | 'filter'> {
  const prefix = childText(rule, 'Prefix');
  const filter = onlyChild(rule, 'Filter');
  if ((prefix === undefined) === (filter === undefined)) throw malformedXml();
  if (!filter) return { form: 'prefix', filter: { prefix: prefix! } };
  requireChildren(filter, [...FILTER, 'And']);
  // A filter says one thing; what says several stands in And.
  if (filter.children.length > 1) throw malformedXml();
  const and = onlyChild(filter, 'And');
  if (!and) return { form: 'filter', filter: predicatesOf(filter) };
  requireChildren(and, FILTER);
  if (and.children.length < 2) throw malformedXml();
  return { form: 'and', filter: predicatesOf(and) };
}

function predicatesOf(element: XmlElement): LifecycleFilter {
  const prefix = childText(element, 'Prefix');
  const pairs = all(element, 'Tag').map(tagOf);
  if (new Set(pairs.map(([key]) => key)).size < pairs.length)
    throw new S3Error('InvalidRequest', { message: 'Duplicate Tag Keys are not allowed.' });
  const greater = sizeOf(element, 'ObjectSizeGreaterThan');
  const less = sizeOf(element, 'ObjectSizeLessThan');
  return {
    ...(prefix !== undefined && { prefix }),
    ...(pairs.length > 0 && { tags: validTags(pairs) }),
    ...(greater !== undefined && { sizeGreaterThan: greater }),
    ...(less !== undefined && { sizeLessThan: less }),
  };
}

function tagOf(element: XmlElement): readonly [string, string] {
  requireChildren(element, ['Key', 'Value']);
  const key = childText(element, 'Key');
  const value = childText(element, 'Value');
  if (key === undefined || value === undefined) throw malformedXml();
  return [key, value];
}

function expirationOf(element: XmlElement): NonNullable<LifecycleRule['expiration']> {
  requireChildren(element, ['Days', 'Date', 'ExpiredObjectDeleteMarker']);
  if (element.children.length !== 1) throw malformedXml();
  const marker = childText(element, 'ExpiredObjectDeleteMarker')?.trim();
  if (marker === undefined) return requireDays(timeOf(element), 'Expiration');
  if (marker !== 'true' && marker !== 'false') throw malformedXml();
  return { expiredDeleteMarker: marker === 'true' };
}

function transitionOf(element: XmlElement): Transition {
  requireChildren(element, ['Days', 'Date', 'StorageClass']);
  const storageClass = classOf(element);
  return { ...requireDays(timeOf(element), 'Transition'), storageClass };
}

/** Days or Date, not both. */
function timeOf(element: XmlElement): RuleTime {
  const days = integer(element, 'Days', INTEGER_MAX);
  const date = onlyChild(element, 'Date');
  if ((days === undefined) === (date === undefined)) throw malformedXml();
  if (days !== undefined) return { days };
  const text = leafText(date!).trim();
  const at = DATE.test(text)
    ? Date.parse(/T.*\d$/.test(text) && !/[+-]\d{2}:?\d{2}$/.test(text) ? `${text}Z` : text)
    : Number.NaN;
  if (Number.isNaN(at)) throw malformedXml();
  return { date: requireMidnight(at) };
}

function noncurrentExpirationOf(element: XmlElement): NoncurrentExpiration {
  requireChildren(element, ['NoncurrentDays', 'NewerNoncurrentVersions']);
  return noncurrentOf(element, 'NoncurrentVersionExpiration');
}

function noncurrentTransitionOf(element: XmlElement): NoncurrentTransition {
  requireChildren(element, ['NoncurrentDays', 'NewerNoncurrentVersions', 'StorageClass']);
  const storageClass = classOf(element);
  return { ...noncurrentOf(element, 'NoncurrentVersionTransition'), storageClass };
}

function noncurrentOf(
  element: XmlElement,
  action: 'NoncurrentVersionExpiration' | 'NoncurrentVersionTransition',
): NoncurrentExpiration {
  const days = integer(element, 'NoncurrentDays', INTEGER_MAX);
  const keepNewer = integer(element, 'NewerNoncurrentVersions', INTEGER_MAX);
  if (days === undefined) throw malformedXml();
  requireDays({ days }, action);
  return { days, ...(keepNewer !== undefined && { keepNewer: requireNewer(keepNewer) }) };
}

function abortDaysOf(element: XmlElement): number {
  requireChildren(element, ['DaysAfterInitiation']);
  const days = integer(element, 'DaysAfterInitiation', INTEGER_MAX);
  if (days === undefined) throw malformedXml();
  requireDays({ days }, 'AbortIncompleteMultipartUpload');
  return days;
}

function classOf(element: XmlElement): string {
  const storageClass = childText(element, 'StorageClass')?.trim();
  if (!storageClass) throw malformedXml();
  return storageClass;
}

/** A negative number is a number: what it means is said by the checks. */
function integer(element: XmlElement, name: string, max: number): number | undefined {
  const text = childText(element, name)?.trim();
  if (text === undefined) return undefined;
  if (!/^-?\d{1,19}$/.test(text) || Math.abs(Number(text)) > max) throw malformedXml();
  return Number(text);
}

function sizeOf(element: XmlElement, name: string): number | undefined {
  const size = integer(element, name, SIZE_MAX);
  if (size !== undefined && size < 0)
    throw new S3Error('InvalidRequest', { message: `'${name}' must be nonnegative` });
  return size;
}

// ------------------------------------------------------------------------------------------------- out

export function lifecycleXml({ rules }: LifecycleConfiguration): string {
  return xmlDocument('LifecycleConfiguration', rules.map((rule) => wrap('Rule', ruleXml(rule))).join(''));
}

function ruleXml(rule: LifecycleRule): string {
  const { expiration, transitions = [], noncurrentTransitions = [], noncurrentExpiration } = rule;
  return [
    tag('ID', rule.id),
    rule.form === 'prefix' ? tag('Prefix', rule.filter.prefix ?? '') : wrap('Filter', filterXml(rule)),
    tag('Status', rule.isEnabled ? 'Enabled' : 'Disabled'),
    expiration ? wrap('Expiration', expirationXml(expiration)) : '',
    ...transitions.map((t) => wrap('Transition', timeXml(t) + tag('StorageClass', t.storageClass))),
    noncurrentExpiration ? wrap('NoncurrentVersionExpiration', noncurrentXml(noncurrentExpiration)) : '',
    ...noncurrentTransitions.map((t) =>
      wrap('NoncurrentVersionTransition', noncurrentXml(t) + tag('StorageClass', t.storageClass)),
    ),
    rule.abortUploadsDays === undefined
      ? ''
      : wrap('AbortIncompleteMultipartUpload', tag('DaysAfterInitiation', rule.abortUploadsDays)),
  ].join('');
}

function filterXml({ form, filter }: LifecycleRule): string {
  const tags = Object.entries(filter.tags ?? {}).map(([key, value]) =>
    wrap('Tag', tag('Key', key) + tag('Value', value)),
  );
  const inner =
    tag('Prefix', filter.prefix) +
    tags.join('') +
    tag('ObjectSizeGreaterThan', filter.sizeGreaterThan) +
    tag('ObjectSizeLessThan', filter.sizeLessThan);
  return form === 'and' ? wrap('And', inner) : inner;
}

const expirationXml = (expiration: NonNullable<LifecycleRule['expiration']>): string =>
  'expiredDeleteMarker' in expiration
    ? tag('ExpiredObjectDeleteMarker', expiration.expiredDeleteMarker)
    : timeXml(expiration);
const timeXml = (time: RuleTime): string =>
  'date' in time ? tag('Date', new Date(time.date).toISOString()) : tag('Days', time.days);
const noncurrentXml = ({ days, keepNewer }: NoncurrentExpiration): string =>
  tag('NoncurrentDays', days) + tag('NewerNoncurrentVersions', keepNewer);
