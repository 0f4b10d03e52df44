/** The source of the lifecycle job on Postgres: lifecycle-source.ts says what it is. */
import type { AccountId, BucketId, PairId } from '../base/ids.ts';
import { certain, type Directories } from './directories.ts';
import type {
  LifecycleCommit,
  LifecyclePosition,
  LifecycleResult,
  LifecycleSource,
  LifecycleTurn,
  LifecycleVersion,
} from './lifecycle-source.ts';
import type { Row } from './link.ts';
import { seqOfVersionId, storable } from './mapping.ts';
import { operationJson } from './objects.ts';
import { statement } from './statements.ts';

const TAKE_LIFECYCLE = statement('take-lifecycle');
const SAVE_LIFECYCLE = statement('save-lifecycle');
const LIFECYCLE_PAGE = statement('lifecycle-page');
const APPLY_LIFECYCLE = statement('apply-lifecycle');

export function openLifecycle(directories: Directories): LifecycleSource {
  return {
    lifecyclePairs: () => directories.pairs(),

    async takeLifecycle(pair, owner, leaseMs) {
      const { rows } = certain(await directories.of(pair).write(TAKE_LIFECYCLE, [owner, leaseMs]));
      return rows[0]?.answer ? turnOf(pair, rows[0].answer as Row) : null;
    },

    async saveLifecycle({ pair, bucketId, turn }, leaseMs, { error, ...save }) {
      const document = JSON.stringify({ ...save, ...(error !== undefined && { error: storable(error) }) });
      const values = [bucketId, turn, leaseMs, document];
      return certain(await directories.of(pair).write(SAVE_LIFECYCLE, values)).rows[0]?.answer === true;
    },

    async lifecyclePage({ pair, bucketId, now }, { prefix, key, seq, max, keep }) {
      const rows = await directories.of(pair).read(LIFECYCLE_PAGE, [bucketId, prefix, key, seq, max, keep]);
      return {
        versions: rows.map(versionOf),
        now: rows[0] ? (rows[0].read_at as Date).getTime() : now,
      };
    },

    async applyLifecycle({ pair, bucketId, rules, owner }, commits) {
      const json = operationJson({ actions: commits.map((c) => actionOf(bucketId, owner, c)) });
      const { rows } = certain(await directories.of(pair).write(APPLY_LIFECYCLE, [bucketId, rules, json]));
      const said = rows[0]?.answer as Record<string, string> | null | undefined;
      if (!said) return null;
      return commits.map((_, i) => resultOf(said[String(i + 1)]));
    },
  };
}

function resultOf(said: string | undefined): LifecycleResult {
  if (said === 'done' || said === 'locked') return said;
  return 'changed';
}

function turnOf(pair: PairId, row: Row): LifecycleTurn {
  return {
    pair,
    bucketId: Number(row.bucket) as BucketId,
    bucket: String(row.name),
    owner: String(row.owner) as AccountId,
    versioning: row.versioning as LifecycleTurn['versioning'],
    configuration: row.configuration,
    rules: String(row.rules),
    position: row.position as LifecyclePosition | null,
    turn: Number(row.turn),
    startedAt: Number(row.startedMs),
    now: Number(row.nowMs),
  };
}

function versionOf(row: Row): LifecycleVersion {
  return {
    key: String(row.key),
    seq: Number(row.seq),
    versionId: String(row.version_id),
    isLatest: row.is_latest === true,
    isDeleteMarker: row.is_delete_marker === true,
    size: Number(row.size),
    lastModified: (row.last_modified as Date).getTime(),
    storageClass: String(row.storage_class),
    tags: row.tags as LifecycleVersion['tags'],
    isLocked: row.locked === true,
    isAlone: row.alone === true,
    successorAt: (row.successor_at as Date | null)?.getTime() ?? null,
    newerNoncurrent: Number(row.newer),
    mark: String(row.mark),
  };
}

/** In the words of antipode.apply_lifecycle; `op` in those of antipode.commit_batch. */
function actionOf(bucket: BucketId, owner: AccountId, commit: LifecycleCommit) {
  const { seen, writeId, does, keepNewer, alone, cause } = commit;
  const { key, seq, mark, versionId } = seen;
  const named = { versionId, versionSeq: seqOfVersionId(versionId) };
  const common = { bucket, key, writeId, cause };
  const op =
    does.kind === 'set-class'
      ? { ...common, ...named, op: 'amend', storageClass: does.storageClass }
      : { ...common, ...(does.kind === 'delete-version' && named), op: 'delete', owner };
  return {
    bucket,
    key,
    seq,
    mark,
    op,
    ...(keepNewer !== undefined && { keepNewer }),
    ...(alone && { alone }),
  };
}
