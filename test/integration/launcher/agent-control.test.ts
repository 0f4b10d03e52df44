/** The agent's control port: members are answered, strangers get an empty 403, orders that are replayed are void. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { connect } from 'node:net';
import { after, before, describe, it } from 'node:test';
import pino from 'pino';
import { systemClock } from '../../../src/base/clock.ts';
import { AgentRefused, createAgentClient } from '../../../src/launcher/agent-client.ts';
import { type AgentControl, openAgentControl } from '../../../src/launcher/agent-control.ts';
import {
  type AgentStatus,
  ORDER_BYTES_MAX,
  type SynchronousOrder,
} from '../../../src/launcher/agent-protocol.ts';

const MEMBER = 'directory-a5';
const HOST = '127.0.0.1';
const secret = randomBytes(32);
const STATUS: AgentStatus = {
  member: MEMBER,
  ...{ role: 'primary', term: 1, turn: 4, synchronous: true, mayReturn: false, pid: 7, dataState: 'primary' },
  ...{ since: '2026-01-01T00:00:00.000Z', why: '', decidedBy: '', systemId: '1', timeline: 1 },
  ...{ replication: null, problem: null, step: null, trustMs: 1_200 },
};
const ORDER: SynchronousOrder = {
  ...{ on: false, turn: 4, assertTwinDown: true, force: false, why: 'gone', decidedBy: 'root' },
};
const orders: SynchronousOrder[] = [];

let control: AgentControl;
before(async () => {
  control = await openAgentControl({
    ...{ member: MEMBER, host: HOST, port: 0, secret, clock: systemClock, log: pino({ level: 'silent' }) },
    orders: {
      status: () => STATUS,
      setSynchronous: async (order) => {
        orders.push(order);
        return order.turn === STATUS.turn ? { ...STATUS, synchronous: order.on } : 'turn-passed';
      },
      takeOver: async ({ assertTwinDown }) => (assertTwinDown ? { ...STATUS, term: 2 } : 'primary-silent'),
      giveUp: async ({ order }) => ({ ...STATUS, role: 'standby', step: { kind: 'gave-up', order } }),
      lease: async ({ twin }) => (twin === 'in' ? { leaseMs: 700 } : 'other-term'),
    },
  });
});
after(() => control.close());

const client = (change: Partial<Parameters<typeof createAgentClient>[0]> = {}) =>
  createAgentClient({
    member: MEMBER,
    host: HOST,
    port: control.port,
    secret,
    clock: systemClock,
    ...change,
  });

/** What comes back, to its end. */
const raw = (text: string): Promise<string> =>
  new Promise((resolve, reject) => {
    const socket = connect(control.port, HOST, () => socket.write(text));
    let answer = '';
    socket.setEncoding('latin1').on('data', (part: string) => {
      answer += part;
    });
    socket.once('close', () => resolve(answer));
    socket.once('error', reject);
    socket.setTimeout(10_000, () => socket.destroy(new Error('no end')));
  });

describe('the control port', () => {
  it('answers a member', async () => {
    assert.deepEqual(await client().status(), STATUS);
  });
  it('takes an order, and says why it does not', async () => {
    assert.equal((await client().setSynchronous(ORDER)).synchronous, false);
    await assert.rejects(
      client().setSynchronous({ ...ORDER, turn: 3 }),
      (error) => error instanceof AgentRefused && error.reason === 'turn-passed',
    );
    assert.equal(orders.length, 2);
  });
  it('takes the orders that change the primary, and gives leases', async () => {
    const word = { why: 'a reason', decidedBy: 'root' };
    const order = { ...word, turn: 4, assertTwinDown: true, force: false };
    assert.equal((await client().takeOver(order)).term, 2);
    const refused = (reason: string) => (error: unknown) =>
      error instanceof AgentRefused && error.reason === reason;
    await assert.rejects(client().takeOver({ ...order, assertTwinDown: false }), refused('primary-silent'));
    const gaveUp = await client().giveUp({ ...word, term: 1, order: 'x' });
    assert.deepEqual(gaveUp.step, { kind: 'gave-up', order: 'x' });
    assert.deepEqual(await client().lease({ term: 1, twin: 'in' }), { leaseMs: 700 });
    await assert.rejects(client().lease({ term: 1, twin: 'out' }), refused('other-term'));
  });
  it('gives a stranger an empty 403, whatever they ask for', async () => {
    for (const target of ['/v1/directory/status', '/', '/nothing']) {
      const answer = await raw(`GET ${target} HTTP/1.1\r\nhost: x\r\n\r\n`);
      assert.equal(answer, 'HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\nconnection: close\r\n\r\n');
    }
  });
  it('is not for members of another cluster, nor meant for another member', async () => {
    await assert.rejects(
      client({ secret: randomBytes(32) }).status(),
      /does not share this cluster's secret/,
    );
    await assert.rejects(client({ member: 'directory-b5' }).status(), /does not share/);
  });
  it('refuses what is older than the window', async () => {
    const late = { ...systemClock, now: () => Date.now() - 31_000 };
    await assert.rejects(client({ clock: late }).status(), /its clock differs/);
  });
  it('takes no order longer than allowed', async () => {
    const known = orders.length;
    const long = { ...ORDER, why: 'x'.repeat(ORDER_BYTES_MAX) };
    await assert.rejects(client().setSynchronous(long));
    await assert.rejects(client().setSynchronous({ ...ORDER, why: 'x'.repeat(501) }), /answered 400/);
    assert.equal(orders.length, known);
  });
  it('is given up when it does not answer in time', async () => {
    const { createServer } = await import('node:net');
    const silent = createServer(() => {}).listen(0, HOST);
    await new Promise((resolve) => silent.once('listening', resolve));
    const { port } = silent.address() as { port: number };
    await assert.rejects(client({ port }).status(), /no answer within 1000 ms/);
    silent.close();
  });
});
