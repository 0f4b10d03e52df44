/**
 * Wires the parts of the DOSM for one gateway: placement, write, read, notices to nodes, suspicion with its probes.
 * `center` is the gateway's own (null outside the centers); clients are the caller's and stay open.
 */
import type { Logger } from 'pino';
import type { Clock, Random } from '../base/clock.ts';
import { type BlobId, type MemberId, newBlobId } from '../base/ids.ts';
import type { BlobRef } from '../ddm/catalog.ts';
import { type NodeClient, NodeError } from '../nodes/protocol.ts';
import { startProbes } from '../twin/probe.ts';
import { Suspicion } from '../twin/suspicion.ts';
import type { Topology } from '../twin/topology.ts';
import { NodeNotices, type NoticeCounts } from './confirm.ts';
import type { Dosm } from './dosm.ts';
import { HedgeBudget } from './hedge-budget.ts';
import { type BlobLocation, locateBlob } from './locate.ts';
import { NodeHealth } from './node-health.ts';
import { openRead } from './read.ts';
import { DOSM_TUNING, type DosmTuning } from './tuning.ts';
import { writeBlob } from './write.ts';

export interface DosmOptions {
  readonly topology: Topology;
  /** One for every member of kind node. */
  readonly clients: ReadonlyMap<MemberId, NodeClient>;
  readonly center: string | null;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Pick<Logger, 'info' | 'warn'>;
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
  const { topology, clients, center, clock, random, log } = options;
  const tuning = { ...DOSM_TUNING, ...options.tuning };
  const { pairs, members } = topology;
  const suspicion = options.suspicion ?? new Suspicion();
  const health = new NodeHealth(suspicion, clock, log);
  const notices = new NodeNotices(clients, { clock, ...tuning });
  const probes = options.suspicion
    ? null
    : startProbes({
        suspicion,
        clock,
        random,
        intervalMs: tuning.probeMs,
        probe: async (member) => {
          const client = clients.get(member);
          if (!client) throw new NodeError('unreachable', member, 'no client for this member');
          await client.status();
        },
        onCleared: (member) => log.info({ member }, 'node answers again'),
      });
  const hedges = new HedgeBudget();
  const shared = { pairs, members, clients, center, health, clock, tuning, hedges };
  const writeDeps = {
    ...shared,
    newBlobId: options.newBlobId ?? newBlobId,
    discard: (id: BlobId, onMembers: readonly MemberId[]) => notices.discard(id, onMembers),
  };
  const holders = (blob: BlobRef): readonly MemberId[] => [
    ...(pairs.get(blob.pair)?.members ?? []),
    ...(blob.offMap ?? []),
  ];

  return {
    write: (request) => writeBlob(writeDeps, request),
    read: (request) => openRead(shared, request),
    confirm: (blobs) => {
      for (const blob of blobs) notices.confirm(blob.id, holders(blob));
    },
    discard: (blobs) => {
      for (const blob of blobs) notices.discard(blob.id, holders(blob));
    },
    suspects: () => suspicion.suspects(),
    noticeCounts: () => notices.counts,
    locate: (blob) => locateBlob(shared, blob),
    close: async () => {
      await Promise.all([probes?.close(), notices.close(CLOSE_MS)]);
    },
  };
}
