/**
 * The logins that people get, on every pair of directories alike. Postgres keeps them, and their passwords as verifiers; we
 * keep nothing. A change is made on all pairs before any of them commits it, so that what is refused changes nothing.
 */
import { randomBytes } from 'node:crypto';
import type pg from 'pg';
import type { Clock } from '../../base/clock.ts';
import type { PairId } from '../../base/ids.ts';
import { CatalogUnavailable } from '../catalog.ts';
import type { PostgresConnection } from '../locator.ts';
import { isUnreplicated } from '../sqlstate.ts';
import { connect, type Group, makeLogin } from './connect.ts';

export interface SqlLogin {
  readonly name: string;
  readonly write: boolean;
  /** The pairs that have it; all of them, unless one was added or was away. */
  readonly directories: readonly PairId[];
}
export interface LoginSources {
  readonly pairs: () => readonly PairId[];
  readonly owner: (pair: PairId) => PostgresConnection | null;
  readonly clock: Clock;
}
export type LoginRefusal = 'exists' | 'taken' | 'no-such-login';
export class LoginRefused extends Error {
  override readonly name = 'LoginRefused';
  readonly reason: LoginRefusal;
  constructor(reason: LoginRefusal) {
    super(reason);
    this.reason = reason;
  }
}
/** Some pairs have taken the change and others may not have. It may be repeated. */
export class LoginsDiffer extends Error {
  override readonly name = 'LoginsDiffer';
}

const CONNECTIONS = 5;
/** Ours are not people's: antipode_owner is a member too, so that it can make others so. */
const PEOPLE = `
  SELECT r.rolname AS name, bool_or(g.rolname = 'antipode_writer') AS write
  FROM pg_auth_members m JOIN pg_roles g ON g.oid = m.roleid JOIN pg_roles r ON r.oid = m.member
  WHERE g.rolname IN ('antipode_reader', 'antipode_writer') AND r.rolcanlogin AND NOT starts_with(r.rolname, 'antipode')
    AND NOT r.rolsuper AND NOT r.rolcreaterole
  GROUP BY 1 ORDER BY 1`;
type Found = { readonly name: string; readonly write: boolean };

export interface Logins {
  list(): Promise<readonly SqlLogin[]>;
  /** @param renew a login that is there gets a new password @throws {LoginRefused} */
  create(o: { name: string; write: boolean; renew: boolean }): Promise<SqlLogin & { password: string }>;
  /** Ends its sessions. @throws {LoginRefused} */
  delete(name: string): Promise<void>;
}

export function openLogins(sources: LoginSources): Logins {
  return {
    async list() {
      const found = await onAll(sources, async (client) => (await client.query<Found>(PEOPLE)).rows);
      const names = [...new Set([...found.values()].flatMap((rows) => rows.map(({ name }) => name)))].sort();
      return names.map((name) => {
        const having = [...found].filter(([, rows]) => rows.some((row) => row.name === name));
        const write = having.some(([, rows]) => rows.some((row) => row.name === name && row.write));
        return { name, write, directories: having.map(([pair]) => pair) };
      });
    },

    async create({ name, write, renew }) {
      const password = randomBytes(24).toString('base64url');
      const group: Group = write ? 'writer' : 'reader';
      const made = await onAll(sources, async (client) => {
        const { rows } = await client.query<Found>(PEOPLE);
        const known = rows.find((row) => row.name === name);
        if (known && !renew) throw new LoginRefused('exists');
        const { rowCount } = await client.query('SELECT FROM pg_roles WHERE rolname = $1', [name]);
        if (!known && rowCount !== 0) throw new LoginRefused('taken');
        if (known?.write && !write)
          await client.query(`REVOKE antipode_writer FROM ${client.escapeIdentifier(name)}`);
        await makeLogin(client, name, group, password, CONNECTIONS);
      });
      return { name, write, password, directories: [...made.keys()] };
    },

    async delete(name) {
      const gone = await onAll(sources, async (client) => {
        const { rows } = await client.query<Found>(PEOPLE);
        if (!rows.some((row) => row.name === name)) return false;
        const role = client.escapeIdentifier(name);
        // Whoever ends a role's sessions must be a member of it.
        await client.query(`GRANT ${role} TO CURRENT_USER`);
        await client.query('SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = $1', [
          name,
        ]);
        await client.query(`DROP ROLE ${role}`);
        return true;
      });
      if (![...gone.values()].includes(true)) throw new LoginRefused('no-such-login');
    },
  };
}

/** One transaction in each pair, by the owner; the first commits when the last has done its work. */
async function onAll<T>(
  { pairs, owner, clock }: LoginSources,
  work: (client: pg.Client) => Promise<T>,
): Promise<Map<PairId, T>> {
  const open = new Map<PairId, pg.Client>();
  const results = new Map<PairId, T>();
  const committed: PairId[] = [];
  try {
    for (const pair of pairs()) {
      const connection = owner(pair);
      if (!connection) throw new CatalogUnavailable(`nobody is known to answer for ${pair}`);
      open.set(pair, await connect(connection, clock));
    }
    for (const [pair, client] of open) {
      await client.query("BEGIN; SET LOCAL lock_timeout = '5s'; SET LOCAL statement_timeout = '10s'");
      results.set(pair, await work(client));
    }
    for (const [pair, client] of open) {
      await commit(pair, client);
      committed.push(pair);
    }
    return results;
  } catch (error) {
    if (committed.length === 0) throw error;
    const rest = [...open.keys()].filter((pair) => !committed.includes(pair));
    throw new LoginsDiffer(`${committed.join(', ')} took it, ${rest.join(', ')} may not have`, {
      cause: error,
    });
  } finally {
    for (const client of open.values()) void client.end().catch(() => {});
  }
}

async function commit(pair: PairId, client: pg.Client): Promise<void> {
  let unreplicated = false;
  client.on('notice', (notice) => {
    if (isUnreplicated(notice)) unreplicated = true;
  });
  await client.query('COMMIT');
  if (unreplicated) throw new LoginsDiffer(`the twin of ${pair} has not confirmed it`);
}
