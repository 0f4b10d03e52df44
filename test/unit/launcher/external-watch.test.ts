/** Who is the primary of servers that others run, as time passes: words that run out, changes, refusals. */
import assert from 'node:assert/strict';
import { afterEach, describe, it } from 'node:test';
import type { MemberId, PairId } from '../../../src/base/ids.ts';
import type { ExternalPair } from '../../../src/external-directories.ts';
import { ExternalWatch, type Eye, LEASE_MS } from '../../../src/launcher/external-watch.ts';
import type { PatroniAnswer, PatroniConfig } from '../../../src/launcher/patroni-word.ts';
import type { ServerState } from '../../../src/launcher/server-state.ts';
import { VirtualClock } from '../../world/virtual-clock.ts';

const A = 'directory-a5' as MemberId;
const B = 'directory-b5' as MemberId;
const PAIR = { id: 'directory/5' as PairId, members: [A, B] as const };
const STRICT: PatroniConfig = { ttlS: 20, loopWaitS: 2, synchronous: true, strict: true };
const PRIMARY: ServerState = {
  ...{ versionNumber: 150_018, version: '15.18', encoding: 'UTF8', standby: false, readOnly: false },
  ...{ fsync: true, fullPageWrites: true, synchronousCommit: 'remote_apply', synchronousStandbys: '*' },
  timeline: 1,
};
const STANDBY: ServerState = { ...PRIMARY, standby: true, timeline: null };

/** One host: what its Patroni and its Postgres would answer. null: nothing. */
class Host {
  patroni: { lock: boolean; config: PatroniConfig } | null = { lock: false, config: STRICT };
  postgres: ServerState | null = STANDBY;
  confirms = false;
  hangs = false;
  /** Of its Patroni, where it differs from its Postgres. */
  says: number | null = null;
  leads(timeline: number): void {
    this.patroni = { lock: true, config: STRICT };
    this.postgres = { ...PRIMARY, timeline };
    this.confirms = true;
  }
  dies(): void {
    this.patroni = null;
    this.postgres = null;
    this.confirms = false;
  }
}

function watch(decider: ExternalPair['decider'], hosts: { a: Host; b: Host }) {
  const clock = new VirtualClock();
  const warnings: string[] = [];
  const refusals: string[] = [];
  const of = (host: string) => (host === 'host-a' ? hosts.a : hosts.b);
  const server = (host: string) => ({
    host,
    port: 5432,
    ...(decider === 'patroni' && { patroni: 'http://x' }),
  });
  const servers: [string, ReturnType<typeof server>][] = [
    [A, server('host-a')],
    [B, server('host-b')],
  ];
  const settings: ExternalPair = {
    ...{ decider, database: 'antipode', ca: null, patroniCa: null },
    ...{ app: { user: 'app', password: 'x' }, owner: { user: 'owner', password: 'y' } },
    servers: new Map(decider === 'single' ? servers.slice(0, 1) : servers),
  };
  const answerOf = (host: Host): PatroniAnswer => ({
    ...{ askedAt: clock.monotonic(), lock: host.patroni!.lock, unlocked: false, running: true },
    ...{ primary: !host.postgres?.standby, syncStandby: !host.patroni!.lock },
    ...{ timeline: host.says ?? host.postgres?.timeline ?? 1 },
    // Its loop turns every two seconds.
    ...{ seenS: Math.floor(clock.now() / 2_000) * 2, dateS: Math.floor(clock.now() / 1_000) },
  });
  const made = new ExternalWatch({
    ...{ pair: PAIR, settings, clock, log: { info: () => {}, warn: (_, text) => warnings.push(text) } },
    refuse: (message) => refusals.push(message),
    eyeOf: ({ host }): Eye => ({
      state: async () => of(host).postgres ?? Promise.reject(new Error('connect ECONNREFUSED')),
      confirmed: async () => of(host).confirms,
      close: () => {},
    }),
    patroniOf: ({ host }) => ({
      ask: async () => {
        while (of(host).hangs) await clock.sleep(50);
        if (!of(host).patroni) throw new Error('connect ECONNREFUSED');
        return { answer: answerOf(of(host)), config: of(host).patroni!.config };
      },
    }),
  });
  running.push({ made, clock });
  return { made, clock, warnings, refusals, pass: (ms: number) => clock.run(clock.sleep(ms)) };
}
const running: { made: ExternalWatch; clock: VirtualClock }[] = [];
afterEach(async () => {
  for (const { made, clock } of running.splice(0)) await clock.run(made.close());
});
const pairOf = (): { a: Host; b: Host } => {
  const hosts = { a: new Host(), b: new Host() };
  hosts.a.leads(1);
  return hosts;
};

describe('servers under Patroni', () => {
  it('have the leader as their primary, and the synchronous standby as its twin', async () => {
    const { made, pass } = watch('patroni', pairOf());
    await pass(5_000);
    assert.deepEqual(made.primary(), { member: A, timeline: 1 });
    assert.equal(made.describe().directory?.condition, 'redundant');
    assert.equal(made.connection(A, 'owner')?.user, 'owner');
  });
  it('keep a leader that falls silent until its lock may have run out, and not longer', async () => {
    const hosts = pairOf();
    const { made, clock, pass } = watch('patroni', hosts);
    await pass(10_000);
    hosts.a.patroni = null;
    const silentAt = clock.monotonic();
    await pass(10_000);
    assert.equal(made.primary()?.member, A);
    for (; made.primary() !== null; await pass(100)) assert.ok(clock.monotonic() < silentAt + 20_000);
    assert.equal(made.describe().directory?.condition, 'lost');
    assert.match(made.describe().members[0]!.reason!, /its Patroni: connect ECONNREFUSED/);
  });
  it('have no primary when its word has run out, also while a question hangs', async () => {
    const hosts = pairOf();
    const { made, pass } = watch('patroni', hosts);
    await pass(10_000);
    hosts.a.hangs = true;
    hosts.b.hangs = true;
    await pass(10_000);
    assert.equal(made.primary()?.member, A);
    await pass(10_000);
    assert.equal(made.primary(), null);
    hosts.a.hangs = false;
    hosts.b.hangs = false;
  });
  it('follow a new leader at once, of a later timeline, whatever the old one says', async () => {
    const hosts = pairOf();
    const { made, pass } = watch('patroni', hosts);
    await pass(10_000);
    hosts.b.leads(2);
    await pass(8_000);
    assert.deepEqual(made.primary(), { member: B, timeline: 2 });
    hosts.b.dies();
    await pass(60_000);
    // The old one still says that it is the leader of timeline 1.
    assert.equal(made.primary(), null);
    hosts.a.leads(3);
    await pass(8_000);
    assert.deepEqual(made.primary(), { member: A, timeline: 3 });
  });
  it('have no primary while two say so of one timeline', async () => {
    const hosts = pairOf();
    const { made, pass } = watch('patroni', hosts);
    hosts.b.leads(1);
    await pass(10_000);
    assert.equal(made.primary(), null);
    assert.match(made.describe().members[0]!.reason!, /both servers/);
  });
  it('are dropped at once by a leader that says it is none any more', async () => {
    const hosts = pairOf();
    const { made, pass } = watch('patroni', hosts);
    await pass(10_000);
    hosts.a.patroni = { lock: false, config: STRICT };
    await pass(1_100);
    assert.equal(made.primary(), null);
  });
  it('are not followed without strict synchronous mode: one line says so', async () => {
    const hosts = pairOf();
    for (const host of [hosts.a, hosts.b])
      host.patroni = { ...host.patroni!, config: { ...STRICT, strict: false } };
    const { made, pass, warnings, refusals } = watch('patroni', hosts);
    await pass(30_000);
    assert.equal(made.primary(), null);
    assert.match(warnings.at(-1)!, /directory-a5 \(host-a:5432\): Patroni is not in strict synchronous mode/);
    assert.ok(warnings.length <= 3, warnings.join('\n'));
    assert.match(made.describe().members[0]!.reason!, /strict synchronous mode/);
    assert.deepEqual(refusals, []);
  });
  it('have no primary whose settings are wrong, or that is another server than Patroni says', async () => {
    const hosts = pairOf();
    const { made, pass } = watch('patroni', hosts);
    hosts.a.postgres = { ...PRIMARY, synchronousCommit: 'on' };
    await pass(10_000);
    assert.equal(made.primary(), null);
    assert.match(made.describe().members[0]!.reason!, /synchronous_commit is on/);
    hosts.a.leads(1);
    hosts.a.says = 2;
    await pass(5_000);
    assert.equal(made.primary(), null);
    assert.match(made.describe().members[0]!.reason!, /do not agree/);
    hosts.a.says = null;
    await pass(5_000);
    assert.equal(made.primary()?.member, A);
  });
});

describe('servers of another decider', () => {
  it('are trusted while commits reach the standby', async () => {
    const { made, pass } = watch('external', pairOf());
    await pass(3_000);
    assert.deepEqual(made.primary(), { member: A, timeline: 1 });
    assert.equal(made.describe().directory?.condition, 'redundant');
  });
  it('are trusted, degraded, while the standby says that it is one', async () => {
    const hosts = pairOf();
    hosts.a.confirms = false;
    const { made, pass } = watch('external', hosts);
    await pass(20_000);
    assert.equal(made.primary()?.member, A);
    assert.equal(made.describe().directory?.condition, 'degraded');
  });
  it('are not when the standby may have been promoted: it is silent, and confirms nothing', async () => {
    const hosts = pairOf();
    const { made, pass } = watch('external', hosts);
    await pass(3_000);
    hosts.a.confirms = false;
    hosts.b.dies();
    await pass(LEASE_MS + 100);
    assert.equal(made.primary(), null);
    assert.match(made.describe().members[0]!.reason!, /may have been promoted/);
    hosts.b.postgres = { ...PRIMARY, timeline: 2 };
    hosts.b.confirms = true;
    await pass(3_000);
    assert.deepEqual(made.primary(), { member: B, timeline: 2 });
  });
  it('are refused at the start in one line when commits wait for nobody', async () => {
    const hosts = pairOf();
    hosts.a.postgres = { ...PRIMARY, synchronousStandbys: '' };
    const { made, pass, refusals } = watch('external', hosts);
    await pass(2_500);
    assert.equal(made.primary(), null);
    assert.match(refusals[0]!, /directory-a5 \(host-a:5432\): its commits wait for no standby/);
  });
  it('end no gateway that has run: what is wrong later is a reason for 503', async () => {
    const hosts = pairOf();
    const { made, pass, refusals } = watch('external', hosts);
    await pass(3_000);
    hosts.a.postgres = { ...PRIMARY, synchronousStandbys: '' };
    await pass(3_000);
    assert.equal(made.primary(), null);
    assert.deepEqual(refusals, []);
  });
  it('show a standby that does not answer as suspect, though commits reach it', async () => {
    const hosts = pairOf();
    const { made, pass } = watch('external', hosts);
    await pass(3_000);
    hosts.b.postgres = null;
    await pass(LEASE_MS + 2_000);
    assert.equal(made.primary()?.member, A);
    assert.match(made.describe().members[1]!.reason!, /ECONNREFUSED/);
  });
  it('may be one alone, if it is said: degraded, and never longer than it answers', async () => {
    const hosts = pairOf();
    hosts.a.postgres = { ...PRIMARY, synchronousStandbys: '', synchronousCommit: 'on' };
    const { made, pass, refusals } = watch('single', hosts);
    await pass(3_000);
    assert.equal(made.primary()?.member, A);
    assert.deepEqual(refusals, []);
    assert.equal(made.describe().directory?.condition, 'degraded');
    hosts.a.dies();
    await pass(LEASE_MS + 100);
    assert.equal(made.primary(), null);
  });
});
