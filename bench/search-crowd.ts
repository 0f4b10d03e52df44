/**
 * Many members in one process, for bench/search.ts: each has its own sockets on its center's group and its own memory of
 * questions, and looks nothing up. Started over IPC with { members, addresses, secretHex, group }; says `ready`; answers
 * `usage` with its CPU time and what it has answered.
 */
import { systemClock } from '../src/base/clock.ts';
import type { Epoch, MemberId } from '../src/base/ids.ts';
import { createAnswerer } from '../src/twin/search-answerer.ts';
import { type GroupAddress, listenToGroup } from '../src/twin/search-multicast.ts';
import { searchKey } from '../src/twin/search-wire.ts';

export interface CrowdOptions {
  readonly members: readonly MemberId[];
  readonly addresses: readonly string[];
  readonly center: string;
  readonly secretHex: string;
  readonly group: GroupAddress;
}
export interface CrowdUsage {
  readonly cpuMs: number;
  readonly answers: number;
}

const options = JSON.parse(process.argv[2] ?? '') as CrowdOptions;
const key = searchKey(Buffer.from(options.secretHex, 'hex'));
const detail = { size: 1_000_000, root: 'ab'.repeat(32), state: 'confirmed' };
let answers = 0;
for (const [i, member] of options.members.entries()) {
  await listenToGroup({
    group: options.group,
    address: options.addresses[i]!,
    answerer: createAnswerer({
      member,
      center: options.center,
      key,
      clock: systemClock,
      standing: () => 1 as Epoch,
      look: () => (i === 0 ? { has: true, detail } : { has: false }),
      onAnswer: () => {
        answers += 1;
      },
    }),
    clock: systemClock,
    random: Math.random,
    onError: (error) => process.stderr.write(`${error.message}\n`),
  });
}
process.on('message', () => {
  const { user, system } = process.cpuUsage();
  process.send?.({ cpuMs: (user + system) / 1_000, answers } satisfies CrowdUsage);
});
process.on('disconnect', () => process.exit(0));
process.send?.('ready');
