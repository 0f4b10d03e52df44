/** One pass through a bucket: its open uploads first, then its versions, a page at a time. */
import type { Clock } from '../../base/clock.ts';
import { newWriteId, type UploadId } from '../../base/ids.ts';
import type { Catalog } from '../../ddm/catalog.ts';
import type {
  LifecycleCommit,
  LifecycleCounts,
  LifecyclePosition,
  LifecycleSource,
  LifecycleTurn,
  LifecycleVersion,
} from '../../ddm/lifecycle-source.ts';
import { abortOf, type Due, nextAction, type Terms } from '../../lifecycle/due.ts';
import {
  coveringPrefixes,
  LIFECYCLE_SETTING,
  type LifecycleRule,
  lifecycleOf,
} from '../../lifecycle/rules.ts';
import type { LifecycleSettings } from './lifecycle.ts';

export interface PassOptions {
  readonly source: Pick<LifecycleSource, 'lifecyclePage' | 'applyLifecycle'>;
  readonly catalog: Pick<Catalog, 'listUploads' | 'abortUpload'>;
  readonly terms: Terms;
  readonly settings: LifecycleSettings;
  readonly turn: LifecycleTurn;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

const SEQ_MAX = Number.MAX_SAFE_INTEGER;
const newCounts = (): LifecycleCounts => ({
  ...{ scanned: 0, expired: 0, removed: 0, transitioned: 0, aborted: 0, kept: 0 },
});

interface Planned {
  readonly commit: LifecycleCommit;
  readonly counter: 'expired' | 'removed' | 'transitioned';
}

export class Pass {
  readonly #o: PassOptions;
  readonly #rules: readonly LifecycleRule[];
  readonly #ranges: Readonly<Record<LifecyclePosition['phase'], readonly string[]>>;
  readonly #keep: number;
  #position: LifecyclePosition | null;
  #counts = newCounts();
  readonly total = newCounts();
  /** The directory's clock, as it was last heard of. */
  now: number;

  constructor(o: PassOptions) {
    this.#o = o;
    const { turn } = o;
    const stored = lifecycleOf({ [LIFECYCLE_SETTING]: turn.configuration });
    this.#rules = stored?.rules.filter(({ isEnabled }) => isEnabled) ?? [];
    this.#ranges = {
      uploads: coveringPrefixes(this.#rules.filter((rule) => rule.abortUploadsDays !== undefined)),
      versions: coveringPrefixes(this.#rules.filter(isAboutVersions)),
    };
    const keeps = this.#rules.flatMap((rule) => [
      rule.noncurrentExpiration,
      ...(rule.noncurrentTransitions ?? []),
    ]);
    this.#keep = Math.max(0, ...keeps.map((n) => n?.keepNewer ?? 0));
    this.#position = turn.position ?? startOf('uploads', 0);
    this.now = turn.now;
  }

  /** Where the pass goes on; null: it has come to its end. */
  get position(): LifecyclePosition | null {
    return this.#position;
  }

  get hasActed(): boolean {
    const { scanned: _, kept: __, ...acted } = this.total;
    return Object.values(acted).some((count) => count > 0);
  }

  /** What was counted since the last time. */
  takeCounts(): LifecycleCounts {
    const counts = this.#counts;
    for (const [name, value] of Object.entries(counts)) this.total[name as keyof LifecycleCounts] += value;
    this.#counts = newCounts();
    return counts;
  }

  /** `stale`: the rules are others by now, or the bucket has gone. */
  async page(): Promise<'more' | 'ended' | 'stale'> {
    const at = this.#position;
    if (at === null) return 'ended';
    const prefix = this.#ranges[at.phase][at.range];
    if (prefix === undefined) {
      this.#position = at.phase === 'uploads' ? startOf('versions', 0) : null;
      return this.page();
    }
    const next = at.phase === 'uploads' ? await this.#uploads(at, prefix) : await this.#versions(at, prefix);
    if (next === 'stale') return next;
    this.#position = next ?? startOf(at.phase, at.range + 1);
    return 'more';
  }

  async #uploads(at: LifecyclePosition, prefix: string): Promise<LifecyclePosition | null> {
    const { catalog, turn, settings, terms, signal } = this.#o;
    const { bucketId } = turn;
    const { entries, truncated } = await catalog.listUploads({
      ...{ bucketId, prefix, delimiter: '', keyMarker: at.key, maxKeys: settings.pageMax },
      ...(at.uploadId !== undefined && { uploadIdMarker: at.uploadId as UploadId }),
    });
    const uploads = entries.flatMap((entry) => (entry.kind === 'item' ? [entry.item] : []));
    this.#counts.scanned += uploads.length;
    for (const { key, uploadId, initiated } of uploads) {
      signal.throwIfAborted();
      const due = abortOf(this.#rules, { key, initiated: initiated.getTime() }, terms.dayMs);
      if (due === null || due.at > this.now) continue;
      // Completed or aborted meanwhile, or not known to be: then it is none of ours any more, or the next pass's.
      const { outcome } = await catalog.abortUpload(bucketId, key, uploadId);
      if (outcome === 'done') this.#counts.aborted += 1;
      await this.#yield(1);
    }
    const last = uploads.at(-1);
    if (!truncated || last === undefined) return null;
    return { phase: 'uploads', range: at.range, key: last.key, uploadId: last.uploadId };
  }

  async #versions(at: LifecyclePosition, prefix: string): Promise<LifecyclePosition | null | 'stale'> {
    const { source, turn, settings } = this.#o;
    const { key, seq = 0 } = at;
    const query = { prefix, key, seq, max: settings.pageMax, keep: this.#keep };
    const { versions, now } = await source.lifecyclePage(turn, query);
    this.now = now;
    this.#counts.scanned += versions.length;
    const planned = versions.flatMap((version) => this.#plan(version) ?? []);
    for (let from = 0; from < planned.length; from += settings.batchMax) {
      this.#o.signal.throwIfAborted();
      if (!(await this.#apply(planned.slice(from, from + settings.batchMax)))) return 'stale';
    }
    const last = versions.at(-1);
    if (versions.length < settings.pageMax || last === undefined) return null;
    return { phase: 'versions', range: at.range, key: last.key, seq: last.seq };
  }

  #plan(version: LifecycleVersion): Planned | null {
    const { terms, turn } = this.#o;
    const due = nextAction(this.#rules, version, terms, this.now, turn.versioning !== 'unversioned');
    if (due === null) return null;
    const isForGood = due.action.kind === 'remove' || due.action.kind === 'remove-marker';
    if (version.isLocked && isForGood) {
      this.#counts.kept += 1;
      return null;
    }
    return plannedOf(due, version);
  }

  async #apply(planned: readonly Planned[]): Promise<boolean> {
    const { source, turn } = this.#o;
    const results = await source.applyLifecycle(
      turn,
      planned.map(({ commit }) => commit),
    );
    if (results === null) return false;
    for (const [i, { counter }] of planned.entries()) {
      if (results[i] === 'done') this.#counts[counter] += 1;
      if (results[i] === 'locked') this.#counts.kept += 1;
    }
    await this.#yield(planned.length);
    return true;
  }

  /** Client traffic goes first. */
  async #yield(actions: number): Promise<void> {
    const { clock, settings, signal } = this.#o;
    await clock.sleep((actions * 1_000) / settings.actionsPerSecond, signal);
  }
}

const startOf = (phase: LifecyclePosition['phase'], range: number): LifecyclePosition => ({
  ...{ phase, range, key: '' },
  ...(phase === 'versions' && { seq: SEQ_MAX }),
});

const isAboutVersions = (rule: LifecycleRule): boolean =>
  rule.expiration !== undefined ||
  rule.transitions !== undefined ||
  rule.noncurrentExpiration !== undefined ||
  rule.noncurrentTransitions !== undefined;

function plannedOf({ action }: Due, seen: LifecycleVersion): Planned {
  const isMove = action.kind === 'transition';
  const keepNewer = 'keepNewer' in action ? action.keepNewer : undefined;
  const common = {
    seen,
    writeId: newWriteId(),
    cause: { via: isMove ? 'LifecycleTransition' : 'LifecycleExpiration' },
    ...(keepNewer !== undefined && { keepNewer }),
  };
  switch (action.kind) {
    case 'expire':
      return { counter: 'expired', commit: { ...common, does: { kind: 'delete' } } };
    case 'remove-marker':
      return { counter: 'removed', commit: { ...common, does: { kind: 'delete-version' }, alone: true } };
    case 'remove':
      return { counter: 'removed', commit: { ...common, does: { kind: 'delete-version' } } };
    case 'transition': {
      const { storageClass } = action;
      return { counter: 'transitioned', commit: { ...common, does: { kind: 'set-class', storageClass } } };
    }
  }
}
