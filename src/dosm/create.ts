/**
 * Wires the parts of the DOSM for one gateway: placement, write, read, notices to nodes, suspicion with its probes.
 * `center` is the gateway's own (null outside the centers); clients are the caller's and stay open.
 */
import type { Logger } from 'pino';
import type { Clock, Random } from '../base/clock.ts';
import { type BlobId, type MemberId, newBlobId } from '../base/ids.ts';
import type { BlobRef } from '../ddm/catalog.ts';
import type { NodeClient } from '../nodes/protocol.ts';
import { allServing, type ConditionView, viewOf } from '../twin/condition.ts';
import { startProbes } from '../twin/probe.ts';
import { Suspicion } from '../twin/suspicion.ts';
import type { Topology } from '../twin/topology.ts';
import type { ReadDeps } from './blob-stream.ts';
import { NodeNotices, type NoticeCounts } from './confirm.ts';
import type { Dosm } from './dosm.ts';
import type { BlobDamage, BlobFinder } from './finder.ts';
import { HedgeBudget } from './hedge-budget.ts';
import { type BlobLocation, locateBlob } from './locate.ts';
import { NodeHealth } from './node-health.ts';
import { NodeView } from './node-view.ts';
import { openRead } from './read.ts';
import { reaffirm } from './reaffirm.ts';
import { DOSM_TUNING, type DosmTuning } from './tuning.ts';
import { type WriteDeps, writeBlob } from './write.ts';

export interface DosmOptions {
  /** Looked at anew for each request: pairs may join. */
  readonly topology: Topology;
  /** One for every member of kind node. */
  readonly clients: ReadonlyMap<MemberId, NodeClient>;
  readonly center: string | null;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Pick<Logger, 'info' | 'warn'>;
  /** The record, as this gateway knows it; everybody serves without one. */
  readonly conditions?: ConditionView;
  /** Where to look for what the map does not find; without one a read gives up there. */
  readonly finder?: BlobFinder;
  /** A replica that should be there is not, or not rightly. Called often for the same one; must not block. */
  readonly onDamage?: (damage: BlobDamage) => void;
  /** A verified replica where no row has it. */
  readonly onFoundOffMap?: (blob: BlobRef, member: MemberId) => void;
  readonly tuning?: Partial<DosmTuning>;
  /**
   * What the gateway's monitor and the DOSM tell each other of the nodes. Given: the monitor probes them, the DOSM only
   * reports what its requests see. Absent: the DOSM probes its suspects itself.
   */
  readonly suspicion?: Suspicion;
  /** Only for simulated worlds, which must replay. */
  readonly newBlobId?: () => BlobId;
}
/** What a gateway tells about its DOSM besides the bytes. */
export interface GatewayDosm extends Dosm {
  /** Members that this gateway asks last at the moment. */
  suspects(): readonly MemberId[];
  /** Confirmations and discards, by node, since the start; dropped ones are left to the reaper. */
  noticeCounts(): Readonly<NoticeCounts>;
  /** Where a blob should be and where it is. */
  locate(blob: BlobRef): Promise<BlobLocation>;
}

const CLOSE_MS = 1_000;

export function createDosm(options: DosmOptions): GatewayDosm {
  const { topology, clients, center, clock, random, log, finder } = options;
  const tuning = { ...DOSM_TUNING, ...options.tuning };
  const conditions = options.conditions ?? viewOf(() => allServing(topology));
  const suspicion = options.suspicion ?? new Suspicion();
  const health = new NodeHealth(suspicion, clock, log);
  const view = new NodeView({ topology, clients, conditions, health, clock, reloadMs: tuning.reloadMs });
  const isServing = (member: MemberId) => view.isServing(member);
  const notices = new NodeNotices({ clients, isServing, clock, ...tuning });
  const probes = options.suspicion
    ? null
    : startProbes({
        suspicion,
        clock,
        random,
        intervalMs: tuning.probeMs,
        probe: async (member) => view.client(member).status(),
        onCleared: (member) => log.info({ member }, 'node answers again'),
      });
  const shared = { view, center, health, clock, tuning };
  const readDeps: ReadDeps = {
    ...shared,
    hedges: new HedgeBudget(),
    finder,
    onDamage: options.onDamage ?? (() => {}),
    onFoundOffMap: options.onFoundOffMap ?? (() => {}),
  };
  const writeDeps: WriteDeps = {
    ...shared,
    newBlobId: options.newBlobId ?? newBlobId,
    discard: (id, onMembers) => notices.discard(id, onMembers),
  };
  /** Those that a handoff stands for are told nothing: their repair brings the blob in its state. */
  const holders = (blob: BlobRef): readonly MemberId[] => {
    const onMap = view.pair(blob.pair)?.members ?? [];
    const present = onMap.filter((member) => !blob.absent?.includes(member));
    return [...present, ...(blob.offMap ?? [])];
  };

  return {
    write: (request) => writeBlob(writeDeps, request),
    read: (request) => openRead(readDeps, request),
    reaffirm: (written, durability) => reaffirm(writeDeps, written, durability),
    confirm: (blobs) => {
      for (const blob of blobs) notices.confirm(blob.id, holders(blob));
    },
    discard: (blobs) => {
      for (const blob of blobs) notices.discard(blob.id, holders(blob));
    },
    suspects: () => suspicion.suspects(),
    noticeCounts: () => notices.counts,
    locate: (blob) => locateBlob({ pairs: topology.pairs, clients }, blob),
    close: async () => {
      await Promise.all([probes?.close(), notices.close(CLOSE_MS)]);
    },
  };
}
