/** A storage node in a process of its own, for tests that kill or stop it. Started by node-process.ts over IPC. */
import pino from 'pino';
import { systemClock } from '../../src/base/clock.ts';
import type { MemberId } from '../../src/base/ids.ts';
import type { NodeSearchOptions } from '../../src/nodes/server/search.ts';
import { startNode } from '../../src/nodes/server.ts';

export interface NodeMainOptions {
  readonly member: string;
  readonly host: string;
  readonly port: number;
  readonly dataDir: string;
  readonly secretHex: string;
  /** Starts as the product's nodes do, without data requests until somebody admits it. */
  readonly fenced?: boolean;
  readonly search?: NodeSearchOptions;
}

const options = JSON.parse(process.argv[2] ?? '') as NodeMainOptions;
const node = await startNode({
  member: options.member as MemberId,
  host: options.host,
  port: options.port,
  dataDir: options.dataDir,
  secret: Buffer.from(options.secretHex, 'hex'),
  log: pino({ level: 'silent' }),
  clock: systemClock,
  reserveBytes: 0,
  admitAtStart: !options.fenced,
  ...(options.search ? { search: options.search } : {}),
});
process.on('disconnect', () => {
  node.close().finally(() => process.exit(0));
});
process.send?.({ port: node.port });
