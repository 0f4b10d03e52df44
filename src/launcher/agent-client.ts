/** Asks a directory's agent over its control port. Every call has one deadline; an answer that is not signed is none. */
import { createHash } from 'node:crypto';
import { type IncomingHttpHeaders, request } from 'node:http';
import type { Clock } from '../base/clock.ts';
import {
  ANSWER_KIND_HEADER,
  ANSWER_MAC_HEADER,
  AUTH_HEADER,
  BODY_DIGEST_HEADER,
  clusterKey,
  newNonce,
  signRequest,
  verifyAnswer,
} from '../nodes/request-auth.ts';
import {
  AGENT_REFUSALS,
  type AgentRefusal,
  type AgentStatus,
  ANSWER_BYTES_MAX,
  agentRefusal,
  agentStatus,
  type GiveUpOrder,
  type Lease,
  type LeaseOrder,
  lease,
  ORDER_PATHS,
  SEARCH_PATH,
  STATUS_PATH,
  type SynchronousOrder,
  searchAnswer,
  type TakeOverOrder,
} from './agent-protocol.ts';

export interface AgentClientOptions {
  readonly member: string;
  readonly host: string;
  readonly port: number;
  readonly secret: Buffer;
  readonly clock: Clock;
}

export interface AgentClient {
  readonly member: string;
  /** @throws {Error} when it does not answer in time, or somebody else does */
  status(): Promise<AgentStatus>;
  /** @throws {AgentRefused} and as `status` does; the outcome is then not known */
  setSynchronous(order: SynchronousOrder): Promise<AgentStatus>;
  /** A question of a search and its answer, as twin/search-wire.ts seals them. @throws {Error} when it keeps silent, too */
  search(question: Buffer, signal: AbortSignal): Promise<Buffer>;
  /** Resolves when it has been accepted; what becomes of it shows in the status. @throws as `setSynchronous` does */
  takeOver(order: TakeOverOrder): Promise<AgentStatus>;
  /** Resolves when its server has ended and the role is given up. @throws as `setSynchronous` does */
  giveUp(order: GiveUpOrder): Promise<AgentStatus>;
  /** @throws as `setSynchronous` does */
  lease(order: LeaseOrder): Promise<Lease>;
}

export class AgentRefused extends Error {
  override readonly name = 'AgentRefused';
  readonly reason: AgentRefusal;
  constructor(member: string, reason: AgentRefusal) {
    super(`${member}: ${AGENT_REFUSALS[reason]}`);
    this.reason = reason;
  }
}

const STATUS_MS = 1_000;
/** Until the running server has taken the change over. */
const ORDER_MS = 8_000;
/** Until a server has ended in order, or by force. */
const GIVE_UP_MS = 40_000;

export function createAgentClient(o: AgentClientOptions): AgentClient {
  const key = clusterKey(o.secret);
  const call = (method: string, target: string, body: Buffer, deadlineMs: number, signal?: AbortSignal) =>
    exchange(o, key, { method, target, body, deadlineMs, ...(signal ? { signal } : {}) });
  const tell = async (path: string, order: object, deadlineMs: number): Promise<unknown> => {
    const body = Buffer.from(JSON.stringify(order));
    const { status, json } = await call('POST', path, body, deadlineMs);
    if (status === 409) throw new AgentRefused(o.member, agentRefusal.parse(json).refused);
    if (status !== 200) throw new Error(`the agent of ${o.member} answered ${status}`);
    return json;
  };
  return {
    member: o.member,
    async status() {
      const { status, json } = await call('GET', STATUS_PATH, Buffer.alloc(0), STATUS_MS);
      if (status !== 200) throw new Error(`the agent of ${o.member} answered ${status}`);
      return agentStatus.parse(json);
    },
    async setSynchronous(order) {
      return agentStatus.parse(await tell(ORDER_PATHS.synchronous, order, ORDER_MS));
    },
    async takeOver(order) {
      return agentStatus.parse(await tell(ORDER_PATHS.takeOver, order, ORDER_MS));
    },
    async giveUp(order) {
      return agentStatus.parse(await tell(ORDER_PATHS.giveUp, order, GIVE_UP_MS));
    },
    async lease(order) {
      return lease.parse(await tell(ORDER_PATHS.lease, order, STATUS_MS));
    },
    async search(question, signal) {
      const { status, json } = await call('POST', SEARCH_PATH, question, STATUS_MS, signal);
      if (status !== 200) throw new Error(`the agent of ${o.member} gave no answer`);
      return Buffer.from(searchAnswer.parse(json).answer, 'base64');
    },
  };
}

interface CallParts {
  readonly method: string;
  readonly target: string;
  readonly body: Buffer;
  readonly deadlineMs: number;
  readonly signal?: AbortSignal;
}

async function exchange(
  { member, host, port, clock }: AgentClientOptions,
  key: ReturnType<typeof clusterKey>,
  { method, target, body, deadlineMs, signal }: CallParts,
): Promise<{ status: number; json: unknown }> {
  const nonce = newNonce();
  const bodyDigest = body.length === 0 ? '' : createHash('sha256').update(body).digest('hex');
  const facts = { member, method, target, contentLength: body.length, epoch: '', intent: '', bodyDigest };
  const headers = {
    [AUTH_HEADER]: signRequest(key, clock.now(), nonce, facts),
    ...(body.length === 0 ? {} : { [BODY_DIGEST_HEADER]: bodyDigest }),
    'content-length': String(body.length),
  };
  const answered = await send({ host, port, method, path: target, headers }, body, deadlineMs, signal);
  const text = (name: string): string => {
    const value = answered.headers[name];
    return typeof value === 'string' ? value : '';
  };
  const proof = {
    nonce,
    status: answered.status,
    kind: text(ANSWER_KIND_HEADER),
    contentLength: answered.body.length,
    body: answered.body,
  };
  if (!verifyAnswer(key, text(ANSWER_MAC_HEADER), proof))
    throw new Error(
      `what answers for ${member} (${answered.status}) does not share this cluster's secret, or its clock differs`,
    );
  return { status: answered.status, json: JSON.parse(answered.body.toString()) };
}

interface Answered {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

function send(
  options: { host: string; port: number; method: string; path: string; headers: Record<string, string> },
  body: Buffer,
  deadlineMs: number,
  given?: AbortSignal,
): Promise<Answered> {
  return new Promise((resolve, reject) => {
    const deadline = AbortSignal.timeout(deadlineMs);
    const signal = given ? AbortSignal.any([deadline, given]) : deadline;
    const late = (error: Error) =>
      reject(deadline.aborted ? new Error(`no answer within ${deadlineMs} ms`) : error);
    const req = request({ ...options, agent: false, signal }, (res) => {
      const parts: Buffer[] = [];
      let length = 0;
      res.on('data', (part: Buffer) => {
        length += part.length;
        if (length > ANSWER_BYTES_MAX) req.destroy(new Error('the answer is too long'));
        else parts.push(part);
      });
      res.once('error', late);
      res.once('end', () =>
        resolve({ status: res.statusCode ?? 0, headers: res.headers, body: Buffer.concat(parts) }),
      );
    });
    req.once('error', late);
    req.end(body);
  });
}
