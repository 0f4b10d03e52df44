/**
 * The lifecycle rules of a bucket, as they stand in its setting `lifecycle`: read from S3's document and checked when they are
 * set (s3api/lifecycle-documents.ts), so that whoever applies them finds only what makes sense. Types, and what a filter matches.
 */

export interface LifecycleFilter {
  readonly prefix?: string;
  /** All of them, with these values. */
  readonly tags?: Readonly<Record<string, string>>;
  /** Bytes; the bounds themselves do not match. */
  readonly sizeGreaterThan?: number;
  readonly sizeLessThan?: number;
}

/** `date`: midnight UTC, ms since the epoch. */
export type RuleTime = { readonly days: number } | { readonly date: number };
export type Transition = RuleTime & { readonly storageClass: string };
export interface NoncurrentExpiration {
  readonly days: number;
  /** So many noncurrent versions of a key stay, whatever their age. */
  readonly keepNewer?: number;
}
export type NoncurrentTransition = NoncurrentExpiration & { readonly storageClass: string };

export interface LifecycleRule {
  readonly id: string;
  readonly isEnabled: boolean;
  /** Where the document had the filter, so that it is shown as it was said: `prefix` beside it, in `Filter`, or in `And`. */
  readonly form: 'prefix' | 'filter' | 'and';
  readonly filter: LifecycleFilter;
  readonly expiration?: RuleTime | { readonly expiredDeleteMarker: boolean };
  readonly transitions?: readonly Transition[];
  readonly noncurrentExpiration?: NoncurrentExpiration;
  readonly noncurrentTransitions?: readonly NoncurrentTransition[];
  readonly abortUploadsDays?: number;
}

export const MINIMUM_SIZES = ['varies_by_storage_class', 'all_storage_classes_128K'] as const;
export type MinimumSize = (typeof MINIMUM_SIZES)[number];

export interface LifecycleConfiguration {
  readonly rules: readonly LifecycleRule[];
  /** Which objects are too small for transitions, where a rule does not say it. */
  readonly minimumSize: MinimumSize;
}

export const LIFECYCLE_SETTING = 'lifecycle';

/** Of a bucket's settings; null: none is set. */
export function lifecycleOf(settings: Readonly<Record<string, unknown>>): LifecycleConfiguration | null {
  const value = settings[LIFECYCLE_SETTING];
  return isConfiguration(value) ? value : null;
}

/** Only what has been checked is ever stored; this keeps anything else from being taken for rules. */
const isConfiguration = (value: unknown): value is LifecycleConfiguration =>
  typeof value === 'object' && value !== null && 'rules' in value && Array.isArray(value.rules);

export interface Matchable {
  readonly key: string;
  readonly size: number;
  readonly tags: Readonly<Record<string, string>>;
}

export function matches(filter: LifecycleFilter, o: Matchable): boolean {
  if (filter.prefix !== undefined && !o.key.startsWith(filter.prefix)) return false;
  if (filter.sizeGreaterThan !== undefined && o.size <= filter.sizeGreaterThan) return false;
  if (filter.sizeLessThan !== undefined && o.size >= filter.sizeLessThan) return false;
  return Object.entries(filter.tags ?? {}).every(
    ([name, value]) => Object.hasOwn(o.tags, name) && o.tags[name] === value,
  );
}

export const hasSizes = (filter: LifecycleFilter): boolean =>
  filter.sizeGreaterThan !== undefined || filter.sizeLessThan !== undefined;

/** The prefixes that together cover every key which one of these rules may be about: none of them begins with another. */
export function coveringPrefixes(rules: readonly LifecycleRule[]): readonly string[] {
  const sorted = [...new Set(rules.map(({ filter }) => filter.prefix ?? ''))].sort();
  const kept: string[] = [];
  // What begins with a text comes after it, and before anything that is greater and does not.
  for (const prefix of sorted) if (kept.length === 0 || !prefix.startsWith(kept.at(-1)!)) kept.push(prefix);
  return kept;
}
