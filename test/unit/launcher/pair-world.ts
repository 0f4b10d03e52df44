/**
 * A directory pair as its decider can notice it: two members with folders of commits, servers that run or hang, agents that
 * do as they are told, and a client whose commits are acknowledged as Postgres would. The supervisor can be broken off
 * behind any step; what is durable (folders, decisions) stays.
 */
import assert from 'node:assert/strict';
import pino from 'pino';
import type { Clock } from '../../../src/base/clock.ts';
import type { MemberId, PairId } from '../../../src/base/ids.ts';
import type { Decision, DecisionLog } from '../../../src/launcher/decisions.ts';
import type { DirectoryRole, FromMember } from '../../../src/launcher/messages.ts';
import { type DeciderStep, type DirectoryHandle, PairDecider } from '../../../src/launcher/pair-decider.ts';

export const PAIR = 'directory/5' as PairId;
export const A = 'directory-a5' as MemberId;
export const B = 'directory-b5' as MemberId;
const DEADLINE_MS = 5_000;
const TICK_MS = 100;

interface Member {
  readonly id: MemberId;
  folder: 'primary' | 'standby' | 'gone';
  /** What was set aside by a new seed, until the member returned. */
  aside: number[] | null;
  commits: number[];
  /** null: no server. `hangs`: it runs and answers nobody. */
  server: { readonly role: 'primary' | 'standby'; hangs: boolean; synchronous: boolean } | null;
  told: { readonly role: DirectoryRole; readonly turn: number } | null;
  diskFull: boolean;
}

export class PairWorld {
  now = 1_000;
  readonly events: string[] = [];
  readonly steps: DeciderStep[] = [];
  readonly acknowledged: number[] = [];
  readonly members: ReadonlyMap<MemberId, Member>;
  readonly #decided: Decision[] = [];
  decider!: PairDecider;
  /** Break off behind the n-th step. */
  breakAt = Number.POSITIVE_INFINITY;
  broken = false;
  #commit = 0;
  /** Of the decider that lives: those of one that was broken off do nothing any more. */
  #life = 0;

  constructor() {
    const member = (id: MemberId, folder: Member['folder']): Member => ({
      ...{ id, folder, aside: null, commits: [], server: null, told: null, diskFull: false },
    });
    this.members = new Map([
      [A, member(A, 'primary')],
      [B, member(B, 'standby')],
    ]);
  }

  readonly clock: Clock = {
    now: () => this.now,
    monotonic: () => this.now,
    sleep: async (ms) => {
      const until = this.now + ms;
      while (this.now < until) await this.tick();
    },
  };

  get decisions(): DecisionLog {
    const decided = this.#decided;
    return {
      last: new Map(decided.map((decision) => [decision.pair, decision])),
      term: () => 1 + decided.filter(({ what }) => what === 'promoted').length,
      history: () => decided,
      append: (decision) => {
        this.events.push(`record ${decision.what} ${decision.member}`);
        decided.push(decision);
      },
    };
  }
  get decided(): readonly Decision[] {
    return this.#decided;
  }

  member(id: MemberId): Member {
    return this.members.get(id)!;
  }
  other(id: MemberId): Member {
    return this.member(id === A ? B : A);
  }

  /** A supervisor starts. */
  open(): PairDecider {
    const life = ++this.#life;
    this.broken = false;
    const log = this.decisions;
    const live: DecisionLog = {
      get last() {
        return new Map(log.history(PAIR).map((decision) => [decision.pair, decision]));
      },
      term: log.term,
      history: log.history,
      append: (decision) => {
        if (this.#life === life) log.append(decision);
      },
    };
    this.decider = new PairDecider({
      pair: PAIR,
      members: [this.#handle(A, life), this.#handle(B, life)],
      decisions: live,
      clock: this.clock,
      log: pino({ level: 'silent' }),
      deadlineMs: DEADLINE_MS,
      onChange: () => {},
      onReturned: (twin) => {
        if (this.#life === life) this.member(twin).aside = null;
      },
      after: (step) => {
        if (this.#life !== life || this.broken) return forever();
        this.steps.push(step);
        if (this.steps.length !== this.breakAt) return;
        this.breakOff();
        return forever();
      },
    });
    this.decider.start();
    return this.decider;
  }

  /** The supervisor is killed; its members end with it. */
  breakOff(): void {
    this.broken = true;
    this.#life++;
    for (const member of this.members.values()) {
      member.server = null;
      member.told = null;
    }
  }

  #handle(id: MemberId, life: number): DirectoryHandle {
    const alive = () => this.#life === life;
    const member = this.member(id);
    return {
      id,
      take: (role, turn) => {
        if (!alive()) return;
        member.told = { role, turn };
        const how = role.kind === 'standby' && role.reseed ? 'anew' : role.kind;
        this.events.push(`start ${id} ${how}`);
      },
      setSynchronous: (on) => {
        if (!alive()) return;
        this.events.push(`synchronous ${on}`);
        if (member.server?.role === 'primary') member.server.synchronous = on;
      },
      remember: () => {},
      kill: async (what) => {
        if (!alive()) return forever();
        this.events.push(what === 'server' ? `kill ${id}` : `kill ${id} and its agent`);
        member.server = null;
        if (what === 'server-and-agent') this.decider.lost(id);
      },
    };
  }

  #say(id: MemberId, message: FromMember): void {
    if (!this.broken) this.decider.heard(id, message);
  }

  /** 100 ms: agents act and report, the standby replays, the decider looks. */
  async tick(): Promise<void> {
    this.now += TICK_MS;
    for (const member of this.members.values()) this.#act(member);
    this.#replicate();
    for (const member of this.members.values()) this.#report(member);
    const primaries = [...this.members.values()].filter(({ server }) => server?.role === 'primary');
    assert.ok(primaries.length <= 1, 'two primaries run');
    if (!this.broken) void this.decider.tick();
    // Steps of the decider resolve without the clock.
    for (let i = 0; i < 20; i++) await Promise.resolve();
  }

  async run(ms: number): Promise<void> {
    for (const until = this.now + ms; this.now < until && !this.broken; ) await this.tick();
  }

  async until(condition: () => boolean, ms = 120_000): Promise<void> {
    for (const end = this.now + ms; !condition(); ) {
      if (this.broken) return;
      assert.ok(this.now < end, `not within ${ms} ms\n${this.events.join('\n')}`);
      await this.tick();
      this.commit();
    }
  }

  #act(member: Member): void {
    const { told } = member;
    if (!told) return;
    member.told = null;
    const problem = this.#become(member, told.role);
    const { turn } = told;
    this.#say(
      member.id,
      problem === null ? { type: 'postgres', turn, pid: 7 } : { type: 'postgres', turn, pid: null, problem },
    );
  }

  /** @returns why it does not */
  #become(member: Member, role: DirectoryRole): string | null {
    if (role.kind === 'off') {
      // In order: the standby gets all that there is.
      const other = this.other(member.id);
      if (member.server?.role === 'primary' && other.server && !other.server.hangs)
        other.commits = [...member.commits];
      member.server = null;
      return 'told to stop';
    }
    if (role.kind === 'primary') {
      if (member.folder === 'gone') return 'no folder';
      member.folder = 'primary';
      member.server = { role: 'primary', hangs: false, synchronous: role.synchronous };
    } else {
      const source = this.member(role.primary);
      const isPrefix = member.commits.every((commit, index) => source.commits[index] === commit);
      if (role.reseed || member.folder !== 'standby' || !isPrefix) {
        if (source.server?.role !== 'primary' || source.server.hangs) return 'nobody to be seeded from';
        if (member.folder !== 'gone') member.aside ??= member.commits;
        member.commits = [...source.commits];
        member.folder = 'standby';
      }
      member.server = { role: 'standby', hangs: false, synchronous: false };
    }
    return null;
  }

  #pair(): { primary: Member; standby: Member | null } | null {
    const primary = [...this.members.values()].find((m) => m.server?.role === 'primary' && !m.server.hangs);
    if (!primary) return null;
    const other = this.other(primary.id);
    const follows = other.server?.role === 'standby' && !other.server.hangs;
    return { primary, standby: follows ? other : null };
  }

  #replicate(): void {
    const pair = this.#pair();
    if (pair?.standby) pair.standby.commits = [...pair.primary.commits];
  }

  /** One commit of a client: acknowledged when whoever is waited for has it. */
  commit(): void {
    const pair = this.#pair();
    if (!pair || pair.primary.diskFull) return;
    const { primary, standby } = pair;
    const commit = ++this.#commit;
    primary.commits.push(commit);
    if (primary.server!.synchronous) {
      if (!standby) return;
      standby.commits = [...primary.commits];
    }
    this.acknowledged.push(commit);
  }

  #report(member: Member): void {
    const { server, diskFull } = member;
    if (!server || server.hangs) return;
    if (server.role === 'standby') {
      this.#say(member.id, { type: 'alive', diskFull });
      return;
    }
    const standby = this.#pair()?.standby;
    const replication = {
      state: standby ? 'streaming' : null,
      flushed: member.commits.length,
      replayed: standby ? standby.commits.length : null,
      slot: 'reserved',
      synchronous: server.synchronous,
    };
    this.#say(member.id, { type: 'replication', replication, diskFull });
  }

  // ------------------------------------------------------------------------------------------- what happens to it

  endServer(id: MemberId): void {
    const member = this.member(id);
    if (!member.server) return;
    member.server = null;
    const { turn } = this.decider.now.server(id);
    this.#say(id, { type: 'postgres', turn, pid: null, problem: 'killed' });
  }
  endAgent(id: MemberId): void {
    this.member(id).server = null;
    if (!this.broken) this.decider.lost(id);
  }
  hang(id: MemberId): void {
    const { server } = this.member(id);
    if (server) server.hangs = true;
  }

  get primary(): MemberId {
    return this.decider.state.primary;
  }
  get isRedundant(): boolean {
    return !this.broken && this.decider.state.condition === 'redundant' && this.decider.ready;
  }

  async well(): Promise<void> {
    if (this.#life === 0 || this.broken) this.open();
    await this.until(() => this.isRedundant);
  }

  /** One primary that has every acknowledged commit, and no folder that was thrown away before its successor was level. */
  check(): void {
    const { commits } = this.member(this.primary);
    const has = new Set(commits);
    const lost = this.acknowledged.filter((commit) => !has.has(commit));
    assert.deepEqual(lost, [], `acknowledged and lost\n${this.events.join('\n')}`);
  }
}

/** Of a supervisor that is no more. */
const forever = (): Promise<never> => new Promise(() => {});
