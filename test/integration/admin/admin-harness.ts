/** An admin server over the model catalog, on a free port, with a root account that holds the key ROOT. */
import { createSecretKey } from 'node:crypto';
import pino from 'pino';
import { request } from 'undici';
import { ADMIN_PREFIX, ADMIN_REGION, ADMIN_SERVICE } from '../../../src/admin/api.ts';
import { createFailover } from '../../../src/admin/failover.ts';
import { createMetrics } from '../../../src/admin/metrics.ts';
import { type AdminOptions, createAdminServer } from '../../../src/admin/server.ts';
import { systemClock } from '../../../src/base/clock.ts';
import type { AccountId, MemberId } from '../../../src/base/ids.ts';
import type { AccessKey } from '../../../src/ddm/catalog.ts';
import { openSecret, sealSecret } from '../../../src/identity/secret-box.ts';
import { type Credentials, encodeQuery, signRequest } from '../../../src/identity/sign.ts';
import { type Conditions, viewOf } from '../../../src/twin/condition.ts';
import { ModelCatalog } from '../../model/model-catalog.ts';

export const ROOT: Credentials = {
  accessKeyId: 'ROOTKEY000000000',
  secretAccessKey: 'root-secret-root-secret',
};
const master = { id: 1, key: createSecretKey(Buffer.alloc(32, 7)) };
const seal = (secret: string, accessKeyId: string) => sealSecret(master, secret, accessKeyId);

export interface Answer {
  readonly status: number;
  // biome-ignore lint/suspicious/noExplicitAny: documents of every shape are looked into by the tests
  readonly json: any;
  readonly text: string;
}

export interface SendOptions {
  readonly query?: Record<string, string>;
  readonly body?: unknown;
  readonly credentials?: Credentials | null;
  /** What to send instead of the body that was signed. */
  readonly forged?: string;
}

export async function startAdmin(change: Partial<AdminOptions> = {}) {
  const catalog = new ModelCatalog();
  const root = { id: 'root' as AccountId, displayName: 'root', isRoot: true };
  await catalog.createAccount(root);
  const sealedSecret = seal(ROOT.secretAccessKey, ROOT.accessKeyId);
  await catalog.createAccessKey({ accessKeyId: ROOT.accessKeyId, account: root.id, sealedSecret });
  const topology = change.topology ?? { centers: [], members: new Map(), pairs: new Map() };
  await catalog.registerTopology(topology);
  let record = await catalog.readConditions();
  const take = (conditions: Conditions) => {
    record = conditions;
  };
  const told: MemberId[] = [];
  const log = pino({ level: 'silent' });
  const server = await createAdminServer({
    catalog,
    topology,
    failover: createFailover({
      ...{ catalog, topology, log },
      conditions: { ...viewOf(() => record), take },
      storeIdOf: (member) => `disk of ${member}`,
      tell: async (members) => void told.push(...members),
    }),
    clients: new Map(),
    members: () => [],
    clock: systemClock,
    openSecret: (key: AccessKey) => openSecret(master, key.sealedSecret, key.accessKeyId),
    sealSecret: seal,
    metrics: createMetrics(),
    listen: { host: '127.0.0.1', port: 0 },
    log,
    ...change,
  });
  const host = `127.0.0.1:${server.port}`;

  async function send(
    method: 'GET' | 'POST' | 'PATCH' | 'DELETE',
    route: string,
    o: SendOptions = {},
  ): Promise<Answer> {
    const path = ADMIN_PREFIX + route;
    const query = o.query === undefined ? '' : encodeQuery(o.query);
    const body = o.body === undefined ? '' : JSON.stringify(o.body);
    const credentials = o.credentials === undefined ? ROOT : o.credentials;
    const headers =
      credentials === null
        ? {}
        : signRequest({
            method,
            path,
            query,
            headers: { host },
            payload: Buffer.from(body),
            credentials,
            region: ADMIN_REGION,
            service: ADMIN_SERVICE,
            nowMs: Date.now(),
          }).headers;
    const sent = o.forged ?? body;
    const response = await request(`http://${host}${path}${query && `?${query}`}`, {
      method,
      headers,
      ...(sent === '' ? {} : { body: sent }),
    });
    const text = await response.body.text();
    const isJson = String(response.headers['content-type']).startsWith('application/json');
    return { status: response.statusCode, text, json: isJson ? JSON.parse(text) : null };
  }
  return { catalog, told, host, send, close: server.close, master };
}
