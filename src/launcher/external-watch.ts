/**
 * Watches the servers of one directory pair that others run, and says who is trusted to be the primary. Each is asked once
 * a second, one question at a time, each with its deadline; what was heard is judged at once (judge-servers.ts).
 *
 * With Patroni its word counts, as long as its lock can last (patroni-word.ts). With decider `external` a primary counts
 * while it is proved, not longer than LEASE_MS ago, that its standby has not been promoted: a commit begun then has been
 * confirmed by it, or it has itself answered that it is in recovery.
 */
import { type Clock, OVER } from '../base/clock.ts';
import type { MemberId, PairId } from '../base/ids.ts';
import type { PostgresConnection } from '../ddm/locator.ts';
import type { ExternalPair, ExternalServer } from '../external-directories.ts';
import type { Pair } from '../twin/topology.ts';
import {
  type Chosen,
  choosePrimary,
  describeServers,
  type KnownServer,
  type ServerWord,
} from './judge-servers.ts';
import type { DirectoryState, MemberState } from './messages.ts';
import { createPatroniClient, type PatroniClient } from './patroni-client.ts';
import { leaderUntil, noteReading, patroniProblem, type Readings } from './patroni-word.ts';
import { ServerEye } from './server-eye.ts';
import { type ServerState, serverProblem } from './server-state.ts';

const POLL_MS = 1_000;
const CONFIRM_MS = 1_500;
/** Whoever promotes a standby waits longer than this after its primary was cut off, or ends the primary first. */
export const LEASE_MS = 5_000;
/** How old the check of a leader's settings may be when it does not answer another one. */
const CHECK_AGE_MS = 10_000;

export type Eye = Pick<ServerEye, 'state' | 'confirmed' | 'close'>;

export interface ExternalWatchOptions {
  readonly pair: Pick<Pair, 'id' | 'members'>;
  readonly settings: ExternalPair;
  readonly clock: Clock;
  readonly log: {
    info(fields: object, message: string): void;
    warn(fields: object, message: string): void;
  };
  /** A server is not as it must be, before any was ever trusted; with Patroni, which may be setting it up, never called. */
  readonly refuse: (message: string) => void;
  /** Writes down who became the primary; false: not yet. */
  readonly record?: (owner: PostgresConnection, primary: KnownServer) => Promise<boolean>;
  readonly eyeOf?: (connection: PostgresConnection) => Eye;
  readonly patroniOf?: (server: ExternalServer) => PatroniClient;
}

interface Watched {
  readonly id: MemberId;
  readonly server: ExternalServer;
  readonly eye: Eye;
  readonly patroni: PatroniClient | null;
  word: ServerWord;
  readings: Readings;
  /** When it was asked for the state that it gave, and when its settings were last seen to be right. */
  stateAt: number;
  checkedAt: number;
  state: ServerState | null;
  /** Of the latest commit that its standby confirmed, when it was begun. */
  confirmedAt: number;
}

const SILENT: ServerWord = { claim: null, follows: false, problem: 'not asked yet' };

export class ExternalWatch {
  readonly #o: ExternalWatchOptions;
  readonly #servers: readonly Watched[];
  readonly #over = new AbortController();
  readonly #running: Promise<unknown>;
  #known: KnownServer | null = null;
  #chosen: Chosen = { primary: null, why: 'no server has answered yet' };
  #said = '';
  /** The latest timeline that has been written down, and the writing that is under way. */
  #recorded = 1;
  #recording: Promise<void> | null = null;

  constructor(o: ExternalWatchOptions) {
    this.#o = o;
    const eyeOf = o.eyeOf ?? ((connection: PostgresConnection) => new ServerEye(connection, o.clock));
    const patroniOf =
      o.patroniOf ??
      ((server: ExternalServer) =>
        createPatroniClient({ url: server.patroni!, ca: o.settings.patroniCa, clock: o.clock }));
    this.#servers = [...o.settings.servers].map(([id, server]) => ({
      ...{ id: id as MemberId, server, eye: eyeOf(this.connection(id as MemberId, 'app')!) },
      ...{ patroni: o.settings.decider === 'patroni' ? patroniOf(server) : null, word: SILENT, readings: [] },
      ...{ stateAt: -Infinity, checkedAt: -Infinity, confirmedAt: -Infinity, state: null },
    }));
    this.#running = Promise.all(this.#servers.map((watched) => this.#follow(watched)));
  }

  get pair(): PairId {
    return this.#o.pair.id;
  }

  primary(): KnownServer | null {
    const chosen = this.#chosen;
    return chosen.primary && this.#o.clock.monotonic() < chosen.until ? chosen.primary : null;
  }

  describe(): { readonly directory: DirectoryState | null; readonly members: readonly MemberState[] } {
    const { pair, settings } = this.#o;
    const isOver = this.#chosen.primary && this.primary() === null;
    const chosen: Chosen = isOver
      ? { primary: null, why: 'the word that there is a primary has run out' }
      : this.#chosen;
    return describeServers(pair, this.#words(), chosen, this.#known, settings.decider === 'single');
  }

  connection(id: MemberId, login: 'app' | 'owner'): PostgresConnection | null {
    const { settings } = this.#o;
    const server = settings.servers.get(id);
    if (!server) return null;
    const { host, port, serverName } = server;
    const { database, ca } = settings;
    const tls = ca === null ? {} : { tls: { ca, ...(serverName !== undefined && { serverName }) } };
    return { host, port, database, ...settings[login], ...tls };
  }

  async close(): Promise<void> {
    this.#over.abort(OVER);
    for (const { eye } of this.#servers) eye.close();
    await this.#running;
    await this.#recording;
  }

  async #follow(watched: Watched): Promise<void> {
    const { clock } = this.#o;
    while (!this.#over.signal.aborted) {
      const ask = watched.patroni ? this.#askPatroni(watched, watched.patroni) : this.#askServer(watched);
      await ask.catch((error: Error) => {
        watched.word = { ...watched.word, follows: false, problem: error.message };
      });
      this.#judge();
      await clock.sleep(POLL_MS, this.#over.signal).catch(() => {});
    }
  }

  /** A word that does not come leaves the last claim to run out: the lock of a Patroni that is restarted lasts as well. */
  async #askPatroni(watched: Watched, patroni: PatroniClient): Promise<void> {
    const { answer, config } = await patroni.ask().catch((error: Error) => {
      throw new Error(`its Patroni: ${error.message}`);
    });
    watched.readings = noteReading(watched.readings, answer, config);
    const problem = patroniProblem(config);
    const until = problem === null ? leaderUntil(answer, watched.readings) : null;
    if (until === null || answer.timeline === null) {
      const why = answer.lock
        ? 'its word as the leader is not to be trusted (yet)'
        : 'Patroni does not name it as synchronous standby';
      watched.word = {
        ...{ claim: null, follows: answer.syncStandby && problem === null },
        problem: problem ?? (answer.syncStandby ? null : why),
      };
      return;
    }
    const wrong = await this.#check(watched, answer.timeline);
    watched.word = {
      ...{ claim: wrong === null ? { timeline: answer.timeline, until } : null, follows: false },
      problem: wrong,
    };
  }

  async #check(watched: Watched, timeline: number): Promise<string | null> {
    const now = this.#o.clock.monotonic();
    try {
      const state = await watched.eye.state();
      const differs =
        state.standby || state.timeline !== timeline
          ? 'Patroni and its Postgres do not agree on what it is'
          : null;
      const problem = serverProblem(state, { single: false }) ?? differs;
      watched.checkedAt = problem === null ? now : -Infinity;
      return problem;
    } catch (error) {
      return now - watched.checkedAt < CHECK_AGE_MS ? null : (error as Error).message;
    }
  }

  async #askServer(watched: Watched): Promise<void> {
    const { clock, settings } = this.#o;
    const single = settings.decider === 'single';
    const askedAt = clock.monotonic();
    const state = await watched.eye.state();
    const problem = serverProblem(state, { single });
    watched.state = problem === null ? state : null;
    watched.stateAt = askedAt;
    watched.word = { ...watched.word, problem };
    if (problem !== null) {
      watched.word = { claim: null, follows: false, problem };
      if (!this.#known) this.#o.refuse(`${this.#name(watched)}: ${problem}`);
    } else if (!state.standby && !single) {
      this.#judge();
      const begunAt = clock.monotonic();
      if (await watched.eye.confirmed(CONFIRM_MS)) watched.confirmedAt = begunAt;
    }
  }

  /** Tried again with the next word, until it is there. The first timeline is nobody's promotion. */
  #record(primary: KnownServer): void {
    const { record, log, pair } = this.#o;
    if (!record || this.#recording || primary.timeline <= this.#recorded) return;
    this.#recording = record(this.connection(primary.member, 'owner')!, primary)
      .then((done) => {
        if (done) this.#recorded = primary.timeline;
      })
      .catch((error: Error) => {
        log.warn({ pair: pair.id, why: error.message }, 'could not write down who became the primary');
      })
      .finally(() => {
        this.#recording = null;
      });
  }

  #name({ id, server }: Watched): string {
    return `${id} (${server.host}:${server.port})`;
  }

  #words(): ReadonlyMap<MemberId, ServerWord> {
    return new Map(this.#servers.map((watched) => [watched.id, this.#wordOf(watched)]));
  }

  #wordOf(watched: Watched): ServerWord {
    const { decider } = this.#o.settings;
    const { state, stateAt, word } = watched;
    if (decider === 'patroni' || state === null) return word;
    const now = this.#o.clock.monotonic();
    if (now - stateAt > LEASE_MS) return { ...word, claim: null, follows: false };
    const twin = this.#servers.find((other) => other !== watched);
    if (state.standby) {
      const follows = now - (twin?.confirmedAt ?? -Infinity) <= LEASE_MS;
      return {
        claim: null,
        follows,
        problem: word.problem ?? (follows ? null : 'commits are not confirmed by it'),
      };
    }
    const notPromotedAt = Math.max(watched.confirmedAt, twin?.state?.standby ? twin.stateAt : -Infinity);
    const proof = decider === 'single' ? stateAt : Math.min(stateAt, notPromotedAt);
    const until = proof + LEASE_MS;
    const problem =
      until > now ? null : 'its standby confirms nothing and does not answer: it may have been promoted';
    return { claim: { timeline: state.timeline!, until }, follows: false, problem: word.problem ?? problem };
  }

  #judge(): void {
    const { pair, clock, log } = this.#o;
    const words = this.#words();
    this.#chosen = choosePrimary([...words.keys()], words, this.#known, clock.monotonic());
    const { primary } = this.#chosen;
    if (primary && primary.member !== this.#known?.member)
      log.info(
        { pair: pair.id, primary: primary.member, timeline: primary.timeline },
        'the primary is known',
      );
    if (primary) {
      this.#known = primary;
      this.#record(primary);
    }
    const problems = this.#servers.flatMap((watched) => {
      const { problem } = words.get(watched.id)!;
      return problem === null ? [] : [`${this.#name(watched)}: ${problem}`];
    });
    const said = [...(this.#chosen.primary ? [] : [this.#chosen.why]), ...problems].join('; ');
    if (said !== this.#said && said !== '') log.warn({ pair: pair.id }, `directory: ${said}`);
    this.#said = said;
  }
}
