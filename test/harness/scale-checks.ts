/** Fills a small and a large bucket and compares what their pages cost. */
import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import type { TestServer } from './postgres.ts';
import { type Cost, costsBehind, costsOfPages, fillBehind, fillLive, PAGE } from './scale.ts';

/** More than a plain page of that many entries reads, and far less than walking over what is in front of them. */
const BEHIND_BLOCKS_MAX = 6 * PAGE;

export interface Sizes {
  readonly small: number;
  readonly large: number;
  readonly behind: number;
}

export async function assertCosts(
  t: TestContext,
  server: TestServer,
  { small, large, behind }: Sizes,
): Promise<void> {
  const fill = async (database: string, ...texts: string[]) => {
    await server.admin(`DROP DATABASE IF EXISTS ${database}`);
    await server.admin(`CREATE DATABASE ${database} TEMPLATE template_scale`);
    for (const text of texts) await server.admin(text, database);
  };
  await fill('small', fillLive(small), fillBehind(1_000));
  await fill('large', fillLive(large), fillBehind(behind));
  const before = costOf('objects behind removed rows', await costsBehind(server, 'large'));
  // As the tables' settings make autovacuum do (migration 0026).
  for (const database of ['small', 'large']) await server.admin('VACUUM antipode.version', database);
  const pairs: [Cost, Cost][] = [];
  const add = (few: readonly Cost[], many: readonly Cost[]) =>
    pairs.push(...few.map((cost, at): [Cost, Cost] => [cost, many[at]!]));
  add(await costsOfPages(server, 'small', small), await costsOfPages(server, 'large', large));
  add(await costsBehind(server, 'small'), await costsBehind(server, 'large'));
  for (const [few, many] of pairs)
    t.diagnostic(
      `${few.page}: ${few.blocks} blocks at ${small.toLocaleString('en')}, ${many.blocks} at ${large.toLocaleString('en')} (${many.ms.toFixed(1)} ms)`,
    );
  t.diagnostic(`objects behind removed rows, before a vacuum: ${before.blocks} blocks`);
  const dear = pairs.filter(([few, many]) => many.blocks > 2 * few.blocks);
  assert.deepEqual(dear, []);
  for (const [few, many] of pairs) {
    assert.equal(many.rows, few.rows, few.page);
    assert.ok(many.rows > 400, few.page);
    assert.ok(many.blocks < BEHIND_BLOCKS_MAX, `${few.page}: ${many.blocks}`);
  }
}

const costOf = (page: string, costs: readonly Cost[]): Cost => costs.find((cost) => cost.page === page)!;
