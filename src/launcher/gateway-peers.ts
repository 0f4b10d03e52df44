/** Whether the other gateways of a deployment take connections: for `status`, where nobody supervises them. */
import { connect } from 'node:net';
import type { Clock } from '../base/clock.ts';
import { OVER } from '../base/clock.ts';
import type { MemberId } from '../base/ids.ts';
import type { Topology } from '../twin/topology.ts';
import type { MemberState } from './messages.ts';

const KNOCK_EVERY_MS = 2_000;
const KNOCK_MS = 1_000;

export interface GatewayPeers {
  /** Of those that have been asked at least once. */
  members(): readonly MemberState[];
  close(): Promise<void>;
}

export function watchGateways(topology: Topology, self: string, clock: Clock): GatewayPeers {
  const others = [...topology.members.values()].filter((m) => m.kind === 'gateway' && m.id !== self);
  const seen = new Map<MemberId, MemberState>();
  const over = new AbortController();
  const running = others.map(async ({ id, address, port }) => {
    while (!over.signal.aborted) {
      const problem = await knock(address, port);
      seen.set(
        id,
        problem === null ? { id, condition: 'serving' } : { id, condition: 'suspect', reason: problem },
      );
      await clock.sleep(KNOCK_EVERY_MS, over.signal).catch(() => {});
    }
  });
  return {
    members: () => [...seen.values()],
    async close() {
      over.abort(OVER);
      await Promise.all(running);
    },
  };
}

function knock(host: string, port: number): Promise<string | null> {
  return new Promise((resolve) => {
    const socket = connect({ host, port });
    socket.setTimeout(KNOCK_MS, () => {
      socket.destroy();
      resolve(`no connection within ${KNOCK_MS} ms`);
    });
    socket.once('connect', () => {
      socket.destroy();
      resolve(null);
    });
    socket.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
  });
}
