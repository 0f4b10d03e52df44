/** A storage node's process: the node itself, and an orderly end. */
import { join } from 'node:path';
import { systemClock } from '../../base/clock.ts';
import type { MemberId } from '../../base/ids.ts';
import type { MemberConfig } from '../../config.ts';
import { startNode } from '../../nodes/server.ts';
import { buildTopology } from '../../twin/load.ts';
import { NODE_DISK_THREADS } from '../child.ts';
import { memberProcess } from '../member.ts';
import { searchPlace } from '../search.ts';
import { readKey } from '../secrets.ts';

export async function runNode(config: MemberConfig): Promise<void> {
  const proc = memberProcess({
    id: config.member,
    dataDir: config.dataDir,
    logLevel: config.settings.logLevel,
  });
  const self = config.cluster.members.find((m) => m.id === config.member)!;
  const secret = readKey(config.secretsDir, 'cluster');
  const search = searchPlace(config, buildTopology(config.cluster), config.member as MemberId, secret);
  const node = await startNode({
    member: config.member as MemberId,
    host: self.address,
    port: self.port,
    dataDir: join(config.dataDir, 'store'),
    secret,
    log: proc.log,
    clock: systemClock,
    reserveBytes: config.settings.reserveBytes,
    scrubBytesPerSecondMax: config.settings.scrubBytesPerSecond,
    scrubRoundMs: config.settings.scrubRoundMs,
    ...(search ? { search } : {}),
    // Without a supervisor the pool has the size that libuv gives it.
    ...(proc.supervised ? { diskThreads: NODE_DISK_THREADS } : {}),
  });
  proc.onEnd(() => node.close());
  proc.send({ type: 'ready', ports: { node: node.port } });
}
