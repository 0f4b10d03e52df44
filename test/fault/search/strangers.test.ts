/** Who is on the same network and does not know the secret, or repeats what was said: asks, answers, floods. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, afterEach, before, beforeEach, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { MemberId } from '../../../src/base/ids.ts';
import { SEARCH_TUNING } from '../../../src/twin/search-tuning.ts';
import {
  openQuestion,
  type SearchKey,
  sealAnswer,
  sealQuestion,
  searchKey,
  type WireAnswer,
  type WireQuestion,
} from '../../../src/twin/search-wire.ts';
import type { GroupEar } from '../../harness/group-ear.ts';
import { readBlob } from '../../integration/nodes/fixture.ts';
import { A1, B1, B2, epoch, type SearchRig, startSearchRig } from './search-rig.ts';

/** Long enough for an answer that should not come. */
const SILENCE_MS = 300;

describe('a stranger on the group', () => {
  let rig: SearchRig;
  let ear: GroupEar;
  let key: SearchKey;
  before(async () => {
    rig = await startSearchRig({ centers: 2 });
    key = searchKey(rig.secret);
  });
  beforeEach(async () => {
    rig.setRecord({ [A1]: 'failed-over' });
    ear = await rig.listen('b');
  });
  afterEach(() => {
    ear.onQuestion = () => {};
    rig.nodes.get(B1)!.continue();
  });
  after(async () => rig[Symbol.asyncDispose]());

  const question = (more: Partial<WireQuestion> = {}): WireQuestion => ({
    kind: 'blob',
    subject: 'ab'.repeat(16),
    center: 'b',
    leftOut: [],
    epoch: epoch(1),
    at: Date.now(),
    windowMs: 0,
    replyPort: ear.port,
    ...more,
  });
  const isHeard = async (bytes: Buffer): Promise<boolean> => {
    const old = ear.answers.length;
    await ear.toGroup(bytes);
    await sleep(SILENCE_MS);
    return ear.answers.length > old;
  };

  it('would be answered if it knew the secret: the tests below can fail', async () => {
    await ear.toGroup(sealQuestion(key, question())!.bytes);
    for (let waitedMs = 0; ear.answers.length < 2 && waitedMs < 10_000; waitedMs += 50) await sleep(50);
    assert.equal(ear.answers.length, 2);
  });

  it('gets no answer: forged, out of time, changed, for another center, or leaving out', async () => {
    const { skewMs } = SEARCH_TUNING;
    const forged = sealQuestion(searchKey(randomBytes(32)), question())!.bytes;
    const changed = Buffer.from(sealQuestion(key, question())!.bytes);
    changed[changed.length - 2]! ^= 1;
    const silent = [
      forged,
      changed,
      sealQuestion(key, question({ at: Date.now() - skewMs - 2_000 }))!.bytes,
      sealQuestion(key, question({ at: Date.now() + skewMs + 2_000 }))!.bytes,
      sealQuestion(key, question({ center: 'a' }))!.bytes,
      sealQuestion(key, question({ leftOut: [B1, B2] }))!.bytes,
      Buffer.alloc(0),
      randomBytes(1_200),
      randomBytes(9_000),
    ];
    const counts = () => Promise.all([B1, B2].map((member) => rig.requests(member)));
    const old = await counts();
    for (const bytes of silent) assert.equal(await isHeard(bytes), false);
    assert.deepEqual(await counts(), old);
  });

  it('gets no answer to a question that it has heard and repeats', async () => {
    const { finder } = rig.gateway('multicast');
    const { blob } = await rig.put(B2);
    assert.equal((await finder.find(blob)).outcome, 'found');
    const [heard] = ear.heard;
    assert.ok(heard && openQuestion(key, heard));
    const old = await rig.requests(B2);
    assert.equal(await isHeard(heard), false);
    assert.equal(await rig.requests(B2), old);
  });

  it('is not believed, however fast it answers', async () => {
    const { finder } = rig.gateway('multicast');
    const { blob } = await rig.put();
    const lie = (member: MemberId): WireAnswer => ({
      member,
      epoch: epoch(1),
      has: true,
      stale: false,
      detail: { size: blob.size, root: blob.root.toString('hex'), state: 'confirmed' },
    });
    const strange = searchKey(randomBytes(32));
    let lies = 0;
    ear.onQuestion = (bytes) => {
      const opened = openQuestion(key, bytes)!; // the test reads for the stranger what it could guess
      const { replyPort } = opened.question;
      const truth = sealAnswer(key, opened, lie(B1))!.bytes;
      const twisted = Buffer.from(truth);
      twisted[20]! ^= 1;
      const other = sealAnswer(key, sealQuestion(key, question())!, lie(B1))!.bytes;
      const renamed = Buffer.concat([other.subarray(0, 1), bytes.subarray(1, 13), other.subarray(13)]);
      for (const answer of [
        sealAnswer(strange, opened, lie(B1))!.bytes, // without the secret
        twisted, // changed on its way
        other, // to another question
        renamed, // the same, under this question's nonce
        sealAnswer(key, opened, lie(A1))!.bytes, // by who was left out
        sealAnswer(key, opened, lie('node-b99' as MemberId))!.bytes, // by nobody
        randomBytes(300),
      ]) {
        lies += 1;
        void ear.to(replyPort, '127.0.0.1', answer);
      }
    };
    const found = await finder.trace(blob);
    assert.equal(lies, 7);
    assert.equal(found.outcome, 'nowhere');
    assert.deepEqual(
      found.trace[0]!.asked.map(({ state }) => state),
      ['has-not', 'has-not'],
    );
  });

  it('is not believed with an answer of an earlier epoch, and the test shows that it is the epoch', async () => {
    const { finder } = rig.gateway('multicast');
    rig.nodes.get(B1)!.stop(); // so that nobody else speaks for it
    for (const [recorded, believed] of [
      [epoch(1), [B1]],
      [epoch(5), []],
    ] as const) {
      const { blob } = await rig.put();
      const pairEpochs = new Map([...rig.topology.pairs.keys()].map((pair) => [pair, recorded] as const));
      rig.setRecord({ [A1]: 'failed-over' }, { epoch: recorded, pairEpochs });
      ear.onQuestion = (bytes) => {
        const opened = openQuestion(key, bytes)!;
        const detail = { size: blob.size, root: blob.root.toString('hex'), state: 'confirmed' };
        const old = { member: B1, epoch: epoch(1), has: true, stale: false, detail };
        void ear.to(opened.question.replyPort, '127.0.0.1', sealAnswer(key, opened, old)!.bytes);
      };
      assert.deepEqual((await finder.trace(blob)).members, believed);
    }
  });

  it('costs little with a flood: data still flows, and searches go on when it is over', async () => {
    const { finder } = rig.gateway('auto');
    const { blob, bytes } = await rig.put(B2);
    const noise = randomBytes(1_000);
    noise[0] = 0x11;
    const flood = new AbortController();
    const flooding = (async () => {
      while (!flood.signal.aborted) {
        await Promise.all(Array.from({ length: 200 }, () => ear.toGroup(noise)));
        await sleep(5);
      }
    })();
    try {
      await sleep(500);
      assert.deepEqual(await readBlob(rig.clients.get(B2)!, blob), bytes);
      const found = await finder.find(blob); // the datagram may drown; point to point does not
      assert.deepEqual([found.outcome, found.members], ['found', [B2]]);
    } finally {
      flood.abort();
      await flooding;
    }
    await sleep(1_500);
    const quiet = await rig.gateway('multicast').finder.find(blob);
    assert.equal(quiet.outcome, 'found');
  });
});
