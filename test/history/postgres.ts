/** Gateways for programs on Postgres: a fresh database, three catalogs on it, and a wire that can be cut. */
import assert from 'node:assert/strict';
import { systemClock } from '../../src/base/clock.ts';
import type { Catalog } from '../../src/ddm/catalog.ts';
import { openCatalog } from '../../src/ddm/postgres-catalog.ts';
import { locatorOf, quiet, ROOT } from '../harness/catalog.ts';
import { testDatabase } from '../harness/postgres.ts';
import { TcpProxy } from '../harness/tcp-proxy.ts';
import { seededRandom, whole } from '../world/seeded-random.ts';

/** Short, so that a cut costs a program little: what is not found by then stays unknown. */
const TIMEOUTS = { resolveMs: 120 };
const STEPS_BETWEEN_CUTS = 150;

export const postgresReplay = (seed: number) =>
  `HISTORY_SEED=${seed} node --test test/integration/ddm/histories.test.ts`;

export function* repeated(seed: number, times: number): Generator<number> {
  for (let i = 0; i < times; i++) yield seed;
}

export interface Gateways {
  readonly catalogs: readonly Catalog[];
  readonly trouble: () => void;
  /** Runs one statement as the superuser of the database. */
  rows(sql: string): Promise<readonly unknown[]>;
  close(): Promise<void>;
}

export interface GatewayOptions {
  /** A function of the schema, and what to replace in it. */
  readonly spoil?: { readonly name: string; readonly says: string; readonly instead: string };
  readonly cuts?: boolean;
}

export async function openGateways(o: GatewayOptions = {}): Promise<Gateways> {
  const { app, server } = await testDatabase();
  const rows = async (sql: string) => (await server.admin(sql, app.database)).rows as readonly unknown[];
  if (o.spoil) {
    const { name, says, instead } = o.spoil;
    const [found] = (
      await server.admin(
        `SELECT pg_get_functiondef(p.oid) AS text FROM pg_proc p
       WHERE p.proname = '${name}' AND p.pronamespace = 'antipode'::regnamespace`,
        app.database,
      )
    ).rows as { text: string }[];
    const text = found?.text ?? '';
    assert.ok(text.includes(says), `${name} does not say: ${says}`);
    await rows(text.replace(says, instead));
  }
  const proxy = new TcpProxy({ host: app.host, port: app.port });
  await proxy.start();
  const open = (port: number) =>
    openCatalog({
      ...{ root: ROOT, locator: locatorOf({ ...app, port }), log: quiet, clock: systemClock },
      timeouts: TIMEOUTS,
    });
  const catalogs = [await open(app.port), await open(app.port), await open(proxy.port)];
  const random = seededRandom(1);
  let steps = 0;
  return {
    catalogs,
    rows,
    trouble: () => {
      if (o.cuts === false || ++steps % STEPS_BETWEEN_CUTS > 0) return;
      const direction = random() < 0.6 ? 'down' : 'up';
      proxy.set({ direction, afterBytes: whole(random, 0, 400), kind: 'cut' });
    },
    close: async () => {
      await Promise.all(catalogs.map((catalog) => catalog.close()));
      await proxy.close();
    },
  };
}
