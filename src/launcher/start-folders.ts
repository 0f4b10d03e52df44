/**
 * The data folders of the directory pairs before anything runs over them: made at the first start; a lost twin is seeded
 * by its agent; a lost primary is replaced by its twin, if that was waited for to the last, else the start is refused.
 * Invariant: a new catalog is made only where no decision and no folder shows that there was one.
 */
import { join } from 'node:path';
import type { PairId } from '../base/ids.ts';
import { ConfigError } from '../config.ts';
import { type DecisionLog, type Standing, standingOf } from './decisions.ts';
import { isStandbyFolder, makePairFolders } from './directory-folder.ts';
import type { Plan, PlannedPair } from './layout.ts';
import { isInitialized } from './postgres.ts';
import type { PostgresBinaries } from './postgres-binaries.ts';

export type FolderState = 'gone' | 'primary' | 'standby';

export interface FoldersSight {
  readonly standing: Standing;
  /** Whether anything has ever been decided about the pair. */
  readonly decided: boolean;
  /** Whether the last decision was a promotion, which may have been broken off. */
  readonly promoted: boolean;
  readonly primary: FolderState;
  readonly twin: FolderState;
}

export type FoldersStep =
  | { readonly kind: 'none' }
  | { readonly kind: 'make' }
  | { readonly kind: 'promote-twin' }
  | { readonly kind: 'refuse'; readonly why: string };

/** Pure. */
export function judgeFolders({ standing, decided, promoted, primary, twin }: FoldersSight): FoldersStep {
  const refuse = (why: string): FoldersStep => ({ kind: 'refuse', why });
  if (primary === 'primary') return { kind: 'none' };
  if (primary === 'standby') {
    if (promoted) return { kind: 'none' };
    return refuse(
      `the folder of ${standing.primary} is a standby's, and it was the primary: put back its folder, or decisions.jsonl`,
    );
  }
  if (twin === 'gone')
    return decided ? refuse('both folders are missing: put back one of them') : { kind: 'make' };
  if (twin === 'primary')
    return refuse(
      `the folder of ${standing.primary} is missing, and that of ${standing.twin} is of a time before: put the folder back, or decisions.jsonl`,
    );
  if (!standing.twinIn)
    return refuse(
      `the folder of ${standing.primary} is missing, and ${standing.twin} was out: it lacks what was written since; put the folder back`,
    );
  return { kind: 'promote-twin' };
}

export interface FoldersOptions {
  readonly plan: Plan;
  readonly decisions: DecisionLog;
  readonly binaries: PostgresBinaries;
  readonly superuserPassword: string;
  readonly now: () => number;
  readonly progress: (step: string) => void;
}

/** No process runs over the folders. @throws {ConfigError} */
export async function readyFolders(o: FoldersOptions): Promise<void> {
  for (const pair of o.plan.directoryPairs) await readyPair(o, pair);
}

/** Before anything is started. @throws {ConfigError} where no folder can be trusted to hold all that was acknowledged */
export function checkFolders({ plan, decisions }: Pick<FoldersOptions, 'plan' | 'decisions'>): void {
  for (const pair of plan.directoryPairs) lookAt(pair, decisions);
}

async function readyPair(o: FoldersOptions, pair: PlannedPair): Promise<void> {
  const { step, standing, primary, twin } = lookAt(pair, o.decisions);
  if (step.kind === 'make') {
    const { superuserPassword, progress } = o;
    await makePairFolders(o.binaries, { primary, standby: twin, superuserPassword, progress });
  }
  if (step.kind === 'promote-twin') {
    const why = `the folder of ${standing.primary} is missing`;
    const proof = 'no process works there; commits waited for its twin to the last';
    const at = new Date(o.now()).toISOString();
    o.decisions.append({ at, pair: pair.id, what: 'promoted', member: standing.twin, why, proof });
    o.progress(`${why}: ${standing.twin} takes over`);
  }
}

function lookAt({ id, members }: PlannedPair, decisions: DecisionLog) {
  const last = decisions.last.get(id);
  const standing = standingOf([members[0].id, members[1].id], last);
  const folders = new Map(members.map((member) => [member.id, join(member.dataDir, 'pg')]));
  const [primary, twin] = [folders.get(standing.primary)!, folders.get(standing.twin)!];
  const step = judgeFolders({
    standing,
    decided: last !== undefined,
    promoted: last?.what === 'promoted',
    primary: stateOf(primary),
    twin: stateOf(twin),
  });
  if (step.kind === 'refuse') throw new ConfigError(`${nameOf(id)}: ${step.why}`);
  return { step, standing, primary, twin };
}

const nameOf = (pair: PairId): string => `the pair ${pair}`;

function stateOf(folder: string): FolderState {
  if (!isInitialized(folder)) return 'gone';
  return isStandbyFolder(folder) ? 'standby' : 'primary';
}
