/** Object lock: who may lock, what default retention gives, how retention may change, and what a lock forbids. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type BucketId, newWriteId } from '../../src/base/ids.ts';
import type { ObjectAttributes, Retention } from '../../src/ddm/catalog.ts';
import { ATTRIBUTES, type Kit, mustBeDone, OWNER, reasonOf } from './contract-kit.ts';

const DAY_MS = 86_400_000;
const inMs = (ms: number) => new Date(Date.now() + ms);
const governance = (until: Date): Retention => ({ mode: 'GOVERNANCE', until });
const compliance = (until: Date): Retention => ({ mode: 'COMPLIANCE', until });

/** A version of 'k' in a bucket with object lock, and short ways to lock it. */
class Locked {
  readonly #k: Kit;
  readonly bucketId: BucketId;
  readonly versionId: string;
  constructor(k: Kit, bucketId: BucketId, versionId: string) {
    this.#k = k;
    this.bucketId = bucketId;
    this.versionId = versionId;
  }
  static async make(k: Kit, more: Partial<ObjectAttributes> = {}): Promise<Locked> {
    const bucketId = await k.bucket({ objectLock: true });
    const { versionId } = await k.put(bucketId, 'k', { attributes: { ...ATTRIBUTES, ...more } });
    return new Locked(k, bucketId, versionId);
  }
  async retain(retention: Retention | null, bypassGovernance = false): Promise<string> {
    const { bucketId, versionId } = this;
    const change = { writeId: newWriteId(), bucketId, key: 'k', versionId, retention, bypassGovernance };
    return reasonOf(await this.#k.catalog.setRetention(change));
  }
  async hold(legalHold: boolean): Promise<string> {
    const { bucketId, versionId } = this;
    return reasonOf(
      await this.#k.catalog.setLegalHold({ writeId: newWriteId(), bucketId, key: 'k', versionId, legalHold }),
    );
  }
  async remove(bypassGovernance = false): Promise<string> {
    const { bucketId, versionId } = this;
    return reasonOf(await this.#k.delete(bucketId, 'k', { versionId, bypassGovernance }));
  }
  async row() {
    const row = await this.#k.catalog.findVersion(this.bucketId, 'k', this.versionId);
    assert.ok(row);
    return row;
  }
}

const removed = async (k: Kit, bucketId: BucketId, versionId: string) =>
  reasonOf(await k.delete(bucketId, 'k', { versionId, bypassGovernance: true }));

export function locksContract(kit: () => Kit): void {
  describe('object lock of a bucket', () => {
    it('is turned on where versioning is on, for good', async () => {
      const k = kit();
      const { catalog } = k;
      const never = await k.bucket();
      assert.equal(reasonOf(await catalog.setObjectLock(never, null)), 'not-versioned');
      const suspended = await k.bucket({ versioning: 'suspended' });
      assert.equal(reasonOf(await catalog.setObjectLock(suspended, null)), 'not-versioned');
      const bucketId = await k.bucket({ versioning: 'enabled' });
      mustBeDone(await catalog.setObjectLock(bucketId, null));
      assert.equal(reasonOf(await catalog.setVersioning(bucketId, 'suspended')), 'locked');
      mustBeDone(await catalog.setVersioning(bucketId, 'enabled'));
      mustBeDone(await catalog.deleteBucket(bucketId));
      assert.equal(reasonOf(await catalog.setObjectLock(bucketId, null)), 'no-such-bucket');
    });

    it('keeps the default retention beside the other settings', async () => {
      const k = kit();
      const { catalog } = k;
      const name = `lock-${newWriteId().slice(0, 12)}`;
      const made = await catalog.createBucket({ name, owner: OWNER, region: 'r', objectLock: true });
      const { id } = mustBeDone(made);
      const days = { mode: 'GOVERNANCE', days: 3 } as const;
      const years = { mode: 'COMPLIANCE', years: 2 } as const;
      mustBeDone(await catalog.setBucketSetting(id, 'tagging', [['a', 'b']]));
      mustBeDone(await catalog.setObjectLock(id, days));
      const first = await catalog.findBucket(name);
      assert.deepEqual([first?.objectLock, first?.defaultRetention], [true, days]);
      assert.deepEqual(first?.settings, { tagging: [['a', 'b']] });
      mustBeDone(await catalog.setObjectLock(id, years));
      assert.deepEqual((await catalog.findBucket(name))?.defaultRetention, years);
      mustBeDone(await catalog.setObjectLock(id, null));
      const last = await catalog.findBucket(name);
      assert.deepEqual([last?.objectLock, last?.defaultRetention], [true, undefined]);
    });

    it('is needed by whatever locks a version', async () => {
      const k = kit();
      const bucketId = await k.bucket({ versioning: 'enabled' });
      const attributes = { ...ATTRIBUTES, retention: governance(inMs(DAY_MS)) };
      assert.equal(reasonOf(await k.tryPut(bucketId, 'k', { attributes })), 'no-object-lock');
      const held = { ...ATTRIBUTES, legalHold: false };
      assert.equal(reasonOf(await k.tryPut(bucketId, 'k', { attributes: held })), 'no-object-lock');
      await k.put(bucketId, 'k');
      const named = { writeId: newWriteId(), bucketId, key: 'k' };
      const retain = { ...named, retention: attributes.retention };
      assert.equal(reasonOf(await k.catalog.setRetention(retain)), 'no-object-lock');
      assert.equal(reasonOf(await k.catalog.setLegalHold({ ...named, legalHold: true })), 'no-object-lock');
    });

    it('gives new versions the default retention from when they are made', async () => {
      const k = kit();
      const bucketId = await k.bucket({ objectLock: true });
      const before = await k.put(bucketId, 'before');
      mustBeDone(await k.catalog.setObjectLock(bucketId, { mode: 'GOVERNANCE', days: 3 }));
      const { versionId, lastModified } = await k.put(bucketId, 'k');
      const until = new Date(lastModified.getTime() + 3 * DAY_MS);
      const find = (key: string) => k.catalog.findVersion(bucketId, key);
      assert.deepEqual((await find('k'))?.retention, governance(until));
      assert.equal((await find('before'))?.retention, undefined);
      assert.equal(reasonOf(await k.delete(bucketId, 'k', { versionId })), 'locked');
      const other = { versionId: before.versionId };
      assert.equal(reasonOf(await k.delete(bucketId, 'before', other)), 'done');
      const marker = mustBeDone(await k.delete(bucketId, 'k'));
      assert.equal((await find('k'))?.retention, undefined);
      assert.equal(reasonOf(await k.delete(bucketId, 'k', { versionId: marker.versionId! })), 'done');
      const own = compliance(inMs(5 * DAY_MS));
      await k.put(bucketId, 'own', { attributes: { ...ATTRIBUTES, retention: own } });
      assert.deepEqual((await find('own'))?.retention, own);
      mustBeDone(await k.catalog.setObjectLock(bucketId, null));
      await k.put(bucketId, 'after');
      assert.equal((await find('after'))?.retention, undefined);
    });

    it('counts years by the calendar, for multipart objects too', async () => {
      const k = kit();
      const bucketId = await k.bucket({ objectLock: true });
      mustBeDone(await k.catalog.setObjectLock(bucketId, { mode: 'COMPLIANCE', years: 10 }));
      const upload = await k.upload(bucketId, 'k');
      await k.part(bucketId, upload.uploadId, 1, 5);
      const { lastModified } = mustBeDone(await k.complete(bucketId, upload, [1], 5));
      const found = await k.catalog.findVersion(bucketId, 'k');
      assert.equal(found?.retention?.mode, 'COMPLIANCE');
      const { until } = found.retention;
      assert.equal(until.getUTCFullYear(), lastModified.getUTCFullYear() + 10);
      const after = (date: Date) => date.getTime() - Date.UTC(date.getUTCFullYear(), date.getUTCMonth());
      // On 29 February the day may be another one.
      if (lastModified.getUTCDate() !== 29) assert.equal(after(until), after(lastModified));
    });
  });

  describe('retention of a version', () => {
    it('is set, made longer and never shorter while it holds', async () => {
      const v = await Locked.make(kit());
      const until = inMs(DAY_MS);
      const longer = inMs(2 * DAY_MS);
      assert.equal(await v.retain(governance(until)), 'done');
      assert.deepEqual((await v.row()).retention, governance(until));
      assert.equal(await v.retain(governance(until)), 'done');
      assert.equal(await v.retain(governance(longer)), 'done');
      assert.equal(await v.retain(governance(until)), 'locked');
      assert.equal(await v.retain(compliance(longer)), 'locked');
      assert.equal(await v.retain(null), 'locked');
      assert.deepEqual((await v.row()).retention, governance(longer));
      assert.equal(await v.remove(), 'locked');
      assert.equal(await v.retain(governance(until), true), 'done');
      assert.equal(await v.retain(null, true), 'done');
      assert.equal((await v.row()).retention, undefined);
      assert.equal(await v.remove(), 'done');
    });

    it('of COMPLIANCE yields to nobody', async () => {
      const v = await Locked.make(kit());
      const until = inMs(DAY_MS);
      assert.equal(await v.retain(governance(until)), 'done');
      assert.equal(await v.retain(compliance(until), true), 'done');
      assert.equal(await v.retain(governance(until), true), 'locked');
      assert.equal(await v.retain(governance(inMs(2 * DAY_MS)), true), 'locked');
      assert.equal(await v.retain(compliance(new Date(until.getTime() - 1)), true), 'locked');
      assert.equal(await v.retain(null, true), 'locked');
      assert.equal(await v.remove(true), 'locked');
      assert.equal(await v.retain(compliance(inMs(2 * DAY_MS))), 'done');
    });

    it('is no lock any more once it is over', async () => {
      const v = await Locked.make(kit(), { retention: compliance(inMs(-1000)) });
      assert.equal(await v.retain(governance(inMs(-500))), 'done');
      assert.equal(await v.retain(null), 'done');
      assert.equal(await v.retain(compliance(inMs(-500))), 'done');
      assert.equal(await v.remove(), 'done');
    });

    it('reaches the version that it names, and nothing else', async () => {
      const k = kit();
      const bucketId = await k.bucket({ objectLock: true });
      const first = await k.put(bucketId, 'k', { attributes: { ...ATTRIBUTES, tags: { t: '1' } } });
      await k.put(bucketId, 'k');
      const retention = governance(inMs(DAY_MS));
      const named = { bucketId, key: 'k', versionId: first.versionId };
      mustBeDone(await k.catalog.setRetention({ writeId: newWriteId(), ...named, retention }));
      mustBeDone(await k.catalog.setLegalHold({ writeId: newWriteId(), ...named, legalHold: true }));
      mustBeDone(await k.catalog.setTags({ writeId: newWriteId(), ...named, tags: { t: '2' } }));
      const old = await k.catalog.findVersion(bucketId, 'k', first.versionId);
      assert.deepEqual([old?.retention, old?.legalHold, old?.tags], [retention, true, { t: '2' }]);
      assert.deepEqual(old?.lastModified, first.lastModified);
      const latest = await k.catalog.findVersion(bucketId, 'k');
      assert.deepEqual([latest?.retention, latest?.legalHold], [undefined, undefined]);
    });

    it('needs a version that is no delete marker', async () => {
      const k = kit();
      const bucketId = await k.bucket({ objectLock: true });
      const retain = async (key: string, versionId?: string) =>
        reasonOf(
          await k.catalog.setRetention({
            ...{ writeId: newWriteId(), bucketId, key, retention: governance(inMs(DAY_MS)) },
            ...(versionId !== undefined && { versionId }),
          }),
        );
      assert.equal(await retain('nothing'), 'no-such-key');
      await k.put(bucketId, 'k');
      const marker = mustBeDone(await k.delete(bucketId, 'k'));
      assert.equal(await retain('k'), 'no-such-key');
      assert.equal(await retain('k', marker.versionId!), 'no-such-version');
    });
  });

  describe('locks while others delete', () => {
    it('come before the removal or after it, never both', async () => {
      const k = kit();
      const bucketId = await k.bucket({ objectLock: true });
      const retention = compliance(inMs(DAY_MS));
      const seen = new Set<string>();
      for (let round = 0; round < 20; round++) {
        const { versionId } = await k.put(bucketId, 'k');
        const named = { writeId: newWriteId(), bucketId, key: 'k', versionId };
        const lock = () =>
          round % 4 < 2
            ? k.catalog.setLegalHold({ ...named, legalHold: true })
            : k.catalog.setRetention({ ...named, retention });
        const remove = () => k.delete(bucketId, 'k', { versionId, bypassGovernance: true });
        const order = round % 2 === 0 ? [lock, remove] : [remove, lock];
        const work = order.map(async (one) => [one, reasonOf(await one())] as const);
        const reasons = new Map(await Promise.all(work));
        const both = `${reasons.get(lock)}, ${reasons.get(remove)}`;
        assert.ok(['done, locked', 'no-such-version, done'].includes(both), both);
        seen.add(both);
        const left = await k.catalog.findVersion(bucketId, 'k', versionId);
        assert.equal(left === null, reasons.get(remove) === 'done');
      }
      assert.equal(seen.size, 2, 'both orders were met');
    });

    it('of a default retention reach every version that is made after it', async () => {
      const k = kit();
      for (let round = 0; round < 10; round++) {
        const bucketId = await k.bucket({ objectLock: true });
        const [put] = await Promise.all([
          k.put(bucketId, 'k'),
          k.catalog.setObjectLock(bucketId, { mode: 'COMPLIANCE', days: 1 }),
        ]);
        const first = await k.catalog.findVersion(bucketId, 'k', put.versionId);
        assert.equal(await removed(k, bucketId, put.versionId), first?.retention ? 'locked' : 'done');
        const later = await k.put(bucketId, 'k');
        assert.equal(await removed(k, bucketId, later.versionId), 'locked');
      }
    });
  });

  describe('legal hold', () => {
    it('locks whatever the retention says, until it is lifted', async () => {
      const v = await Locked.make(kit(), { retention: governance(inMs(DAY_MS)) });
      assert.equal((await v.row()).legalHold, undefined);
      assert.equal(await v.hold(true), 'done');
      assert.equal(await v.remove(true), 'locked');
      assert.equal(await v.hold(false), 'done');
      assert.equal((await v.row()).legalHold, false);
      assert.equal(await v.remove(), 'locked');
      assert.equal(await v.remove(true), 'done');
      assert.equal(await v.hold(true), 'no-such-version');
    });
  });
}
