/**
 * Which members of which pair a write goes to, before any of them is asked. Pure.
 *
 * `two-copies`: both twins; where one is out (by the record) or suspect, the other and a handoff, so that a name's
 * computed place stays true. A pair without a handoff node to stand in is passed over. `both-centers`: both twins or
 * none. `one`: whoever serves; the rest lags.
 */
import type { BlobId, MemberId } from '../base/ids.ts';
import type { Durability } from '../ddm/catalog.ts';
import type { Pair } from '../twin/topology.ts';
import { handoffNodes, type NodeFacts, rankHandoffs } from './handoff.ts';

export interface WriteTarget {
  /** The member of the pair that this replica belongs to. */
  readonly home: MemberId;
  /** Who gets it: `home`, or the node that holds the handoff. */
  readonly member: MemberId;
}
export interface WritePlan {
  readonly pair: Pair;
  readonly targets: readonly WriteTarget[];
  /** Members of the pair that are not written to and for whom nobody stands (durability `one`). */
  readonly lagging: readonly MemberId[];
  /** It counts on a suspect: tried after all others. */
  readonly isDoubtful: boolean;
}
interface PlanInput {
  readonly pairs: readonly Pair[];
  readonly facts: NodeFacts;
  readonly durability: Durability;
  readonly blob: BlobId;
}

/** null: the pair cannot take it now. */
export function planWrite(pair: Pair, { pairs, facts, durability, blob }: PlanInput): WritePlan | null {
  const serving = pair.members.filter((member) => facts.isServing(member));
  const trusted = serving.filter((member) => !facts.isSuspect(member));
  const isDoubtful = trusted.length === 0 || (durability === 'both-centers' && trusted.length < 2);
  const home = (member: MemberId): WriteTarget => ({ home: member, member });
  const plan = (targets: readonly WriteTarget[], more: Partial<WritePlan> = {}): WritePlan => ({
    ...{ pair, targets, lagging: [], isDoubtful, ...more },
  });

  if (serving.length === 0) return null;
  if (durability === 'one') {
    const chosen = trusted.length > 0 ? trusted : serving;
    return plan(chosen.map(home), { lagging: pair.members.filter((member) => !chosen.includes(member)) });
  }
  const both = pair.members.map(home);
  if (trusted.length === 2) return plan(both);
  if (durability === 'both-centers') return serving.length === 2 ? plan(both) : null;

  const survivor = trusted[0] ?? serving[0]!;
  if (trusted.length === 0 && serving.length === 2) return plan(both);
  const [handoff] = rankHandoffs(handoffNodes(pairs, pair, survivor, facts), blob);
  // A suspect twin before a suspect stranger.
  if (serving.length === 2 && (!handoff || handoff.isSuspect)) return plan(both, { isDoubtful: true });
  if (!handoff) return null;
  const absent = pair.members.find((member) => member !== survivor)!;
  const targets = [home(survivor), { home: absent, member: handoff.member }];
  return plan(targets, { isDoubtful: isDoubtful || handoff.isSuspect });
}
