/**
 * Searches over the simulated lines: datagrams to a center's group (lost, late, twice), questions point to point over a
 * gateway's own lines. The asking and the answering side are the product's.
 */
import type { Random } from '../../src/base/clock.ts';
import type { Epoch, MemberId } from '../../src/base/ids.ts';
import type { Searcher } from '../../src/twin/search.ts';
import { createSearcher, type QuestionPort } from '../../src/twin/search-asker.ts';
import { searchKey } from '../../src/twin/search-wire.ts';
import type { Topology } from '../../src/twin/topology.ts';
import type { Network } from './network.ts';
import type { Process } from './process.ts';
import type { SimNode } from './sim-node.ts';
import type { WireClient } from './wire-client.ts';

export const SEARCH_KEY = searchKey(Buffer.alloc(32, 7));

export function simSearcher(o: {
  readonly from: Process;
  readonly network: Network;
  readonly random: Random;
  readonly topology: Topology;
  readonly nodes: ReadonlyMap<MemberId, SimNode>;
  readonly clients: ReadonlyMap<MemberId, WireClient>;
  readonly epochOf: (member: MemberId) => Epoch;
}): Searcher {
  return createSearcher({
    ...{ mode: 'auto', key: SEARCH_KEY, clock: o.from, random: o.random, epochOf: o.epochOf },
    multicast: portOf(o),
    askMember: (member, question, signal) =>
      o.clients.get(member)!.search(question, { epoch: o.epochOf(member), signal }),
  });
}

function portOf(o: Parameters<typeof simSearcher>[0]): QuestionPort {
  const { from, network, nodes, topology, random } = o;
  let hear: (bytes: Buffer) => void = () => {};
  const here = (center: string) =>
    [...nodes.values()].filter((node) => topology.members.get(node.member)!.center === center);
  const arrive = (node: SimNode, datagram: Buffer) =>
    node.process?.run(async () => {
      const reply = await node.answer(datagram, 'multicast');
      if (!reply) return;
      node.process?.after(random() * reply.windowMs, () =>
        network.send(node.member, from.id, () => from.run(() => hear(reply.bytes)), { mayRepeat: true }),
      );
    });
  return {
    onDatagram: (listener) => {
      hear = listener;
    },
    open: async (center) => ({
      replyPort: 4_000,
      send: async (datagram) => {
        for (const node of here(center))
          network.send(from.id, node.member, () => arrive(node, datagram), { mayRepeat: true });
      },
    }),
    close: async () => {},
  };
}
