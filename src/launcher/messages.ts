/**
 * What the supervisor and its members say to each other over the IPC channel. The channel is also the tether: a member
 * whose channel closes ends by itself.
 */
import type { MemberId, PairId } from '../base/ids.ts';
import type { DirectoryEvent } from './directory-history.ts';

export type Condition = 'serving' | 'suspect' | 'failed-over' | 'resyncing';

/** What the supervisor knows of one member. */
export interface MemberState {
  readonly id: MemberId;
  /** null: no process runs. For a directory, its Postgres. Absent: not known. */
  readonly pid?: number | null;
  /** Absent for what runs and is judged by whether it answers. */
  readonly condition?: Condition;
  /** Directories alone. */
  readonly primary?: boolean;
  /** Why the condition is not `serving`, where it is known. */
  readonly reason?: string;
}

export interface DirectoryState {
  readonly pair: PairId;
  readonly primary: MemberId;
  readonly twin: MemberId;
  /** Counts who has been the primary: a member that comes back to office has another one than before. */
  readonly term?: number;
  /** Whether commits wait for the twin. */
  readonly synchronous: boolean;
  readonly condition: 'redundant' | 'degraded' | 'lost';
}

export interface ClusterState {
  readonly members: readonly MemberState[];
  readonly directories: readonly DirectoryState[];
}

export type DirectoryRole =
  | {
      readonly kind: 'primary';
      readonly synchronous: boolean;
      readonly twin: MemberId;
      /** Counts the pair's promotions, from 1. */
      readonly term?: number;
    }
  | { readonly kind: 'standby'; readonly primary: MemberId; readonly reseed: boolean }
  /** No Postgres: it is ended in order. */
  | { readonly kind: 'off' };

/** A node or a directory that has just been started. `id` where the rule of the twin map does not give it. */
export interface NewNode {
  readonly id?: string;
  readonly address: string;
  readonly port: number;
}

/** A directory's member after an order. */
export interface DirectoryWordMessage {
  readonly member: MemberId;
  readonly condition: Condition;
  /** ISO 8601; '' where nothing was ever decided. */
  readonly since: string;
  readonly why: string;
  readonly decidedBy: string;
  readonly mayReturn: boolean;
}

export type ToMember =
  /** The gateway: what became of its order. */
  | {
      readonly type: 'failover-done';
      readonly order: number;
      readonly word?: DirectoryWordMessage;
      /** Why it was refused. */
      readonly problem?: string;
    }
  /** The gateway: the members of the pair that it asked for run; or why they do not. */
  | { readonly type: 'nodes-added'; readonly nodes: readonly NewNode[]; readonly problem?: string }
  | { readonly type: 'stop' }
  | { readonly type: 'cluster'; readonly state: ClusterState }
  /** Directories: start Postgres in this role (a running one is ended first). */
  | { readonly type: 'role'; readonly turn: number; readonly role: DirectoryRole }
  /** The primary: whether commits wait for the twin. Answered by `synchronous`. */
  | { readonly type: 'synchronous'; readonly on: boolean }
  /** The primary: what has been decided about its pair, oldest first, for the copy in its catalog. */
  | { readonly type: 'decisions'; readonly events: readonly DirectoryEvent[] };

/** How far the twin is, as the primary sees it. */
export interface Replication {
  /** null: the twin is not connected. */
  readonly state: string | null;
  /** WAL positions in bytes (exact up to 8 PiB of WAL). */
  readonly flushed: number;
  readonly replayed: number | null;
  /** 'lost' when the primary no longer has what the twin needs. */
  readonly slot: string | null;
  /** The synchronous set as the running server has it. */
  readonly synchronous: boolean;
}

export type FromMember =
  /** Takes messages from now on. */
  | { readonly type: 'listening' }
  /** Gateway and nodes: answers on this port. */
  | { readonly type: 'ready'; readonly ports: Readonly<Record<string, number>> }
  /** The gateway: start the two members of one more pair. Answered by `nodes-added`. */
  | { readonly type: 'add-nodes'; readonly kind: 'node' | 'directory' }
  /** The gateway: an operator's word about a directory. Answered by `failover-done`. */
  | {
      readonly type: 'failover';
      readonly order: number;
      readonly action: 'enter' | 'leave';
      readonly member: MemberId;
      readonly why: string;
      readonly decidedBy: string;
    }
  /** Cannot run, and trying again will not help. */
  | { readonly type: 'refused'; readonly message: string }
  | { readonly type: 'progress'; readonly step: string; readonly ms: number }
  /** For the person who started the store: something has to be done. */
  | { readonly type: 'notice'; readonly message: string }
  /** Directories: Postgres runs in the role of that turn, or has ended. */
  | {
      readonly type: 'postgres';
      readonly turn: number;
      readonly pid: number | null;
      readonly problem?: string;
    }
  /** A standby answers; several times a second. */
  | { readonly type: 'alive'; readonly diskFull?: boolean }
  /** The primary's view of its twin, and that the server answers; several times a second. */
  | { readonly type: 'replication'; readonly replication: Replication; readonly diskFull?: boolean };
