/**
 * One HTTP request to a node, as events. Invariant: exactly one of ended() and failed() is called, exactly once, and
 * nothing after it; abort() frees the connection at once. No promises here, so none can be left unhandled.
 */
import type { IncomingHttpHeaders } from 'node:http';
import type { Dispatcher } from 'undici';
import { bytesPassed } from '../../base/young-garbage.ts';
import { NodeError } from '../protocol.ts';
import type { Connection, SignedRequest } from './connection.ts';
import { failureOf } from './failures.ts';

export interface CallListener {
  /** An interim answer: ready, or still at work. */
  interim?(): void;
  headers(status: number, headers: IncomingHttpHeaders): void;
  data(bytes: Buffer): void;
  ended(): void;
  failed(error: NodeError): void;
}

export class Call implements Dispatcher.DispatchHandler {
  readonly #connection: Connection;
  readonly #listener: CallListener;
  readonly #signals: readonly AbortSignal[];
  #controller: Dispatcher.DispatchController | null = null;
  #failure: NodeError | null = null;
  #over = false;

  constructor(connection: Connection, listener: CallListener, signals: readonly AbortSignal[]) {
    this.#connection = connection;
    this.#listener = listener;
    this.#signals = signals;
  }

  start(kind: 'exchange' | 'stream', request: SignedRequest): void {
    for (const signal of this.#signals) {
      if (signal.aborted) {
        this.#giveUp(signal.reason);
        return;
      }
      signal.addEventListener('abort', this.#onSignal, { once: true });
    }
    this.#connection.dispatch(kind, request, this);
  }

  get over(): boolean {
    return this.#over;
  }

  pause(): void {
    if (!this.#over) this.#controller?.pause();
  }

  resume(): void {
    if (!this.#over) this.#controller?.resume();
  }

  /** Fails the call, when it is not over, and frees its connection. */
  abort(error: NodeError): void {
    if (this.#over) return;
    this.#fail(error);
    this.#controller?.abort(error);
  }

  #onSignal = (event: Event): void => this.#giveUp((event.target as AbortSignal).reason);

  #giveUp(cause: unknown): void {
    this.abort(new NodeError('aborted', this.#connection.member, 'given up', { cause }));
  }

  #finish(): boolean {
    if (this.#over) return false;
    this.#over = true;
    for (const signal of this.#signals) signal.removeEventListener('abort', this.#onSignal);
    this.#connection.left(this);
    return true;
  }

  #fail(error: NodeError): void {
    if (!this.#finish()) return;
    this.#failure = error;
    this.#listener.failed(error);
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller;
    if (this.#failure) controller.abort(this.#failure);
  }

  onResponseStart(_: Dispatcher.DispatchController, status: number, headers: IncomingHttpHeaders): void {
    this.#connection.life.heard();
    if (this.#over) return;
    if (status < 200) this.#listener.interim?.();
    else this.#listener.headers(status, headers);
  }

  onResponseData(_: Dispatcher.DispatchController, bytes: Buffer): void {
    this.#connection.life.heard();
    bytesPassed(bytes.length);
    if (!this.#over) this.#listener.data(bytes);
  }

  onResponseEnd(): void {
    if (this.#finish()) this.#listener.ended();
  }

  onResponseError(_: Dispatcher.DispatchController, error: Error): void {
    this.#fail(failureOf(this.#connection.member, error));
  }
}
