/** Who may be asked for a blob at this moment, and what is known of each: the input of rankReplicas. Pure. */
import type { MemberId } from '../base/ids.ts';
import type { BlobRef } from '../ddm/catalog.ts';
import type { NodeView } from './node-view.ts';
import type { Replica } from './rank-replicas.ts';

export interface ReplicaQuery {
  readonly blob: BlobRef;
  /** Hints of a search. */
  readonly found: ReadonlySet<MemberId>;
  readonly failed: ReadonlySet<MemberId>;
  /** Members that come back: they may lack what was written in the meantime, and are asked when nobody else can be. */
  readonly lastResort: boolean;
}

type View = Pick<NodeView, 'pair' | 'stateOf' | 'centerOf' | 'isSuspect'>;

/** Members in failover are never among them. */
export function replicasOf(view: View, query: ReplicaQuery): readonly Replica[] {
  const { blob, found, failed, lastResort } = query;
  const onMap: readonly MemberId[] = view.pair(blob.pair)?.members ?? [];
  const members = new Set([...onMap, ...(blob.offMap ?? []), ...found]);
  const wanted = lastResort ? 'resyncing' : 'serving';
  return [...members]
    .filter((member) => view.stateOf(member) === wanted)
    .map((member) => ({
      member,
      center: view.centerOf(member),
      isOnMap: onMap.includes(member),
      isAbsent: !found.has(member) && (blob.absent ?? []).includes(member),
      isSuspect: view.isSuspect(member),
      hasFailed: failed.has(member),
    }));
}

/** Whether its answer "not found" would be damage: it should have the blob, by the map or as a handoff. */
export function shouldHave(view: View, blob: BlobRef, member: MemberId): boolean {
  if (view.stateOf(member) !== 'serving' || (blob.absent ?? []).includes(member)) return false;
  return (view.pair(blob.pair)?.members.includes(member) ?? false) || (blob.offMap ?? []).includes(member);
}
