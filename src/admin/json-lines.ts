/**
 * An answer that takes its time: one JSON document a line, as it becomes known. The client's going away aborts the work;
 * a failure after the first line is a last line `{ "error": { code, message } }`, as the status has been sent by then.
 */
import { once } from 'node:events';
import type { Request, Response } from 'express';
import { AdminError } from './admin-error.ts';

export async function sendLines(
  req: Request,
  res: Response,
  lines: (signal: AbortSignal) => AsyncIterable<unknown>,
): Promise<void> {
  const gone = new AbortController();
  res.on('close', () => gone.abort(new Error('the client went away')));
  // Work may be silent for longer than a request takes otherwise; an empty line now and then keeps the line open.
  req.socket.setTimeout(0);
  const begin = () => {
    if (!res.headersSent) res.status(200).type('application/x-ndjson');
  };
  const beat = setInterval(() => {
    begin();
    res.write('\n');
  }, BEAT_MS);
  beat.unref();
  try {
    for await (const line of lines(gone.signal)) {
      begin();
      if (!res.write(`${JSON.stringify(line)}\n`)) await once(res, 'drain', { signal: gone.signal });
    }
    res.end();
  } catch (error) {
    if (gone.signal.aborted) return;
    if (!res.headersSent) throw error;
    const { code, message } =
      error instanceof AdminError ? error : { code: 'Internal', message: String(error) };
    res.end(`${JSON.stringify({ error: { code, message } })}\n`);
  } finally {
    clearInterval(beat);
  }
}

const BEAT_MS = 5_000;
