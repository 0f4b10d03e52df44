/** The decider in a world of its own clock: what it does to a pair, in which order, and what it writes down. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import pino from 'pino';
import type { Clock } from '../../../src/base/clock.ts';
import type { MemberId, PairId } from '../../../src/base/ids.ts';
import type { Decision, DecisionLog } from '../../../src/launcher/decisions.ts';
import type { DirectoryRole, Replication } from '../../../src/launcher/messages.ts';
import { PairDecider } from '../../../src/launcher/pair-decider.ts';

const PAIR = 'directory/5' as PairId;
const A = 'directory-a5' as MemberId;
const B = 'directory-b5' as MemberId;
const level: Replication = {
  state: 'streaming',
  flushed: 5,
  replayed: 5,
  slot: 'reserved',
  synchronous: true,
};

class World {
  now = 1_000;
  readonly events: string[] = [];
  readonly turns = new Map<MemberId, number>();
  readonly last = new Map<PairId, Decision>();
  killing: () => Promise<void> = async () => {};
  decider!: PairDecider;
  readonly clock: Clock = {
    now: () => this.now,
    monotonic: () => this.now,
    sleep: async (ms) => {
      this.now += ms;
    },
  };
  readonly decisions: DecisionLog = {
    last: this.last,
    history: () => [],
    append: (decision) => {
      this.events.push(`record ${decision.what} ${decision.member}`);
      this.last.set(decision.pair, decision);
    },
  };

  open(): PairDecider {
    this.decider = new PairDecider(
      {
        pair: PAIR,
        primary: this.#handle(A),
        twin: this.#handle(B),
        decisions: this.decisions,
        clock: this.clock,
        log: pino({ level: 'silent' }),
        deadlineMs: 5_000,
        onChange: () => {},
        onReturned: () => this.events.push('drop aside'),
      },
      false,
    );
    return this.decider;
  }

  #handle(id: MemberId) {
    return {
      id,
      take: (role: DirectoryRole, turn: number) => {
        this.turns.set(id, turn);
        this.events.push(`start ${id} ${role.kind === 'standby' && role.reseed ? 'anew' : role.kind}`);
      },
      setSynchronous: (on: boolean) => this.events.push(`synchronous ${on}`),
      kill: async (what: 'server' | 'server-and-agent') => {
        this.events.push(what === 'server' ? `kill ${id}` : `kill ${id} and its agent`);
        await this.killing();
      },
    };
  }

  up(id: MemberId): void {
    this.decider.heard(id, { type: 'postgres', turn: this.turns.get(id)!, pid: 7 });
  }
  down(id: MemberId): void {
    this.decider.heard(id, { type: 'postgres', turn: this.turns.get(id)!, pid: null, problem: 'gone' });
  }
  see(replication: Replication): void {
    this.decider.heard(B, { type: 'alive' });
    this.decider.heard(A, { type: 'replication', replication });
  }
  both(): void {
    this.open().start();
    this.up(A);
    this.up(B);
    this.see(level);
    this.events.length = 0;
  }
}

describe('the decider of a pair', () => {
  it('writes the decision down before commits stop waiting for a twin that has ended', async () => {
    const world = new World();
    world.both();
    world.down(B);
    await world.decider.tick();
    assert.deepEqual(world.events, [`kill ${B}`, `record left-out ${B}`, 'synchronous false']);
    assert.equal(world.decider.state.synchronous, false);
    assert.equal(world.decider.state.condition, 'degraded');
  });

  it('decides nothing while the twin could still be alive', async () => {
    const world = new World();
    world.both();
    world.killing = async () => {
      throw new Error('does not end');
    };
    world.down(B);
    await world.decider.tick();
    assert.deepEqual(world.events, [`kill ${B}`]);
    assert.equal(world.decider.state.synchronous, true);
  });

  it('starts the twin again and takes it back once it is level', async () => {
    const world = new World();
    world.both();
    world.down(B);
    await world.decider.tick();
    world.events.length = 0;
    await world.decider.tick();
    assert.deepEqual(world.events, [`kill ${B}`, `start ${B} standby`]);
    world.up(B);
    world.see({ ...level, synchronous: false, state: 'catchup', replayed: 1 });
    await world.decider.tick();
    assert.equal(world.decider.state.synchronous, false);
    world.see({ ...level, synchronous: false });
    world.events.length = 0;
    await world.decider.tick();
    assert.deepEqual(world.events, [`record returned ${B}`, 'synchronous true', 'drop aside']);
    assert.equal(world.decider.state.condition, 'redundant');
  });

  it('starts as the last decision says', () => {
    const world = new World();
    world.last.set(PAIR, {
      at: '',
      pair: PAIR,
      what: 'left-out',
      member: B,
      why: '',
      proof: '',
    });
    assert.equal(world.open().state.synchronous, false);
  });

  it('ends a primary that hangs and starts it again, without blaming the twin', async () => {
    const world = new World();
    world.both();
    world.now += 5_001;
    await world.decider.tick();
    assert.deepEqual(world.events, [`kill ${A} and its agent`, `start ${A} primary`]);
    assert.equal(world.decider.state.synchronous, true);
    assert.equal(world.decider.state.condition, 'lost');
  });

  it('does not listen to what an earlier turn has to say', async () => {
    const world = new World();
    world.both();
    const before = world.turns.get(A)!;
    world.decider.lost(A);
    world.decider.heard(A, { type: 'postgres', turn: before, pid: null });
    world.up(A);
    assert.equal(world.decider.primaryRuns, true);
  });

  it('seeds a twin anew that fails to start twice', async () => {
    const world = new World();
    world.both();
    world.down(B);
    await world.decider.tick();
    for (let i = 0; i < 2; i++) {
      await world.decider.tick();
      world.down(B);
    }
    world.events.length = 0;
    await world.decider.tick();
    assert.deepEqual(world.events, [`kill ${B}`, `start ${B} anew`]);
  });

  it('decides nothing once the store is being stopped', async () => {
    const world = new World();
    world.both();
    world.decider.stop();
    world.down(B);
    await world.decider.tick();
    assert.deepEqual(world.events, []);
  });
});
