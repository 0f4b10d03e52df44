/**
 * PUT /v1/blobs/ID?size=N[&ready=1]: takes a blob. Every chunk is verified against the digest before it before it is
 * written, the root is computed again, and the answer is sent when everything is fsynced.
 * A node that has stopped serving meanwhile refuses at the end: it would acknowledge under an epoch that is over.
 * While the disk keeps a large blob waiting, "102 Processing" every HEARTBEAT_MS says that the node is at work.
 */
import { createHash } from 'node:crypto';
import { parseBlobId } from '../../base/ids.ts';
import { LIMITS } from '../../base/limits.ts';
import type { BlobSink, BlobStore, NewBlob, Reservation } from '../blob-store/blob-store.ts';
import { chunkBytes, chunkCount, DIGEST_BYTES, digest } from '../digest-tree.ts';
import { intentFromHeader } from '../entry-codec.ts';
import { PREAMBLE, putBodyBytes, TRAILER_BYTES } from '../framing.ts';
import { verifyTrailer } from '../request-auth.ts';
import { ByteTaker } from './byte-taker.ts';
import type { Admission } from './condition.ts';
import { answerDone, type Exchange, integerOf, Refused } from './exchange.ts';

const HEARTBEAT_MS = 500;
/** A flush that takes longer than this is a sick disk: the heartbeat stops and the client's deadline decides. */
const HEARTBEATS_MAX = 60;

export async function putBlob(
  x: Exchange,
  store: BlobStore,
  idText: string,
  stillAdmitted: Admission,
): Promise<void> {
  const blob = parseNewBlob(x, idText);
  const ready = x.query.get('ready') === '1';
  if (x.contentLength !== putBodyBytes(blob.size, ready)) {
    throw new Refused('protocol', 'the content length is not what the size implies');
  }
  const reservation = await store.reserve(blob.size);
  const incoming: Incoming = { blob, ready, reservation, stillAdmitted };
  try {
    if (blob.size <= LIMITS.smallBlobBytesMax) await takeSmall(x, store, incoming);
    else await takeLarge(x, store, incoming);
  } finally {
    reservation.release();
  }
  stillAdmitted(); // it is durable and pending, and whoever asks what was never committed will find it
  answerDone(x);
}

interface Incoming {
  readonly blob: NewBlob;
  readonly ready: boolean;
  readonly reservation: Reservation;
  readonly stillAdmitted: Admission;
}

function parseNewBlob(x: Exchange, idText: string): NewBlob {
  const size = integerOf(x, 'size', LIMITS.blobBytesMax);
  if (size === 0) throw new Refused('protocol', 'a blob has at least one byte');
  try {
    return { id: parseBlobId(idText), size, intent: intentFromHeader(x.intent) };
  } catch {
    throw new Refused('protocol', 'the intent or the blob id is malformed');
  }
}

async function takePreamble(x: Exchange, taker: ByteTaker, ready: boolean): Promise<void> {
  if (!ready) return;
  if (!(await taker.take(PREAMBLE.length)).equals(PREAMBLE)) throw new Refused('protocol', 'no preamble');
  x.res.writeProcessing();
}

/** The root that the client sent, its MAC verified. */
async function takeTrailer(x: Exchange, taker: ByteTaker): Promise<Buffer> {
  const trailer = await taker.take(TRAILER_BYTES);
  const root = trailer.subarray(DIGEST_BYTES);
  if (!verifyTrailer(x.key, x.nonce, root, trailer.subarray(0, DIGEST_BYTES))) {
    throw new Refused('unauthorized', 'the trailer is not signed by who signed the request');
  }
  return root;
}

async function takeSmall(x: Exchange, store: BlobStore, incoming: Incoming): Promise<void> {
  const { blob, ready, reservation, stillAdmitted } = incoming;
  const taker = new ByteTaker(x.req);
  await takePreamble(x, taker, ready);
  // Stored as [page digest][chunk digest][bytes], which is the body of a GET.
  const frame = Buffer.allocUnsafeSlow(2 * DIGEST_BYTES + blob.size);
  await taker.takeInto(frame, DIGEST_BYTES);
  const chunkDigest = frame.subarray(DIGEST_BYTES, 2 * DIGEST_BYTES);
  const root = await takeTrailer(x, taker);
  if (!digest(frame.subarray(2 * DIGEST_BYTES)).equals(chunkDigest)) throw new Refused('corrupt', 'chunk 0');
  const pageDigest = digest(chunkDigest);
  frame.set(pageDigest, 0);
  if (!digest(pageDigest).equals(root)) throw new Refused('corrupt', 'the root does not match the chunk');
  stillAdmitted();
  await store.putSmall(blob, root, frame, reservation);
}

async function takeLarge(x: Exchange, store: BlobStore, incoming: Incoming): Promise<void> {
  const { blob, ready, reservation, stillAdmitted } = incoming;
  const sink = await store.createLarge(blob, reservation);
  try {
    const taker = new ByteTaker(x.req);
    await takePreamble(x, taker, ready);
    await takeChunks(x, taker, blob.size, sink);
    const root = await takeTrailer(x, taker);
    stillAdmitted();
    await withHeartbeat(x, sink.commit(root));
  } catch (error) {
    await sink.discard();
    throw error;
  }
}

/** One write to the disk is under way while the next chunk arrives. */
async function takeChunks(x: Exchange, taker: ByteTaker, size: number, sink: BlobSink): Promise<void> {
  let writing: Promise<void> = Promise.resolve();
  try {
    for (let index = 0; index < chunkCount(size); index += 1) {
      const expected = await taker.take(DIGEST_BYTES);
      const hash = createHash('sha256');
      const parts = await taker.takeParts(chunkBytes(size, index), (part) => hash.update(part));
      if (!hash.digest().equals(expected)) throw new Refused('corrupt', `chunk ${index}`);
      await withHeartbeat(x, writing);
      writing = sink.append(parts, expected);
      writing.catch(() => {}); // awaited with the next chunk, or below
    }
  } finally {
    await withHeartbeat(x, writing);
  }
}

async function withHeartbeat(x: Exchange, work: Promise<void>): Promise<void> {
  let beats = 0;
  const timer = setInterval(() => {
    beats += 1;
    if (beats > HEARTBEATS_MAX || x.res.destroyed) clearInterval(timer);
    else x.res.writeProcessing();
  }, HEARTBEAT_MS);
  try {
    await work;
  } finally {
    clearInterval(timer);
  }
}
