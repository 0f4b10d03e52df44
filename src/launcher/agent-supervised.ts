/**
 * What a supervised directory says on its control port: the role that the supervisor has given it, for gateways that the
 * supervisor did not start. Orders are refused: the supervisor decides.
 */
import { join } from 'node:path';
import { type Clock, systemClock } from '../base/clock.ts';
import type { MemberConfig } from '../config.ts';
import { type AgentControl, NO_ORDERS, openAgentControl } from './agent-control.ts';
import { agentAt } from './agent-peers.ts';
import type { AgentStatus } from './agent-protocol.ts';
import type { NameAnswers } from './agent-search.ts';
import { readControlFile } from './control-file.ts';
import type { AgentOutlet } from './directory-agent.ts';
import { isStandbyFolder } from './directory-folder.ts';
import type { MemberProcess } from './member.ts';
import type { DirectoryRole, FromMember, Replication } from './messages.ts';
import { isInitialized } from './postgres.ts';
import { readKey } from './secrets.ts';

export class SupervisedSight implements AgentOutlet {
  readonly log: MemberProcess['log'];
  readonly #config: MemberConfig;
  readonly #proc: MemberProcess;
  readonly #clock: Clock = systemClock;
  readonly #folder: string;
  #role: DirectoryRole | null = null;
  #since: string;
  #turn = 0;
  #pid: number | null = null;
  #replication: Replication | null = null;

  constructor(config: MemberConfig, proc: MemberProcess) {
    this.#config = config;
    this.#proc = proc;
    this.log = proc.log;
    this.#folder = join(config.dataDir, 'pg');
    this.#since = this.#now();
  }

  /** The agent's words go on to the supervisor. */
  send(message: FromMember): void {
    if (message.type === 'postgres') {
      this.#pid = message.pid;
      this.#replication = null;
    }
    if (message.type === 'replication') this.#replication = message.replication;
    this.#proc.send(message);
  }

  told(role: DirectoryRole, turn: number): void {
    this.#role = role;
    this.#turn = turn;
    this.#since = this.#now();
  }

  toldSynchronous(on: boolean): void {
    if (this.#role?.kind === 'primary') this.#role = { ...this.#role, synchronous: on };
  }

  open(names: Pick<NameAnswers, 'answer'>): Promise<AgentControl> {
    return openAgentControl({
      member: this.#config.member,
      ...agentAt(this.#config, this.#config.member),
      secret: readKey(this.#config.secretsDir, 'cluster'),
      ...{ clock: this.#clock, log: this.log },
      answerSearch: names.answer,
      orders: { ...NO_ORDERS, status: () => this.#status() },
    });
  }

  #status(): AgentStatus {
    const identity = readControlFile(this.#folder);
    const role = this.#role;
    return {
      member: this.#config.member,
      role: !role || role.kind === 'off' ? 'none' : role.kind,
      term: (role?.kind === 'primary' ? role.term : undefined) ?? 0,
      turn: this.#turn,
      step: null,
      // The supervisor ends this process before it names another primary.
      trustMs:
        role?.kind === 'primary' && this.#pid !== null ? this.#config.settings.directoryLease.leaseMs : 0,
      synchronous: role?.kind === 'primary' ? role.synchronous : true,
      mayReturn: true,
      since: this.#since,
      why: role ? 'told by the supervisor' : 'it has no role yet',
      decidedBy: 'supervisor',
      pid: this.#pid,
      dataState: !isInitialized(this.#folder)
        ? 'empty'
        : isStandbyFolder(this.#folder)
          ? 'standby'
          : 'primary',
      systemId: identity?.systemId ?? null,
      timeline: identity?.timeline ?? null,
      replication: this.#replication,
      problem: null,
    };
  }

  #now = (): string => new Date(this.#clock.now()).toISOString();
}
