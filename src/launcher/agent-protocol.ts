/**
 * What a directory's agent says over its control port, where no supervisor holds it, and what an operator's word can
 * change there. GET /v1/directory/status; POST /v1/directory/synchronous. Requests carry the cluster's HMAC as nodes' do.
 *
 * `term` counts who has been the primary of the pair: each change of the primary takes the next one, both members keep it,
 * and of two that call themselves primary the one with the higher term is believed. `turn` counts the changes of one
 * member's own role file; an order names the turn that its sender has seen, so that a replayed order is void.
 */
import { z } from 'zod';

export const AGENT_PORT = 7_101;
export const STATUS_PATH = '/v1/directory/status';
export const SYNCHRONOUS_PATH = '/v1/directory/synchronous';
/** A question of a search as the body (twin/search-wire.ts), answered by `searchAnswer`; silence is 404. */
export const SEARCH_PATH = '/v1/directory/search';
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
  /** Of the primary: whether commits wait for the twin, as decided. */
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

export const AGENT_REFUSALS = {
  'not-primary': 'it is not the primary',
  'turn-passed': 'its role has changed meanwhile; look at antipode status and repeat',
  'not-asserted': 'only the word that the twin is down takes it out',
  'twin-streams': 'its twin streams: it is not down',
  supervised: 'its supervisor decides',
} as const;
export const agentRefusal = z.object({ refused: z.enum(Object.keys(AGENT_REFUSALS) as AgentRefusal[]) });
export type AgentRefusal = keyof typeof AGENT_REFUSALS;
