/** What the tests of conditions share: the admin API of a store, its nodes asked directly, and a load that goes on. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { GetObjectCommand, PutObjectCommand, type S3Client } from '@aws-sdk/client-s3';
import type { HistoryReport, StatusReport } from '../../../src/admin/api.ts';
import { systemClock } from '../../../src/base/clock.ts';
import type { MemberId } from '../../../src/base/ids.ts';
import { createAdminClient } from '../../../src/cli/admin-client.ts';
import { readKey } from '../../../src/launcher/secrets.ts';
import { createNodeClient } from '../../../src/nodes/client.ts';
import type { NodeClient } from '../../../src/nodes/protocol.ts';
import { runCommand, type Store } from '../../harness/store.ts';
import { BUCKET, bytesOf } from './store-kit.ts';

export const adminOf = (store: Store) => {
  const client = createAdminClient({ admin: store.adminEndpoint, data: store.dataDir });
  return {
    ...client,
    status: () => client.send<StatusReport>('GET', '/status'),
    history: async () => (await client.send<HistoryReport>('GET', '/failover/history')).events,
  };
};

export async function memberOf(store: Store, member: string) {
  const { members } = await adminOf(store).status();
  const found = members.find((m) => m.id === member);
  if (!found) throw new Error(`no member ${member}`);
  return found;
}

export interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** An `antipode` command against the store. */
export async function antipode(store: Store, ...args: string[]): Promise<Ended> {
  const run = runCommand([...args, '--admin', store.adminEndpoint, '--data', store.dataDir]);
  return { code: await run.exited, stdout: run.stdout(), stderr: run.stderr() };
}

/** Asks a node as a gateway does. */
export function nodeClientOf(store: Store, member: string): NodeClient {
  const file = JSON.parse(readFileSync(join(store.dataDir, 'run', `${member}.json`), 'utf8')) as {
    cluster: { members: { id: string; address: string; port: number }[] };
  };
  const { address, port } = file.cluster.members.find((m) => m.id === member)!;
  return createNodeClient({
    member: member as MemberId,
    address,
    port,
    secret: readKey(join(store.dataDir, 'secrets'), 'cluster'),
    deadlines: { connectMs: 1_000, firstByteMs: 5_000, stallMs: 5_000 },
    clock: systemClock,
  });
}

export interface Load {
  readonly done: () => number;
  readonly failures: () => readonly string[];
  stop(): Promise<void>;
}

/** Small objects written and read back, one after the other, until it is stopped. */
export function startLoad(s3: S3Client, name: string): Load {
  const failures: string[] = [];
  let done = 0;
  let isOver = false;
  const loop = async () => {
    for (let turn = 0; !isOver; turn += 1) {
      const Key = `${name}/${turn % 64}`;
      const Body = bytesOf(`${name} ${turn}`, 2_000);
      try {
        await s3.send(new PutObjectCommand({ Bucket: BUCKET, Key, Body }));
        const got = await s3.send(new GetObjectCommand({ Bucket: BUCKET, Key }));
        const bytes = Buffer.from(await got.Body!.transformToByteArray());
        if (!bytes.equals(Body)) failures.push(`${Key}: other bytes`);
        done += 1;
      } catch (error) {
        failures.push(`${Key}: ${(error as Error).name}`);
      }
      await sleep(5);
    }
  };
  const running = loop();
  return {
    done: () => done,
    failures: () => failures,
    stop: async () => {
      isOver = true;
      await running;
    },
  };
}
