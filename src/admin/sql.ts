/** SQL and the logins of people: what the admin API does with them. A password leaves this file once, when it is made. */
import type { Logger } from 'pino';
import type { z } from 'zod';
import { CatalogUnavailable } from '../ddm/catalog.ts';
import { LoginRefused, LoginsDiffer } from '../ddm/people/logins.ts';
import type { PeopleSql, SqlLine } from '../ddm/people/people.ts';
import { AdminError } from './admin-error.ts';
import type { NewSqlLoginReport, newSqlLogin, SqlLoginReport, SqlRequest } from './sql-api.ts';

export interface SqlService {
  run(order: SqlRequest, who: string, signal: AbortSignal): AsyncGenerator<SqlLine | { type: 'end' }>;
  list(): Promise<readonly SqlLoginReport[]>;
  create(login: z.infer<typeof newSqlLogin>): Promise<NewSqlLoginReport>;
  delete(name: string): Promise<void>;
}

/** At a time, in this gateway: connections to the directories are few, and most of them the store's own. */
const RUNNING_MAX = 8;

export function createSqlService(sql: PeopleSql, log: Logger): SqlService {
  let running = 0;
  return {
    async *run({ query: text, ...order }, who, signal) {
      if (running >= RUNNING_MAX)
        throw new AdminError(
          'Busy',
          `${RUNNING_MAX} queries are under way here; try again when one has ended`,
        );
      running++;
      // Not what it says: keys and metadata are the customers'.
      if (order.write) log.info({ who, bytes: text.length }, 'a statement that may write');
      try {
        yield* sql.run({ text, ...order }, signal);
        yield { type: 'end' };
      } finally {
        running--;
      }
    },
    list: () => sql.logins.list(),
    create: (login) => translated(login.name, sql.logins.create(login)),
    delete: (name) => translated(name, sql.logins.delete(name)),
  };
}

async function translated<T>(name: string, work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (cause) {
    if (cause instanceof LoginsDiffer)
      throw new AdminError('OutcomeUnknown', `${cause.message}; repeat it (create with renew)`, { cause });
    if (cause instanceof CatalogUnavailable)
      throw new AdminError('CatalogUnavailable', `${cause.message}; nothing was changed`, { cause });
    if (!(cause instanceof LoginRefused)) throw cause;
    if (cause.reason === 'exists')
      throw new AdminError(
        'LoginExists',
        `there is a login ${name} already; renew gives it another password`,
      );
    if (cause.reason === 'taken')
      throw new AdminError('LoginExists', `${name} is a role of the database that is no login of ours`);
    throw new AdminError('NoSuchLogin', `there is no login ${name}`);
  }
}
