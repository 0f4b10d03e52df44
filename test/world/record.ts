/**
 * The record of conditions in a simulated world, and views of it: each knows what it read last, and reload() takes
 * some time. What a gateway has not heard of yet is what the tests are about.
 */
import type { Clock } from '../../src/base/clock.ts';
import type { Epoch, MemberId } from '../../src/base/ids.ts';
import {
  allServing,
  type Conditions,
  type ConditionView,
  type RecordedState,
  viewOf,
} from '../../src/twin/condition.ts';
import type { Topology } from '../../src/twin/topology.ts';

export class WorldRecord {
  #now: Conditions;
  readonly #topology: Topology;
  /** How often any view has asked. */
  reads = 0;

  constructor(topology: Topology) {
    this.#topology = topology;
    this.#now = allServing(topology);
  }

  get now(): Conditions {
    return this.#now;
  }

  /** One change for all of them. Answers the new epoch. */
  declare(state: RecordedState, ...members: readonly MemberId[]): Epoch {
    const epoch = (this.#now.epoch + 1) as Epoch;
    const conditions = new Map(this.#now.members);
    const pairEpochs = new Map(this.#now.pairEpochs);
    for (const member of members) {
      conditions.set(member, { ...conditions.get(member)!, state });
      for (const { id, members: twins } of this.#topology.pairs.values())
        if (twins.includes(member)) pairEpochs.set(id, epoch);
    }
    this.#now = { ...this.#now, epoch, members: conditions, pairEpochs };
    return epoch;
  }

  /** Of one gateway: it knows what it has read. */
  view(clock: Clock, readMs = 5): ConditionView {
    let known = this.#now;
    let reading: Promise<Conditions> | null = null;
    const read = async (): Promise<Conditions> => {
      this.reads += 1;
      await clock.sleep(readMs);
      known = this.#now;
      reading = null;
      return known;
    };
    return {
      ...viewOf(() => known),
      reload: (atLeast) => {
        if (atLeast !== undefined && known.epoch >= atLeast) return Promise.resolve(known);
        reading ??= read();
        return reading;
      },
    };
  }
}
