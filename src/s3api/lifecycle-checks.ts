/**
 * What makes lifecycle rules valid beyond their form, with the errors that S3 gives. S3's least ages for some classes (30 days
 * for STANDARD_IA) are not asked for: there they follow from prices.
 */
import { LIMITS } from '../base/limits.ts';
import { rankOf, STANDARD, UNSUPPORTED_CLASSES } from '../lifecycle/classes.ts';
import { CALENDAR_DAY_MS } from '../lifecycle/due.ts';
import {
  hasSizes,
  type LifecycleConfiguration,
  type LifecycleRule,
  type RuleTime,
} from '../lifecycle/rules.ts';
import { S3Error } from './errors.ts';
import { malformedXml } from './xml-reader.ts';

const ID_CHARS_MAX = 255;

const invalid = (message: string, value?: number | string): S3Error =>
  new S3Error('InvalidArgument', {
    message,
    ...(value !== undefined && { fields: { ArgumentValue: String(value).slice(0, ID_CHARS_MAX) } }),
  });
const unfit = (message: string): S3Error => new S3Error('InvalidRequest', { message });

type DaysOf =
  | 'Expiration'
  | 'Transition'
  | 'NoncurrentVersionExpiration'
  | 'NoncurrentVersionTransition'
  | 'AbortIncompleteMultipartUpload';
const DAYS_NAMES: Readonly<Record<DaysOf, string>> = {
  Expiration: 'Days',
  Transition: 'Days',
  NoncurrentVersionExpiration: 'NoncurrentDays',
  NoncurrentVersionTransition: 'NoncurrentDays',
  AbortIncompleteMultipartUpload: 'DaysAfterInitiation',
};

/** Transitions may be due on the day itself. @throws {S3Error} InvalidArgument */
export function requireDays<T extends RuleTime>(time: T, action: DaysOf): T {
  if (!('days' in time)) return time;
  const name = DAYS_NAMES[action];
  const isMove = action === 'Transition' || action === 'NoncurrentVersionTransition';
  if (isMove && time.days < 0) throw invalid(`'${name}' in ${action} action must be nonnegative`, time.days);
  if (!isMove && time.days < 1)
    throw invalid(`'${name}' for ${action} action must be a positive integer`, time.days);
  return time;
}

/** @throws {S3Error} InvalidArgument */
export function requireMidnight(at: number): number {
  if (at % CALENDAR_DAY_MS !== 0) throw invalid("'Date' must be at midnight GMT");
  return at;
}

/** @throws {S3Error} InvalidArgument */
export function requireNewer(keepNewer: number): number {
  if (keepNewer < 1) throw invalid('NewerNoncurrentVersions must be a positive integer', keepNewer);
  if (keepNewer > LIMITS.newerNoncurrentMax)
    throw invalid(`NewerNoncurrentVersions must not be greater than ${LIMITS.newerNoncurrentMax}`, keepNewer);
  return keepNewer;
}

/** The bucket's record, which the nodes keep as well, has to stay within its bounds. @throws {S3Error} InvalidRequest */
export function requireDocumentSize(configuration: LifecycleConfiguration): void {
  if (Buffer.byteLength(JSON.stringify(configuration)) > LIMITS.lifecycleBytesMax)
    throw unfit(`The lifecycle configuration is larger than ${LIMITS.lifecycleBytesMax} bytes.`);
}

/** @throws {S3Error} MalformedXML, InvalidArgument, InvalidRequest, NotImplemented */
export function checkRules(rules: readonly LifecycleRule[], classes: readonly string[]): void {
  if (rules.length === 0) throw malformedXml();
  if (rules.length > LIMITS.lifecycleRulesMax)
    throw unfit(`The lifecycle configuration has more than ${LIMITS.lifecycleRulesMax} rules.`);
  const ids = new Set<string>();
  for (const { id } of rules) {
    if (id.length > ID_CHARS_MAX)
      throw invalid(`ID length should not exceed allowed limit of ${ID_CHARS_MAX}`, id);
    if (ids.has(id)) throw invalid('Rule ID must be unique. Found same ID for more than one rule', id);
    ids.add(id);
  }
  const isOld = rules.some(({ form }) => form === 'prefix');
  if (isOld && rules.some(({ form }) => form !== 'prefix'))
    throw unfit(
      'Base level prefix cannot be used in Lifecycle V2, prefixes are only supported in the Filter.',
    );
  for (const rule of rules) checkRule(rule, classes);
}

function checkRule(rule: LifecycleRule, classes: readonly string[]): void {
  const { expiration, transitions, noncurrentExpiration, noncurrentTransitions, abortUploadsDays } = rule;
  if (
    !expiration &&
    !transitions &&
    !noncurrentExpiration &&
    !noncurrentTransitions &&
    abortUploadsDays === undefined
  )
    throw unfit('At least one action needs to be specified in a rule');
  checkFilter(rule);
  if (expiration && 'expiredDeleteMarker' in expiration) requireUnfiltered(rule, 'ExpiredObjectDeleteMarker');
  if (abortUploadsDays !== undefined) requireUnfiltered(rule, 'AbortIncompleteMultipartUpload');
  const keeps = [noncurrentExpiration, ...(noncurrentTransitions ?? [])].some(
    (n) => n?.keepNewer !== undefined,
  );
  if (rule.form === 'prefix' && keeps)
    throw unfit('NewerNoncurrentVersions element can only be used in Lifecycle V2.');
  const moves = [...(transitions ?? []), ...(noncurrentTransitions ?? [])];
  for (const { storageClass } of moves) checkClass(storageClass, classes);
  checkCurrent(rule, classes);
  checkNoncurrent(rule, classes);
}

function checkFilter({ filter }: LifecycleRule): void {
  const { prefix = '', sizeGreaterThan, sizeLessThan } = filter;
  if (Buffer.byteLength(prefix) > LIMITS.keyBytesMax)
    throw unfit(`The maximum size of a prefix is ${LIMITS.keyBytesMax}.`);
  if (sizeGreaterThan !== undefined && sizeLessThan !== undefined && sizeLessThan <= sizeGreaterThan)
    throw unfit("'ObjectSizeLessThan' has to be a value greater than 'ObjectSizeGreaterThan'.");
}

function requireUnfiltered({ filter }: LifecycleRule, action: string): void {
  if (filter.tags) throw unfit(`${action} cannot be specified with Tags.`);
  if (hasSizes(filter)) throw unfit(`${action} cannot be specified with Object Size.`);
}

function checkClass(storageClass: string, classes: readonly string[]): void {
  if (UNSUPPORTED_CLASSES.has(storageClass))
    throw new S3Error('NotImplemented', {
      message: `Objects cannot be moved to ${storageClass}: restoring objects is not implemented.`,
    });
  if (storageClass === STANDARD || storageClass === 'REDUCED_REDUNDANCY' || rankOf(classes, storageClass) < 0)
    throw malformedXml();
}

interface Move {
  readonly storageClass: string;
  readonly at: number;
}

function checkCurrent(rule: LifecycleRule, classes: readonly string[]): void {
  const { expiration, transitions = [] } = rule;
  const unit = (time: RuleTime) => ('date' in time ? 'Date' : 'Days');
  const units = new Set(transitions.map(unit));
  if (units.size > 1)
    throw unfit(
      `Found mixed 'Date' and 'Days' based Transition actions in lifecycle rule for ${described(rule)}`,
    );
  const [name = 'Days'] = units;
  const at = (time: RuleTime) => ('date' in time ? time.date : time.days);
  const moves = transitions.map((t) => ({ storageClass: t.storageClass, at: at(t) }));
  checkOrder(rule, moves, classes, 'Transition', name);
  if (!expiration || 'expiredDeleteMarker' in expiration || moves.length === 0) return;
  if (unit(expiration) !== name)
    throw unfit(
      `Found mixed 'Date' and 'Days' based Expiration and Transition actions in lifecycle rule for ${described(rule)}`,
    );
  requireLater(rule, at(expiration), moves, name, 'Expiration', 'Transition');
}

function checkNoncurrent(rule: LifecycleRule, classes: readonly string[]): void {
  const { noncurrentExpiration, noncurrentTransitions = [] } = rule;
  const moves = noncurrentTransitions.map(({ storageClass, days }) => ({ storageClass, at: days }));
  checkOrder(rule, moves, classes, 'NoncurrentVersionTransition', 'NoncurrentDays');
  if (!noncurrentExpiration) return;
  const actions = ['NoncurrentVersionExpiration', 'NoncurrentVersionTransition'] as const;
  requireLater(rule, noncurrentExpiration.days, moves, 'NoncurrentDays', ...actions);
}

/** Each class once, and colder ones later. */
function checkOrder(
  rule: LifecycleRule,
  moves: readonly Move[],
  classes: readonly string[],
  action: string,
  name: string,
): void {
  const where = described(rule);
  if (new Set(moves.map(({ storageClass }) => storageClass)).size < moves.length)
    throw unfit(`'StorageClass' must be different for '${action}' actions in same 'Rule' with ${where}`);
  const sorted = [...moves].sort((a, b) => rankOf(classes, a.storageClass) - rankOf(classes, b.storageClass));
  for (const [i, colder] of sorted.entries()) {
    const warmer = sorted[i - 1];
    if (!warmer || colder.at > warmer.at) continue;
    throw invalid(
      `'${name}' in the ${action} action for StorageClass '${colder.storageClass}' for ${where} must be greater than '${name}' in the ${action} action for StorageClass '${warmer.storageClass}' for ${where}`,
    );
  }
}

function requireLater(
  rule: LifecycleRule,
  at: number,
  moves: readonly Move[],
  name: string,
  action: string,
  than: string,
): void {
  if (moves.every((move) => at > move.at)) return;
  throw invalid(
    `'${name}' in the ${action} action for ${described(rule)} must be greater than '${name}' in the ${than} action`,
  );
}

/** As S3 names a rule in its errors. */
function described({ form, filter }: LifecycleRule): string {
  if (form === 'prefix') return `prefix '${filter.prefix ?? ''}'`;
  const parts = [
    ...(filter.prefix === undefined ? [] : [`prefix=${filter.prefix}`]),
    ...Object.entries(filter.tags ?? {}).map(([key, value]) => `tag={key=${key}, value=${value}}`),
    ...(filter.sizeGreaterThan === undefined ? [] : [`objectsizegreaterthan=${filter.sizeGreaterThan}`]),
    ...(filter.sizeLessThan === undefined ? [] : [`objectsizelessthan=${filter.sizeLessThan}`]),
  ];
  return `filter '(${parts.join(' and ')})'`;
}
