/**
 * What a directory's agent says over its control port, where no supervisor holds it, and what an operator's word can
 * change there. GET /v1/directory/status; POST /v1/directory/synchronous and take-over (an operator's orders), lease and
 * give-up (what the agents of a pair ask of each other). Requests carry the cluster's HMAC as nodes' do.
 *
 * `term` counts who has been the primary of the pair: each change of the primary takes the next one, both members keep it,
 * and of two that call themselves primary the one with the higher term is believed. `turn` counts the changes of one
 * member's own role file; an order names the turn that its sender has seen, so that a replayed order is void.
 */
import { z } from 'zod';
import { roleStep } from './agent-role.ts';

export const AGENT_PORT = 7_101;
export const STATUS_PATH = '/v1/directory/status';
/** A question of a search as the body (twin/search-wire.ts), answered by `searchAnswer`; silence is 404. */
export const SEARCH_PATH = '/v1/directory/search';
export const ORDER_PATHS = {
  synchronous: '/v1/directory/synchronous',
  takeOver: '/v1/directory/take-over',
  giveUp: '/v1/directory/give-up',
  lease: '/v1/directory/lease',
} as const;
export const ORDER_BYTES_MAX = 4_096;
export const ANSWER_BYTES_MAX = 64 * 1_024;

const replication = z.object({
  state: z.string().nullable(),
  flushed: z.number(),
  replayed: z.number().nullable(),
  slot: z.string().nullable(),
  synchronous: z.boolean(),
});

export const agentStatus = z.object({
  member: z.string(),
  /** As its role file says; none: it has not come to one yet. */
  role: z.enum(['primary', 'standby', 'none']),
  term: z.int().min(0),
  turn: z.int().min(0),
  step: roleStep.nullable(),
  /**
   * For so long, counted from when this was asked, it may be taken for the primary; 0: not at all. While commits wait for
   * the twin it is what is left of the twin's lease.
   */
  trustMs: z.number().min(0),
  /** Of the primary: whether commits wait for the twin, as decided. Of a standby: as it was told last. */
  synchronous: z.boolean(),
  /** Of a primary whose commits do not wait: whether they will as soon as the twin has caught up. */
  mayReturn: z.boolean(),
  /** Of the last change of the role file. ISO 8601. */
  since: z.string(),
  why: z.string(),
  decidedBy: z.string(),
  /** Of the Postgres that runs and has been heard of; null: none does. */
  pid: z.int().nullable(),
  /** What lies in the data folder, whoever runs. */
  dataState: z.enum(['empty', 'primary', 'standby']),
  /** Of the data folder; the id as decimal text. */
  systemId: z.string().nullable(),
  timeline: z.int().nullable(),
  /** The primary's view of its twin. */
  replication: replication.nullable(),
  /** Why it does not do what its role says; null: it does. */
  problem: z.string().nullable(),
});
export type AgentStatus = z.infer<typeof agentStatus>;

export const searchAnswer = z.object({ answer: z.base64() });

export const synchronousOrder = z.strictObject({
  on: z.boolean(),
  /** As the sender's last status said. */
  turn: z.int().min(0),
  /** The operator's word that the twin answers nobody. */
  assertTwinDown: z.boolean().default(false),
  /** Although the twin is seen to stream. */
  force: z.boolean().default(false),
  why: z.string().max(500),
  decidedBy: z.string().max(200),
});
export type SynchronousOrder = z.infer<typeof synchronousOrder>;

/** To the standby: become the primary. */
export const takeOverOrder = z.strictObject({
  turn: z.int().min(0),
  /** The operator's word that the primary answers nobody. Without it the primary is asked to give up first. */
  assertTwinDown: z.boolean().default(false),
  /** Although the primary is seen to be alive. */
  force: z.boolean().default(false),
  why: z.string().max(500),
  decidedBy: z.string().max(200),
});
export type TakeOverOrder = z.infer<typeof takeOverOrder>;

/** To the primary, by its twin: end your server in order and leave the role to me. */
export const giveUpOrder = z.strictObject({
  term: z.int().min(1),
  order: z.string().max(100),
  why: z.string().max(500),
  decidedBy: z.string().max(200),
});
export type GiveUpOrder = z.infer<typeof giveUpOrder>;

/** To the standby, by the primary. */
export const leaseOrder = z.strictObject({
  term: z.int().min(1),
  /** in: commits wait for it and it has everything that was acknowledged before they did. out: they do not. catching-up: neither is sure. */
  twin: z.enum(['in', 'out', 'catching-up']),
});
export type LeaseOrder = z.infer<typeof leaseOrder>;
export const lease = z.object({ leaseMs: z.number().min(0) });
export type Lease = z.infer<typeof lease>;

export const AGENT_REFUSALS = {
  'not-primary': 'it is not the primary',
  'not-standby': 'it is not the standby',
  'turn-passed': 'its role has changed meanwhile; look at antipode status and repeat',
  'other-term': 'it knows of another primary since',
  'not-asserted': 'only the word that the twin is down takes it out',
  'twin-streams': 'its twin streams: it is not down',
  'twin-takes-over': 'its twin is becoming the primary, or is it',
  'primary-answers': 'the primary answers: it is not down',
  'primary-silent': 'the primary does not answer, so it cannot give up',
  'was-out': 'commits did not wait for it, or it had not caught up: it may lack what was acknowledged',
  'not-level': 'its twin does not stream, or is not level',
  'not-running': 'its Postgres does not run',
  'under-way': 'it is being done already',
  supervised: 'its supervisor decides',
} as const;
export const agentRefusal = z.object({ refused: z.enum(Object.keys(AGENT_REFUSALS) as AgentRefusal[]) });
export type AgentRefusal = keyof typeof AGENT_REFUSALS;
