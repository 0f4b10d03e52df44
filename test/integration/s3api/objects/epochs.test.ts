/** Commits under an epoch that has passed: repeated within the request, a few times, for every way that bytes come in. */
import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, it } from 'node:test';
import {
  CopyObjectCommand,
  CreateBucketCommand,
  CreateMultipartUploadCommand,
  PutObjectCommand,
  UploadPartCommand,
  UploadPartCopyCommand,
} from '@aws-sdk/client-s3';
import type { Epoch } from '../../../../src/base/ids.ts';
import type { NewBlobContent, Outcome } from '../../../../src/ddm/catalog.ts';
import { BytesUnavailable } from '../../../../src/dosm/dosm.ts';
import { fails, type SdkFront, startSdkFront } from './sdk-front.ts';

const Bucket = 'epochs';
let front: SdkFront;
/** Commits of new bytes that will be refused; each raises the epoch. */
let refusals = 0;
/** The epochs and write ids that commits of new bytes came with. */
let commits: { epoch: Epoch | undefined; writeId: string }[] = [];

type Commit = {
  writeId: string;
  content: NewBlobContent | { kind: 'empty' } | { kind: 'share' };
};

/** Stands before a commit of the model: new bytes under an old epoch are refused, and nothing can be shared. */
function guarded<C extends Commit, T, R extends string>(commit: (given: C) => Promise<Outcome<T, R>>) {
  return async (given: C): Promise<Outcome<T, R | 'stale-epoch' | 'blob-dying'>> => {
    if (given.content.kind === 'share') return { outcome: 'refused', reason: 'blob-dying' };
    if (given.content.kind === 'empty') return commit(given);
    const { epoch } = given.content;
    commits.push({ epoch, writeId: given.writeId });
    if (refusals > 0) {
      refusals -= 1;
      front.dosm.epoch = (front.dosm.epoch + 1) as Epoch;
    }
    if (epoch !== front.dosm.epoch) return { outcome: 'refused', reason: 'stale-epoch' };
    return commit(given);
  };
}

before(async () => {
  front = await startSdkFront();
  await front.s3.send(new CreateBucketCommand({ Bucket }));
  await front.s3.send(new PutObjectCommand({ Bucket, Key: 'source', Body: 'the source' }));
  const { catalog } = front;
  Object.assign(catalog, {
    putVersion: guarded(catalog.putVersion.bind(catalog)),
    putPart: guarded(catalog.putPart.bind(catalog)),
  });
});
after(() => front.close());
beforeEach(() => {
  refusals = 0;
  commits = [];
  front.dosm.reaffirmed = 0;
  front.dosm.failReaffirms = null;
});

const upload = async () =>
  (await front.s3.send(new CreateMultipartUploadCommand({ Bucket, Key: 'large' }))).UploadId!;
const CopySource = `${Bucket}/source`;
const WAYS: Record<string, () => Promise<unknown>> = {
  PutObject: () => front.s3.send(new PutObjectCommand({ Bucket, Key: 'put', Body: 'bytes' })),
  CopyObject: () => front.s3.send(new CopyObjectCommand({ Bucket, Key: 'copy', CopySource })),
  UploadPart: async () => {
    const UploadId = await upload();
    const part = { Bucket, Key: 'large', UploadId, PartNumber: 1 };
    return front.s3.send(new UploadPartCommand({ ...part, Body: 'part' }));
  },
  UploadPartCopy: async () => {
    const UploadId = await upload();
    const part = { Bucket, Key: 'large', UploadId, PartNumber: 1 };
    return front.s3.send(new UploadPartCopyCommand({ ...part, CopySource }));
  },
};
const blobsLeft = () => [...front.dosm.blobs.values()].filter(({ state }) => state === 'pending').length;

for (const [name, run] of Object.entries(WAYS)) {
  describe(name, () => {
    it('commits again under the new epoch, with the same bytes and write id', async () => {
      refusals = 2;
      await run();
      assert.equal(commits.length, 3);
      assert.equal(new Set(commits.map(({ writeId }) => writeId)).size, 1);
      assert.deepEqual(new Set(commits.map(({ epoch }) => epoch)).size, 3);
      assert.equal(front.dosm.reaffirmed, 2);
      assert.equal(blobsLeft(), 0);
    });

    it('is 503 when the epochs do not settle, and keeps nothing', async () => {
      refusals = 100;
      const error = await fails(run(), 503, 'ServiceUnavailable');
      assert.ok(error.$response?.headers['retry-after']);
      assert.deepEqual([commits.length, front.dosm.reaffirmed], [4, 3]);
      assert.equal(blobsLeft(), 0);
    });

    it('is 503 when the bytes cannot be kept as the new conditions ask', async () => {
      refusals = 1;
      front.dosm.failReaffirms = new BytesUnavailable('no node can hold a handoff');
      await fails(run(), 503, 'ServiceUnavailable');
      assert.equal(commits.length, 1);
      assert.equal(blobsLeft(), 0);
    });
  });
}

it('bodies of no bytes know no epoch', async () => {
  refusals = 1;
  await front.s3.send(new PutObjectCommand({ Bucket, Key: 'empty', Body: '' }));
  assert.equal(commits.length, 0);
});
