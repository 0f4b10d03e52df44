/** A gateway's finder in a process of its own: asks for the blobs that it is given as JSON, and prints what was found. */
import pino from 'pino';
import { systemClock } from '../../src/base/clock.ts';
import type { MemberId } from '../../src/base/ids.ts';
import type { SearchConfig } from '../../src/config.ts';
import type { BlobRef } from '../../src/ddm/catalog.ts';
import { openFinder } from '../../src/launcher/search.ts';
import { createNodeClient } from '../../src/nodes/client.ts';
import { allServing, viewOf } from '../../src/twin/condition.ts';
import { buildTopology, type TopologyConfig } from '../../src/twin/load.ts';
import type { SearchTuning } from '../../src/twin/search-tuning.ts';

export interface SearchMainOptions {
  readonly topology: TopologyConfig;
  readonly secretHex: string;
  readonly search: SearchConfig;
  readonly tuning: Partial<SearchTuning>;
  readonly failedOver: readonly string[];
  /** Roots in hex. */
  readonly blobs: readonly (Omit<BlobRef, 'root'> & { readonly root: string })[];
}

const options = JSON.parse(process.argv[2] ?? '') as SearchMainOptions;
const topology = buildTopology(options.topology);
const secret = Buffer.from(options.secretHex, 'hex');
const deadlines = { connectMs: 2_000, firstByteMs: 5_000, stallMs: 5_000 };
const clients = new Map(
  [...topology.members.values()].map(({ id, address, port }) => [
    id,
    createNodeClient({ member: id, address, port, secret, deadlines, clock: systemClock }),
  ]),
);
const all = allServing(topology);
const members = new Map(all.members);
for (const id of options.failedOver as MemberId[])
  members.set(id, { ...members.get(id)!, state: 'failed-over' });
const finder = openFinder({
  config: { search: options.search },
  secret,
  topology,
  conditions: viewOf(() => ({ ...all, members })),
  clients,
  clock: systemClock,
  log: pino({ level: 'silent' }),
  tuning: options.tuning,
});
for (const blob of options.blobs) {
  const found = await finder.trace({ ...blob, root: Buffer.from(blob.root, 'hex') });
  process.stdout.write(`${JSON.stringify(found)}\n`);
}
await finder.close();
await Promise.all([...clients.values()].map((client) => client.close()));
