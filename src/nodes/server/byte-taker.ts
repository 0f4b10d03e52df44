/**
 * Pulls exact numbers of bytes from a request's body, without copying what stays in parts. Bounded: the body is paused
 * while QUEUE_BYTES_MAX wait to be taken. Rejects when the body ends or breaks early.
 * 'data' with pause() and not read(): read() concatenates what has piled up, which costs a copy.
 */
import type { Readable } from 'node:stream';
import { bytesPassed } from '../../base/young-garbage.ts';

export class BodyEndedEarly extends Error {
  override readonly name = 'BodyEndedEarly';
}

/** One chunk: so much may arrive while the one before is being written. */
const QUEUE_BYTES_MAX = 256 * 1024;

export class ByteTaker {
  readonly #body: Readable;
  readonly #queue: Buffer[] = [];
  #queuedBytes = 0;
  #wake: (() => void) | null = null;
  #ended = false;

  constructor(body: Readable) {
    this.#body = body;
    body.on('data', (part: Buffer) => {
      bytesPassed(part.length);
      this.#queue.push(part);
      this.#queuedBytes += part.length;
      if (this.#queuedBytes >= QUEUE_BYTES_MAX) body.pause();
      this.#wake?.();
    });
    const end = (): void => {
      this.#ended = true;
      this.#wake?.();
    };
    body.once('end', end);
    body.once('close', end);
    body.on('error', end);
    if (body.destroyed) this.#ended = true; // it broke off before anybody listened
  }

  /** The next part of the body, at most `max` bytes of it. */
  async #next(max: number): Promise<Buffer> {
    while (this.#queue.length === 0) {
      if (this.#ended) throw new BodyEndedEarly('the body ended early');
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
      this.#wake = null;
    }
    return this.#shift(max);
  }

  #shift(max: number): Buffer {
    const part = this.#queue[0]!;
    const taken = part.length <= max ? part : part.subarray(0, max);
    if (taken === part) this.#queue.shift();
    else this.#queue[0] = part.subarray(max);
    this.#queuedBytes -= taken.length;
    if (this.#queuedBytes < QUEUE_BYTES_MAX && this.#body.isPaused()) this.#body.resume();
    return taken;
  }

  async takeInto(target: Buffer, from: number): Promise<void> {
    let at = from;
    while (at < target.length) {
      const part = await this.#next(target.length - at);
      target.set(part, at);
      at += part.length;
    }
  }

  /** A copy where the bytes arrived in several parts; else a view. */
  async take(bytes: number): Promise<Buffer> {
    const first = await this.#next(bytes);
    if (first.length === bytes) return first;
    const whole = Buffer.allocUnsafe(bytes);
    whole.set(first, 0);
    await this.takeInto(whole, first.length);
    return whole;
  }

  /** The next `bytes` bytes as they arrived; `seen` gets each part at once. */
  async takeParts(bytes: number, seen: (part: Buffer) => void): Promise<Buffer[]> {
    const parts: Buffer[] = [];
    let left = bytes;
    while (left > 0) {
      const part = await this.#next(left);
      seen(part);
      parts.push(part);
      left -= part.length;
    }
    return parts;
  }
}
