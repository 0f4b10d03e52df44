/** The order in which a read asks the replicas of a blob. One small pure function decides it. */
import type { MemberId } from '../base/ids.ts';

export interface Replica {
  readonly member: MemberId;
  readonly center: string | null;
  /** Of the blob's pair, and not a handoff. */
  readonly isOnMap: boolean;
  /** A handoff stands for it: it may have the blob by now, and most likely has not. */
  readonly isAbsent: boolean;
  readonly isSuspect: boolean;
  /** Failed within this read already. */
  readonly hasFailed: boolean;
}

/**
 * Failed ones last, then absent ones, then suspects, then members off the map, then those of other centers than `center`.
 * Where that leaves a tie (a gateway outside the centers), `spread` (any whole number, e.g. of the blob's id)
 * chooses, so that both centers share the load.
 */
export function rankReplicas(
  replicas: readonly Replica[],
  center: string | null,
  spread: number,
): readonly MemberId[] {
  const cost = (replica: Replica): number =>
    (replica.hasFailed ? 16 : 0) +
    (replica.isAbsent ? 8 : 0) +
    (replica.isSuspect ? 4 : 0) +
    (replica.isOnMap ? 0 : 2) +
    (center !== null && replica.center === center ? 0 : 1);
  const turn = (index: number): number => (index + spread) % replicas.length;
  return replicas
    .map((replica, index) => ({ member: replica.member, cost: cost(replica), turn: turn(index) }))
    .sort((a, b) => a.cost - b.cost || a.turn - b.turn)
    .map(({ member }) => member);
}
