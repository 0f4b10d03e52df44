/**
 * One schedule of the whole: clients write, read and delete through several gateways while a storm blows; then everything
 * is well again and time passes. All of it is drawn from the seed. A promise that is broken on the way, or at rest, ends it
 * with the command that replays it and the last of its trace.
 */
import { writeFileSync } from 'node:fs';
import { untilAtRest } from './at-rest.ts';
import { Clients, type Tally } from './clients.ts';
import { seededRandom, whole } from './seeded-random.ts';
import type { Mutate } from './sim-gateway.ts';
import { SimWorld } from './sim-world.ts';
import { type Incident, Storm } from './storm.ts';

export interface OutageOptions {
  readonly kinds?: readonly Incident[];
  readonly incidentsMax?: number;
  /** Clients only read while the storm blows. */
  readonly isReadOnly?: boolean;
  readonly mutate?: Mutate;
}
export interface Outcome {
  readonly hash: string;
  readonly ms: number;
  readonly tally: Tally;
  readonly counts: ReadonlyMap<string, number>;
}

/** Declared, returned, resynced, repaired, reclaimed: all of it fits in. */
const REST_MS = 240_000;
const SCHEDULE_MS_MAX = 900_000;
const GATEWAYS = [
  [null, null],
  ['a', 'b'],
  ['a', 'b'],
  [null, 'b'],
] as const;

export async function runOutage(seed: number, options: OutageOptions = {}): Promise<Outcome> {
  const draw = seededRandom(seed ^ 0x0a_7a_6e);
  const world = new SimWorld({
    seed,
    pairs: whole(draw, 2, 3),
    gateways: GATEWAYS[whole(draw, 0, GATEWAYS.length - 1)]!,
    ...(options.mutate ? { mutate: options.mutate } : {}),
  });
  const clients = new Clients(world);
  try {
    const incidents = whole(draw, 2, options.incidentsMax ?? 6);
    const run = schedule(world, clients, { ...options, incidents });
    await world.clock.run(Promise.race([run, world.violated]), SCHEDULE_MS_MAX);
  } catch (error) {
    if (process.env.WORLD_TRACE) writeFileSync(process.env.WORLD_TRACE, world.trace.tail());
    throw error;
  }
  return {
    hash: world.trace.hash(),
    ms: world.clock.monotonic(),
    tally: clients.tally,
    counts: world.trace.counts,
  };
}

async function schedule(
  world: SimWorld,
  clients: Clients,
  o: { incidents: number } & OutageOptions,
): Promise<void> {
  await world.start();
  world.network.duplicateRate = 0.02;
  const lanes = world.gateways.flatMap((gateway) => [0, 1].map(() => clients.run(gateway, [200, 3_000])));
  const worked = Promise.all(lanes);
  if (o.isReadOnly) {
    await Promise.race([world.pass(15_000), worked]);
    clients.isReadOnly = true;
  }
  const storm = new Storm(world, o.kinds);
  await Promise.race([storm.blow(o.incidents, [500, 12_000]), worked]);
  await world.pass(whole(world.random, 0, 5_000));
  await storm.end();
  clients.stop();
  await worked;
  world.trace.note('calm');
  await untilAtRest(world, REST_MS);
  for (const gateway of world.gateways) await clients.all(gateway);
  await untilAtRest(world, REST_MS);
}
