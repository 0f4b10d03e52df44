/** A DOSM over fake nodes on a virtual clock, everything drawn from one seed. */
import pino from 'pino';
import type { Random } from '../../src/base/clock.ts';
import type { BlobId, MemberId, PairId, WriteId } from '../../src/base/ids.ts';
import type { BlobRef } from '../../src/ddm/catalog.ts';
import { createDosm, type DosmOptions, type GatewayDosm } from '../../src/dosm/create.ts';
import type { WriteRequest } from '../../src/dosm/dosm.ts';
import type { DosmTuning } from '../../src/dosm/tuning.ts';
import type { ConditionView } from '../../src/twin/condition.ts';
import { buildTopology } from '../../src/twin/load.ts';
import type { Topology } from '../../src/twin/topology.ts';
import { FakeNode } from './fake-node.ts';
import { WorldRecord } from './record.ts';
import { seededRandom, whole } from './seeded-random.ts';
import { VirtualClock } from './virtual-clock.ts';

export interface World {
  readonly seed: number;
  readonly random: Random;
  readonly clock: VirtualClock;
  readonly topology: Topology;
  readonly nodes: ReadonlyMap<MemberId, FakeNode>;
  readonly dosm: GatewayDosm;
  readonly record: WorldRecord;
  /** What the DOSM knows of the record. */
  readonly conditions: ConditionView;
  holders(blob: { pair: PairId }): readonly [FakeNode, FakeNode];
  /** The nodes that a blob's row names: its pair's but for the absent, and the handoffs. */
  replicas(blob: BlobRef): readonly FakeNode[];
}

export function makeWorld(
  seed: number,
  options: { pairs?: number; center?: string | null; tuning?: Partial<DosmTuning>; centers?: 1 | 2 } & Pick<
    DosmOptions,
    'finder' | 'onDamage' | 'onFoundOffMap'
  > = {},
): World {
  const random = seededRandom(seed);
  const clock = new VirtualClock();
  const hosts = Array.from({ length: options.pairs ?? 2 }, (_, index) => 11 + index);
  const topology = buildTopology({
    centers:
      options.centers === 1
        ? [{ name: 'a', subnets: ['10.1.0.0/24', '10.2.0.0/24'] }]
        : [
            { name: 'a', subnets: ['10.1.0.0/24'] },
            { name: 'b', subnets: ['10.2.0.0/24'] },
          ],
    members: hosts.flatMap((host) =>
      [1, 2].map((net) => ({ kind: 'node' as const, address: `10.${net}.0.${host}`, port: 7100 })),
    ),
  });
  const nodes = new Map([...topology.members.keys()].map((id) => [id, new FakeNode(id, clock, random)]));
  for (const node of nodes.values()) node.peers = nodes;
  const record = new WorldRecord(topology);
  const conditions = record.view(clock);
  const { finder, onDamage, onFoundOffMap } = options;
  const dosm = createDosm({
    conditions,
    ...(finder && { finder }),
    ...(onDamage && { onDamage }),
    ...(onFoundOffMap && { onFoundOffMap }),
    topology,
    clients: nodes,
    center: options.center ?? null,
    clock,
    random,
    log: pino({ level: 'silent' }),
    tuning: options.tuning ?? {},
    newBlobId: () =>
      Array.from({ length: 4 }, () => whole(random, 0, 0xffff_ffff).toString(16).padStart(8, '0')).join(
        '',
      ) as BlobId,
  });
  const holders = (blob: { pair: PairId }): readonly [FakeNode, FakeNode] => {
    const [first, second] = topology.pairs.get(blob.pair)!.members;
    return [nodes.get(first)!, nodes.get(second)!];
  };
  const replicas = (blob: BlobRef): readonly FakeNode[] => [
    ...holders(blob).filter(({ member }) => !blob.absent?.includes(member)),
    ...(blob.offMap ?? []).map((member) => nodes.get(member)!),
  ];
  return { seed, random, clock, topology, nodes, dosm, record, conditions, holders, replicas };
}

export async function* piecesOf(bytes: Buffer, pieceBytes = 65_536): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes.length; at += pieceBytes) yield bytes.subarray(at, at + pieceBytes);
}

export function writeRequest(bytes: Buffer, more: Partial<WriteRequest> = {}): WriteRequest {
  return {
    size: bytes.length,
    source: piecesOf(bytes),
    placement: { kind: 'object', bucket: 'bucket', key: 'key' },
    intent: { bucket: 'bucket', key: 'key' },
    writeId: '00000000-0000-4000-8000-000000000001' as WriteId,
    ...more,
  };
}

export async function collect(source: AsyncIterable<Buffer>): Promise<Buffer> {
  const pieces: Buffer[] = [];
  for await (const piece of source) pieces.push(piece);
  return Buffer.concat(pieces);
}

export const wholeBlob = (blob: BlobRef) => ({ blob, from: 0, to: blob.size - 1 });
