/** The admin API's routes under /admin/v1: each parses its input with a schema of api.ts and answers JSON. */
import { type Response, Router } from 'express';
import type { Clock } from '../base/clock.ts';
import type { AccountId } from '../base/ids.ts';
import type { BucketMoves } from '../ddm/bucket-moves.ts';
import type { Bucket, Catalog } from '../ddm/catalog.ts';
import type { Accounts } from './accounts.ts';
import type { AdminLocals } from './admin-auth.ts';
import { AdminError } from './admin-error.ts';
import {
  type BucketReport,
  bucketsQuery,
  durabilityChange,
  failoverEnter,
  failoverLeave,
  historyQuery,
  keyChange,
  keysQuery,
  type LocateReport,
  locateQuery,
  newKey,
  newUser,
  quotaChange,
  type StatusReport,
  usageQuery,
  verifyQuery,
} from './api.ts';
import { bucketMoveRoutes } from './bucket-moves.ts';
import type { ChangesService } from './changes.ts';
import { changesQuery, consumerName, consumerProgress, newConsumer } from './changes-api.ts';
import { setDurability } from './durability.ts';
import type { Failover } from './failover.ts';
import { sendLines } from './json-lines.ts';
import type { LocateQuery } from './locate.ts';
import { type NotificationsAdmin, notificationRoutes } from './notifications.ts';
import type { PairsService } from './pairs.ts';
import { pairAdd, pairWeight, rebalanceQuery } from './pairs-api.ts';
import { parse } from './parse.ts';
import type { Policies } from './policies.ts';
import { entitiesQuery, newPolicy, policyQuery } from './policies-api.ts';
import { type RebuildService, rebuildQuery } from './rebuild/service.ts';
import type { ReplicationService } from './replication.ts';
import { repairsQuery, scrubOrder } from './replication-api.ts';
import type { Reseal } from './reseal.ts';
import type { SqlService } from './sql.ts';
import { newSqlLogin, sqlOrder } from './sql-api.ts';
import type { UsageService } from './usage.ts';
import type { Verify } from './verify.ts';

export interface RouteServices {
  readonly accounts: Accounts;
  readonly policies: Policies;
  readonly usage: UsageService;
  readonly catalog: Catalog;
  readonly status: () => Promise<StatusReport>;
  readonly locate: (query: LocateQuery) => Promise<LocateReport | null>;
  readonly failover: Failover;
  readonly verify?: Verify;
  readonly reseal?: Reseal;
  readonly replication?: ReplicationService;
  readonly pairs?: PairsService;
  readonly moves?: BucketMoves;
  readonly sql?: SqlService;
  readonly rebuild?: RebuildService;
  readonly changes?: ChangesService;
  readonly notifications?: NotificationsAdmin & { readonly clock: Pick<Clock, 'now'> };
}

export function adminRoutes(services: RouteServices): Router {
  const { accounts, policies, usage, catalog, status, locate, failover, verify, reseal, replication } =
    services;
  const router = Router();

  router.get('/status', async (_req, res) => {
    res.json(await status());
  });

  router.get('/users', async (_req, res) => {
    res.json({ users: await accounts.listUsers() });
  });
  router.post('/users', async (_req, res) => {
    res.status(201).json(await accounts.createUser(parse(newUser, localsOf(res).body)));
  });
  router.delete('/users/:id', async (req, res) => {
    await accounts.deleteUser(req.params.id);
    res.status(204).end();
  });

  router.get('/keys', async (req, res) => {
    res.json({ keys: await accounts.listKeys(parse(keysQuery, req.query).user) });
  });
  router.post('/keys', async (_req, res) => {
    res.status(201).json(await accounts.createKey(parse(newKey, localsOf(res).body)));
  });
  router.patch('/keys/:accessKeyId', async (req, res) => {
    const { status: wanted } = parse(keyChange, localsOf(res).body);
    res.json(await accounts.setKeyStatus(req.params.accessKeyId, wanted, localsOf(res).accessKeyId));
  });
  router.delete('/keys/:accessKeyId', async (req, res) => {
    await accounts.deleteKey(req.params.accessKeyId, localsOf(res).accessKeyId);
    res.status(204).end();
  });

  router.get('/policies', async (req, res) => {
    res.json({ entities: await policies.list(parse(entitiesQuery, req.query).account) });
  });
  router.post('/policies', async (_req, res) => {
    await policies.put(parse(newPolicy, localsOf(res).body));
    res.status(204).end();
  });
  router.delete('/policies', async (req, res) => {
    await policies.remove(parse(policyQuery, req.query));
    res.status(204).end();
  });

  router.get('/buckets', async (req, res) => {
    const { owner, ...query } = parse(bucketsQuery, req.query);
    const page = await catalog.listBuckets({
      ...query,
      ...(owner === undefined ? {} : { owner: owner as AccountId }),
    });
    res.json({ buckets: page.buckets.map(bucketReport), truncated: page.truncated });
  });

  router.patch('/buckets/:name/durability', async (req, res) => {
    const { durability } = parse(durabilityChange, localsOf(res).body);
    res.json(await setDurability(catalog, req.params.name, durability));
  });

  router.get('/usage', async (req, res) => {
    res.json(await usage.usage(parse(usageQuery, req.query)));
  });
  router.patch('/buckets/:name/quota', async (req, res) => {
    res.json(await usage.setBucketQuota(req.params.name, parse(quotaChange, localsOf(res).body)));
  });
  router.patch('/users/:id/quota', async (req, res) => {
    res.json(await usage.setUserQuota(req.params.id, parse(quotaChange, localsOf(res).body)));
  });

  if (verify) {
    router.post('/verify', async (req, res) => {
      const { bucket, deep } = parse(verifyQuery, req.query);
      await sendLines(req, res, (signal) => verify({ bucket, deep: deep === '1' }, signal));
    });
  }

  if (reseal) router.post('/reseal', (req, res) => sendLines(req, res, reseal));

  router.get('/locate', async (req, res) => {
    const { versionId, search, ...query } = parse(locateQuery, req.query);
    const version = versionId === undefined ? {} : { versionId };
    const found = await locate({ ...query, ...version, search: search === '1' });
    if (found === null)
      throw new AdminError('NotFound', `there is no object ${query.key} in bucket ${query.bucket}`);
    res.json(found);
  });

  if (replication) replicationRoutes(router, replication);
  if (services.pairs) pairRoutes(router, services.pairs);
  if (services.moves) bucketMoveRoutes(router, services.moves);
  if (services.sql) sqlRoutes(router, services.sql);
  const { rebuild } = services;
  if (rebuild) {
    router.post('/rebuild-catalog', async (req, res) => {
      const { diff } = parse(rebuildQuery, req.query);
      await sendLines(req, res, diff === '1' ? rebuild.diff : rebuild.rebuild);
    });
  }
  if (services.changes) changeRoutes(router, services.changes);
  if (services.notifications)
    notificationRoutes(router, services.notifications, services.notifications.clock);
  router.post('/failover/enter', async (_req, res) => {
    res.json(await failover.enter(parse(failoverEnter, localsOf(res).body), localsOf(res).who));
  });
  router.post('/failover/leave', async (_req, res) => {
    res.json(await failover.leave(parse(failoverLeave, localsOf(res).body), localsOf(res).who));
  });
  router.get('/failover/history', async (req, res) => {
    res.json(await failover.history(parse(historyQuery, req.query)));
  });

  return router;
}

function changeRoutes(router: Router, changes: ChangesService): void {
  router.get('/changes', async (req, res) => {
    const { follow, ...query } = parse(changesQuery, req.query);
    await sendLines(req, res, (signal) => changes.read({ ...query, follow: follow === '1' }, signal));
  });
  router.get('/changes/consumers', async (_req, res) => {
    res.json({ consumers: await changes.consumers() });
  });
  router.post('/changes/consumers', async (_req, res) => {
    const { name, from } = parse(newConsumer, localsOf(res).body);
    res.status(201).json({ consumers: await changes.open(name, from) });
  });
  router.patch('/changes/consumers/:name', async (req, res) => {
    const { name } = parse(consumerName, { name: req.params.name });
    await changes.advance(name, parse(consumerProgress, localsOf(res).body).position);
    res.status(204).end();
  });
  router.delete('/changes/consumers/:name', async (req, res) => {
    await changes.drop(parse(consumerName, { name: req.params.name }).name);
    res.status(204).end();
  });
}

function pairRoutes(router: Router, pairs: PairsService): void {
  router.get('/pairs', async (_req, res) => {
    res.json(await pairs.list());
  });
  router.post('/pairs', async (_req, res) => {
    res.status(201).json(await pairs.add(parse(pairAdd, localsOf(res).body)));
  });
  // Making a catalog takes its time: the line is kept open.
  router.post('/pairs/directories', async (req, res) => {
    await sendLines(req, res, () => pairs.addDirectories());
  });
  router.patch('/pairs/:id', async (req, res) => {
    const { weight } = parse(pairWeight, localsOf(res).body);
    res.json(await pairs.setWeight(req.params.id, weight));
  });
  router.post('/rebalance', async (req, res) => {
    const { dryRun } = parse(rebalanceQuery, req.query);
    await sendLines(req, res, (signal) => pairs.rebalance(dryRun === '1', signal));
  });
}

function sqlRoutes(router: Router, sql: SqlService): void {
  router.post('/sql', async (req, res) => {
    const order = parse(sqlOrder, localsOf(res).body);
    await sendLines(req, res, (signal) => sql.run(order, localsOf(res).who, signal));
  });
  router.get('/sql-logins', async (_req, res) => {
    res.json({ logins: await sql.list() });
  });
  router.post('/sql-logins', async (_req, res) => {
    res.status(201).json(await sql.create(parse(newSqlLogin, localsOf(res).body)));
  });
  router.delete('/sql-logins/:name', async (req, res) => {
    await sql.delete(req.params.name);
    res.status(204).end();
  });
}

function replicationRoutes(router: Router, replication: ReplicationService): void {
  router.get('/resync', async (_req, res) => {
    res.json(await replication.resyncs());
  });
  router.post('/resync', async (_req, res) => {
    res.json(await replication.resyncNow());
  });
  router.get('/scrub', async (_req, res) => {
    res.json(await replication.scrubs());
  });
  router.post('/scrub', async (_req, res) => {
    res.json(await replication.scrub(parse(scrubOrder, localsOf(res).body)));
  });
  router.get('/repairs', async (req, res) => {
    res.json(await replication.repairs(parse(repairsQuery, req.query)));
  });
}

const localsOf = (res: Response): AdminLocals => res.locals as AdminLocals;

function bucketReport({
  name,
  owner,
  createdAt,
  region,
  directory,
  versioning,
  objectLock,
  durability = 'two-copies',
}: Bucket): BucketReport {
  return {
    ...{ name, owner, createdAt: createdAt.toISOString(), region },
    ...{ directory, versioning, objectLock, durability },
  };
}
