/**
 * What a search costs: `node bench/search.ts` with four real nodes, each transport, and with a center of 1,000 members
 * whose sockets are real and whose indexes are not. Bytes are those of the loopback interface, so run it where nobody
 * else uses that: `unshare -n sh -c 'ip link set lo up; node bench/search.ts'`. Prints Markdown rows.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { systemClock } from '../src/base/clock.ts';
import type { Epoch, MemberId } from '../src/base/ids.ts';
import type { Searcher } from '../src/twin/search.ts';
import { createAnswerer } from '../src/twin/search-answerer.ts';
import { createSearcher } from '../src/twin/search-asker.ts';
import { groupOf, openQuestionPort } from '../src/twin/search-multicast.ts';
import { searchKey } from '../src/twin/search-wire.ts';
import { A1, B2, MODES, startSearchRig } from '../test/fault/search/search-rig.ts';
import type { CrowdOptions, CrowdUsage } from './search-crowd.ts';

const SEARCHES = 300;
const CROWD = 1_000;
const CROWD_SEARCHES = 30;

const print = (line: string) => process.stdout.write(`${line}\n`);
const ownCpuMs = () => {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1_000;
};
/** Received bytes and packets of this network namespace's loopback. */
const loopback = () => {
  const line = /lo:\s*(\d+)\s+(\d+)/.exec(readFileSync('/proc/self/net/dev', 'utf8'))!;
  return { bytes: Number(line[1]), packets: Number(line[2]) };
};
/** utime and stime, in ticks of 10 ms. */
const cpuMsOf = (pid: number) => {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]!.split(' ');
  return (Number(fields[11]) + Number(fields[12])) * 10;
};
const quantile = (values: readonly number[], share: number) =>
  values.toSorted((a, b) => a - b)[Math.min(values.length - 1, Math.floor(values.length * share))]!;

interface Figures {
  readonly ms: number[];
  readonly answers: number;
  readonly askerMs: number;
  readonly membersMs: number;
}

/** One after the other. `membersCpuMs`: of all who answer, so far. */
async function measure(
  label: string,
  searches: number,
  membersCpuMs: () => Promise<number>,
  search: () => Promise<number>,
): Promise<Figures> {
  await search();
  const ms: number[] = [];
  let answers = 0;
  const wire = loopback();
  const [own, members] = [ownCpuMs(), await membersCpuMs()];
  for (let i = 0; i < searches; i++) {
    const startedAt = performance.now();
    answers += await search();
    ms.push(performance.now() - startedAt);
  }
  const figures = {
    ms,
    answers: answers / searches,
    askerMs: (ownCpuMs() - own) / searches,
    membersMs: ((await membersCpuMs()) - members) / searches,
  };
  const kilobytes = (loopback().bytes - wire.bytes) / searches / 1_000;
  const datagrams = (loopback().packets - wire.packets) / searches;
  print(
    `| ${[
      label,
      figures.answers.toFixed(1),
      datagrams.toFixed(1),
      kilobytes.toFixed(1),
      figures.askerMs.toFixed(2),
      figures.membersMs.toFixed(2),
      `${quantile(ms, 0.5).toFixed(1)} / ${quantile(ms, 0.99).toFixed(1)}`,
    ].join(' | ')} |`,
  );
  return figures;
}

async function fourNodes(): Promise<void> {
  await using rig = await startSearchRig({ centers: 2 });
  rig.setRecord({ [A1]: 'failed-over' });
  const [near, nowhere] = [(await rig.put(B2)).blob, (await rig.put()).blob];
  const nodesCpuMs = async () => [...rig.nodes.values()].reduce((sum, node) => sum + cpuMsOf(node.pid), 0);
  for (const mode of MODES) {
    const { finder } = rig.gateway(mode);
    for (const [what, blob] of [
      ['found in the center of the twin', near],
      ['nowhere', nowhere],
    ] as const) {
      await measure(`4 nodes, ${mode}, ${what}`, SEARCHES, nodesCpuMs, async () => {
        const { trace } = await finder.trace(blob);
        return trace.flatMap(({ answers }) => answers).length;
      });
    }
  }
}

const members = Array.from({ length: CROWD }, (_, i) => `node-a${i}` as MemberId);
const secret = randomBytes(32);
const key = searchKey(secret);
const ask = (searcher: Searcher) => async (): Promise<number> => {
  const question = { kind: 'blob', subject: 'ab'.repeat(16), center: 'a', leftOut: [] } as const;
  const [step] = await searcher.ask({ ...question, members, epoch: 1 as Epoch });
  return step!.answers.length;
};

async function crowd(): Promise<void> {
  const group = { address: groupOf(secret, 'a', '127.0.0.1'), port: 7_180 };
  const addresses = members.map((_, i) => `127.9.${Math.floor(i / 250)}.${1 + (i % 250)}`);
  const options: CrowdOptions = { members, addresses, center: 'a', secretHex: secret.toString('hex'), group };
  const child = fork(join(import.meta.dirname, 'search-crowd.ts'), [JSON.stringify(options)]);
  await once(child, 'message');
  const searcher = createSearcher({
    mode: 'multicast',
    key,
    clock: systemClock,
    multicast: openQuestionPort({
      groups: new Map([['a', { group, towards: '127.9.0.1' }]]),
      ttl: 1,
      address: null,
      onError: (error) => print(error.message),
    }),
    askMember: () => Promise.reject(new Error('not point to point')),
    epochOf: () => 1 as Epoch,
  });
  await measure(
    '1,000 members, multicast',
    CROWD_SEARCHES,
    async () => (await usageOf(child)).cpuMs,
    ask(searcher),
  );
  await searcher.close();
  child.disconnect();
}

async function usageOf(child: ChildProcess): Promise<CrowdUsage> {
  const answer = once(child, 'message');
  child.send('usage');
  return (await answer)[0] as CrowdUsage;
}

/** Questions and answers alone: what HTTP adds is in the rows of four nodes. */
async function crowdInMemory(): Promise<void> {
  const answerers = new Map(
    members.map((member, i) => [
      member,
      createAnswerer({
        member,
        center: 'a',
        key,
        clock: systemClock,
        standing: () => 1 as Epoch,
        look: () => ({ has: i === 0 }),
      }),
    ]),
  );
  const searcher = createSearcher({
    mode: 'point-to-point',
    key,
    clock: systemClock,
    multicast: null,
    askMember: async (member, question) => {
      const reply = await answerers.get(member)!.answer(question, 'point-to-point');
      if ('silent' in reply) throw new Error(reply.silent);
      return reply.bytes;
    },
    epochOf: () => 1 as Epoch,
  });
  await measure(
    '1,000 members in this process, point to point, no HTTP',
    CROWD_SEARCHES,
    async () => 0,
    ask(searcher),
  );
}

print('| search | answers | packets | kB | CPU of the asker, ms | of all members, ms | p50 / p99 ms |');
print('|---|---|---|---|---|---|---|');
await fourNodes();
await crowd();
await crowdInMemory();
