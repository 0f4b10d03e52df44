/**
 * What lifecycle rules say about one version or upload: what is to be done, and from when on. Pure. Source: "Lifecycle
 * configuration elements", "Understanding and managing object lifecycle" and "Conflicting lifecycle actions", S3 User Guide.
 *
 * - Days are counted from when a version was made, or from when its successor was, and rounded to the *next* midnight UTC.
 *   With a `dayMs` of its own (for tests) a day is that long, and nothing is rounded.
 * - Removing for good goes before a transition, a transition before a delete marker when both came due at once.
 * - Of several transitions the coldest class that is due wins, and nothing becomes warmer.
 */
import { rankOf } from './classes.ts';
import { hasSizes, type LifecycleRule, type Matchable, matches, type RuleTime } from './rules.ts';

export interface Terms {
  /** In the order of STORAGE_CLASSES. */
  readonly classes: readonly string[];
  /** Bytes. Smaller objects are moved by rules alone that speak of sizes. */
  readonly transitionMinimumBytes: number;
  /** A day, for tests. null: a day of the calendar in UTC. */
  readonly dayMs: number | null;
}

export interface VersionFacts extends Matchable {
  /** ms since the epoch, by the directory's clock. */
  readonly lastModified: number;
  readonly isLatest: boolean;
  readonly isDeleteMarker: boolean;
  readonly storageClass: string;
  /** The key has no other version. */
  readonly isAlone: boolean;
  /** When the next newer version of the key was made; null for the latest. */
  readonly successorAt: number | null;
  /** Noncurrent versions of the key that are newer, delete markers left out. */
  readonly newerNoncurrent: number;
}

export type LifecycleAction =
  /** A plain DELETE: the object goes where the bucket has never been versioned, elsewhere it gets a delete marker. */
  | { readonly kind: 'expire' }
  | { readonly kind: 'remove-marker' }
  /** A noncurrent version, for good. */
  | { readonly kind: 'remove'; readonly keepNewer?: number }
  | { readonly kind: 'transition'; readonly storageClass: string; readonly keepNewer?: number };

export interface Due {
  readonly action: LifecycleAction;
  /** ms since the epoch. */
  readonly at: number;
  readonly ruleId: string;
}

export const CALENDAR_DAY_MS = 24 * 3_600_000;

export function daysAfter(from: number, days: number, dayMs: number | null): number {
  if (dayMs !== null) return from + days * dayMs;
  return (Math.floor(from / CALENDAR_DAY_MS) + days + 1) * CALENDAR_DAY_MS;
}

const timeOf = (time: RuleTime, from: number, dayMs: number | null): number =>
  'date' in time ? time.date : daysAfter(from, time.days, dayMs);

/** Everything that enabled rules ever do to this version as it is now, in no order. */
export function dueActions(rules: readonly LifecycleRule[], v: VersionFacts, terms: Terms): readonly Due[] {
  const enabled = rules.filter((rule) => rule.isEnabled);
  if (!v.isLatest) return enabled.flatMap((rule) => ofNoncurrent(rule, v, terms));
  return enabled.flatMap((rule) => (v.isDeleteMarker ? ofMarker(rule, v, terms) : ofCurrent(rule, v, terms)));
}

function ofCurrent(rule: LifecycleRule, v: VersionFacts, terms: Terms): Due[] {
  if (!matches(rule.filter, v)) return [];
  const found: Due[] = [];
  const { expiration, transitions = [], id: ruleId } = rule;
  if (expiration && !('expiredDeleteMarker' in expiration))
    found.push({ action: { kind: 'expire' }, at: timeOf(expiration, v.lastModified, terms.dayMs), ruleId });
  for (const transition of transitions) {
    const { storageClass } = transition;
    const at = timeOf(transition, v.lastModified, terms.dayMs);
    if (mayMove(rule, v, storageClass, terms))
      found.push({ action: { kind: 'transition', storageClass }, at, ruleId });
  }
  return found;
}

/** A delete marker goes when nothing else is left of its key, as soon as a rule says so, or when it is old enough. */
function ofMarker(rule: LifecycleRule, v: VersionFacts, terms: Terms): Due[] {
  const { expiration, filter, id: ruleId } = rule;
  if (!expiration || !v.isAlone || hasSizes(filter) || !matches(filter, v)) return [];
  const action = { kind: 'remove-marker' } as const;
  if (!('expiredDeleteMarker' in expiration))
    return [{ action, at: timeOf(expiration, v.lastModified, terms.dayMs), ruleId }];
  return expiration.expiredDeleteMarker ? [{ action, at: v.lastModified, ruleId }] : [];
}

function ofNoncurrent(rule: LifecycleRule, v: VersionFacts, terms: Terms): Due[] {
  if (v.successorAt === null || !matches(rule.filter, v)) return [];
  const found: Due[] = [];
  const { noncurrentExpiration: expiration, noncurrentTransitions = [], id: ruleId } = rule;
  const add = (action: LifecycleAction, days: number) =>
    found.push({ action, at: daysAfter(v.successorAt!, days, terms.dayMs), ruleId });
  const isKept = (keepNewer: number | undefined) => keepNewer !== undefined && v.newerNoncurrent < keepNewer;
  const kept = (keepNewer: number | undefined) => (keepNewer === undefined ? {} : { keepNewer });
  if (expiration && !isKept(expiration.keepNewer))
    add({ kind: 'remove', ...kept(expiration.keepNewer) }, expiration.days);
  if (!v.isDeleteMarker)
    for (const { storageClass, days, keepNewer } of noncurrentTransitions)
      if (!isKept(keepNewer) && mayMove(rule, v, storageClass, terms))
        add({ kind: 'transition', storageClass, ...kept(keepNewer) }, days);
  return found;
}

function mayMove(rule: LifecycleRule, v: VersionFacts, storageClass: string, terms: Terms): boolean {
  if (v.size < terms.transitionMinimumBytes && !hasSizes(rule.filter)) return false;
  return rankOf(terms.classes, storageClass) > rankOf(terms.classes, v.storageClass);
}

/** What is to be done now; null: nothing. `isVersioned`: the bucket has or had versioning, so that DELETE leaves a marker. */
export function nextAction(
  rules: readonly LifecycleRule[],
  v: VersionFacts,
  terms: Terms,
  now: number,
  isVersioned: boolean,
): Due | null {
  const due = dueActions(rules, v, terms).filter(({ at }) => at <= now);
  if (due.length === 0) return null;
  const isForGood = ({ action }: Due) =>
    action.kind === 'remove' || action.kind === 'remove-marker' || (action.kind === 'expire' && !isVersioned);
  const removal = earliest(due.filter(isForGood));
  if (removal) return removal;
  const marker = earliest(due.filter(({ action }) => action.kind === 'expire'));
  const moves = due.filter(({ action }) => action.kind === 'transition');
  const move = coldest(moves, terms.classes);
  if (!marker || !move) return marker ?? move;
  return earliest(moves)!.at <= marker.at ? move : marker;
}

const earliest = (due: readonly Due[]): Due | null =>
  due.reduce<Due | null>((best, one) => (best === null || one.at < best.at ? one : best), null);

function coldest(moves: readonly Due[], classes: readonly string[]): Due | null {
  const rank = ({ action }: Due) =>
    action.kind === 'transition' ? rankOf(classes, action.storageClass) : -1;
  return moves.reduce<Due | null>(
    (best, one) => (best === null || rank(one) > rank(best) ? one : best),
    null,
  );
}

export interface Announced {
  /** ms since the epoch; always in days of the calendar. */
  readonly at: number;
  readonly ruleId: string;
}

/** When the object expires, if it stays as it is: what x-amz-expiration says. */
export function expirationOf(
  rules: readonly LifecycleRule[],
  object: Matchable & { readonly lastModified: number },
): Announced | null {
  const found = rules.flatMap(({ isEnabled, expiration, filter, id: ruleId }) => {
    if (!isEnabled || !expiration || 'expiredDeleteMarker' in expiration || !matches(filter, object))
      return [];
    return [{ at: timeOf(expiration, object.lastModified, null), ruleId }];
  });
  return first(found);
}

/** When an upload is aborted, if it is not completed. `dayMs` as in Terms. */
export function abortOf(
  rules: readonly LifecycleRule[],
  upload: { readonly key: string; readonly initiated: number },
  dayMs: number | null = null,
): Announced | null {
  const found = rules.flatMap(({ isEnabled, abortUploadsDays: days, filter, id: ruleId }) => {
    if (!isEnabled || days === undefined || !upload.key.startsWith(filter.prefix ?? '')) return [];
    return [{ at: daysAfter(upload.initiated, days, dayMs), ruleId }];
  });
  return first(found);
}

const first = (found: readonly Announced[]): Announced | null =>
  found.reduce<Announced | null>((best, one) => (best === null || one.at < best.at ? one : best), null);
